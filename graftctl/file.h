/*
 * Whole files: read within a bound, written so that they appear at once or not at all.
 */
#ifndef GRAFTD_GRAFTCTL_FILE_H
#define GRAFTD_GRAFTCTL_FILE_H

#include "lib/buf.h"

/* Adds the content to out, whose bound is the file's. ERR_BADARG (it cannot be read), ERR_LIMIT, ERR_NOMEM: *why has a
 * sentence with the path. */
enum err file_load(const char *path, struct buf *out, struct failure *why);
/* Replaces the file, or makes it; a path that is there and is no regular file is written to. ERR_BADARG, ERR_NOMEM. */
enum err file_save(const char *path, struct bytes content, struct failure *why);
/* Makes a file that is not there yet. mode as in open(2). ERR_BADARG. */
enum err file_create(const char *path, struct bytes content, unsigned mode, struct failure *why);

#endif
