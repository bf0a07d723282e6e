/*
 * The C library's own allocator, replaced in this program: after the jail is shut there is neither brk nor mmap, so
 * whatever allocates must do so from memory that is there already.
 *
 * Until interpose_use() that is a small block of static memory; from then on it is the heap given.
 */
#ifndef GRAFTD_WORKER_INTERPOSE_H
#define GRAFTD_WORKER_INTERPOSE_H

#include "worker/heap.h"

/* heap is borrowed for the life of the process. */
void interpose_use(struct heap *heap);

#endif
