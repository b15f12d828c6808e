#ifndef FEDWARDEN_TESTS_FAULTY_DISK_H
#define FEDWARDEN_TESTS_FAULTY_DISK_H

/*
 * A default VFS of SQLite that does what it is told, before the one of the system. A call is one that opens, writes, cuts,
 * removes or syncs something. The memory of `faults` is shared with children.
 */

#include <stdbool.h>
#include <stdint.h>

enum fault {
    FAULT_NONE = 0,
    FAULT_IO,   /* SQLITE_IOERR */
    FAULT_FULL, /* SQLITE_FULL for writes */
    FAULT_OPEN, /* nothing can be opened */
    FAULT_READONLY, /* nothing can be opened for writing */
    FAULT_SHARED,   /* there is no room for the memory that is shared with readers */
    FAULT_TORN, /* half of what is written is, then SQLITE_IOERR */
    FAULT_LATE, /* it is done, and then SQLITE_IOERR */
    FAULT_EXIT, /* half of what is written is, then the process ends at once */
};

struct faults {
    _Atomic uint64_t calls;       /* so far */
    _Atomic uint64_t failed;
    _Atomic uint64_t from, until; /* calls with these numbers fail, the second one not included */
    _Atomic uint32_t every;       /* of them each so many'th; 0, 1: all */
    _Atomic int fault;
    _Atomic uint32_t delay;       /* milliseconds, of each write and sync */
};

extern struct faults *faults;
void faults_install(void);
void faults_remove(void);
/* faults_set(fault, after, count, every): from the call after the next `after` on. */
void faults_set(enum fault fault, uint64_t after, uint64_t count, uint32_t every);

#endif
