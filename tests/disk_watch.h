/*
 * What a change does on disk, watched as it happens: the order of renames and syncs, and moments at which a test may
 * meddle. Link with -Wl,--wrap=renameat,--wrap=renameat2,--wrap=fsync.
 */
#ifndef GRAFTD_TESTS_DISK_WATCH_H
#define GRAFTD_TESTS_DISK_WATCH_H

#include "tests/disk_case.h"

enum { EVENTS_MAX = 64, EVENT_MAX = 128 };

extern char events[EVENTS_MAX][EVENT_MAX]; /* "sync files/.graftd/7" */
extern size_t event_count;

extern void (*meddle)(void);      /* called once, when the notes for an undo are written and nothing is touched yet */
extern void (*meddle_late)(void); /* called once, when something is about to go: it was looked at */

/* As setup() of disk_case.h; nothing has happened yet, and nobody meddles. */
int setup_watched(void **state);

/* Where in events; a test in which it did not happen has failed. */
size_t event_at(const char *what);
size_t last_event(const char *what);

#endif
