/* While the daemon runs: it gets ready, ticks, is told to reload or to stop, and drains. */
#include "graftd/daemon_impl.h"

#include "graftd/client.h"
#include "graftd/listen.h"
#include "graftd/notify.h"
#include "graftd/port_uv.h"
#include "graftd/registry.h"
#include "graftd/reload.h"
#include "graftd/timer.h"
#include "lib/log.h"
#include "policy/jail_daemon.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { POISONED_DRAIN_MS = 1000 }; /* the store is lost: time to answer those who wait */

void daemon_complain(struct daemon *d, const struct failure *why)
{
    fprintf(stderr, "graftd: %s\n", why->text);
    d->status = EXIT_FAILURE;
}

/* ---- its end ---- */

void daemon_drain(struct core *core)
{
    struct daemon *d = (struct daemon *)core;

    if (core->draining)
        return;
    log_line(LOG_INFO, "stopping: %zu calls run", core->call_count);
    notify("STOPPING=1");
    if (d->handover == NULL)
        listen_close(&d->listener);
    drain_begin(&d->drain, d->status != 0 ? POISONED_DRAIN_MS : policy_limits(core->policy)->drain_ms);
}

static void zygote_lost(void *owner, const char *why)
{
    struct daemon *d = owner;

    if (!d->drain.leaving) {
        log_line(LOG_ERROR, "the zygote, from which all workers come, is gone: it %s", why);
        _exit(EXIT_FAILURE); /* what is running cannot be answered; what was answered is on disk */
    }
    port_uv_stop(d->core.port);
}

/* ---- its beginning ---- */

static enum err open_door(struct daemon *d, struct failure *why)
{
    struct listen_options options = {
        .path = d->paths.socket,
        .mode = policy_socket_mode(d->policy),
        .group = policy_socket_group(d->policy),
        .inherited = &d->inherited,
    };

    return listen_open(&d->core, d->core.port, &options, &d->listener, why);
}

/* The second wall round graftd: no new process or program, and no socket but Unix ones, from now on. */
static enum err wall_calls(struct daemon *d, struct failure *why)
{
    return policy_daemon_walled(d->policy) ? jail_daemon_calls(why) : OK;
}

static void grafts_are_ready(void *owner)
{
    struct daemon *d = owner;
    struct failure why = { 0 };

    if (d->core.draining)
        return;
    if (open_door(d, &why) != OK || wall_calls(d, &why) != OK) {
        daemon_complain(d, &why);
        daemon_drain(&d->core);
        return;
    }
    log_line(LOG_INFO, "graftd %s is ready on %s (data %s, %zu grafts, sandbox %s daemon=%s cgroup=%s)",
             PACKAGE_VERSION, listen_path(d->listener), d->paths.data, registry_count(d->core.registry),
             super_walls(d->core.super), jail_daemon_walls(), d->core.cgroup);
    inherit_ready(&d->inherited);
    notify("READY=1");
    timers_start(d->core.timers);
}

static void zygote_is_ready(void *owner)
{
    struct daemon *d = owner;
    struct failure why = { 0 };

    if (d->drain.leaving)
        return;
    if (registry_new(&d->core, grafts_are_ready, d, &d->core.registry, &why) != OK) {
        daemon_complain(d, &why);
        daemon_drain(&d->core);
    }
}

const struct super_events daemon_super_events = { zygote_is_ready, zygote_lost };

/* ---- the loop ---- */

static void tick(void *owner)
{
    struct daemon *d = owner;
    int64_t now = port_now_ms(d->core.port), next;

    if (d->core.txns == NULL) /* the start failed, and only the zygote is waited for; or somebody else has the store */
        return;
    txn_poll(d->core.txns, now);
    if (txn_manager_poisoned(d->core.txns) && d->status == 0) {
        log_line(LOG_ERROR, "an I/O error hit a commit: its outcome is known only after recovery, so graftd ends here");
        d->status = EXIT_FAILURE;
        daemon_drain(&d->core);
    }
    next = txn_next_deadline_ms(d->core.txns);
    if (next >= 0)
        d->core.port->ops->timer_start(d->lock_timer, next > now ? (uint64_t)(next - now) : 0);
    if (drain_step(&d->drain))
        daemon_drained(d);
}

static void lock_deadline(void *owner)
{
    struct daemon *d = owner;

    port_soon(d->core.port);
}

static void sweep_clients(void *owner) { client_sweep(&((struct daemon *)owner)->core); }

static void stop_asked(void *owner, int signum)
{
    struct daemon *d = owner;

    (void)signum;
    daemon_wait_no_more(d);
    daemon_drain(&d->core);
}

static void reload_asked(void *owner, int signum)
{
    struct daemon *d = owner;

    (void)signum;
    reload_hangup(&d->core);
}

enum err daemon_watch(struct daemon *d)
{
    struct port *port = d->core.port;

    port->tick = tick;
    port->tick_owner = d;
    d->lock_timer = port->ops->timer_new(port, lock_deadline, d);
    d->core.client_timer = port->ops->timer_new(port, sweep_clients, d);
    if (d->lock_timer == NULL || d->core.client_timer == NULL || drain_init(&d->drain, &d->core) != OK ||
        port_uv_signal(port, SIGTERM, stop_asked, d) != OK || port_uv_signal(port, SIGINT, stop_asked, d) != OK ||
        port_uv_signal(port, SIGHUP, reload_asked, d) != OK)
        return ERR_NOMEM;
    return OK;
}
