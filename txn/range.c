#include "txn/range.h"

#include <stdlib.h>
#include <string.h>

/* An end at or behind the other's. */
static bool ends_behind(const struct range *a, const struct range *b)
{
    return a->endless || (!b->endless && bytes_compare(a->high, b->high) >= 0);
}

bool range_empty(const struct range *r) { return !r->endless && bytes_compare(r->low, r->high) >= 0; }

bool range_equal(const struct range *a, const struct range *b)
{
    return bytes_equal(a->low, b->low) && a->endless == b->endless && (a->endless || bytes_equal(a->high, b->high));
}

/* Both texts lie in one piece of memory, that of low. */
enum err range_copy(struct range *to, const struct range *from)
{
    size_t high = from->endless ? 0 : from->high.len;
    uint8_t *text = malloc(from->low.len + high + 1);

    if (text == NULL)
        return ERR_NOMEM;
    if (from->low.len > 0)
        memcpy(text, from->low.data, from->low.len);
    if (high > 0)
        memcpy(text + from->low.len, from->high.data, high);
    *to = (struct range){ bytes_of(text, from->low.len), bytes_of(text + from->low.len, high), from->endless };
    return OK;
}

void range_fini(struct range *r)
{
    free((void *)(uintptr_t)r->low.data);
    *r = (struct range){ 0 };
}

struct range range_of_prefix(struct bytes prefix, uint8_t *end)
{
    size_t len = prefix.len;

    if (len > 0)
        memcpy(end, prefix.data, len);
    while (len > 0 && end[len - 1] == 0xff)
        len--;
    if (len > 0)
        end[len - 1]++;
    return (struct range){ prefix, bytes_of(end, len), len == 0 };
}

void range_set_fini(struct range_set *s)
{
    for (size_t i = 0; i < s->count; i++)
        range_fini(&s->items[i].range);
    free(s->items);
    *s = (struct range_set){ 0 };
}

/* How many members begin at or before the key. */
static size_t begun_at(const struct range_set *s, struct bytes key)
{
    size_t low = 0, high = s->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (bytes_compare(s->items[middle].range.low, key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct range_item *range_set_find(const struct range_set *s, struct bytes key)
{
    size_t n = begun_at(s, key);

    return n > 0 && range_has(&s->items[n - 1].range, key) ? &s->items[n - 1] : NULL;
}

bool range_set_covers(const struct range_set *s, const struct range *r)
{
    size_t n = begun_at(s, r->low);

    return range_empty(r) || (n > 0 && ends_behind(&s->items[n - 1].range, r));
}

static bool make_room(struct range_set *s)
{
    size_t cap = s->cap == 0 ? 4 : 2 * s->cap;
    struct range_item *items;

    if (s->count < s->cap)
        return true;
    items = reallocarray(s->items, cap, sizeof *items);
    if (items == NULL)
        return false;
    s->items = items;
    s->cap = cap;
    return true;
}

static uint64_t weight(const struct range *r) { return sizeof(struct range_item) + r->low.len + r->high.len; }

/* Members first to last (not included) touch r: they and r become one. */
static enum err unite(struct range_set *s, size_t first, size_t last, const struct range *r, int64_t since_ms)
{
    struct range_item all = { *r, since_ms };
    struct range owned;

    for (size_t i = first; i < last; i++) {
        const struct range_item *item = &s->items[i];
        if (bytes_compare(item->range.low, all.range.low) < 0)
            all.range.low = item->range.low;
        if (ends_behind(&item->range, &all.range)) {
            all.range.high = item->range.high;
            all.range.endless = item->range.endless;
        }
        if (item->since_ms > all.since_ms)
            all.since_ms = item->since_ms;
    }
    if (range_copy(&owned, &all.range) != OK)
        return ERR_NOMEM;
    s->bytes += weight(&owned);
    for (size_t i = first; i < last; i++) {
        s->bytes -= weight(&s->items[i].range);
        range_fini(&s->items[i].range);
    }
    memmove(&s->items[first + 1], &s->items[last], (s->count - last) * sizeof s->items[0]);
    s->items[first] = (struct range_item){ owned, all.since_ms };
    s->count = s->count + 1 - (last - first);
    return OK;
}

enum err range_set_add(struct range_set *s, const struct range *r, int64_t since_ms)
{
    size_t first = begun_at(s, r->low), last;

    if (range_empty(r))
        return OK;
    if (!make_room(s))
        return ERR_NOMEM;
    if (first > 0 && (s->items[first - 1].range.endless || bytes_compare(s->items[first - 1].range.high, r->low) >= 0))
        first--;
    last = first;
    while (last < s->count && (r->endless || bytes_compare(s->items[last].range.low, r->high) <= 0))
        last++;
    return unite(s, first, last, r, since_ms);
}
