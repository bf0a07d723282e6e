/*
 * From FILE.c to FILE.graft: compiles, checks that nothing is called that a graft may not call, and links.
 *
 *  - The same source gives the same bytes, wherever it lies.
 *  - No shell is involved: names of files are arguments, whatever is in them.
 */
#ifndef GRAFTD_GRAFTCTL_BUILD_H
#define GRAFTD_GRAFTCTL_BUILD_H

#include "lib/err.h"

/* What the compiler has to say goes to stderr as it is; so do the lines that call what they may not. out: NULL for
 * beside the source. *made is owned by the caller: the path that was written. ERR_BADARG, ERR_BADGRAFT, ERR_NOMEM: *why
 * has the last sentence to print. */
enum err build_graft(const char *source, const char *out, const char *cc, char **made, struct failure *why);

#endif
