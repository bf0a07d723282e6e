/*
 * A timer that is due: its call, and what follows from how that went.
 *
 *     (due) → read what is stored → not due after all, or parked: so it is noted
 *                                 → call → done: it deleted the timer, which is gone
 *                                        → failed: a transaction notes the try and when the next is, or parks it
 */
#include "graftd/call.h"
#include "graftd/registry.h"
#include "graftd/timer_impl.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

enum { BUSY_MS = 1000 }; /* graftd could not take the call: not the timer's fault */

struct firing {
    struct list link;
    struct timers *timers;
    struct timer_turn *turn; /* its place; NULL: it has none yet */
    struct store_request request;
    struct timer timer; /* points into image */
    struct buf image;   /* owned copy */
    struct bytes *args; /* owned */
    struct call *call;
    struct txn *txn; /* notes the failure; NULL: none */
    bool noting;     /* txn is ours to go on with */
    struct failure why;
    struct bytes key;
    size_t id_len;
    char id[TIMER_ID_MAX];
};

static struct bytes id_of(const struct firing *f) { return bytes_of(f->id, f->id_len); }

static void firing_drop(struct firing *f)
{
    struct timers *t = f->timers;

    list_remove(&f->link);
    timer_turn_end(t, &f->turn);
    t->firing_count--;
    buf_fini(&f->image);
    free(f->args);
    free(f);
    if (t->core->draining)
        port_soon(t->core->port); /* the drain may have waited for this */
}

/* due_us as in timer_again. */
static void firing_end(struct firing *f, int64_t due_us, bool gone)
{
    struct timers *t = f->timers;
    char id[TIMER_ID_MAX];
    struct bytes name = bytes_of(id, f->id_len);

    memcpy(id, f->id, f->id_len);
    firing_drop(f);
    if (gone)
        timer_forget(t, name);
    timer_again(t, name, due_us); /* in any case: another one may have its place */
}

static int64_t later(const struct firing *f, uint64_t ms)
{
    return port_wall_us(f->timers->core->port) + (int64_t)ms * 1000;
}

/* ---- it failed ---- */

static uint64_t backoff_ms(const struct policy_limits *limits, uint32_t tries)
{
    uint64_t ms = limits->timer_backoff_ms, max = ms > TIMER_BACKOFF_MS_MAX ? ms : TIMER_BACKOFF_MS_MAX;

    for (uint32_t i = 1; i < tries && ms < max; i++)
        ms *= 2;
    return ms < max ? ms : max;
}

static enum err note_step(struct firing *f, struct failure *why)
{
    const struct policy_limits *limits = policy_limits(f->timers->core->policy);
    struct bytes now;
    struct timer timer;
    struct buf b;
    enum err err = txn_get_item(f->txn, RESOURCE_TIMER, id_of(f), LOCK_EXCLUSIVE, &now, why);

    if (err != OK)
        return err;
    if (!timer_image_read(now, &timer))
        return fail(why, ERR_STORAGE, "the stored timer cannot be read");
    timer.tries++;
    timer.parked = timer.tries >= limits->timer_tries;
    if (!timer.parked)
        timer.due_us = later(f, backoff_ms(limits, timer.tries));
    timer.error = bytes_str(f->why.text);
    if (timer.error.len > TIMER_ERROR_MAX)
        timer.error.len = TIMER_ERROR_MAX;
    buf_init(&b, TIMER_IMAGE_MAX);
    err = timer_image_add(&b, &timer) ? txn_put_item(f->txn, RESOURCE_TIMER, id_of(f), buf_bytes(&b), why) : ERR_NOMEM;
    buf_fini(&b);
    if (err == OK && timer.parked)
        log_line(LOG_WARNING, "timer %.*s (%.*s) failed %u times and is parked: %s", (int)f->id_len, f->id,
                 (int)f->timer.function.len, (const char *)f->timer.function.data, (unsigned)timer.tries, f->why.text);
    return err;
}

static void note_run(struct firing *f)
{
    struct failure why = { 0 };
    enum err err = note_step(f, &why);
    int64_t now = port_wall_us(f->timers->core->port);

    if (err == ERR_WAIT)
        return;
    f->noting = false;
    if (err == OK)
        txn_commit(f->txn, now, 0);
    else
        txn_abort(f->txn, NULL, now, 0);
}

static void note_woken(void *owner)
{
    struct firing *f = owner;

    if (f->noting)
        note_run(f);
}

/* What is stored now was told to timers_stored. If nothing could be noted, it is tried again all the same. */
static void note_ended(void *owner, const struct failure *why, uint64_t undone)
{
    struct firing *f = owner;

    (void)undone;
    f->txn = NULL;
    firing_end(f, why->err == OK ? 0 : later(f, BUSY_MS), false);
}

static const struct txn_events note_events = { .wake = note_woken, .ended = note_ended };

static void note_failure(struct firing *f)
{
    struct core *core = f->timers->core;
    struct txn_origin origin = {
        .function = "TIMER", .uid = f->timer.uid, .gid = f->timer.gid, .parent = f->timer.armed_by
    };

    if (txn_begin(core->txns, &origin, &note_events, f, port_wall_us(core->port), &f->txn) != OK) {
        firing_end(f, later(f, BUSY_MS), false);
        return;
    }
    f->noting = true;
    note_run(f);
}

/* ---- its call ---- */

static void fire_failed(struct firing *f)
{
    switch (f->why.err) {
    case ERR_ABSENT: /* cancelled meanwhile */
        firing_end(f, 0, true);
        break;
    case ERR_BUSY:
    case ERR_NOMEM:
        firing_end(f, later(f, BUSY_MS), false);
        break;
    default:
        if (f->timers->core->draining)
            firing_end(f, 0, false);
        else
            note_failure(f);
    }
}

static void call_decided(void *owner) { (void)owner; }

static void call_done(void *owner, const struct failure *why, struct bytes value)
{
    struct firing *f = owner;

    (void)value;
    f->call = NULL;
    f->why = *why;
    if (why->err == OK)
        firing_end(f, 0, true);
    else
        fire_failed(f);
}

static const struct call_events call_events = { .decided = call_decided, .done = call_done };

static bool read_args(struct firing *f, size_t *count)
{
    struct reader r = reader_of(f->timer.args);

    *count = read_u32(&r);
    if (r.bad || *count > CALL_ARG_MAX || *count > r.left / sizeof(uint32_t))
        return false;
    f->args = calloc(*count + 1, sizeof *f->args);
    for (size_t i = 0; f->args != NULL && i < *count; i++)
        f->args[i] = read_bytes(&r);
    return f->args != NULL && reader_done(&r);
}

static void fire_call(struct firing *f)
{
    struct core *core = f->timers->core;
    struct principal who = { .uid = f->timer.uid, .gid = f->timer.gid, .group_count = f->timer.group_count };
    struct call_request call = { .who = &who, .timer = id_of(f), .asked_by = f->timer.armed_by };

    for (size_t i = 0; i < who.group_count; i++)
        who.groups[i] = f->timer.groups[i];
    if (!read_args(f, &call.arg_count)) {
        fail(&f->why, ERR_BADARG, "the timer's arguments cannot be read");
        fire_failed(f);
        return;
    }
    call.args = f->args;
    if (registry_function(core, &who, f->timer.function, &call.graft, &call.function, &f->why) != OK ||
        call_begin(core, &call, &call_events, f, &f->call, &f->why) != OK)
        fire_failed(f);
}

static void fire_in_turn(struct firing *f)
{
    struct timers *t = f->timers;

    switch (timer_turn_take(t, f->timer.function, timer_find(t, id_of(f)), &f->turn)) {
    case OK:
        fire_call(f);
        break;
    case ERR_WAIT:
        firing_drop(f);
        timers_fire(t);
        break;
    default:
        firing_end(f, later(f, BUSY_MS), false);
    }
}

/* It is not due: the transaction that said so told no names, and what is stored is still being read anew. */
static void put_right(struct firing *f)
{
    struct bytes stored = buf_bytes(&f->image);

    timers_stored(f->timers, id_of(f), &stored);
    firing_end(f, 0, false);
}

static void fire_read(struct store_request *r)
{
    struct firing *f = r->owner;
    enum err err = r->why.err;

    if (err == OK && !r->pairs[0].value.present)
        err = ERR_ABSENT;
    if (err == OK)
        err = buf_add(&f->image, r->pairs[0].value.value.data, r->pairs[0].value.value.len);
    store_request_fini(r);
    if (err == ERR_ABSENT) {
        firing_end(f, 0, true);
    } else if (err != OK || f->timers->core->draining) {
        firing_end(f, later(f, BUSY_MS), false);
    } else if (!timer_image_read(buf_bytes(&f->image), &f->timer)) {
        log_line(LOG_ERROR, "timer %.*s cannot be read and does not fire", (int)f->id_len, f->id);
        firing_end(f, 0, true);
    } else if (f->timer.parked || f->timer.due_us > later(f, 0)) {
        put_right(f);
    } else {
        fire_in_turn(f);
    }
}

enum err timer_fire(struct timers *t, struct bytes id)
{
    struct firing *f = calloc(1, sizeof *f);

    if (f == NULL)
        return ERR_NOMEM;
    f->timers = t;
    memcpy(f->id, id.data, id.len);
    f->id_len = id.len;
    f->key = id_of(f);
    buf_init(&f->image, TIMER_IMAGE_MAX);
    f->request = (struct store_request){
        .kind = STORE_GET, .resource = RESOURCE_TIMER, .keys = &f->key, .key_count = 1, .done = fire_read, .owner = f
    };
    list_push(&t->firings, &f->link);
    t->firing_count++;
    t->core->store->ops->submit(t->core->store, &f->request);
    return OK;
}
