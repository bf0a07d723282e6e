/*
 * The content-addressed store of grafts: <data>/grafts/<sha256>.graft, read-only files that are written once.
 *
 * A file gets its name only when it is whole and on disk; what is opened is checked against its name first. So the
 * template opens the very bytes that were vetted, whatever happened to the author's file since. These functions wait for
 * the disk: they run on another thread (port work), never on the loop.
 */
#ifndef GRAFTD_OBJECTS_H
#define GRAFTD_OBJECTS_H

#include "lib/buf.h"
#include "lib/hash.h"

enum { OBJECT_SIZE_MAX = 16 * 1024 * 1024 }; /* bytes */

struct objects {
    int directory; /* owned */
};

/* data: an open directory, borrowed. Removes what an unfinished write left behind. ERR_STORAGE. */
enum err objects_open(struct objects *o, int data, struct failure *why);
void objects_close(struct objects *o);
/* Stores bytes whose digest is sha256 and opens them: *fd, read-only, is the caller's. */
enum err objects_put(const struct objects *o, const char *sha256, struct bytes content, int *fd, struct failure *why);
/* ERR_STORAGE: not there, or not what its name says. */
enum err objects_get(const struct objects *o, const char *sha256, int *fd, struct failure *why);
/* The same for bytes that are only looked at: a sealed file in memory. */
enum err object_temporary(struct bytes content, int *fd, struct failure *why);

#endif
