#include "graftd/drain.h"

#include "graftd/call.h"
#include "graftd/client.h"
#include "graftd/event.h"
#include "graftd/registry.h"
#include "graftd/session.h"
#include "graftd/super.h"
#include "graftd/timer.h"
#include "lib/log.h"

enum { LEAVE_MS = 5000 }; /* after the drain: time to tell clients how their calls ended */

static void time_is_up(void *owner)
{
    struct drain *d = owner;

    if (d->late) {
        client_drop_all(d->core);
        return;
    }
    d->late = true;
    d->core->port->ops->timer_start(d->timer, LEAVE_MS);
    if (d->core->call_count == 0 && d->core->session_count == 0)
        return;
    log_line(LOG_WARNING, "%zu calls and %zu transactions of connections did not end in time, and are rolled back",
             d->core->call_count, d->core->session_count);
    session_end_all(d->core, ERR_KILLED, "the transaction was ended: graftd is stopping");
    call_cancel_all(d->core, NULL, ERR_KILLED, "was ended: graftd is stopping");
    port_soon(d->core->port);
}

enum err drain_init(struct drain *d, struct core *core)
{
    *d = (struct drain){ .core = core, .timer = core->port->ops->timer_new(core->port, time_is_up, d) };
    return d->timer == NULL ? ERR_NOMEM : OK;
}

void drain_fini(struct drain *d)
{
    if (d->timer != NULL)
        d->core->port->ops->timer_free(&d->timer);
}

void drain_begin(struct drain *d, uint64_t ms)
{
    d->core->draining = true;
    event_stored_any(d->core->events); /* who waits for events is answered */
    d->core->port->ops->timer_start(d->timer, ms);
    port_soon(d->core->port);
}

static void grafts_are_gone(void *owner)
{
    struct drain *d = owner;

    super_stop(d->core->super);
}

bool drain_step(struct drain *d)
{
    struct txn_stats s;

    if (!d->core->draining || d->leaving)
        return false;
    txn_stats(d->core->txns, &s);
    if (d->core->call_count > 0 || s.open > 0 || !timers_idle(d->core->timers))
        return false;
    if (!d->closing_clients) {
        d->closing_clients = true;
        client_close_all(d->core);
    }
    return d->core->client_count == 0;
}

void drain_leave(struct drain *d)
{
    d->leaving = true;
    if (d->core->registry != NULL)
        registry_close(d->core->registry, grafts_are_gone, d);
    else
        super_stop(d->core->super);
}

void drain_take_back(struct drain *d)
{
    d->core->draining = d->closing_clients = d->late = false;
    d->core->port->ops->timer_stop(d->timer);
    timers_stored_any(d->core->timers); /* none was called meanwhile */
}
