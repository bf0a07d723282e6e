/* A value that is a list of numbers, 4 bytes each as this machine writes them: blocks, pages, threads. */
#ifndef GRAFTS_VINO_NUMBERS_H
#define GRAFTS_VINO_NUMBERS_H

#include <graft.h>

#include <stdlib.h>
#include <string.h>

#define NUMBERS_MAX 1024 /* in a list */

struct numbers {
    const uint32_t *at; /* borrowed until the call ends */
    size_t count;
};

/* The list under a key; an absent one is empty. */
static inline int numbers_get(graft_call *call, graft_bytes key, struct numbers *list)
{
    graft_bytes value = { NULL, 0 };
    int err = graft_kv_get(call, key, &value);

    if (err != GRAFT_OK && err != GRAFT_NOT_FOUND)
        return err;
    *list = (struct numbers){ value.data, value.len / sizeof *list->at };
    return GRAFT_OK;
}

/* The place of a number from a place on; count when it is not there. */
static inline size_t numbers_find(struct numbers list, size_t from, uint32_t number)
{
    while (from < list.count && list.at[from] != number)
        from++;
    return from < list.count ? from : list.count;
}

static inline int numbers_arg(graft_call *call, size_t i, uint32_t *number)
{
    int64_t n;

    if (graft_arg_i64(call, i, &n) != GRAFT_OK || n < 0 || n > UINT32_MAX)
        return graft_abort(call, "argument %zu must be a whole number from 0 to %u", i, UINT32_MAX);
    *number = (uint32_t)n;
    return GRAFT_OK;
}

/* Keeps the arguments as the list under a key; replies how many there are. */
static inline int numbers_put_args(graft_call *call, graft_bytes key)
{
    uint32_t list[NUMBERS_MAX];
    size_t count = graft_arg_count(call);
    int err;

    if (count > NUMBERS_MAX)
        return graft_abort(call, "at most %d numbers, not %zu", NUMBERS_MAX, count);
    for (size_t i = 0; i < count; i++)
        if ((err = numbers_arg(call, i, &list[i])) != GRAFT_OK)
            return err;
    if ((err = graft_kv_put(call, key, graft_bytes_of(list, count * sizeof *list))) != GRAFT_OK)
        return err;
    return graft_reply_i64(call, (int64_t)count);
}

#endif
