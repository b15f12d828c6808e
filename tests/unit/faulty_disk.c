#include "faulty_disk.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct faults *faults;

static sqlite3_vfs faulty;
static sqlite3_vfs *real_vfs;

struct faulty_file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
};

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct faulty_file *)file)->real;
}

/* What this call is to do. */
static enum fault next(bool writes)
{
    uint64_t call = faults->calls++;
    uint64_t from = faults->from;
    uint32_t every = faults->every ? faults->every : 1;
    if (writes && faults->delay)
        usleep(faults->delay * 1000);
    if (call < from || call >= faults->until || (call - from) % every)
        return FAULT_NONE;
    enum fault fault = (enum fault)faults->fault;
    if ((fault == FAULT_FULL && !writes) || (fault >= FAULT_OPEN && fault <= FAULT_SHARED && writes))
        return FAULT_NONE;
    faults->failed++;
    return fault;
}

static int faulty_close(sqlite3_file *file)
{
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int faulty_read(sqlite3_file *file, void *out, int amount, sqlite3_int64 at)
{
    return real_of(file)->pMethods->xRead(real_of(file), out, amount, at);
}

static int faulty_write(sqlite3_file *file, const void *data, int amount, sqlite3_int64 at)
{
    sqlite3_file *real = real_of(file);
    enum fault fault = next(true);
    if (fault == FAULT_FULL)
        return SQLITE_FULL;
    if (fault == FAULT_IO)
        return SQLITE_IOERR_WRITE;
    int code = real->pMethods->xWrite(real, data, fault == FAULT_TORN || fault == FAULT_EXIT ? amount / 2 : amount, at);
    if (fault == FAULT_EXIT)
        _exit(9);
    return fault == FAULT_NONE ? code : SQLITE_IOERR_WRITE;
}

static int faulty_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    sqlite3_file *real = real_of(file);
    enum fault fault = next(true);
    if (fault == FAULT_EXIT)
        _exit(9);
    if (fault == FAULT_NONE || fault == FAULT_LATE)
        real->pMethods->xTruncate(real, size);
    return fault == FAULT_NONE ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

static int faulty_sync(sqlite3_file *file, int flags)
{
    enum fault fault = next(true);
    (void)file;
    (void)flags; /* the processes die, not the machine */
    if (fault == FAULT_EXIT)
        _exit(9);
    return fault == FAULT_NONE || fault == FAULT_FULL ? SQLITE_OK : SQLITE_IOERR_FSYNC;
}

static int faulty_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int faulty_lock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int faulty_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int faulty_reserved(sqlite3_file *file, int *out)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}

static int faulty_control(sqlite3_file *file, int operation, void *argument)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), operation, argument);
}

static int faulty_sector(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int faulty_device(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int faulty_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
    if (faults->fault == FAULT_SHARED && faults->until)
        return SQLITE_IOERR_SHMSIZE;
    return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, out);
}

static int faulty_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}

static void faulty_shm_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int faulty_shm_unmap(sqlite3_file *file, int remove)
{
    return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = faulty_close,
    .xRead = faulty_read,
    .xWrite = faulty_write,
    .xTruncate = faulty_truncate,
    .xSync = faulty_sync,
    .xFileSize = faulty_size,
    .xLock = faulty_lock,
    .xUnlock = faulty_unlock,
    .xCheckReservedLock = faulty_reserved,
    .xFileControl = faulty_control,
    .xSectorSize = faulty_sector,
    .xDeviceCharacteristics = faulty_device,
    .xShmMap = faulty_shm_map,
    .xShmLock = faulty_shm_lock,
    .xShmBarrier = faulty_shm_barrier,
    .xShmUnmap = faulty_shm_unmap,
};

static int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *out, int flags, int *out_flags)
{
    struct faulty_file *file = (struct faulty_file *)out;
    (void)vfs;
    file->base.pMethods = NULL;
    file->real = (sqlite3_file *)(file + 1);
    enum fault fault = next(false);
    if (fault == FAULT_EXIT)
        _exit(9);
    if (fault != FAULT_NONE && fault != FAULT_LATE && fault != FAULT_SHARED &&
        (fault != FAULT_READONLY || flags & SQLITE_OPEN_READWRITE))
        return SQLITE_CANTOPEN;
    int code = real_vfs->xOpen(real_vfs, name, file->real, flags, out_flags);
    if (code == SQLITE_OK)
        file->base.pMethods = &methods;
    return code;
}

static int faulty_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    (void)vfs;
    enum fault fault = next(false);
    if (fault == FAULT_EXIT)
        _exit(9);
    return fault == FAULT_NONE || fault == FAULT_SHARED ? real_vfs->xDelete(real_vfs, name, sync) : SQLITE_IOERR_DELETE;
}

void faults_install(void)
{
    sqlite3_initialize();
    real_vfs = sqlite3_vfs_find(NULL);
    faults = mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (faults == MAP_FAILED)
        abort();
    faulty = *real_vfs;
    faulty.zName = "faulty";
    faulty.szOsFile = (int)sizeof(struct faulty_file) + real_vfs->szOsFile;
    faulty.xOpen = faulty_open;
    faulty.xDelete = faulty_delete;
    sqlite3_vfs_register(&faulty, 1);
}

void faults_remove(void)
{
    sqlite3_vfs_unregister(&faulty);
    sqlite3_vfs_register(real_vfs, 1);
    munmap(faults, sizeof *faults);
    faults = NULL;
}

void faults_set(enum fault fault, uint64_t after, uint64_t count, uint32_t every)
{
    faults->until = 0;
    faults->fault = (int)fault;
    faults->every = every;
    faults->from = faults->calls + after;
    faults->until = count == UINT64_MAX ? UINT64_MAX : faults->calls + after + count;
}
