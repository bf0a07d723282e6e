/*
 * SCAN. A cursor is a number, because clients expect one; it stands for the key to go on from. The table keeps the
 * CURSOR_MAX that were given out last; an older one is answered with an error, never with a wrong place.
 */
#include "graftd/command.h"
#include "lib/glob.h"
#include "lib/resp.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CURSOR_MAX = 1024,
    COUNT_DEFAULT = 10,
    STEPS_MAX = 1024 * 1024, /* of matching for one page: then it ends early, so that nobody else waits for long */
};

/* ---- cursors ---- */

static struct cursor {
    uint64_t id;
    struct bytes from; /* owned */
} cursors[CURSOR_MAX];
static uint64_t last_cursor;

static uint64_t cursor_new(struct bytes key)
{
    struct cursor *c = &cursors[++last_cursor % CURSOR_MAX];
    char *from = malloc(key.len + 1);

    free((void *)(uintptr_t)c->from.data);
    *c = (struct cursor){ 0 };
    if (from == NULL)
        return 0;
    memcpy(from, key.data, key.len);
    from[key.len] = '\0'; /* the first key behind this one */
    *c = (struct cursor){ last_cursor, bytes_of(from, key.len + 1) };
    return last_cursor;
}

static bool cursor_find(uint64_t id, struct bytes *from)
{
    *from = cursors[id % CURSOR_MAX].from;
    if (id == 0)
        *from = bytes_of(NULL, 0);
    return id == 0 || cursors[id % CURSOR_MAX].id == id;
}

/* ---- a page ---- */

struct scan {
    struct bytes from, pattern;
    size_t count;
};

static bool scan_words(struct request *r, struct scan *s)
{
    uint64_t cursor, count = COUNT_DEFAULT;

    s->pattern = bytes_of("*", 1);
    if (!bytes_to_u64(r->argv[1], &cursor) || !cursor_find(cursor, &s->from))
        return false;
    for (size_t i = 2; i + 1 < r->argc; i += 2) {
        if (arg_is(r->argv[i], "MATCH"))
            s->pattern = r->argv[i + 1];
        else if (!arg_is(r->argv[i], "COUNT") || !bytes_to_u64(r->argv[i + 1], &count) || count == 0)
            return false;
    }
    s->count = count > TXN_PAGE_MAX ? TXN_PAGE_MAX : (size_t)count;
    return r->argc % 2 == 0;
}

/* Which keys of a page are shown: those that meet the pattern, and that the caller may read. */
struct choice {
    bool shown[TXN_PAGE_MAX];
    size_t looked, count; /* at so many keys; so many are shown */
};

static void choose(struct request *r, const struct scan *s, const struct txn_page *page, struct choice *c)
{
    const struct principal *who = request_principal(r);
    struct place place;
    size_t steps = 0;

    c->looked = c->count = 0;
    for (; c->looked < page->count && steps < STEPS_MAX; c->looked++) {
        struct bytes key = page->items[c->looked].key;
        bool shown = glob_matches(s->pattern, key, &steps) &&
                     policy_caller_may(r->core->policy, who, RIGHT_KV_READ, key, &place);
        c->shown[c->looked] = shown;
        c->count += shown;
    }
}

/* [cursor, [key…]] */
static enum err add_page(struct request *r, const struct txn_page *page, const struct choice *c)
{
    bool more = page->more || c->looked < page->count;
    uint64_t next = more ? cursor_new(page->items[c->looked - 1].key) : 0;
    char cursor[24];

    if (more && next == 0)
        return ERR_NOMEM;
    snprintf(cursor, sizeof cursor, "%" PRIu64, next);
    resp_add_array(&r->reply, 2);
    resp_add_bulk_str(&r->reply, cursor);
    resp_add_array(&r->reply, c->count);
    for (size_t i = 0; i < c->looked; i++)
        if (c->shown[i])
            resp_add_bulk(&r->reply, page->items[i].key);
    return r->reply.failed;
}

static enum err step_scan(struct request *r, struct failure *why)
{
    struct scan s;
    struct txn_page page;
    struct choice choice;
    enum err err;

    if (!scan_words(r, &s))
        return fail(why, ERR_COMMAND, "invalid cursor, or one given out too long ago: begin again with 0");
    err = txn_scan(r->txn, glob_prefix(s.pattern), s.from, s.count, &page, why);
    if (err != OK)
        return err;
    choose(r, &s, &page, &choice);
    return add_page(r, &page, &choice);
}

void command_scan(struct request *r)
{
    struct scan s;

    if (!scan_words(r, &s))
        request_error(r, ERR_COMMAND, "invalid cursor or words; it is: %s", r->command->usage);
    else if (s.pattern.len > GLOB_MAX)
        request_error(r, ERR_LIMIT, "a pattern has at most %d bytes, and this one %zu. limit=%d used=%zu", GLOB_MAX,
                      s.pattern.len, GLOB_MAX, s.pattern.len);
    else
        command_transact(r, step_scan);
}
