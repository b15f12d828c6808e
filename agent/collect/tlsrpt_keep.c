/*
 * What was read is kept for people to look at, not for ever: others decide how many reports come. A file counts from
 * when it came to its folder (its change time), because its own time is what the sender or a script set. Folders are
 * looked through as a whole, so that what an earlier run or an earlier limit left is bounded too.
 */
#include "collect/tlsrpt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

struct kept {
    int64_t came; /* wall microseconds */
    char *name;
};

struct kept_list {
    size_t count, room;
    struct kept *files;
};

static void add_file(struct kept_list *list, const char *name, int64_t came)
{
    if (list->count == list->room) {
        list->room = list->room ? 2 * list->room : 64;
        list->files = reallocarray(list->files, list->room, sizeof *list->files);
        if (!list->files)
            abort();
    }
    struct kept *kept = &list->files[list->count++];
    *kept = (struct kept){came, strdup(name)};
    if (!kept->name)
        abort();
}

static int oldest_first(const void *left, const void *right)
{
    const struct kept *a = left, *b = right;
    return a->came != b->came ? (a->came < b->came ? -1 : 1) : strcmp(a->name, b->name);
}

static bool list_files(int folder, struct kept_list *list)
{
    int copy = fcntl(folder, F_DUPFD_CLOEXEC, 0);
    DIR *directory = copy >= 0 ? fdopendir(copy) : NULL;
    struct stat status;
    if (!directory) {
        if (copy >= 0)
            close(copy);
        return false;
    }
    rewinddir(directory);
    for (const struct dirent *entry; (entry = readdir(directory));)
        if (fstatat(folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(status.st_mode))
            add_file(list, entry->d_name, status.st_ctim.tv_sec * CLOCK_SECOND + status.st_ctim.tv_nsec / 1000);
    closedir(directory);
    return true;
}

size_t tlsrpt_keep(int folder, uint32_t files_max, uint32_t days, int64_t wall)
{
    struct kept_list list = {0};
    size_t removed = 0;
    if (!list_files(folder, &list)) {
        log_warning("tlsrpt", "reports that were read cannot be listed: %s", strerrordesc_np(errno));
        return 0;
    }
    if (list.count)
        qsort(list.files, list.count, sizeof *list.files, oldest_first);
    for (size_t i = 0; i < list.count; i++) {
        bool many = list.count - i > files_max, old = wall - list.files[i].came > days * 86400 * CLOCK_SECOND;
        if ((many || old) && unlinkat(folder, list.files[i].name, 0) == 0)
            removed++;
        free(list.files[i].name);
    }
    free(list.files);
    return removed;
}
