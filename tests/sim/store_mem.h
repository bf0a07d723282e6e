/*
 * A second engine behind txn/store.h, for tests: in memory, on one thread, deterministic. A request is done in poll(),
 * after a number of polls that the test chooses. The *disk* is what survives: a store is opened on it, crashes, and is
 * opened again.
 *
 * It doubles as a judge: an effect whose `before` is not what the disk holds, or whose number is not the next one, is a
 * bug of the transaction manager and ends the test by CHECK. So is a commit with changes of files that STORE_APPLY did
 * not make, and an event that was there before it was told. Files are judged when they are changed: others may change them.
 */
#ifndef GRAFTD_TESTS_SIM_STORE_MEM_H
#define GRAFTD_TESTS_SIM_STORE_MEM_H

#include "tests/sim/file_mem.h"
#include "txn/store.h"

struct disk; /* opaque */

struct disk *disk_new(void);
void disk_free(struct disk **d); /* no store is open on it */
/* The value as stored; present false: none. Borrowed until the disk changes. */
struct image disk_get(const struct disk *d, struct bytes key);
size_t disk_key_count(const struct disk *d);
/* How a transaction ended; NULL: no row, or not ended. */
const char *disk_outcome(const struct disk *d, uint64_t txn);
bool disk_has_row(const struct disk *d, uint64_t txn);
/* Outside of any transaction: what a test starts from. */
void disk_put(struct disk *d, struct bytes key, struct bytes value);

/* The same for a timer: its image. */
struct image disk_timer(const struct disk *d, struct bytes id);
size_t disk_timer_count(const struct disk *d);
/* Events in the order in which they were told; borrowed until the disk changes. */
size_t disk_event_count(const struct disk *d);
const struct store_event *disk_event(const struct disk *d, size_t i);
struct bytes disk_event_topic(const struct disk *d, size_t i);
/* Its files: see file_mem.h for what to ask them. */
struct file_mem *disk_files(const struct disk *d);
/* The file's content; present false: there is none. Borrowed until the disk changes. */
struct image disk_file(const struct disk *d, struct bytes path);

/* Recovers, like the real one. One store at a time. Ends by CHECK when memory is short. */
struct store *store_mem_open(struct disk *d);
/* A request is done in the polls-th poll after it came first in line; 1 by default. */
void store_mem_set_delay(struct store *s, unsigned polls);
/* The next request of that kind fails with err. applied: its effect is on the disk all the same (ERR_UNKNOWN). After
 * ERR_UNKNOWN all fail with ERR_STORAGE. */
void store_mem_fail_next(struct store *s, enum store_kind kind, enum err err, bool applied);
/* Of the waiting requests the first `applied` reach the disk, the others never do; all are answered ERR_UNKNOWN, for
 * what was not told does not count. Only closing it makes sense afterwards. */
void store_mem_crash(struct store *s, size_t applied);
size_t store_mem_waiting(const struct store *s);

#endif
