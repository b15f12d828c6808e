#include <criterion/criterion.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/observation.h"
#include "base/queue.h"

static bool readable(struct queue *queue)
{
    struct pollfd poll_for = {queue_descriptor(queue), POLLIN, 0};
    return poll(&poll_for, 1, 0) == 1;
}

static bool post(struct queue *queue, uint32_t first, size_t count)
{
    struct observation observations[8] = {0};
    for (size_t i = 0; i < count; i++)
        observations[i].partner = first + (uint32_t)i;
    return queue_post(queue, observations, count);
}

Test(queue, all_or_none_in_order_and_counted)
{
    struct queue *queue = queue_new(5);
    struct observation out[8];
    cr_assert_not(readable(queue));
    cr_assert(post(queue, 0, 3));
    cr_assert(readable(queue));
    cr_assert_not(post(queue, 100, 3));
    cr_assert_eq(queue_dropped(queue), 3);
    cr_assert(post(queue, 3, 2));
    cr_assert_eq(queue_take(queue, out, 4), 4);
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_eq(out[i].partner, i);
    cr_assert(readable(queue));
    /* over the end of the ring */
    cr_assert(post(queue, 5, 4));
    cr_assert_eq(queue_take(queue, out, 8), 5);
    for (uint32_t i = 0; i < 5; i++)
        cr_assert_eq(out[i].partner, 4 + i);
    cr_assert_not(readable(queue));
    cr_assert_eq(queue_take(queue, out, 8), 0);
    cr_assert(post(queue, 9, 0));
    cr_assert_not(readable(queue));
    queue_free(queue);
}

/* What is offered is taken as far as there is room beside a quarter for what is posted, and the rest is not dropped. */
Test(queue, what_is_offered_is_taken_in_part)
{
    struct queue *queue = queue_new(6);
    struct observation in[4] = {{.partner = 0}, {.partner = 1}, {.partner = 2}, {.partner = 3}}, out[8];
    cr_assert_eq(queue_offer(queue, in, 0), 0);
    cr_assert_not(readable(queue));
    cr_assert_eq(queue_offer(queue, in, 4), 4);
    cr_assert(readable(queue));
    cr_assert_eq(queue_take(queue, out, 2), 2);
    cr_assert_eq(queue_offer(queue, in, 4), 3);
    cr_assert_eq(queue_offer(queue, in + 3, 1), 0);
    cr_assert(post(queue, 7, 1));
    cr_assert_eq(queue_offer(queue, in + 3, 1), 0);
    cr_assert_eq(queue_take(queue, out, 8), 6);
    static const uint32_t partners[] = {2, 3, 0, 1, 2, 7};
    for (uint32_t i = 0; i < 6; i++)
        cr_assert_eq(out[i].partner, partners[i]);
    cr_assert_not(readable(queue));
    cr_assert_eq(queue_offer(queue, in + 3, 1), 1);
    cr_assert(readable(queue));
    cr_assert_eq(queue_dropped(queue), 0);
    queue_free(queue);
}

Test(queue, more_than_the_whole_room_is_refused)
{
    struct queue *queue = queue_new(2);
    cr_assert_not(post(queue, 0, 3));
    cr_assert_eq(queue_dropped(queue), 3);
    cr_assert_not(readable(queue));
    queue_free(queue);
    queue_free(NULL);
}

Test(queue, is_settled_behind_marks)
{
    struct queue *queue = queue_new(16);
    struct observation in[4] = {{.kind = OBSERVATION_EVENT, .origin = ORIGIN_FEEDS},
                                {.kind = OBSERVATION_EVENT, .origin = ORIGIN_TLSRPT},
                                {.kind = OBSERVATION_MARK, .origin = ORIGIN_TLSRPT},
                                {.kind = OBSERVATION_MARK, .origin = ORIGIN_FEEDS}};
    struct observation out[8];
    uint64_t number = 0;
    cr_expect(queue_settled(queue));
    cr_assert(queue_offer_whole(queue, in, 4, &number));
    cr_expect_eq(number, 4);
    cr_expect(queue_settled(queue), "what was not taken does not matter");
    cr_expect_eq(queue_take(queue, out, 8), 3, "a mark is the last");
    cr_expect(!queue_settled(queue), "the feeds are not");
    cr_expect_eq(queue_taken(queue), 3);
    cr_expect_eq(queue_take(queue, out, 8), 1);
    cr_expect(queue_settled(queue));
    cr_expect(!queue_offer_whole(queue, in, 0, &number));
    queue_free(queue);
}

Test(queue, tells_what_is_stored)
{
    struct queue *queue = queue_new(16);
    eventfd_t value;
    int watch = eventfd(0, EFD_NONBLOCK);
    queue_watch_stored(queue, watch);
    cr_expect(!queue_is_stored(queue, 1));
    queue_stored(queue, 2);
    cr_expect(queue_is_stored(queue, 1) && queue_is_stored(queue, 2) && !queue_is_stored(queue, 3));
    cr_expect_eq(eventfd_read(watch, &value), 0);
    queue_stored(queue, 1);
    cr_expect(queue_is_stored(queue, 2), "it does not go back");
    cr_expect_neq(eventfd_read(watch, &value), 0, "nothing new");
    queue_unwatch_stored(queue, watch);
    queue_stored(queue, 9);
    cr_expect_neq(eventfd_read(watch, &value), 0);
    close(watch);
    queue_free(queue);
}
