/* While the graft runs: what its worker says, how its run ends, and its deadlines (W3). */
#include "graftd/call_impl.h"

#include "lib/value.h"
#include "lib/wire.h"

#include <inttypes.h>
#include <stdio.h>

enum { SLOW_CPU_MS_MAX = 100 };

enum {
    DONE_REPLIED = 0, /* wire_DONE.how */
    DONE_ABORTED = 1,
    DONE_CODE = 2,
};

/* A failed graft whose heap had said no: name the limit, not what it stumbled over afterwards (P4). */
static bool blame_memory(struct call *c)
{
    struct hostcall_context *h = &c->host;

    if (!h->memory_refused)
        return false;
    snprintf(h->facts, sizeof h->facts, "limit=memory allowed=%" PRIu64 " used=%" PRIu64 " wanted=%" PRIu64,
             h->memory_allowed, h->memory_used, h->memory_wanted);
    fail(&c->why, ERR_LIMIT, "used up its %" PRIu64 " bytes of memory", h->memory_allowed);
    return true;
}

static void run_ended(struct call *c, struct bytes body)
{
    struct wire_DONE m;
    char text[FAILURE_TEXT_MAX / 2];

    if (!wire_read_DONE(body, &m) || m.how > DONE_CODE ||
        (m.how == DONE_REPLIED && m.reply.len > 0 && !value_valid(m.reply))) {
        fail(&c->why, ERR_CRASHED, "sent a malformed DONE");
    } else if (m.txn != c->txn_id) {
        fail(&c->why, ERR_CRASHED, "said that another call had ended");
    } else if (m.how == DONE_REPLIED) {
        if (buf_add(&c->reply, m.reply.data, m.reply.len) != OK)
            fail(&c->why, ERR_NOMEM, "replied, but there is no memory to pass it on");
    } else if (m.how == DONE_ABORTED) {
        fail(&c->why, ERR_ABORTED, "%s", bytes_show(m.text, text, sizeof text));
    } else if (!blame_memory(c)) {
        fail(&c->why, ERR_ABORTED, m.text.len > 0 ? "returned %u (%s)" : "returned %u", (unsigned)m.code,
             bytes_show(m.text, text, sizeof text));
    }
    if (c->why.err == OK)
        call_commit(c);
    else
        call_abort(c);
}

/* What has to wait lets nobody else wait for it. */
static bool call_asked(struct call *c, uint8_t number, struct bytes body)
{
    enum err err;

    if (number == WIRE_GRAFT_CALL)
        return call_nest(c, body);
    err = hostcall_do(&c->host, number, body, &c->why);
    if (err != OK && err != ERR_WAIT) {
        fail(&c->why, err, "%s", err_sentence(err));
        call_abort(c);
    }
    return err != ERR_WAIT;
}

bool call_heard(struct seat *seat, uint8_t number, struct bytes body)
{
    struct call *c = list_entry(seat, struct call, seat);

    c->heard = true;
    if (c->state != RUNNING) {
        c->tainted = true;
        fail(&c->why, ERR_CRASHED, "spoke out of turn");
        call_abort(c);
        return true;
    }
    if (number == WIRE_DONE) {
        run_ended(c, body);
        return true;
    }
    if (call_asked(c, number, body))
        return true;
    seat_waits(seat);
    return false;
}

void call_lost_worker(struct seat *seat, const char *why, bool outside)
{
    struct call *c = list_entry(seat, struct call, seat);

    if (c->state == RUNNING)
        c->cpu_us = call_measure(c);
    c->bereft = outside && !c->heard && !c->bereft_once;
    c->bereft_once |= c->bereft;
    if (!blame_memory(c))
        fail(&c->why, ERR_CRASHED, "%s", why);
    call_abort(c);
}

/* A call that has used half of its CPU time, or much, gives way to those that have not (W6). */
static uint64_t slow_at_us(const struct call *c)
{
    uint64_t half_ms = (c->cpu_limit_ms + 1) / 2;

    return (half_ms < SLOW_CPU_MS_MAX ? half_ms : SLOW_CPU_MS_MAX) * 1000;
}

/* False: one has passed, and the call has ended. */
static bool watch_deadlines(struct call *c)
{
    int64_t now = port_now_ms(c->core->port), left = c->wall_end_ms - now;
    uint64_t cpu_left_ms;

    if (c->state == RUNNING) {
        cpu_left_ms = c->cpu_us >= c->cpu_limit_ms * 1000 ? 0 : (c->cpu_limit_ms * 1000 - c->cpu_us + 999) / 1000;
        if (cpu_left_ms == 0) {
            snprintf(c->host.facts, sizeof c->host.facts, "cpu_ms=%" PRIu64 " limit_ms=%" PRIu64, c->cpu_us / 1000,
                     c->cpu_limit_ms);
            fail(&c->why, ERR_TIMEOUT, "used its %" PRIu64 " ms of CPU", c->cpu_limit_ms);
            call_abort(c);
            return false;
        }
        if (c->cpu_us >= slow_at_us(c))
            seat_slow(&c->seat);
        else if (cpu_left_ms > (slow_at_us(c) - c->cpu_us + 999) / 1000)
            cpu_left_ms = (slow_at_us(c) - c->cpu_us + 999) / 1000;
        if ((int64_t)cpu_left_ms < left)
            left = (int64_t)cpu_left_ms;
    }
    if (c->wall_end_ms <= now) {
        snprintf(c->host.facts, sizeof c->host.facts, "wall_ms=%" PRIi64 " limit_ms=%" PRIu64, now - c->wall_begin_ms,
                 c->wall_limit_ms);
        fail(&c->why, ERR_TIMEOUT,
             c->state == QUEUED || c->state == SENT ? "waited its %" PRIu64 " ms for a free worker"
                                                    : "took its %" PRIu64 " ms of time",
             c->wall_limit_ms);
        call_abort(c);
        return false;
    }
    c->core->port->ops->timer_start(c->timer, (uint64_t)left);
    return true;
}

/* Both deadlines: the timer is set to the earliest moment at which one of them can have passed (W3). */
void call_watch_deadlines(struct call *c)
{
    if (c->state == RUNNING)
        c->cpu_us = call_measure(c);
    (void)watch_deadlines(c);
}

bool call_run(struct call *c)
{
    call_move(c, RUNNING);
    c->cpu_us = 0;
    return watch_deadlines(c);
}
