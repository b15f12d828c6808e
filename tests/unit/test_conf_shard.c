/* Which agent of several probes a partner. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/text.h"

#define NAMES 20000

static const char *name_of(int i, char out[32])
{
    text_format(out, 32, "partner-%d", i);
    return out;
}

Test(conf_shard, every_partner_is_in_one_share_and_shares_are_even)
{
    char name[32];
    unsigned counts[9] = {0};
    for (int i = 0; i < NAMES; i++) {
        unsigned share = conf_shard_of(name_of(i, name), 8);
        cr_assert(share >= 1 && share <= 8);
        counts[share]++;
    }
    for (int share = 1; share <= 8; share++)
        cr_assert(counts[share] > NAMES / 8 * 9 / 10 && counts[share] < NAMES / 8 * 11 / 10, "share %d has %u", share,
                  counts[share]);
}

Test(conf_shard, one_more_agent_takes_partners_and_moves_none_between_others)
{
    char name[32];
    unsigned moved = 0;
    for (int i = 0; i < NAMES; i++) {
        unsigned before = conf_shard_of(name_of(i, name), 8), after = conf_shard_of(name, 9);
        cr_assert(after == before || after == 9, "%s went from %u to %u", name, before, after);
        moved += after != before;
    }
    cr_assert(moved > NAMES / 9 * 9 / 10 && moved < NAMES / 9 * 11 / 10, "%u moved", moved);
}

/* Agents of different versions must agree: these never change. */
Test(conf_shard, is_the_same_for_ever)
{
    cr_assert_eq(conf_shard_of("contoso", 1), 1);
    cr_assert_eq(conf_shard_of("contoso", 8), 6);
    cr_assert_eq(conf_shard_of("fabrikam", 8), 7);
    cr_assert_eq(conf_shard_of("woodgrove", 3), 3);
}

static struct conf *load(const char *shard, struct conf_errors *errors)
{
    char path[] = "/tmp/conf_shard.XXXXXX";
    int descriptor = mkstemp(path);
    cr_assert(descriptor >= 0);
    FILE *file = fdopen(descriptor, "w");
    cr_assert(file != NULL);
    fprintf(file, "shard = \"%s\";\npartners = (\n", shard);
    for (int i = 0; i < 30; i++)
        fprintf(file, "%s{ name = \"p%d\"; domain = \"p%d.example\"; enabled = %s; }\n", i ? "," : "", i, i,
                i == 29 ? "false" : "true");
    fputs(");\n", file);
    fclose(file);
    struct conf *conf = conf_load(path, errors);
    unlink(path);
    return conf;
}

Test(conf_shard, agents_with_one_file_share_all_partners)
{
    struct conf_errors errors = {0};
    static const char *const shares[] = {"1/3", "2/3", "3/3"};
    unsigned probed[30] = {0}, elsewhere[30] = {0};
    for (int agent = 0; agent < 3; agent++) {
        struct conf *conf = load(shares[agent], &errors);
        cr_assert(conf != NULL);
        for (size_t i = 0; i < 30; i++) {
            probed[i] += conf->partners[i].enabled;
            elsewhere[i] += conf->partners[i].elsewhere;
        }
        conf_free(conf);
        conf_errors_clear(&errors);
    }
    for (int i = 0; i < 29; i++)
        cr_assert(probed[i] == 1 && elsewhere[i] == 2, "p%d is probed by %u", i, probed[i]);
    cr_assert(probed[29] == 0 && elsewhere[29] == 0);
}

Test(conf_shard, one_agent_can_have_the_share_of_another)
{
    struct conf_errors errors = {0};
    struct conf *two = load("2/3", &errors), *three = load("3/3", &errors), *both = load("2,3/3", &errors);
    cr_assert(two && three && both);
    for (size_t i = 0; i < 30; i++)
        cr_assert_eq(both->partners[i].enabled, two->partners[i].enabled || three->partners[i].enabled);
    conf_free(two);
    conf_free(three);
    conf_free(both);
    conf_errors_clear(&errors);
}

Test(conf_shard, what_is_no_share_is_refused)
{
    static const char *const wrong[] = {"2", "0/8", "9/8", "2/", "/8", "2,/8", ",2/8", "2/8x", "1/65", "2 /8", "-1/8",
                                        "99999999999999999999/8", "1/99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct conf_errors errors = {0};
        struct conf *conf = load(wrong[i], &errors);
        cr_assert(!conf && errors.count == 1, "\"%s\" was taken", wrong[i]);
        cr_assert(strstr(errors.errors[0].message, "is no share") != NULL);
        cr_assert_eq(errors.errors[0].line, 1);
        conf_errors_clear(&errors);
    }
}
