/*
 * Five keys in byte order, by number, some of them long, and six who lock them.
 */
#ifndef GRAFTD_TESTS_LOCK_FEW_H
#define GRAFTD_TESTS_LOCK_FEW_H

#include "tests/lock_kit.h"

enum { HOLDERS = HOLDERS_MAX, KEYS = 5 };

static inline struct bytes key_of(int key)
{
    static char text[KEYS][120];

    /* in byte order; inline and allocated ones */
    snprintf(text[key], sizeof text[key], "%05d%*s", key, key % 2 == 0 ? 0 : 100, "");
    return bytes_str(text[key]);
}

static inline enum err take(int holder, int key, enum lock_mode mode)
{
    return lock_take(&table, &holders[holder], key_of(key), mode, 7, NULL);
}

/* From key to key, both in it; beyond the last one there is no end. */
static inline enum err take_range(int holder, int from, int to)
{
    char high[120];
    struct bytes last = key_of(to);
    struct range range = { key_of(from), { high, last.len + 1 }, to == KEYS - 1 };

    memcpy(high, last.data, last.len);
    high[last.len] = '\0';
    return lock_take_range(&table, &holders[holder], &range, 7, NULL);
}

static inline void release(int holder) { lock_release_all(&table, &holders[holder]); }

#endif
