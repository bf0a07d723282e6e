/*
 * A child whose nth system call is its last, or fails without being done.
 */
#ifndef GRAFTD_TESTS_TRACE_H
#define GRAFTD_TESTS_TRACE_H

#include <stdbool.h>
#include <sys/types.h>

enum { KILLED = -1 };

/* The child has asked to be traced, and stopped. error 0: it is killed at that call; otherwise the call, if it is one
 * that can fail, returns that error. *hit: there was an nth call. The child's exit status, or KILLED. */
int follow(pid_t child, unsigned nth, int error, bool *hit);

#endif
