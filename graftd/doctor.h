/*
 * `graftd --doctor`: which walls this machine has, found out by putting them up as a start would, in a process that
 * runs no graft and ends. `graftd --dump-filter`: the system call filters. Neither touches a data directory or a socket.
 */
#ifndef GRAFTD_DOCTOR_H
#define GRAFTD_DOCTOR_H

#include "policy/policy.h"

/* Prints a line for each layer, tabs between: name, "stands" or "missing" or "missing, may" or "not asked for", purpose,
 * reason, what to do. The exit status: 0 if graftd would start with this policy. worker: path of the worker program. */
int doctor_run(const char *worker, const struct policy *policy);
/* The exit status; does not come back when all is well. */
int doctor_dump_filter(const char *worker);

#endif
