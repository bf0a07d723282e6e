#include "graftd/hostcall.h"

#include "lib/log.h"
#include "lib/wire.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    LOG_LINES_MAX = 100,               /* of one call */
    KEY_SHOWN = 64,                    /* bytes of a key in a message */
    PAGE_BYTES_MAX = 48 * 1024 * 1024, /* of one page of a scan */
};

static enum err not_a_message(const char *name, struct failure *why)
{
    return fail(why, ERR_CRASHED, "sent a malformed %s", name);
}

static enum err check_key(struct hostcall_context *h, struct bytes key, struct failure *why)
{
    if (key.len == 0 || key.len > h->bounds->key_max) {
        snprintf(h->facts, sizeof h->facts, "limit=%" PRIu64 " used=%zu", h->bounds->key_max, key.len);
        return fail(why, ERR_LIMIT, "a key is 1 to %" PRIu64 " bytes, and this one %zu", h->bounds->key_max, key.len);
    }
    return OK;
}

static enum err check_right(struct hostcall_context *h, enum grant_right right, struct bytes key, struct failure *why)
{
    struct place place;
    char where[256], shown[KEY_SHOWN];

    if (grant_may(h->grant, right, key, &place))
        return OK;
    bytes_show(key, shown, sizeof shown);
    if (place.line == 0)
        return fail(why, ERR_DENIED, "no rule allows it to %s \"%s\"", grant_right_name(right), shown);
    return fail(why, ERR_DENIED, "%s denies it to %s \"%s\"", place_show(place, where, sizeof where),
                grant_right_name(right), shown);
}

static enum err check_write(struct hostcall_context *h, struct bytes key, struct failure *why)
{
    const struct grant_limits *limits = grant_limits(h->grant);
    enum err err = check_key(h, key, why);
    char where[256] = "built in";

    if (err != OK)
        return err;
    if (h->readonly)
        return fail(why, ERR_READONLY, "it may not change anything in this call: it is called or declared read-only");
    if (txn_effect_count(h->txn) >= limits->effects) {
        snprintf(h->facts, sizeof h->facts, "limit=effects allowed=%" PRIu64 " used=%" PRIu64, limits->effects,
                 txn_effect_count(h->txn) + 1);
        if (limits->effects_place.line != 0)
            place_show(limits->effects_place, where, sizeof where);
        return fail(why, ERR_LIMIT, "made more than its %" PRIu64 " effects (%s)", limits->effects, where);
    }
    return check_right(h, GRANT_KV_WRITE, key, why);
}

/* An answer that does not fit is the daemon's memory, not the graft's fault. */
static enum err answer(struct hostcall_context *h, struct buf *b, enum err err, struct failure *why)
{
    if (err == OK)
        err = h->port->ops->process_send(h->worker, buf_bytes(b));
    buf_fini(b);
    return err == OK ? OK : fail(why, ERR_NOMEM, "no memory to answer a host call");
}

static enum err do_get(struct hostcall_context *h, struct bytes body, struct failure *why)
{
    struct wire_KV_GET m;
    struct wire_VALUE reply = { 0 };
    struct buf b;
    enum err err;

    if (!wire_read_KV_GET(body, &m) || m.exclusive > 1)
        return not_a_message("KV_GET", why);
    if ((err = check_key(h, m.key, why)) != OK || (err = check_right(h, GRANT_KV_READ, m.key, why)) != OK)
        return err;
    err = txn_get(h->txn, m.key, m.exclusive && !h->readonly ? LOCK_EXCLUSIVE : LOCK_SHARED, &reply.value, why);
    if (err != OK && err != ERR_ABSENT)
        return err;
    reply.present = err == OK;
    buf_init(&b, WIRE_FRAME_MAX);
    return answer(h, &b, wire_add_VALUE(&b, &reply), why);
}

static enum err do_put(struct hostcall_context *h, struct bytes body, struct failure *why)
{
    struct wire_KV_PUT m;
    enum err err;

    if (!wire_read_KV_PUT(body, &m))
        return not_a_message("KV_PUT", why);
    if ((err = check_write(h, m.key, why)) != OK)
        return err;
    if (m.value.len > h->bounds->value_max) {
        snprintf(h->facts, sizeof h->facts, "limit=%" PRIu64 " used=%zu", h->bounds->value_max, m.value.len);
        return fail(why, ERR_LIMIT, "put a value of %zu bytes; at most %" PRIu64 " are allowed", m.value.len,
                    h->bounds->value_max);
    }
    return txn_put(h->txn, m.key, m.value, why);
}

static enum err do_delete(struct hostcall_context *h, struct bytes body, struct failure *why)
{
    struct wire_KV_DELETE m;
    enum err err;

    if (!wire_read_KV_DELETE(body, &m))
        return not_a_message("KV_DELETE", why);
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
        if (*count > 0 && size > PAGE_BYTES_MAX)
            break;
        if ((err = check_right(h, GRANT_KV_READ, pair->key, why)) != OK)
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
        return not_a_message("KV_SCAN", why);
    if ((err = check_right(h, GRANT_KV_READ, m.prefix, why)) != OK)
        return err;
    if ((err = txn_scan(h->txn, m.prefix, m.from, m.count_max, &page, why)) != OK ||
        (err = count_pairs(h, &page, &count, why)) != OK)
        return err;
    buf_init(&items, WIRE_FRAME_MAX);
    buf_init(&b, WIRE_FRAME_MAX + WIRE_HEAD);
    err = add_pairs(&items, &page, count);
    reply.more = page.more || count < page.count;
    reply.items = buf_bytes(&items);
    err = answer(h, &b, err == OK ? wire_add_PAGE(&b, &reply) : err, why);
    buf_fini(&items);
    return err;
}

static enum err do_log(struct hostcall_context *h, struct bytes body, struct failure *why)
{
    static const enum log_level levels[] = { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
    struct wire_LOG m;
    char text[LOG_LINE_MAX];

    if (!wire_read_LOG(body, &m) || m.level >= sizeof levels / sizeof levels[0])
        return not_a_message("LOG", why);
    if (h->log_lines++ < LOG_LINES_MAX)
        log_line(levels[m.level], "%s: %s", h->label, bytes_show(m.text, text, sizeof text));
    return OK;
}

static enum err do_memory(struct hostcall_context *h, struct bytes body, struct failure *why)
{
    struct wire_MEMORY m;

    if (!wire_read_MEMORY(body, &m) || h->memory_refused)
        return not_a_message("MEMORY", why);
    h->memory_refused = true;
    h->memory_wanted = m.wanted;
    h->memory_used = m.used;
    h->memory_allowed = m.allowed;
    return OK;
}

/* All that a worker may ask. Messages that are not here (READY again, what only the daemon says, DONE, which ends the run
 * and is the call's) are refused. */
static const struct hostcall {
    enum err (*run)(struct hostcall_context *, struct bytes body, struct failure *);
} table[] = {
    [WIRE_KV_GET] = { do_get },   [WIRE_KV_PUT] = { do_put }, [WIRE_KV_DELETE] = { do_delete },
    [WIRE_KV_SCAN] = { do_scan }, [WIRE_LOG] = { do_log },    [WIRE_MEMORY] = { do_memory },
};

enum err hostcall_do(struct hostcall_context *h, uint8_t number, struct bytes body, struct failure *why)
{
    if (number >= sizeof table / sizeof table[0] || table[number].run == NULL) {
        const char *name = wire_name(number);
        return fail(why, ERR_CRASHED, "sent %s, which a worker may not send now",
                    name != NULL ? name : "an unknown message");
    }
    return table[number].run(h, body, why);
}
