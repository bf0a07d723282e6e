/*
 * A timer as it is stored: which function is to be called, when, for whom, with what.
 */
#ifndef GRAFTD_TXN_TIMER_IMAGE_H
#define GRAFTD_TXN_TIMER_IMAGE_H

#include "lib/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    TIMER_GROUPS_MAX = 64,
    TIMER_FUNCTION_MAX = 127,     /* bytes of "graft.function" */
    TIMER_ARGS_MAX = 64 * 1024,   /* bytes of the arguments, 4 for each included */
    TIMER_ERROR_MAX = 512,        /* bytes */
    TIMER_AFTER_MS_MAX = 0x7fffffff * 1000LL, /* 68 years */
    TIMER_ID_MAX = 48,            /* bytes of an id, "418.1" */
    TIMER_IMAGE_MAX = TIMER_ARGS_MAX + TIMER_ERROR_MAX + TIMER_FUNCTION_MAX + 512,
};

struct timer {
    int64_t due_us;            /* since 1970; of a parked one: when it was due first */
    uint32_t uid, gid;         /* the principal who armed it */
    uint32_t group_count, groups[TIMER_GROUPS_MAX];
    uint64_t armed_by;         /* transaction */
    uint32_t tries;            /* calls that failed so far */
    bool parked;               /* fires no more until it is released */
    struct bytes function;     /* "graft.function"; decoded: borrowed, as the next two */
    struct bytes args;         /* a list of bytes as in lib/wire: u32 count, then each */
    struct bytes error;        /* how the last call failed; empty: none did */
};

/* False: no room in b, or t is none: more than the limits above allow, or args is no list. */
bool timer_image_add(struct buf *b, const struct timer *t);
/* False: these bytes are none. */
bool timer_image_read(struct bytes b, struct timer *t);

#endif
