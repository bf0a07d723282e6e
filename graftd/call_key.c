/* A call's declared keys: checked, locked in one order, read; and the message that starts the run. */
#include "graftd/audit.h"
#include "graftd/call_impl.h"

#include "lib/wire.h"

#include <inttypes.h>
#include <stdlib.h>

enum { SCRATCH_KEEP_MAX = 64 * 1024 }; /* bytes of a buffer that is kept from call to call */

static const struct call *sorting; /* qsort has no context; the loop is one thread */

static int by_key(const void *a, const void *b)
{
    return bytes_compare(sorting->request.keys[*(const size_t *)a], sorting->request.keys[*(const size_t *)b]);
}

enum err call_sort_keys(struct call *c)
{
    if (c->request.key_count == 0)
        return OK;
    c->order = calloc(c->request.key_count, sizeof *c->order);
    if (c->order == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < c->request.key_count; i++)
        c->order[i] = i;
    sorting = c;
    qsort(c->order, c->request.key_count, sizeof *c->order, by_key);
    return OK;
}

enum err call_check_keys(struct call *c)
{
    char shown[64], where[256];
    struct place place;

    for (size_t i = 0; i < c->request.key_count; i++) {
        struct bytes key = c->request.keys[i];
        if (key.len == 0 || key.len > c->host.bounds->key_max)
            return fail(&c->why, ERR_BADARG, "cannot be called: key %zu has %zu bytes; 1 to %" PRIu64 " are allowed", i,
                        key.len, c->host.bounds->key_max);
        if (!grant_may(c->graft->grant, GRANT_KV_READ, key, &place)) {
            audit_graft_denied(c->core->audit, &c->who, c->label, grant_right_name(GRANT_KV_READ), key, place);
            return fail(&c->why, ERR_DENIED, "may not be given the key \"%s\": %s%s",
                        bytes_show(key, shown, sizeof shown),
                        place.line == 0 ? "no rule allows it to read it" : place_show(place, where, sizeof where),
                        place.line == 0 ? "" : " denies it");
        }
    }
    return OK;
}

/* err: why `what` does not go into a message. */
static enum err cannot_send(struct call *c, enum err err, const char *what)
{
    if (err == ERR_NOMEM)
        return fail(&c->why, err, "was not called: no memory to send it its %s; try again later", what);
    return fail(&c->why, ERR_LIMIT, "was called with %s larger than %d bytes together", what, WIRE_FRAME_MAX);
}

static enum err add_key(struct buf *to, struct bytes key, bool present, struct bytes value)
{
    enum err err = buf_add_bytes(to, key);

    if (err == OK)
        err = buf_add_u8(to, present);
    return err == OK ? buf_add_bytes(to, value) : err;
}

/* What was read on the way, in the order of locking. */
static struct gathered {
    struct buf bytes;
    struct {
        size_t at, len;
    } key[CALL_KEY_MAX];
    bool whole; /* of this call's keys, all; else they are read again: it had to wait */
} gathered = { .bytes.max = WIRE_FRAME_MAX };

static void gather(const struct call *c, size_t i, bool present, struct bytes value)
{
    struct gathered *g = &gathered;

    g->key[i].at = buf_len(&g->bytes);
    g->whole = g->whole && add_key(&g->bytes, c->request.keys[i], present, value) == OK;
    g->key[i].len = buf_len(&g->bytes) - g->key[i].at;
}

static enum err add_gathered(struct buf *keys, size_t count)
{
    const uint8_t *from = buf_bytes(&gathered.bytes).data;
    enum err err = OK;

    for (size_t i = 0; i < count && err == OK; i++)
        err = buf_add(keys, from + gathered.key[i].at, gathered.key[i].len);
    return err;
}

static enum err add_keys(struct call *c, struct buf *keys)
{
    enum lock_mode mode = c->host.readonly ? LOCK_SHARED : LOCK_EXCLUSIVE;
    enum err err = buf_add_u32(keys, (uint32_t)c->request.key_count);

    if (err == OK && gathered.whole)
        err = add_gathered(keys, c->request.key_count);
    for (size_t i = 0; i < c->request.key_count && err == OK && !gathered.whole; i++) {
        struct bytes value = { NULL, 0 };
        enum err got = txn_get(c->hold->txn, c->request.keys[i], mode, &value, &c->why);
        if (got != OK && got != ERR_ABSENT)
            return got;
        err = add_key(keys, c->request.keys[i], got == OK, value);
    }
    return err == OK ? OK : cannot_send(c, err, "keys and their values");
}

static enum err add_args(struct call *c, struct buf *args)
{
    enum err err = buf_add_u32(args, (uint32_t)c->request.arg_count);

    for (size_t i = 0; i < c->request.arg_count && err == OK; i++)
        err = buf_add_bytes(args, c->request.args[i]);
    return err == OK ? OK : cannot_send(c, err, "arguments");
}

/* For the next call. */
static void put_aside(struct buf *b)
{
    if (b->cap > SCRATCH_KEEP_MAX)
        buf_fini(b);
    else
        buf_clear(b);
}

static enum err send_call(struct call *c)
{
    struct port *port = c->core->port;
    uint8_t seed[WIRE_SEED];
    struct wire_CALL m = {
        .txn = c->txn_id,
        .function = (uint16_t)c->request.function,
        .readonly = c->host.readonly,
        .now_us = (uint64_t)c->begun_us,
        .seed = bytes_of(seed, sizeof seed),
        .uid = c->who.uid,
    };
    static struct buf keys = { .max = WIRE_FRAME_MAX }, args = { .max = WIRE_FRAME_MAX },
                      frame = { .max = WIRE_FRAME_MAX + WIRE_HEAD };
    enum err err;

    if ((err = add_keys(c, &keys)) == OK && (err = add_args(c, &args)) == OK) {
        m.keys = buf_bytes(&keys);
        m.args = buf_bytes(&args);
        port->ops->random(port, seed, sizeof seed);
        err = wire_add_CALL(&frame, &m);
        if (err == OK)
            err = seat_send(&c->seat, buf_bytes(&frame));
        if (err != OK && err != ERR_WAIT)
            err = cannot_send(c, err, "keys and arguments");
    }
    put_aside(&keys);
    put_aside(&args);
    put_aside(&frame);
    return err;
}

/* Whoever was faster in taking it back wins: then there is nothing to call for. */
static enum err take_timer(struct call *c)
{
    enum err err;

    if (c->request.timer.len == 0 || c->timer_taken)
        return OK;
    err = txn_delete_item(c->hold->txn, RESOURCE_TIMER, c->request.timer, &c->why);
    c->timer_taken = err == OK;
    return err == ERR_ABSENT ? fail(&c->why, err, "was not called: its timer is gone") : err;
}

/* Behind another nobody waits. */
static void call_waits(struct call *c)
{
    int64_t left = c->wall_end_ms - port_now_ms(c->core->port);

    if (seat_is_head(&c->seat)) {
        c->core->port->ops->timer_start(c->timer, (uint64_t)(left > 0 ? left : 0));
        return;
    }
    seat_rather_alone(&c->seat);
    call_unsend(c);
}

static void call_refuses(struct call *c, enum err err)
{
    fail(&c->why, err, "%s", err_sentence(err));
    call_abort(c);
}

/* What the owner does upon it may end the call. */
static void call_sent(struct call *c)
{
    bool head = seat_is_head(&c->seat);

    if (!head)
        call_move(c, SENT);
    else if (!call_run(c))
        return;
    if (c->queued && c->events->sent != NULL)
        c->events->sent(c->owner);
}

void call_fetch(struct call *c)
{
    enum lock_mode mode = c->host.readonly ? LOCK_SHARED : LOCK_EXCLUSIVE;
    enum err err = txn_ready(c->hold->txn, &c->why);

    if (err == OK)
        err = take_timer(c);
    put_aside(&gathered.bytes);
    gathered.whole = c->fetched == 0;
    while (err == OK && c->fetched < c->request.key_count) {
        size_t i = c->order[c->fetched];
        struct bytes value = { NULL, 0 };
        err = txn_get(c->hold->txn, c->request.keys[i], mode, &value, &c->why);
        if (err != OK && err != ERR_ABSENT)
            break;
        gather(c, i, err == OK, value);
        c->fetched++;
        err = OK;
    }
    if (err == OK)
        err = send_call(c);
    if (err == ERR_WAIT)
        call_waits(c);
    else if (err != OK)
        call_refuses(c, err);
    else
        call_sent(c);
}
