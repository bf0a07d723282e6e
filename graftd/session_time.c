/* The limits on a session's time: how long it may be open, and how long idle between two statements. */
#include "graftd/session_impl.h"

#include <inttypes.h>
#include <stdio.h>

static void arm(struct session *s)
{
    int64_t now = port_now_ms(s->core->port), due = INT64_MAX;

    if (s->timeout_ms != 0)
        due = s->begun_ms + (int64_t)s->timeout_ms;
    if (s->idle_since_ms != 0 && s->idle_since_ms + (int64_t)s->idle_ms < due)
        due = s->idle_since_ms + (int64_t)s->idle_ms;
    if (due == INT64_MAX)
        s->core->port->ops->timer_stop(s->timer);
    else
        s->core->port->ops->timer_start(s->timer, due > now ? (uint64_t)(due - now) : 0);
}

static void time_is_up(void *owner)
{
    struct session *s = owner;
    int64_t now = port_now_ms(s->core->port), open_ms = now - s->begun_ms, idle_ms = now - s->idle_since_ms;
    char text[128];

    if (s->state != OPEN)
        return;
    if (s->timeout_ms != 0 && open_ms >= (int64_t)s->timeout_ms) {
        snprintf(s->facts, sizeof s->facts, "wall_ms=%" PRIi64 " limit_ms=%" PRIu64, open_ms, s->timeout_ms);
        snprintf(text, sizeof text, "the transaction took its %" PRIu64 " ms of time", s->timeout_ms);
        session_end(s, ERR_TIMEOUT, text);
    } else if (s->idle_since_ms != 0 && idle_ms >= (int64_t)s->idle_ms) {
        snprintf(s->facts, sizeof s->facts, "idle_ms=%" PRIi64 " limit_ms=%" PRIu64, idle_ms, s->idle_ms);
        snprintf(text, sizeof text, "the transaction waited its %" PRIu64 " ms for the next request", s->idle_ms);
        session_end(s, ERR_TIMEOUT, text);
    } else {
        arm(s);
    }
}

void session_busy(struct session *s)
{
    s->idle_since_ms = 0;
    if (s->state == OPEN)
        arm(s);
}

void session_rest(struct session *s, const struct request *r)
{
    const struct failure *why;

    if (s->statement == r)
        s->statement = NULL;
    if (s->state != OPEN || s->exec != NULL)
        return;
    why = txn_failure(s->hold.txn);
    if (why->err != OK) {
        session_end(s, why->err, why->text);
        return;
    }
    s->idle_since_ms = port_now_ms(s->core->port);
    arm(s);
}

enum err session_time_open(struct session *s)
{
    if (s->timer == NULL)
        s->timer = s->core->port->ops->timer_new(s->core->port, time_is_up, s);
    return s->timer == NULL ? ERR_NOMEM : OK;
}
