/* The two ends of a takeover; what passes between them is in inherit.h and handover.h. */
#include "graftd/daemon_impl.h"

#include "graftd/handover.h"
#include "graftd/listen.h"
#include "graftd/notify.h"
#include "lib/log.h"

/* ---- the one after ---- */

/* What can be wrong with us is found out before, so that the running one goes on if it is. */
enum err daemon_take_over(struct daemon *d, struct failure *why)
{
    enum err err = inherit_from_systemd(&d->inherited, why);

    if (err != OK || d->inherited.fd >= 0 || !d->options.takeover)
        return err;
    err = inherit_from_running(d->paths.socket, &d->inherited, why);
    if (err == OK && d->inherited.fd < 0)
        log_line(LOG_INFO, "nobody listens on %s: there is nothing to take over", d->paths.socket);
    inherit_wait(&d->inherited);
    return err;
}

/* ---- the one before ---- */

/* What we need to serve again stays. */
static void release_store(struct daemon *d)
{
    log_line(LOG_INFO, "the store is closed, for the graftd that takes over");
    txn_manager_free(&d->core.txns);
    d->core.store->ops->close(d->core.store);
    d->core.store = NULL;
    handover_release(d->handover);
}

void daemon_drained(struct daemon *d)
{
    if (d->handover != NULL && !d->ending && d->status == 0)
        release_store(d);
    else
        drain_leave(&d->drain);
}

void daemon_wait_no_more(struct daemon *d)
{
    d->ending = true;
    if (d->handover != NULL && d->core.txns == NULL && !d->drain.leaving)
        drain_leave(&d->drain);
}

static void was_taken(void *owner) { daemon_wait_no_more(owner); }

/* As before the drain; connections that it has closed come again. */
static void serve_again(struct daemon *d)
{
    log_line(LOG_WARNING, "the graftd that took over is gone before it served: this one serves again");
    drain_take_back(&d->drain);
    listen_go_on(d->listener);
    notify("READY=1");
}

static void was_lost(void *owner)
{
    struct daemon *d = owner;
    struct failure why = { 0 };

    if (d->ending || d->status != 0)
        return;
    handover_end(&d->handover);
    if (d->core.txns == NULL && daemon_open_store(d, &why) != OK) {
        daemon_complain(d, &why);
        drain_leave(&d->drain);
        return;
    }
    serve_again(d);
}

static const struct handover_events handover_events = { was_taken, was_lost };

enum err daemon_hand_over(struct core *core, struct request *r, struct failure *why)
{
    struct daemon *d = (struct daemon *)core;

    if (core->draining || d->listener == NULL)
        return fail(why, ERR_BUSY, "graftd is stopping");
    if (handover_begin(core->port, d->listener, r, &handover_events, d, &d->handover, why) == OK)
        log_line(LOG_INFO, "another graftd takes over");
    return why->err;
}
