/*
 * A store in front of another one, which is spared: what it does itself finds all the memory it wants, and what is
 * told when it is done runs as its manager does. For tests in which allocations fail (fault_alloc.h).
 */
#ifndef GRAFTD_TESTS_FRONT_H
#define GRAFTD_TESTS_FRONT_H

#include "txn/store.h"

/* There is one front at a time; borrowed until it is closed. back: owned, closed with it. */
struct store *front_open(struct store *back);

#endif
