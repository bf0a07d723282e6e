/*
 * Keys and values. A read is answered here if the value is known: of a declared key, of one read before, of one
 * written in this call (its lock is held, so nobody else changed it), until a nested call. A write is always sent, at
 * once, and not answered: if it is refused the daemon ends the call.
 */
#include "worker/channel.h"
#include "worker/host.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- known values: open addressing ---- */

static size_t hash(struct bytes key)
{
    const uint8_t *p = key.data;
    uint64_t h = 0xcbf29ce484222325; /* FNV-1a */

    for (size_t i = 0; i < key.len; i++)
        h = (h ^ p[i]) * 0x100000001b3;
    return (size_t)(h ^ h >> 32);
}

/* The key's place or the free one where it belongs; half the places are free, so there is one. */
static struct known *known_place(struct graft_call *call, struct bytes key)
{
    size_t i = hash(key);

    for (;; i++) {
        struct known *k = &call->known[i & (call->known_places - 1)];

        if (k->key.data == NULL || bytes_equal(k->key, key))
            return k;
    }
}

static struct bytes copy_quietly(struct bytes b)
{
    void *copy = host_alloc_quiet(b.len + 1);

    if (copy != NULL && b.len > 0)
        memcpy(copy, b.data, b.len);
    return bytes_of(copy, b.len);
}

/* value: lives as long as the call; data NULL: it could not be kept. Forgets rather than fails. */
static void known_set(struct graft_call *call, struct bytes key, bool present, struct bytes value)
{
    struct known *k = known_place(call, key);

    if (k->key.data == NULL) {
        if (call->known_spare == 0)
            return;
        key = copy_quietly(key);
        if (key.data == NULL)
            return;
        call->known_spare--;
        k->key = key;
    }
    k->value = value;
    k->state = !present ? KNOWN_ABSENT : value.data == NULL ? KNOWN_STALE : KNOWN_PRESENT;
}

static size_t places_for(size_t count)
{
    size_t n = 2 * HOST_KNOWN_SPARE;

    while (n < 2 * (count + HOST_KNOWN_SPARE))
        n *= 2;
    return n;
}

enum err host_kv_begin(struct graft_call *call, struct reader *r)
{
    size_t count = read_u32(r), each = 2 * sizeof(uint32_t) + sizeof(uint8_t);

    if (r->bad || count > r->left / each)
        return ERR_PROTOCOL;
    call->known_places = places_for(count);
    call->known = host_alloc(call->known_places * sizeof *call->known);
    call->keys = host_alloc(count * sizeof *call->keys);
    if (call->known == NULL || call->keys == NULL)
        return ERR_NOMEM;
    memset(call->known, 0, call->known_places * sizeof *call->known);
    for (size_t i = 0; i < count; i++) {
        struct bytes key = read_bytes(r), value;
        bool present = read_u8(r) != 0;
        struct known *k;

        value = read_bytes(r);
        if (r->bad)
            return ERR_PROTOCOL;
        call->keys[i] = graft_bytes_of(key.data, key.len);
        k = known_place(call, key);
        *k = (struct known){ .key = key, .value = value, .state = present ? KNOWN_PRESENT : KNOWN_ABSENT };
    }
    call->key_count = count;
    call->known_spare = HOST_KNOWN_SPARE;
    return reader_done(r) ? OK : ERR_PROTOCOL;
}

/* Pages of scans under way are what is known, too. */
void host_kv_forget(struct graft_call *call)
{
    for (size_t i = 0; i < call->known_places; i++)
        call->known[i].state = KNOWN_STALE;
    for (struct scan *s = call->scan; s != NULL; s = s->outer)
        s->stale = true;
}

/* ---- reading ---- */

static struct bytes of(graft_bytes b) { return bytes_of(b.data, b.len); }

static int check_key(graft_bytes key)
{
    if (!host_call.running || key.len == 0)
        return GRAFT_BAD_ARG;
    return key.len > host_call.key_max ? GRAFT_TOO_LARGE : GRAFT_OK;
}

static int ask(struct bytes key, bool exclusive, bool *present, struct bytes *value)
{
    struct wire_VALUE m;
    struct bytes body;
    int rc;

    if (CHANNEL_SEND(KV_GET, .exclusive = exclusive, .key = key) != OK)
        return GRAFT_TOO_LARGE;
    rc = host_receive(WIRE_VALUE, &body);
    if (rc != GRAFT_OK)
        return rc;
    if (!wire_read_VALUE(body, &m))
        _exit(1);
    *present = m.present != 0;
    *value = m.value;
    known_set(&host_call, key, *present, m.value);
    return GRAFT_OK;
}

static int kv_read(graft_bytes key, bool exclusive, bool *present, struct bytes *value)
{
    struct known *k;
    int rc = check_key(key);

    if (rc != GRAFT_OK)
        return rc;
    k = known_place(&host_call, of(key));
    if (k->key.data == NULL || k->state == KNOWN_STALE)
        return ask(of(key), exclusive, present, value);
    *present = k->state == KNOWN_PRESENT;
    *value = k->value;
    return GRAFT_OK;
}

int graft_kv_get(graft_call *call, graft_bytes key, graft_bytes *value)
{
    struct bytes b;
    bool present;
    int rc = kv_read(key, false, &present, &b);

    (void)call;
    if (rc != GRAFT_OK || !present)
        return rc != GRAFT_OK ? rc : GRAFT_NOT_FOUND;
    *value = graft_bytes_of(b.data, b.len);
    return GRAFT_OK;
}

int graft_kv_exists(graft_call *call, graft_bytes key, int *exists)
{
    struct bytes b;
    bool present;
    int rc = kv_read(key, false, &present, &b);

    (void)call;
    if (rc == GRAFT_OK)
        *exists = present;
    return rc;
}

int graft_kv_get_i64(graft_call *call, graft_bytes key, int64_t *value)
{
    graft_bytes b;
    int rc = graft_kv_get(call, key, &b);

    if (rc != GRAFT_OK)
        return rc;
    return bytes_to_i64(of(b), value) ? GRAFT_OK : GRAFT_BAD_VALUE;
}

/* ---- writing ---- */

/* After a write: scans that have yet to come to this key look again. In a read-only call the write ends the call, so
 * that nothing more is to be done. */
static void wrote(struct bytes key)
{
    for (struct scan *s = host_call.scan; s != NULL; s = s->outer)
        if (bytes_start_with(key, s->prefix) && bytes_compare(key, s->at) > 0)
            s->stale = true;
    if (host_call.message.readonly != 0)
        channel_await_end();
}

int graft_kv_put(graft_call *call, graft_bytes key, graft_bytes value)
{
    int rc = check_key(key);

    (void)call;
    if (rc != GRAFT_OK)
        return rc;
    if (value.len > host_call.value_max || CHANNEL_SEND(KV_PUT, .key = of(key), .value = of(value)) != OK)
        return GRAFT_TOO_LARGE;
    known_set(&host_call, of(key), true, copy_quietly(of(value)));
    wrote(of(key));
    return GRAFT_OK;
}

int graft_kv_delete(graft_call *call, graft_bytes key)
{
    struct bytes b;
    bool present;
    int rc = kv_read(key, true, &present, &b);

    (void)call;
    if (rc != GRAFT_OK)
        return rc;
    if (!present && host_call.message.readonly == 0)
        return GRAFT_NOT_FOUND;
    (void)CHANNEL_SEND(KV_DELETE, .key = of(key)); /* fits: the key was read */
    known_set(&host_call, of(key), false, bytes_of(NULL, 0));
    wrote(of(key));
    return GRAFT_OK;
}

int graft_kv_put_i64(graft_call *call, graft_bytes key, int64_t value)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%" PRId64, value);

    return graft_kv_put(call, key, graft_bytes_of(text, (size_t)n));
}

int graft_kv_add_i64(graft_call *call, graft_bytes key, int64_t by, int64_t *now)
{
    struct bytes b;
    int64_t value = 0;
    bool present;
    int rc = kv_read(key, true, &present, &b);

    if (rc != GRAFT_OK)
        return rc;
    if (present && !bytes_to_i64(b, &value))
        return GRAFT_BAD_VALUE;
    if (__builtin_add_overflow(value, by, &value))
        return GRAFT_OVERFLOW;
    rc = graft_kv_put_i64(call, key, value);
    if (rc == GRAFT_OK && now != NULL)
        *now = value;
    return rc;
}

/* ---- scanning ---- */

/* The least key after `key` that is not longer than key_max. False: there is none; rc: memory. */
static int successor(struct bytes key, size_t key_max, bool *exists, struct bytes *next)
{
    uint8_t *p = host_alloc(key.len + 1);
    size_t n = key.len;

    if (p == NULL)
        return GRAFT_NO_MEMORY;
    memcpy(p, key.data, n);
    *exists = true;
    if (n < key_max) {
        p[n++] = 0;
    } else {
        while (n > 0 && p[n - 1] == 0xff)
            n--;
        *exists = n > 0;
        if (n > 0)
            p[n - 1]++;
    }
    *next = bytes_of(p, n);
    return GRAFT_OK;
}

static int ask_page(struct bytes prefix, struct bytes from, bool *more, struct reader *items)
{
    struct wire_PAGE m;
    struct bytes body;
    int rc;

    if (CHANNEL_SEND(KV_SCAN, .prefix = prefix, .from = from, .count_max = HOST_PAGE) != OK)
        return GRAFT_TOO_LARGE;
    rc = host_receive(WIRE_PAGE, &body);
    if (rc != GRAFT_OK)
        return rc;
    if (!wire_read_PAGE(body, &m))
        _exit(1);
    *more = m.more != 0;
    *items = reader_of(m.items);
    return GRAFT_OK;
}

/* Visits a page's items until one makes the rest stale. *visited: some were. */
static int visit_page(struct scan *scan, struct reader *items, graft_kv_visit *visit, void *user, bool *visited)
{
    size_t count = read_u32(items);
    int rc = GRAFT_OK;

    for (size_t i = 0; i < count && rc == GRAFT_OK && !scan->stale; i++) {
        struct bytes key = read_bytes(items), value = read_bytes(items);

        if (items->bad)
            _exit(1);
        scan->at = key;
        *visited = true;
        rc = visit(&host_call, graft_bytes_of(key.data, key.len), graft_bytes_of(value.data, value.len), user);
    }
    return rc;
}

static int scan_pages(struct scan *scan, graft_kv_visit *visit, void *user)
{
    struct bytes from = scan->prefix;
    struct reader items;
    bool more = true, visited, exists;
    int rc = GRAFT_OK;

    while (more && rc == GRAFT_OK) {
        scan->stale = visited = false;
        rc = ask_page(scan->prefix, from, &more, &items);
        if (rc == GRAFT_OK)
            rc = visit_page(scan, &items, visit, user, &visited);
        if (rc != GRAFT_OK || !visited)
            return rc;
        more = more || scan->stale;
        rc = successor(scan->at, host_call.key_max, &exists, &from);
        if (rc == GRAFT_OK && !exists)
            return GRAFT_OK;
    }
    return rc;
}

int graft_kv_scan(graft_call *call, graft_bytes prefix, graft_kv_visit *visit, void *user)
{
    struct scan scan = { .prefix = of(prefix), .at = of(prefix), .outer = host_call.scan };
    int rc;

    (void)call;
    if (!host_call.running)
        return GRAFT_BAD_ARG;
    if (prefix.len > host_call.key_max)
        return GRAFT_TOO_LARGE;
    host_call.scan = &scan;
    rc = scan_pages(&scan, visit, user);
    host_call.scan = scan.outer;
    return rc;
}
