/*
 * Where graftd finds its things: what the command line says, else the policy, else the environment, else what is usual.
 */
#ifndef GRAFTD_PATHS_H
#define GRAFTD_PATHS_H

#include "graftd/options.h"
#include "lib/err.h"
#include "policy/policy.h"

#include <limits.h>

struct paths {
    char data[PATH_MAX]; /* the data directory */
    char socket[PATH_MAX];
    char worker[PATH_MAX]; /* the program graft-worker */
};

/* The data directory and the socket; neither need be there yet. ERR_BADARG: a path is too long. */
enum err paths_find(struct paths *p, const struct options *o, const struct policy *policy, struct failure *why);
/* Beside our own program when run from where it was built, else where it was installed. ERR_STORAGE: it is not there. */
enum err paths_find_worker(struct paths *p, const struct options *o, struct failure *why);
/* The data directory, made if need be, as a descriptor (owned by the caller). ERR_STORAGE: it cannot be, or others can
 * write to it. */
enum err paths_open_data(const struct paths *p, int *fd, struct failure *why);

#endif
