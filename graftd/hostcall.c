#include "graftd/audit.h"
#include "graftd/hostcall_impl.h"

#include "lib/log.h"

#include <inttypes.h>
#include <stdio.h>

enum { LOG_LINES_MAX = 100 }; /* of one call */

/* ---- checks and answers ---- */

enum err hostcall_malformed(const char *name, struct failure *why)
{
    return fail(why, ERR_CRASHED, "sent a malformed %s", name);
}

static const char *verb_of(enum grant_right right)
{
    return right == GRANT_TIMER ? "set a timer for" : grant_right_name(right);
}

enum err hostcall_may(struct hostcall_context *h, enum grant_right right, struct bytes subject, struct failure *why)
{
    struct place place;
    char where[256], shown[HOSTCALL_SHOWN];

    if (grant_may(h->grant, right, subject, &place))
        return OK;
    audit_graft_denied(h->audit, h->who, h->label, grant_right_name(right), subject, place);
    bytes_show(subject, shown, sizeof shown);
    if (place.line == 0)
        return fail(why, ERR_DENIED, "no rule allows it to %s \"%s\"", verb_of(right), shown);
    return fail(why, ERR_DENIED, "%s denies it to %s \"%s\"", place_show(place, where, sizeof where), verb_of(right),
                shown);
}

enum err hostcall_may_change(struct hostcall_context *h, uint64_t effects, struct failure *why)
{
    const struct grant_limits *limits = grant_limits(h->grant);
    uint64_t used = txn_effect_count(h->txn) + effects;
    char where[256] = "built in";

    if (h->readonly)
        return fail(why, ERR_READONLY, "it may not change anything in this call: it is called or declared read-only");
    if (used <= limits->effects)
        return OK;
    snprintf(h->facts, sizeof h->facts, "limit=effects allowed=%" PRIu64 " used=%" PRIu64, limits->effects, used);
    if (limits->effects_place.line != 0)
        place_show(limits->effects_place, where, sizeof where);
    return fail(why, ERR_LIMIT, "made more than its %" PRIu64 " effects (%s)", limits->effects, where);
}

enum err hostcall_fits(struct hostcall_context *h, const char *what, size_t len, struct failure *why)
{
    if (len <= h->bounds->value_max)
        return OK;
    snprintf(h->facts, sizeof h->facts, "limit=%" PRIu64 " used=%zu", h->bounds->value_max, len);
    return fail(why, ERR_LIMIT, "%s of %zu bytes; at most %" PRIu64 " are allowed", what, len, h->bounds->value_max);
}

enum err hostcall_answer(struct hostcall_context *h, struct buf *b, enum err err, struct failure *why)
{
    if (err == OK)
        err = h->port->ops->process_send(h->worker, buf_bytes(b));
    buf_fini(b);
    return err == OK ? OK : fail(why, ERR_NOMEM, "no memory to answer a host call");
}

enum err hostcall_answer_value(struct hostcall_context *h, bool present, struct bytes value, struct failure *why)
{
    struct wire_VALUE m = { .present = present, .value = value };
    struct buf b;

    buf_init(&b, WIRE_FRAME_MAX);
    return hostcall_answer(h, &b, wire_add_VALUE(&b, &m), why);
}

/* ---- keys ---- */

static enum err check_key(struct hostcall_context *h, struct bytes key, struct failure *why)
{
    if (key.len == 0 || key.len > h->bounds->key_max) {
        snprintf(h->facts, sizeof h->facts, "limit=%" PRIu64 " used=%zu", h->bounds->key_max, key.len);
        return fail(why, ERR_LIMIT, "a key is 1 to %" PRIu64 " bytes, and this one %zu", h->bounds->key_max, key.len);
    }
    return OK;
}

static enum err check_write(struct hostcall_context *h, struct bytes key, struct failure *why)
{
    enum err err = check_key(h, key, why);

    if (err == OK)
        err = hostcall_may_change(h, 1, why);
    return err == OK ? hostcall_may(h, GRANT_KV_WRITE, key, why) : err;
}

static enum err do_get(struct hostcall_context *h, struct bytes body, struct failure *why)
{
    struct wire_KV_GET m;
    struct bytes value = { NULL, 0 };
    enum err err;

    if (!wire_read_KV_GET(body, &m) || m.exclusive > 1)
        return hostcall_malformed("KV_GET", why);
    if ((err = check_key(h, m.key, why)) != OK || (err = hostcall_may(h, GRANT_KV_READ, m.key, why)) != OK)
        return err;
    err = txn_get(h->txn, m.key, m.exclusive && !h->readonly ? LOCK_EXCLUSIVE : LOCK_SHARED, &value, why);
    if (err != OK && err != ERR_ABSENT)
        return err;
    return hostcall_answer_value(h, err == OK, value, why);
}

static enum err do_put(struct hostcall_context *h, struct bytes body, struct failure *why)
{
    struct wire_KV_PUT m;
    enum err err;

    if (!wire_read_KV_PUT(body, &m))
        return hostcall_malformed("KV_PUT", why);
    if ((err = check_write(h, m.key, why)) != OK || (err = hostcall_fits(h, "put a value", m.value.len, why)) != OK)
        return err;
    return txn_put(h->txn, m.key, m.value, why);
}

static enum err do_delete(struct hostcall_context *h, struct bytes body, struct failure *why)
{
    struct wire_KV_DELETE m;
    enum err err;

    if (!wire_read_KV_DELETE(body, &m))
        return hostcall_malformed("KV_DELETE", why);
    if ((err = check_write(h, m.key, why)) != OK)
        return err;
    err = txn_delete(h->txn, m.key, why);
    return err == ERR_ABSENT ? OK : err;
}

/* How many of the page's pairs may be told, and fit. */
static enum err count_pairs(struct hostcall_context *h, const struct txn_page *page, uint32_t *count,
                            struct failure *why)
{
    size_t size = 0;
    enum err err;

    for (*count = 0; *count < page->count; ++*count) {
        const struct store_pair *pair = &page->items[*count];
        size += pair->key.len + pair->value.value.len;
        if (*count > 0 && size > HOSTCALL_PAGE_BYTES_MAX)
            break;
        if ((err = hostcall_may(h, GRANT_KV_READ, pair->key, why)) != OK)
            return err;
    }
    return OK;
}

static enum err add_pairs(struct buf *items, const struct txn_page *page, uint32_t count)
{
    enum err err = buf_add_u32(items, count);

    for (uint32_t i = 0; i < count && err == OK; i++)
        if ((err = buf_add_bytes(items, page->items[i].key)) == OK)
            err = buf_add_bytes(items, page->items[i].value.value);
    return err;
}

static enum err do_scan(struct hostcall_context *h, struct bytes body, struct failure *why)
{
    struct wire_KV_SCAN m;
    struct wire_PAGE reply = { 0 };
    struct txn_page page;
    struct buf items, b;
    uint32_t count;
    enum err err;

    if (!wire_read_KV_SCAN(body, &m) || m.count_max == 0 || m.count_max > TXN_PAGE_MAX ||
        m.prefix.len > h->bounds->key_max || m.from.len > h->bounds->key_max + 1)
        return hostcall_malformed("KV_SCAN", why);
    if ((err = hostcall_may(h, GRANT_KV_READ, m.prefix, why)) != OK)
        return err;
    if ((err = txn_scan(h->txn, m.prefix, m.from, m.count_max, &page, why)) != OK ||
        (err = count_pairs(h, &page, &count, why)) != OK)
        return err;
    buf_init(&items, WIRE_FRAME_MAX);
    buf_init(&b, WIRE_FRAME_MAX + WIRE_HEAD);
    err = add_pairs(&items, &page, count);
    reply.more = page.more || count < page.count;
    reply.items = buf_bytes(&items);
    err = hostcall_answer(h, &b, err == OK ? wire_add_PAGE(&b, &reply) : err, why);
    buf_fini(&items);
    return err;
}

/* ---- the log, memory ---- */

static enum err do_log(struct hostcall_context *h, struct bytes body, struct failure *why)
{
    static const enum log_level levels[] = { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
    struct wire_LOG m;
    char text[LOG_LINE_MAX];

    if (!wire_read_LOG(body, &m) || m.level >= sizeof levels / sizeof levels[0])
        return hostcall_malformed("LOG", why);
    if (h->log_lines++ < LOG_LINES_MAX)
        log_line(levels[m.level], "%s: %s", h->label, bytes_show(m.text, text, sizeof text));
    return OK;
}

static enum err do_memory(struct hostcall_context *h, struct bytes body, struct failure *why)
{
    struct wire_MEMORY m;

    if (!wire_read_MEMORY(body, &m) || h->memory_refused)
        return hostcall_malformed("MEMORY", why);
    h->memory_refused = true;
    h->memory_wanted = m.wanted;
    h->memory_used = m.used;
    h->memory_allowed = m.allowed;
    return OK;
}

/* All that a worker may ask. Messages that are not here (READY again, what only the daemon says, DONE, which ends the run
 * and is the call's) are refused. */
static hostcall_run *const table[] = {
    [WIRE_KV_GET] = do_get,
    [WIRE_KV_PUT] = do_put,
    [WIRE_KV_DELETE] = do_delete,
    [WIRE_KV_SCAN] = do_scan,
    [WIRE_LOG] = do_log,
    [WIRE_MEMORY] = do_memory,
    [WIRE_FILE_STAT] = hostcall_file_stat,
    [WIRE_FILE_READ] = hostcall_file_read,
    [WIRE_FILE_WRITE] = hostcall_file_write,
    [WIRE_FILE_APPEND] = hostcall_file_append,
    [WIRE_FILE_REMOVE] = hostcall_file_remove,
    [WIRE_FILE_RENAME] = hostcall_file_rename,
    [WIRE_FILE_LIST] = hostcall_file_list,
    [WIRE_EMIT] = hostcall_emit,
    [WIRE_AFTER] = hostcall_timer_arm,
    [WIRE_CANCEL] = hostcall_timer_cancel,
};

enum err hostcall_do(struct hostcall_context *h, uint8_t number, struct bytes body, struct failure *why)
{
    if (number >= sizeof table / sizeof table[0] || table[number] == NULL) {
        const char *name = wire_name(number);
        return fail(why, ERR_CRASHED, "sent %s, which a worker may not send now",
                    name != NULL ? name : "an unknown message");
    }
    return table[number](h, body, why);
}
