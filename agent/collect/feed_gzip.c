/*
 * What a log that was compressed by gzip (RFC 1952) holds, read at offsets that only grow but for what was read last: a
 * line that did not end is read again. The last piece is kept for that, so nothing is unpacked twice.
 *
 * Who is behind an offset far into the file unpacks it in steps, so that other logs are not kept waiting. A file that
 * ends too early may still be written; when it is old, it is broken.
 */
#include "collect/feed_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#define IN_SIZE   65536
#define KEPT_SIZE 131072
#define STEP      (16u << 20)           /* octets that are unpacked at once on the way to an offset */
#define MOST      (UINT64_C(256) << 30) /* octets of one file, unpacked */
#define PATIENCE  10                    /* seconds since it was last written */

struct feed_gzip {
    z_stream stream;
    uint64_t at;      /* behind what is kept */
    uint64_t in_file; /* octets of the file that were read */
    bool member;      /* one was unpacked to its end */
    bool ended;
    size_t kept_length;
    unsigned char in[IN_SIZE], kept[KEPT_SIZE];
};

struct feed_gzip *feed_gzip_new(void)
{
    struct feed_gzip *gzip = calloc(1, sizeof *gzip);
    if (!gzip || inflateInit2(&gzip->stream, 15 + 16) != Z_OK)
        abort();
    return gzip;
}

void feed_gzip_free(struct feed_gzip *gzip)
{
    if (!gzip)
        return;
    inflateEnd(&gzip->stream);
    free(gzip);
}

bool feed_gzip_ended(const struct feed_gzip *gzip)
{
    return gzip->ended;
}

/* More of the file; 0 at its end so far, -1 with errno. */
static ssize_t fill(struct feed_gzip *gzip, int descriptor)
{
    struct stat status;
    ssize_t got;
    do
        got = pread(descriptor, gzip->in, sizeof gzip->in, (off_t)gzip->in_file);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        gzip->in_file += (uint64_t)got;
        gzip->stream.next_in = gzip->in;
        gzip->stream.avail_in = (uInt)got;
    } else if (got == 0 && gzip->stream.total_in == 0 && gzip->member) {
        gzip->ended = true;
    } else if (got == 0 && fstat(descriptor, &status) == 0 && time(NULL) - status.st_mtime > PATIENCE) {
        errno = EILSEQ;
        return -1;
    }
    return got;
}

/* One turn of unpacking; false at the end so far, or with errno. */
static bool turn(struct feed_gzip *gzip, int descriptor)
{
    errno = 0;
    if (!gzip->stream.avail_in && fill(gzip, descriptor) <= 0)
        return false;
    int result = inflate(&gzip->stream, Z_NO_FLUSH);
    if (result == Z_STREAM_END) {
        gzip->member = true;
        inflateReset(&gzip->stream);
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
        /* What follows the last member may be none. */
        gzip->ended = gzip->member && !gzip->stream.total_out;
        errno = gzip->ended ? 0 : EILSEQ;
        return false;
    }
    return true;
}

/* Unpacks up to `size` octets; fewer at the end so far; -1 with errno when there are none for an error. */
static ssize_t unpack_some(struct feed_gzip *gzip, int descriptor, unsigned char *out, size_t size)
{
    gzip->stream.next_out = out;
    gzip->stream.avail_out = (uInt)size;
    if (gzip->at > MOST) {
        errno = EFBIG;
        return -1;
    }
    while (gzip->stream.avail_out && !gzip->ended && turn(gzip, descriptor))
        ;
    size -= gzip->stream.avail_out;
    gzip->at += size;
    return size || gzip->ended || !errno ? (ssize_t)size : -1;
}

/* Towards `offset`; 1 there, 0 not yet, -1 with errno. */
static int skip_to(struct feed_gzip *gzip, int descriptor, uint64_t offset)
{
    for (size_t step = 0; gzip->at < offset && step < STEP; step += gzip->kept_length) {
        uint64_t left = offset - gzip->at;
        gzip->kept_length = 0;
        ssize_t got =
            unpack_some(gzip, descriptor, gzip->kept, left < sizeof gzip->kept ? (size_t)left : sizeof gzip->kept);
        if (got <= 0)
            return (int)got;
        gzip->kept_length = (size_t)got;
    }
    return gzip->at >= offset;
}

ssize_t feed_gzip_read(struct feed_gzip *gzip, int descriptor, void *data, size_t size, uint64_t offset, bool *later)
{
    int there = skip_to(gzip, descriptor, offset);
    *later = there == 0 && !gzip->ended;
    if (there <= 0)
        return there;
    uint64_t again = gzip->at - offset;
    if (again > gzip->kept_length || size > sizeof gzip->kept) {
        errno = EINVAL;
        return -1;
    }
    memmove(gzip->kept, gzip->kept + gzip->kept_length - again, again);
    gzip->kept_length = (size_t)again;
    if (gzip->kept_length < size) {
        ssize_t got = unpack_some(gzip, descriptor, gzip->kept + again, size - gzip->kept_length);
        if (got < 0 && !gzip->kept_length)
            return -1;
        gzip->kept_length += got > 0 ? (size_t)got : 0;
    }
    if (size > gzip->kept_length)
        size = gzip->kept_length;
    memcpy(data, gzip->kept, size);
    return (ssize_t)size;
}

size_t feed_gzip_head(int descriptor, unsigned char *data, size_t size)
{
    bool later;
    struct feed_gzip *gzip = feed_gzip_new();
    ssize_t got = feed_gzip_read(gzip, descriptor, data, size, 0, &later);
    feed_gzip_free(gzip);
    return got > 0 ? (size_t)got : 0;
}

int64_t feed_gzip_time(int descriptor)
{
    unsigned char data[8];
    if (pread(descriptor, data, sizeof data, 0) != sizeof data)
        return 0;
    return (int64_t)((uint32_t)data[4] | (uint32_t)data[5] << 8 | (uint32_t)data[6] << 16 | (uint32_t)data[7] << 24);
}

bool feed_gzip_is(int descriptor)
{
    unsigned char data[3];
    return pread(descriptor, data, sizeof data, 0) == sizeof data && data[0] == 0x1f && data[1] == 0x8b && data[2] == 8;
}
