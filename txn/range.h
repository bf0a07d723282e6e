/*
 * Intervals of keys in byte order, and sets of them. An interval is half open: low is in it, high is not; one without
 * an end goes on for ever. A set is sorted and its members neither overlap nor touch: what touches becomes one, so one
 * that grows at its end stays one.
 *
 * Must never know: who waits, what a lock is.
 */
#ifndef GRAFTD_TXN_RANGE_H
#define GRAFTD_TXN_RANGE_H

#include "lib/buf.h"

struct range {
    struct bytes low, high;
    bool endless; /* high does not count */
};

static inline bool range_has(const struct range *r, struct bytes key)
{
    return bytes_compare(key, r->low) >= 0 && (r->endless || bytes_compare(key, r->high) < 0);
}

bool range_empty(const struct range *r);
bool range_equal(const struct range *a, const struct range *b);
/* A copy whose texts are owned; ERR_NOMEM. range_fini frees them, and is harmless on a zeroed one. */
enum err range_copy(struct range *to, const struct range *from);
void range_fini(struct range *r);
/* All keys that begin with prefix. end has room for prefix.len bytes and is borrowed by the range. */
struct range range_of_prefix(struct bytes prefix, uint8_t *end);

struct range_set {
    struct range_item *items; /* owned; in order */
    size_t count, cap;
    uint64_t bytes; /* of members and their texts */
};

struct range_item {
    struct range range; /* texts owned */
    int64_t since_ms;   /* the owner's; the latest of those that became one */
};

void range_set_fini(struct range_set *s);
/* Copies. ERR_NOMEM: nothing changed. */
enum err range_set_add(struct range_set *s, const struct range *r, int64_t since_ms);
/* The member that has the key; NULL: none. */
const struct range_item *range_set_find(const struct range_set *s, struct bytes key);
/* Every key of r is in the set. */
bool range_set_covers(const struct range_set *s, const struct range *r);

#endif
