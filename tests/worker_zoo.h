/*
 * The zoo: a graft with one function of each kind that the tests of the worker call, good ones and bad, and a tree of
 * processes that serves it.
 */
#ifndef GRAFTD_TESTS_WORKER_ZOO_H
#define GRAFTD_TESTS_WORKER_ZOO_H

#include "tests/worker_kit.h"

extern const char zoo[]; /* its source */

/* Its functions. */
enum { HELLO, COUNT, OTHER, SCAN, NEST, UNFINISHED, SEVEN, NULLPTR, DEEP, LOOP, ABORT,
       DIVIDE, GREEDY, LARGE, TWICE, TEXT, RAW, INT80, DRAW, SORT, RELAY, THROUGH, STALE, WALK, BOUNDS };

extern uint16_t index_of[]; /* in its manifest, whose order is the compiler's */

/* Of one test; *state: the tree. */
int zoo_set_up(void **state);
int zoo_tear_down(void **state);

/* As call_index(). */
void call(const struct worker *w, int function, const char *const *keys, const char *args, bool readonly);

/* Answers a scan: items, NULL at their end, each with the value "v". */
void page(const struct worker *w, const char *const *items, bool more);

#endif
