/*
 * A log that was read by an earlier process is looked for by what it holds, since in the meantime it may have been renamed,
 * copied and truncated, or compressed, and its inode given to another file. Best is the same file with the same head;
 * then one with the same head that is as long as was read; then a compressed one that holds the same head. Of the latter
 * two only names that rotation gives are looked at, and heads that are long enough to mean something.
 */
#include "collect/feed_parts.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

enum fit { FIT_NOT, FIT_COMPRESSED, FIT_COPY, FIT_SAME };

bool feed_is_rotated(const char *name, const char *log)
{
    size_t whole = strlen(log), stem = strcspn(log, ".");
    if (strncmp(name, log, whole) == 0)
        return name[whole] && strchr(".-_~", name[whole]);
    return stem && strncmp(name, log, stem) == 0 && name[stem] && strchr(".-_", name[stem]) && name[stem + 1] >= '0' &&
           name[stem + 1] <= '9';
}

bool feed_same_head(const struct feed_head *head, const unsigned char *data, size_t length)
{
    return head->length >= COPY_HEAD_MIN && head->length <= length && feed_hash(data, head->length) == head->hash;
}

static enum fit judge(int descriptor, const struct feed_position *position, const struct stat *status)
{
    unsigned char data[FEED_HEAD_MAX];
    bool same = status->st_ino == position->inode && status->st_dev == position->device;
    if (feed_gzip_is(descriptor))
        return feed_same_head(&position->head, data, feed_gzip_head(descriptor, data, sizeof data)) ? FIT_COMPRESSED
                                                                                                    : FIT_NOT;
    ssize_t got = pread(descriptor, data, sizeof data, 0);
    if (got < 0 || (uint64_t)status->st_size < position->offset)
        return FIT_NOT;
    if (same && position->head.length <= (size_t)got && feed_hash(data, position->head.length) == position->head.hash)
        return FIT_SAME;
    return feed_same_head(&position->head, data, (size_t)got) ? FIT_COPY : FIT_NOT;
}

bool feed_find(const char *folder, const struct feed_position *position, struct feed_place *place)
{
    enum fit best = FIT_NOT;
    DIR *entries = opendir(folder);
    const struct dirent *entry;
    struct stat status;
    *place = (struct feed_place){.name = ""};
    for (size_t i = 0; entries && best != FIT_SAME && i < FOLDER_MAX && (entry = readdir(entries)); i++) {
        if (entry->d_ino != position->inode && strcmp(entry->d_name, position->name) != 0 &&
            !feed_is_rotated(entry->d_name, position->name))
            continue;
        int descriptor = openat(dirfd(entries), entry->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (descriptor < 0)
            continue;
        enum fit fit =
            fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) ? judge(descriptor, position, &status) : FIT_NOT;
        close(descriptor);
        if (fit <= best)
            continue;
        best = fit;
        text_copy(place->name, sizeof place->name, entry->d_name);
        place->device = status.st_dev;
        place->inode = status.st_ino;
        place->moved = fit != FIT_SAME;
        place->compressed = fit == FIT_COMPRESSED;
    }
    if (entries)
        closedir(entries);
    return best != FIT_NOT;
}
