#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/index.h"

Test(index, order_of_an_smi_table)
{
    struct index index;
    int cells[5];
    index_init(&index, 2);
    cr_assert(index_insert(&index, (uint32_t[]){2, 1}, &cells[0]));
    cr_assert(index_insert(&index, (uint32_t[]){1, 7}, &cells[1]));
    cr_assert(index_insert(&index, (uint32_t[]){1, 3000000000u}, &cells[2]));
    cr_assert(index_insert(&index, (uint32_t[]){3, 0}, &cells[3]));
    cr_assert_not(index_insert(&index, (uint32_t[]){1, 7}, &cells[4]));
    cr_assert_eq(index.count, 4);
    cr_assert_eq(index.entries[0].cell, &cells[1]);
    cr_assert_eq(index.entries[1].cell, &cells[2]);
    cr_assert_eq(index.entries[2].cell, &cells[0]);
    cr_assert_eq(index.entries[3].cell, &cells[3]);
    cr_assert_eq(index_find(&index, (uint32_t[]){1, 7}), &cells[1]);
    cr_assert_null(index_find(&index, (uint32_t[]){1, 8}));
    cr_assert_eq(index_after(&index, (uint32_t[]){1, 7}), 1);
    cr_assert_eq(index_from(&index, (uint32_t[]){1, 7}), 0);
    cr_assert_eq(index_after(&index, (uint32_t[]){3, 0}), 4);
    cr_assert_eq(index_remove(&index, (uint32_t[]){2, 1}), &cells[0]);
    cr_assert_null(index_remove(&index, (uint32_t[]){2, 1}));
    cr_assert_eq(index.count, 3);
    cr_assert_eq(index.entries[2].cell, &cells[3]);
    index_clear(&index);
    cr_assert_eq(index.count, 0);
}

/* Random insertions and removals against an array that simply marks what is there. */
Test(index, model)
{
    enum { KEYS = 500, STEPS = 20000 };
    static bool there[KEYS];
    struct index index;
    index_init(&index, 1);
    srand(7);
    for (int step = 0; step < STEPS; step++) {
        uint32_t key = (uint32_t)(rand() % KEYS);
        if (rand() % 2)
            cr_assert_eq(index_insert(&index, &key, &there[key]), !there[key]);
        else
            cr_assert_eq(index_remove(&index, &key), there[key] ? (void *)&there[key] : NULL);
        there[key] = index_find(&index, &key) != NULL;
    }
    size_t count = 0;
    for (uint32_t key = 0; key < KEYS; key++)
        if (there[key])
            cr_assert_eq(index.entries[count++].cell, &there[key]);
    cr_assert_eq(count, index.count);
    index_clear(&index);
}
