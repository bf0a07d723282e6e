/*
 * What a graft's fault says before it kills: DYING with the signal and the address, then the same fault again with
 * nobody to catch it, so that the obituary shows the signal. Only for good messages: nothing depends on it.
 */
#ifndef GRAFTD_WORKER_FAULT_H
#define GRAFTD_WORKER_FAULT_H

#include <stddef.h>

struct fault_place {
    const void *guard; /* below the graft's stack: a fault there is a stack overflow */
    size_t guard_size; /* bytes */
    const void *image; /* the graft's image, to say where its code was */
    size_t image_size; /* bytes */
};

/* 0, or -1 with errno. place is copied. */
int fault_watch(const struct fault_place *place);

/* Last words, then death by an illegal instruction. */
_Noreturn void fault_die(const char *text);

#endif
