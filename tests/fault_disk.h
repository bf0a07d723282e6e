/*
 * A disk on which the nth operation of a kind fails, for tests of the real store. A store is on it when its options
 * have vfs = "failing"; OPERATION_FILE is for the test to ask for. And transactions to try on it.
 */
#ifndef GRAFTD_TESTS_FAULT_DISK_H
#define GRAFTD_TESTS_FAULT_DISK_H

#include "tests/store_kit.h"

enum operation {
    OPERATION_OPEN,
    OPERATION_READ,
    OPERATION_WRITE,
    OPERATION_SYNC,
    OPERATION_TRUNCATE,
    OPERATION_FILE, /* of the system, on files that are not the database's */
    OPERATION_COUNT
};

enum mode {
    FAIL_ONCE,
    FAIL_FROM_THERE,
    FAIL_ONCE_AND_CRASH, /* when the first error was answered */
    MODE_COUNT
};

extern struct fault {
    enum operation operation;
    int code; /* what the failing one returns */
    int left; /* operations until it fails; below 0: never */
    bool hit;
    bool lasting; /* all after it fail too */
} fault;

/* Whether this one fails; it counts. */
bool fails(enum operation operation);

/* Once, before the first test. */
void fault_disk_init(void);

extern char filler[9000]; /* text of some pages */

/* Transaction n takes "a" from n - 1 to n and makes "n" with a value of some pages. */
enum err put_step(struct kit *k, int n);

#endif
