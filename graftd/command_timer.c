/* TIMER: what is armed or parked, and what the operator does about it. */
#include "graftd/audit.h"
#include "graftd/command.h"
#include "graftd/history.h"
#include "graftd/timer.h"
#include "lib/resp.h"
#include "txn/timer_image.h"

enum { TIMER_FIELDS = 9, ID_SHOWN = 64 };

/* ---- LIST, SHOW ---- */

static const char *state_of(struct request *r, struct bytes id, const struct timer *t)
{
    return timers_firing(r->core->timers, id) ? "firing" : t->parked ? "parked" : "armed";
}

static enum err add_args(struct request *r, struct bytes args)
{
    struct reader in = reader_of(args);
    uint32_t count = read_u32(&in);
    enum err err;

    if (in.bad || count > in.left / sizeof(uint32_t))
        count = 0;
    err = resp_add_array(&r->reply, count);
    for (uint32_t i = 0; i < count && err == OK; i++)
        err = resp_add_bulk(&r->reply, read_bytes(&in));
    return err;
}

static void add_bytes(struct request *r, const char *name, struct bytes value)
{
    resp_add_bulk_str(&r->reply, name);
    resp_add_bulk(&r->reply, value);
}

static enum err add_timer(struct request *r, struct bytes id, struct bytes image)
{
    struct timer t = { 0 };
    char time[32];

    timer_image_read(image, &t); /* one that cannot be read is shown empty */
    resp_add_map(&r->reply, TIMER_FIELDS, r->proto);
    add_bytes(r, "id", id);
    add_bytes(r, "function", t.function);
    history_add_text(r, "state", state_of(r, id, &t));
    history_add_text(r, "due", iso_time(t.due_us, time));
    history_add_number(r, "uid", t.uid);
    history_add_number(r, "armed_by", t.armed_by);
    history_add_number(r, "tries", t.tries);
    add_bytes(r, "error", t.error);
    resp_add_bulk_str(&r->reply, "args");
    return add_args(r, t.args);
}

static void listed(struct store_request *s)
{
    struct request *r = s->owner;
    enum err err;

    if (history_failed(r))
        return;
    err = resp_add_array(&r->reply, s->pair_count);
    for (size_t i = 0; i < s->pair_count && err == OK; i++)
        err = add_timer(r, s->pairs[i].key, s->pairs[i].value.value);
    store_request_fini(s);
    if (err == OK)
        request_done(r);
    else
        request_error(r, err, "there is no memory for so many timers; ask for fewer with COUNT");
}

static void timer_list(struct request *r)
{
    r->store = (struct store_request){ .kind = STORE_SCAN, .resource = RESOURCE_TIMER };
    if (!history_page(r) || r->store.from.len > TIMER_ID_MAX) {
        command_usage(r);
        return;
    }
    if (!command_may(r, RIGHT_INFO, bytes_of(NULL, 0)))
        return;
    history_look(r, listed);
}

static void no_timer(struct request *r)
{
    char shown[ID_SHOWN];

    request_error(r, ERR_COMMAND, "there is no timer %s: it has been called, or was cancelled",
                  bytes_show(r->argv[2], shown, sizeof shown));
}

static void shown(struct store_request *s)
{
    struct request *r = s->owner;
    enum err err;

    if (history_failed(r))
        return;
    if (!s->pairs[0].value.present) {
        store_request_fini(s);
        no_timer(r);
        return;
    }
    err = add_timer(r, s->pairs[0].key, s->pairs[0].value.value);
    store_request_fini(s);
    if (err == OK)
        request_done(r);
    else
        request_error(r, err, "there is no memory to show the timer");
}

static void timer_show(struct request *r)
{
    if (!command_may(r, RIGHT_INFO, bytes_of(NULL, 0)))
        return;
    r->store =
        (struct store_request){ .kind = STORE_GET, .resource = RESOURCE_TIMER, .keys = &r->argv[2], .key_count = 1 };
    history_look(r, shown);
}

/* ---- RELEASE, DROP ---- */

/* Whose it is may; so may an administrator. */
static enum err may_change(struct request *r, const struct timer *t, struct failure *why)
{
    const struct principal *who = request_principal(r);
    struct place place;
    char where[256];

    if (t->uid == who->uid || policy_caller_may(r->core->policy, who, RIGHT_ADMIN, bytes_of(NULL, 0), &place))
        return OK;
    audit_denied(r->core->audit, who, "change timer", r->argv[2], place);
    return fail(why, ERR_NOPERM, "user %u may not change a timer of user %u: %s", (unsigned)who->uid, (unsigned)t->uid,
                place.line == 0 ? "no rule allows it to admin" : place_show(place, where, sizeof where));
}

/* The timer, locked; *t is borrowed until the next operation. */
static enum err step_read(struct request *r, struct timer *t, struct failure *why)
{
    struct bytes image;
    enum err err = txn_get_item(r->txn, RESOURCE_TIMER, r->argv[2], LOCK_EXCLUSIVE, &image, why);
    char shown_id[ID_SHOWN];

    if (err == ERR_ABSENT)
        return fail(why, ERR_COMMAND, "there is no timer %s: it has been called, or was cancelled",
                    bytes_show(r->argv[2], shown_id, sizeof shown_id));
    if (err != OK)
        return err;
    if (!timer_image_read(image, t))
        return fail(why, ERR_STORAGE, "timer %s cannot be read", bytes_show(r->argv[2], shown_id, sizeof shown_id));
    return may_change(r, t, why);
}

/* Due now, with all its tries before it. */
static enum err step_release(struct request *r, struct failure *why)
{
    struct timer t;
    struct buf b;
    enum err err = step_read(r, &t, why);

    if (err != OK)
        return err;
    t.parked = false;
    t.tries = 0;
    t.due_us = port_wall_us(r->core->port);
    buf_init(&b, TIMER_IMAGE_MAX);
    err = timer_image_add(&b, &t) ? txn_put_item(r->txn, RESOURCE_TIMER, r->argv[2], buf_bytes(&b), why) : ERR_NOMEM;
    buf_fini(&b);
    return err == OK ? resp_add_status(&r->reply, "OK") : err;
}

static enum err step_drop(struct request *r, struct failure *why)
{
    struct timer t;
    enum err err = step_read(r, &t, why);

    if (err == OK)
        err = txn_delete_item(r->txn, RESOURCE_TIMER, r->argv[2], why);
    return err == OK ? resp_add_status(&r->reply, "OK") : err;
}

void command_timer(struct request *r)
{
    bool one = r->argc == 3 && r->argv[2].len > 0 && r->argv[2].len <= TIMER_ID_MAX;

    if (arg_is(r->argv[1], "LIST"))
        timer_list(r);
    else if (one && arg_is(r->argv[1], "SHOW"))
        timer_show(r);
    else if (one && arg_is(r->argv[1], "RELEASE"))
        command_transact(r, step_release);
    else if (one && arg_is(r->argv[1], "DROP"))
        command_transact(r, step_drop);
    else
        command_usage(r);
}
