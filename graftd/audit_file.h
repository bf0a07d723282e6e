/*
 * The audit log's file: opening, appending, looking at its end. Each of these waits for the disk, so they are for another
 * thread than the loop's, one at a time; or for before it begins and after it ends.
 */
#ifndef GRAFTD_AUDIT_FILE_H
#define GRAFTD_AUDIT_FILE_H

#include "lib/buf.h"

struct audit_file {
    int data_fd; /* borrowed */
    int fd;      /* -1: not open */
    bool torn;   /* does not end with a line end: the next line begins with one */
};

/* audit.log in the directory data_fd, made if it is not there. ERR_STORAGE: it cannot be, or is no plain file of ours. */
enum err audit_file_open(struct audit_file *f, int data_fd, struct failure *why);
void audit_file_close(struct audit_file *f);
/* For those who moved it away. 0, or errno and the old file stays. */
int audit_file_reopen(struct audit_file *f);
/* Appends whole lines, and empties the buffer. How many of them were not written; then *errnum says why. */
uint64_t audit_file_write(struct audit_file *f, struct buf *lines, int *errnum);
/* Adds the last lines, count at most, as far as out has room. ERR_STORAGE, ERR_NOMEM. */
enum err audit_file_tail(const struct audit_file *f, size_t count, struct buf *out);

#endif
