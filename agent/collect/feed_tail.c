/*
 * One open file. All that is kept of it is where the first line begins that was not read whole: a line without an end
 * is read again when there is more of it, so there is no buffer to lose, and the offset can be kept and gone on from.
 *
 * A file that is shorter than the offset was truncated. One that was truncated and has grown beyond the offset again is
 * known by its head, the first octets, which is looked at before and after each reading: what was read in between is
 * believed only when the head is the same both times.
 *
 * What a compressed file holds never changes; it is unpacked as it is read.
 *
 * Of a line longer than rules look at, the beginning is told at once and the rest skipped.
 */
#include "collect/feed_parts.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect/rule.h"

#define TOLD_MAX (RULE_LINE_MAX + 1) /* octets of a line, so that its reader sees that it was cut */

static ssize_t read_at(int descriptor, void *data, size_t size, uint64_t offset)
{
    ssize_t got;
    do
        got = pread(descriptor, data, size, (off_t)offset);
    while (got < 0 && errno == EINTR);
    return got;
}

bool tail_check(struct tail *tail)
{
    char data[FEED_HEAD_MAX];
    if (tail->compressed)
        return true;
    ssize_t got = read_at(tail->descriptor, data, sizeof data, 0);
    size_t length = got > 0 ? (size_t)got : 0;
    if (length < tail->head.length || feed_hash(data, tail->head.length) != tail->head.hash)
        return false;
    tail->head = (struct feed_head){feed_hash(data, length), (uint32_t)length};
    return true;
}

static void start_over(struct tail *tail)
{
    tail->before = tail->head;
    tail->head = (struct feed_head){feed_hash("", 0), 0};
    tail->offset = 0;
    tail->skipping = false;
    tail->part = 0;
    tail_check(tail);
}

/* Tells the lines of data[0..length), which stands at the offset; false when the feed must stop. */
static bool tell_lines(struct tail *tail, struct feed *feed, const char *data, size_t length, size_t *used)
{
    bool go_on = true;
    *used = 0;
    while (go_on && *used < length) {
        const char *line = data + *used;
        const char *end = memchr(line, '\n', length - *used);
        size_t octets = end ? (size_t)(end - line) : length - *used;
        if (!end && !tail->skipping && octets < TOLD_MAX)
            break;
        size_t told = octets > TOLD_MAX ? TOLD_MAX : octets;
        if (!tail->skipping)
            go_on = feed_line(feed, line, told - (end && told && told == octets && line[told - 1] == '\r'));
        tail->skipping = !end;
        *used += octets + (end != NULL);
    }
    return go_on;
}

bool tail_unread(const struct tail *tail)
{
    struct stat status;
    if (tail->compressed)
        return tail->descriptor >= 0 && !(tail->gzip && feed_gzip_ended(tail->gzip) && tail->drained);
    return tail->descriptor >= 0 && fstat(tail->descriptor, &status) == 0 && (uint64_t)status.st_size > tail->offset;
}

/* Whether it was truncated, as far as can be seen before it is read. */
static bool is_cut(struct tail *tail, int64_t run)
{
    struct stat status;
    if (tail->compressed || fstat(tail->descriptor, &status) < 0)
        return false;
    if ((uint64_t)status.st_size > tail->size)
        tail->grown = run;
    tail->size = (uint64_t)status.st_size;
    return tail->size < tail->offset || !tail_check(tail);
}

enum tail_state tail_read(struct tail *tail, struct feed *feed, int64_t run)
{
    size_t size, used;
    bool later = false;
    char *data = feed_buffer(feed, &size);
    if (tail->compressed && !tail->gzip)
        tail->gzip = feed_gzip_new();
    if (is_cut(tail, run)) {
        start_over(tail); /* before the new beginning comes what is left in a copy */
        return TAIL_MORE;
    }
    ssize_t got = tail->compressed ? feed_gzip_read(tail->gzip, tail->descriptor, data, size, tail->offset, &later)
                                   : read_at(tail->descriptor, data, size, tail->offset);
    if (got < 0)
        return TAIL_BAD;
    if (later)
        return TAIL_MORE;
    if (got > 0 && !tail_check(tail)) {
        start_over(tail);
        return TAIL_MORE;
    }
    bool go_on = tell_lines(tail, feed, data, (size_t)got, &used);
    tail->offset += used;
    if (!go_on)
        return TAIL_STOPPED;
    if ((size_t)got - used != tail->part) {
        tail->part = (size_t)got - used;
        tail->part_run = run;
    }
    tail->drained = (size_t)got < size;
    return (size_t)got == size ? TAIL_MORE : TAIL_END;
}

void tail_end_part(struct tail *tail, struct feed *feed)
{
    size_t size;
    char *data = feed_buffer(feed, &size);
    bool later = false;
    ssize_t got = tail->compressed
                      ? feed_gzip_read(tail->gzip, tail->descriptor, data, tail->part, tail->offset, &later)
                      : read_at(tail->descriptor, data, tail->part, tail->offset);
    if (got > 0) {
        feed_line(feed, data, (size_t)got);
        tail->offset += (uint64_t)got;
    }
    tail->part = 0;
}
