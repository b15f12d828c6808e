/*
 * A bad disk under SQLite, for a daemon that knows nothing of it: LD_PRELOAD of this object makes a default VFS that reads, at
 * each call that writes, syncs, cuts or opens, the file that FEDWARDEN_DISK names, and does as its words say:
 *
 *   delay 200   each write and sync takes 200 ms longer
 *   full        there is no room: what is written fails
 *   error       what is written or synced fails
 *   open        nothing can be opened
 *   exit 40     the process ends at once, half written, at the 40th such call from when that was first read
 *
 * An empty file, or none: a good disk. Under AddressSanitizer: LD_PRELOAD="libasan.so slow_disk.so", or
 * ASAN_OPTIONS=verify_asan_link_order=0.
 */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct orders {
    unsigned long delay, exit;
    bool full, error, open;
};

struct slow_file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
};

static sqlite3_vfs slow;
static sqlite3_vfs *real_vfs;
static atomic_ulong calls, calls_before_exit;

static struct orders read_orders(void)
{
    char text[256] = "", *at = text, *next;
    struct orders orders = {0};
    const char *path = getenv("FEDWARDEN_DISK");
    int descriptor = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (descriptor >= 0) {
        ssize_t length = read(descriptor, text, sizeof text - 1);
        text[length > 0 ? length : 0] = '\0';
        close(descriptor);
    }
    for (char *word = strtok_r(at, " \n", &next); word; word = strtok_r(NULL, " \n", &next)) {
        orders.full = orders.full || strcmp(word, "full") == 0;
        orders.error = orders.error || strcmp(word, "error") == 0;
        orders.open = orders.open || strcmp(word, "open") == 0;
        bool delay = strcmp(word, "delay") == 0, ends = strcmp(word, "exit") == 0;
        const char *number = delay || ends ? strtok_r(NULL, " \n", &next) : NULL;
        if (number)
            *(delay ? &orders.delay : &orders.exit) = strtoul(number, NULL, 10);
    }
    return orders;
}

/* What this call is to do, after its delay. */
static struct orders obey(bool writes)
{
    struct orders orders = read_orders();
    calls++;
    if (!orders.exit)
        calls_before_exit = calls;
    if (writes && orders.delay) {
        struct timespec delay = {(time_t)(orders.delay / 1000), (long)(orders.delay % 1000) * 1000000L};
        nanosleep(&delay, NULL);
    }
    return orders;
}

static bool ends(const struct orders *orders)
{
    return orders->exit && calls - calls_before_exit >= orders->exit;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct slow_file *)file)->real;
}

static int slow_write(sqlite3_file *file, const void *data, int amount, sqlite3_int64 at)
{
    struct orders orders = obey(true);
    if (ends(&orders)) {
        real_of(file)->pMethods->xWrite(real_of(file), data, amount / 2, at);
        _exit(137);
    }
    if (orders.full || orders.error)
        return orders.full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    return real_of(file)->pMethods->xWrite(real_of(file), data, amount, at);
}

static int slow_sync(sqlite3_file *file, int flags)
{
    struct orders orders = obey(true);
    if (ends(&orders))
        _exit(137);
    return orders.error ? SQLITE_IOERR_FSYNC : real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int slow_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct orders orders = obey(true);
    if (ends(&orders))
        _exit(137);
    return orders.error ? SQLITE_IOERR_TRUNCATE : real_of(file)->pMethods->xTruncate(real_of(file), size);
}

/* The rest goes through. */
#define THROUGH(name, method, parameters, ...)                                                                         \
    static int name parameters                                                                                         \
    {                                                                                                                  \
        return real_of(file)->pMethods->method(real_of(file), ##__VA_ARGS__);                                          \
    }
THROUGH(slow_close, xClose, (sqlite3_file * file))
THROUGH(slow_read, xRead, (sqlite3_file * file, void *out, int amount, sqlite3_int64 at), out, amount, at)
THROUGH(slow_size, xFileSize, (sqlite3_file * file, sqlite3_int64 *size), size)
THROUGH(slow_lock, xLock, (sqlite3_file * file, int level), level)
THROUGH(slow_unlock, xUnlock, (sqlite3_file * file, int level), level)
THROUGH(slow_reserved, xCheckReservedLock, (sqlite3_file * file, int *out), out)
THROUGH(slow_control, xFileControl, (sqlite3_file * file, int operation, void *argument), operation, argument)
THROUGH(slow_sector, xSectorSize, (sqlite3_file * file))
THROUGH(slow_device, xDeviceCharacteristics, (sqlite3_file * file))
THROUGH(slow_shm_map, xShmMap, (sqlite3_file * file, int page, int size, int extend, void volatile **out), page, size,
        extend, out)
THROUGH(slow_shm_lock, xShmLock, (sqlite3_file * file, int offset, int count, int flags), offset, count, flags)
THROUGH(slow_shm_unmap, xShmUnmap, (sqlite3_file * file, int remove), remove)

static void slow_shm_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = slow_close,
    .xRead = slow_read,
    .xWrite = slow_write,
    .xTruncate = slow_truncate,
    .xSync = slow_sync,
    .xFileSize = slow_size,
    .xLock = slow_lock,
    .xUnlock = slow_unlock,
    .xCheckReservedLock = slow_reserved,
    .xFileControl = slow_control,
    .xSectorSize = slow_sector,
    .xDeviceCharacteristics = slow_device,
    .xShmMap = slow_shm_map,
    .xShmLock = slow_shm_lock,
    .xShmBarrier = slow_shm_barrier,
    .xShmUnmap = slow_shm_unmap,
};

static int slow_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *out, int flags, int *out_flags)
{
    struct slow_file *file = (struct slow_file *)out;
    struct orders orders = obey(false);
    (void)vfs;
    file->base.pMethods = NULL;
    file->real = (sqlite3_file *)(file + 1);
    if (orders.open)
        return SQLITE_CANTOPEN;
    int code = real_vfs->xOpen(real_vfs, name, file->real, flags, out_flags);
    if (code == SQLITE_OK)
        file->base.pMethods = &methods;
    return code;
}

__attribute__((constructor)) static void install(void)
{
    if (sqlite3_initialize() != SQLITE_OK || !(real_vfs = sqlite3_vfs_find(NULL))) {
        fputs("slow_disk: SQLite cannot be initialised\n", stderr);
        abort();
    }
    slow = *real_vfs;
    slow.zName = "slow";
    slow.szOsFile = (int)sizeof(struct slow_file) + real_vfs->szOsFile;
    slow.xOpen = slow_open;
    sqlite3_vfs_register(&slow, 1);
}
