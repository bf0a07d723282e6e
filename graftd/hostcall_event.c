/*
 * Events and timers, as a worker asks for them. Whether the principal may call the function of a timer is not asked
 * here but when it fires, by the policy that is in force then.
 */
#include "graftd/hostcall_impl.h"

#include "graftd/call.h"
#include "graftd/event.h"
#include "graftd/timer.h"
#include "txn/timer_image.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

_Static_assert((int)TIMER_GROUPS_MAX >= (int)PRINCIPAL_GROUP_MAX, "a timer remembers the whole principal");

/* ---- events ---- */

enum err hostcall_emit(struct hostcall_context *h, struct bytes body, struct failure *why)
{
    struct wire_EMIT m;
    enum err err;

    if (!wire_read_EMIT(body, &m) || !event_topic_valid(m.topic))
        return hostcall_malformed("EMIT", why);
    if ((err = hostcall_may_change(h, 1, why)) != OK || (err = hostcall_may(h, GRANT_EMIT, m.topic, why)) != OK ||
        (err = hostcall_fits(h, "emitted an event", m.data.len, why)) != OK)
        return err;
    return txn_emit(h->txn, m.topic, m.data, why);
}

/* ---- timers ---- */

static bool function_valid(struct bytes function)
{
    const char *p = function.data, *dot = function.len == 0 ? NULL : memchr(p, '.', function.len);
    size_t head = dot == NULL ? 0 : (size_t)(dot - p);

    return dot != NULL && function.len <= TIMER_FUNCTION_MAX && manifest_name_valid(bytes_of(p, head)) &&
           manifest_name_valid(bytes_of(dot + 1, function.len - head - 1));
}

/* A name and a place of the `limit timers`, of all graftd. Drawn once, although a message may come again and again until
 * it is done. */
static enum err may_arm(struct hostcall_context *h, struct failure *why)
{
    uint64_t max = h->bounds->timer_max, used;
    enum err err;

    if (h->timer[0] != '\0')
        return OK;
    txn_item_name(h->txn, h->timer);
    err = timers_reserve(h->timers, bytes_str(h->timer), txn_effect_count(h->txn) + 1, max, &used, h->places);
    if (err == ERR_NOMEM)
        return fail(why, err, "no memory to arm a timer");
    if (err == OK)
        return OK;
    snprintf(h->facts, sizeof h->facts, "limit=timers allowed=%" PRIu64 " used=%" PRIu64, max, used);
    return fail(why, err, "set a timer, and no more than %" PRIu64 " may be armed or parked at once", max);
}

/* A list of bytes, read to its last one. */
static bool args_valid(struct bytes list)
{
    struct reader r = reader_of(list);
    size_t count = read_u32(&r);

    if (list.len > TIMER_ARGS_MAX || count > CALL_ARG_MAX)
        return false;
    for (size_t i = 0; i < count && !r.bad; i++)
        (void)read_bytes(&r);
    return reader_done(&r);
}

static struct timer timer_of(const struct hostcall_context *h, const struct wire_AFTER *m)
{
    struct timer t = {
        .due_us = h->now_us + (int64_t)m->ms * 1000,
        .uid = h->who->uid,
        .gid = h->who->gid,
        .group_count = (uint32_t)h->who->group_count,
        .armed_by = txn_id(h->txn),
        .function = m->function,
        .args = m->args,
    };

    for (size_t i = 0; i < h->who->group_count; i++)
        t.groups[i] = h->who->groups[i];
    return t;
}

static enum err arm(struct hostcall_context *h, const struct timer *t, struct failure *why)
{
    struct buf image;
    enum err err;

    buf_init(&image, TIMER_IMAGE_MAX);
    if (timer_image_add(&image, t))
        err = txn_put_item(h->txn, RESOURCE_TIMER, bytes_str(h->timer), buf_bytes(&image), why);
    else
        err = fail(why, ERR_NOMEM, "no memory to arm a timer");
    buf_fini(&image);
    return err;
}

enum err hostcall_timer_arm(struct hostcall_context *h, struct bytes body, struct failure *why)
{
    struct wire_AFTER m;
    struct timer t;
    char id[sizeof h->timer];
    enum err err;

    if (!wire_read_AFTER(body, &m) || m.ms > TIMER_AFTER_MS_MAX || !function_valid(m.function) || !args_valid(m.args))
        return hostcall_malformed("AFTER", why);
    if ((err = hostcall_may_change(h, 1, why)) != OK || (err = hostcall_may(h, GRANT_TIMER, m.function, why)) != OK ||
        (err = may_arm(h, why)) != OK)
        return err;
    t = timer_of(h, &m);
    if ((err = arm(h, &t, why)) != OK)
        return err;
    memcpy(id, h->timer, sizeof id);
    h->timer[0] = '\0';
    return hostcall_answer_value(h, true, bytes_str(id), why);
}

/* Timers of others are not there; root may see all. */
static bool is_own(const struct hostcall_context *h, const struct timer *t)
{
    return h->who->uid == 0 || h->who->uid == t->uid;
}

enum err hostcall_timer_cancel(struct hostcall_context *h, struct bytes body, struct failure *why)
{
    struct wire_CANCEL m;
    struct timer t;
    struct bytes image;
    enum err err;

    if (!wire_read_CANCEL(body, &m) || m.id.len == 0 || m.id.len > TIMER_ID_MAX)
        return hostcall_malformed("CANCEL", why);
    if ((err = hostcall_may_change(h, 1, why)) != OK)
        return err;
    err = txn_get_item(h->txn, RESOURCE_TIMER, m.id, LOCK_EXCLUSIVE, &image, why);
    if (err != OK && err != ERR_ABSENT)
        return err;
    if (err == OK && !timer_image_read(image, &t))
        return fail(why, ERR_STORAGE, "could not cancel a timer: what is stored of it is damaged");
    if (err == ERR_ABSENT || !is_own(h, &t))
        return hostcall_answer_value(h, false, bytes_of(NULL, 0), why);
    if ((err = hostcall_may(h, GRANT_TIMER, t.function, why)) != OK ||
        (err = txn_delete_item(h->txn, RESOURCE_TIMER, m.id, why)) != OK)
        return err;
    return hostcall_answer_value(h, true, bytes_of(NULL, 0), why);
}
