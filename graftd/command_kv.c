/*
 * GET, SET, SCAN and their kin: each request is a small transaction, or works in the one that its connection holds.
 *
 * A handler checks words and rights, then gives a step. A step does what it can, remembers in r->at how far it came, and is
 * entered again when the transaction wakes; it appends to the reply only what is final. The victim of a deadlock is undone and
 * begins anew with r->at 0, unseen (T6).
 */
#include "graftd/command.h"
#include "graftd/hold.h"
#include "graftd/session.h"
#include "lib/resp.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_SHOWN = 64,
    RETRY_MAX = 100, /* times that a deadlock may undo one request; one more is told */
};

/* ---- running a step ---- */

static void txn_ended(void *owner, const struct failure *why, uint64_t undone)
{
    struct request *r = owner;

    enum err (*again)(struct request *, struct failure *) = r->again;

    (void)undone;
    r->txn = NULL;
    if (again != NULL) {
        r->again = NULL;
        r->retries++;
        r->at = 0;
        buf_clear(&r->reply);
        command_transact(r, again);
        return;
    }
    if (why->err != OK)
        request_fail(r, why);
    else
        request_done(r);
}

static void run_step(struct request *r)
{
    struct port *port = r->core->port;
    struct failure why = { 0 };
    struct txn *t = r->txn;
    enum err (*step)(struct request *, struct failure *) = r->step;
    enum err err = step(r, &why);

    if (err == ERR_WAIT)
        return;
    r->step = NULL; /* the transaction is not ours any more */
    if (r->hold != NULL) {
        if (err != OK)
            fail(&why, err, "%s", err_sentence(err));
        session_worked(r, &why);
        return;
    }
    if (err == OK) {
        bool lingers = txn_lingers(t);
        txn_commit(t, port->ops->wall_us(port), 0);
        if (!lingers)
            request_decided(r);
        return;
    }
    if (err == ERR_DEADLOCK && r->retries < RETRY_MAX) {
        r->again = step;
        txn_abort(t, NULL, port->ops->wall_us(port), 0);
        return;
    }
    fail(&why, err, "%s", err_sentence(err));
    txn_abort(t, &why, port->ops->wall_us(port), 0);
}

static void txn_wakes(void *owner)
{
    struct request *r = owner;

    if (r->step != NULL)
        run_step(r);
}

static const struct txn_events kv_events = { .wake = txn_wakes, .ended = txn_ended };

static void kv_lost(struct request *r)
{
    struct failure why = { 0 };

    r->again = NULL;
    if (r->step == NULL)
        return;
    r->step = NULL;
    fail(&why, ERR_LOST, "its client hung up");
    txn_abort(r->txn, &why, r->core->port->ops->wall_us(r->core->port), 0);
}

void command_transact(struct request *r, enum err (*step)(struct request *, struct failure *))
{
    const struct principal *who = request_principal(r);
    struct txn_origin origin = {
        .function = r->command->name, .uid = who->uid, .gid = who->gid, .pid = (uint32_t)who->pid
    };
    enum err err;

    if (!session_enter(r, &r->hold))
        return;
    if (r->hold != NULL) {
        r->txn = r->hold->txn;
        r->step = step;
        session_work(r, txn_wakes);
        run_step(r);
        return;
    }
    err = txn_begin(r->core->txns, &origin, &kv_events, r, r->core->port->ops->wall_us(r->core->port), &r->txn);
    if (err != OK) {
        request_error(r, err, "cannot begin a transaction: %s", err_sentence(err));
        return;
    }
    r->cancel = kv_lost;
    r->step = step;
    run_step(r);
}

/* The caller may do this to keys argv[1], argv[1 + stride], …, and each is one. */
static bool check_keys(struct request *r, enum right right, size_t stride)
{
    const struct policy_limits *limits = policy_limits(r->core->policy);

    for (size_t i = 1; i < r->argc; i += stride) {
        if (r->argv[i].len == 0 || r->argv[i].len > limits->key_max) {
            request_error(r, ERR_BADARG, "a key is 1 to %" PRIu64 " bytes, and this one %zu", limits->key_max,
                          r->argv[i].len);
            return false;
        }
        if (!command_may(r, right, r->argv[i]))
            return false;
        if (stride == r->argc)
            break;
    }
    return true;
}

static bool check_value(struct request *r, struct bytes value)
{
    uint64_t max = policy_limits(r->core->policy)->value_max;

    if (value.len <= max)
        return true;
    request_error(r, ERR_LIMIT, "the value has %zu bytes; at most %" PRIu64 " are allowed. limit=%" PRIu64 " used=%zu",
                  value.len, max, max, value.len);
    return false;
}

static bool one_key(struct request *r, enum right right) { return check_keys(r, right, r->argc); }

/* ---- the commands ---- */

static enum err add_value(struct request *r, enum err got, struct bytes value)
{
    return got == ERR_ABSENT ? resp_add_nil(&r->reply, r->proto) : resp_add_bulk(&r->reply, value);
}

static enum err step_get(struct request *r, struct failure *why)
{
    struct bytes value;
    enum err err = txn_get(r->txn, r->argv[1], LOCK_SHARED, &value, why);

    return err == OK || err == ERR_ABSENT ? add_value(r, err, value) : err;
}

void command_get(struct request *r)
{
    if (one_key(r, RIGHT_KV_READ))
        command_transact(r, step_get);
}

static enum err step_mget(struct request *r, struct failure *why)
{
    struct bytes value;
    enum err err = OK;

    if (r->at == 0)
        err = resp_add_array(&r->reply, r->argc - ++r->at);
    for (; r->at < r->argc && err == OK; r->at++) {
        err = txn_get(r->txn, r->argv[r->at], LOCK_SHARED, &value, why);
        if (err != OK && err != ERR_ABSENT)
            return err;
        err = add_value(r, err, value);
    }
    return err;
}

void command_mget(struct request *r)
{
    if (check_keys(r, RIGHT_KV_READ, 1))
        command_transact(r, step_mget);
}

static enum err step_exists(struct request *r, struct failure *why)
{
    struct bytes value;

    if (r->at == 0)
        r->number = 0, r->at = 1;
    for (; r->at < r->argc; r->at++) {
        enum err err = txn_get(r->txn, r->argv[r->at], LOCK_SHARED, &value, why);
        if (err != OK && err != ERR_ABSENT)
            return err;
        r->number += err == OK;
    }
    return resp_add_i64(&r->reply, r->number);
}

void command_exists(struct request *r)
{
    if (check_keys(r, RIGHT_KV_READ, 1))
        command_transact(r, step_exists);
}

static enum err step_del(struct request *r, struct failure *why)
{
    if (r->at == 0)
        r->number = 0, r->at = 1;
    for (; r->at < r->argc; r->at++) {
        enum err err = txn_delete(r->txn, r->argv[r->at], why);
        if (err != OK && err != ERR_ABSENT)
            return err;
        r->number += err == OK;
    }
    return resp_add_i64(&r->reply, r->number);
}

void command_del(struct request *r)
{
    if (check_keys(r, RIGHT_KV_WRITE, 1))
        command_transact(r, step_del);
}

enum { SET_NX = 1, SET_XX = 2, SET_GET = 4 };

static enum err step_set(struct request *r, struct failure *why)
{
    struct bytes old;
    enum err got = OK, err = OK;
    bool write;

    if (r->number == 0) {
        err = txn_put(r->txn, r->argv[1], r->argv[2], why);
        return err == OK ? resp_add_status(&r->reply, "OK") : err;
    }
    if (r->at == 0) {
        got = txn_get(r->txn, r->argv[1], LOCK_EXCLUSIVE, &old, why);
        if (got != OK && got != ERR_ABSENT)
            return got;
        write = (r->number & SET_NX) != 0 ? got == ERR_ABSENT : (r->number & SET_XX) != 0 ? got == OK : true;
        if ((r->number & SET_GET) != 0)
            err = add_value(r, got, old);
        else
            err = write ? resp_add_status(&r->reply, "OK") : resp_add_nil(&r->reply, r->proto);
        if (err != OK || !write)
            return err;
        r->at = 1;
    }
    return txn_put(r->txn, r->argv[1], r->argv[2], why);
}

void command_set(struct request *r)
{
    for (size_t i = 3; i < r->argc; i++) {
        int flag = arg_is(r->argv[i], "NX")    ? SET_NX
                   : arg_is(r->argv[i], "XX")  ? SET_XX
                   : arg_is(r->argv[i], "GET") ? SET_GET
                                               : 0;
        if (flag == 0 || (r->number & flag) != 0) {
            command_usage(r);
            return;
        }
        r->number |= flag;
    }
    if ((r->number & (SET_NX | SET_XX)) == (SET_NX | SET_XX))
        command_usage(r);
    else if (one_key(r, RIGHT_KV_WRITE) && check_value(r, r->argv[2]) &&
             ((r->number & SET_GET) == 0 || one_key(r, RIGHT_KV_READ)))
        command_transact(r, step_set);
}

static enum err step_mset(struct request *r, struct failure *why)
{
    for (r->at = r->at == 0 ? 1 : r->at; r->at < r->argc; r->at += 2) {
        enum err err = txn_put(r->txn, r->argv[r->at], r->argv[r->at + 1], why);
        if (err != OK)
            return err;
    }
    return resp_add_status(&r->reply, "OK");
}

void command_mset(struct request *r)
{
    if (r->argc % 2 != 1) {
        command_usage(r);
        return;
    }
    for (size_t i = 2; i < r->argc; i += 2)
        if (!check_value(r, r->argv[i]))
            return;
    if (check_keys(r, RIGHT_KV_WRITE, 2))
        command_transact(r, step_mset);
}

static enum err step_add(struct request *r, struct failure *why)
{
    struct bytes value;
    char text[24];
    int64_t have = 0, sum;
    enum err err = txn_get(r->txn, r->argv[1], LOCK_EXCLUSIVE, &value, why);

    if (err != OK && err != ERR_ABSENT)
        return err;
    if (err == OK && !bytes_to_i64(value, &have))
        return fail(why, ERR_COMMAND, "value is not an integer or out of range");
    if (__builtin_add_overflow(have, r->number, &sum))
        return fail(why, ERR_COMMAND, "increment or decrement would overflow");
    err = txn_put(r->txn, r->argv[1], bytes_of(text, (size_t)snprintf(text, sizeof text, "%" PRId64, sum)), why);
    return err == OK ? resp_add_i64(&r->reply, sum) : err;
}

static void add(struct request *r, int64_t by)
{
    r->number = by;
    if (one_key(r, RIGHT_KV_WRITE))
        command_transact(r, step_add);
}

void command_incr(struct request *r) { add(r, 1); }

void command_decr(struct request *r) { add(r, -1); }

void command_incrby(struct request *r)
{
    int64_t by;

    if (bytes_to_i64(r->argv[2], &by))
        add(r, by);
    else
        request_error(r, ERR_COMMAND, "value is not an integer or out of range");
}

void command_decrby(struct request *r)
{
    int64_t by;

    if (bytes_to_i64(r->argv[2], &by) && by != INT64_MIN)
        add(r, -by);
    else
        request_error(r, ERR_COMMAND, "value is not an integer or out of range");
}

/* ---- SCAN ---- */

/*
 * A cursor is a number, because clients expect one; it stands for the key to go on from. The table keeps the
 * CURSOR_MAX that were given out last; an older one is answered with an error, never with a wrong place.
 */
enum { CURSOR_MAX = 1024, SCAN_COUNT_DEFAULT = 10 };

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

static bool in_class(const char **pattern, const char *end, char c)
{
    const char *p = *pattern;
    bool negated = p < end && *p == '^', found = false;

    if (negated)
        p++;
    for (; p < end && *p != ']'; p++) {
        if (*p == '\\' && p + 1 < end)
            p++;
        if (p + 2 < end && p[1] == '-' && p[2] != ']') {
            found |= c >= p[0] && c <= p[2];
            p += 2;
        } else {
            found |= *p == c;
        }
    }
    *pattern = p < end ? p + 1 : p;
    return found != negated;
}

/* Redis's patterns: * ? [a-z] [^a] and \ before a literal byte. Without recursion: a mismatch goes back to the last star alone. */
static bool glob(struct bytes pattern, struct bytes text)
{
    const char *p = pattern.data, *end = p + pattern.len, *t = text.data, *tend = t + text.len;
    const char *star = NULL, *star_text = NULL;

    while (t < tend || p < end) {
        const char *next = p + 1;
        bool match = false;
        if (p < end && *p == '*') {
            star = ++p;
            star_text = t;
            continue;
        }
        if (p < end && t < tend) {
            if (*p == '[')
                match = in_class(&next, end, *t);
            else if (*p == '\\' && next < end)
                match = *next++ == *t;
            else
                match = *p == '?' || *p == *t;
        }
        if (match) {
            p = next;
            t++;
        } else if (star != NULL && star_text < tend) {
            p = star;
            t = ++star_text;
        } else {
            return false;
        }
    }
    return true;
}

static struct bytes literal_prefix(struct bytes pattern)
{
    size_t n = 0;

    while (n < pattern.len && strchr("*?[\\", ((const char *)pattern.data)[n]) == NULL)
        n++;
    return bytes_of(pattern.data, n);
}

struct scan {
    struct bytes from, pattern;
    size_t count;
};

static bool scan_words(struct request *r, struct scan *s)
{
    uint64_t cursor, count = SCAN_COUNT_DEFAULT;

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

static enum err step_scan(struct request *r, struct failure *why)
{
    const struct principal *who = request_principal(r);
    struct scan s;
    struct txn_page page;
    struct place place;
    char cursor[24];
    size_t shown = 0;
    enum err err;

    if (!scan_words(r, &s))
        return fail(why, ERR_COMMAND, "invalid cursor, or one given out too long ago: begin again with 0");
    err = txn_scan(r->txn, literal_prefix(s.pattern), s.from, s.count, &page, why);
    if (err != OK)
        return err;
    for (size_t pass = 0; pass < 2 && err == OK; pass++) { /* count, then write */
        if (pass == 1) {
            uint64_t next = page.more ? cursor_new(page.items[page.count - 1].key) : 0;
            if (page.more && next == 0)
                return ERR_NOMEM;
            snprintf(cursor, sizeof cursor, "%" PRIu64, next);
            err = resp_add_array(&r->reply, 2);
            if (err == OK)
                err = resp_add_bulk_str(&r->reply, cursor);
            if (err == OK)
                err = resp_add_array(&r->reply, shown);
        }
        for (size_t i = 0; i < page.count && err == OK; i++) {
            struct bytes key = page.items[i].key;
            if (!glob(s.pattern, key) || !policy_caller_may(r->core->policy, who, RIGHT_KV_READ, key, &place))
                continue;
            shown += pass == 0;
            err = pass == 1 ? resp_add_bulk(&r->reply, key) : OK;
        }
    }
    return err;
}

void command_scan(struct request *r)
{
    struct scan s;

    if (scan_words(r, &s))
        command_transact(r, step_scan);
    else
        request_error(r, ERR_COMMAND, "invalid cursor or words; it is: %s", r->command->usage);
}
