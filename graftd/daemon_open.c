/* What the daemon opens, in the order of the recipe at the end, and closes again. */
#include "graftd/daemon_impl.h"

#include "graftd/audit.h"
#include "graftd/event.h"
#include "graftd/handover.h"
#include "graftd/listen.h"
#include "graftd/port_uv.h"
#include "graftd/registry.h"
#include "graftd/reload.h"
#include "graftd/timer.h"
#include "lib/log.h"
#include "policy/cgroup.h"
#include "policy/jail_daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what it stands on ---- */

static enum err open_paths(struct daemon *d, struct failure *why)
{
    enum err err = paths_find(&d->paths, &d->options, d->policy, why);

    return err == OK ? paths_find_worker(&d->paths, &d->options, why) : err;
}

static enum err open_data(struct daemon *d, struct failure *why)
{
    return paths_open_data(&d->paths, &d->data_fd, why);
}

/* Named for the data directory, and for the process: one that takes over begins while the other's workers are there. */
static enum err open_cgroup(struct daemon *d, struct failure *why)
{
    struct failure lack = { 0 };
    char id[CGROUP_ID_MAX];
    struct stat st;

    d->core.cgroup = "none";
    if (!policy_shares_cpu(d->policy))
        return OK;
    if (fstat(d->data_fd, &st) != 0)
        return fail(why, ERR_STORAGE, "cannot look at the data directory %s: %s", d->paths.data, strerror(errno));
    snprintf(id, sizeof id, "%jx-%jx-%d", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino, (int)getpid());
    if (cgroup_open(NULL, id, &d->cgroup, &lack) == OK) {
        d->core.cgroup = cgroup_version(d->cgroup) == 2 ? "v2" : "v1";
        return OK;
    }
    if (!layer_may_lack(policy_layers(d->policy), LAYER_CGROUP, 0))
        return fail(why, ERR_UNKNOWN,
                    "the sandbox lacks a wall: \"%s\": %s; `graftctl doctor` tells what to do, or take it out of "
                    "`sandbox require` in the policy",
                    layer_rows[LAYER_CGROUP].name, lack.text);
    log_line(LOG_WARNING,
             "grafts have no shares of the CPU of their own, `limit cpu-weight` in the policy does nothing: %s; "
             "slow calls give way by niceness alone; `graftctl doctor` tells what to do",
             lack.text);
    return OK;
}

static enum err open_loop(struct daemon *d, struct failure *why)
{
    enum err err = port_uv_new(d->paths.worker, policy_layers(d->policy), d->cgroup, &d->core.port, why);

    if (err != OK)
        return err;
    d->core.started_us = port_wall_us(d->core.port);
    if (daemon_watch(d) != OK || reload_new(&d->core, d->options.policy, d->policy, &d->core.reload) != OK)
        return fail(why, ERR_NOMEM, "no memory for the event loop");
    if (events_new(&d->core.events) != OK || timers_new(&d->core, &d->core.timers) != OK)
        return fail(why, ERR_NOMEM, "no memory for events and timers");
    return OK;
}

static enum err open_zygote(struct daemon *d, struct failure *why)
{
    return super_new(d->core.port, &daemon_super_events, d, &d->core.super, why);
}

/* The first wall round graftd: these files stay in reach. */
static enum err wall_files(struct daemon *d, struct failure *why)
{
    char data[PATH_MAX], policy[PATH_MAX];
    struct daemon_paths seen = {
        .data = realpath(d->paths.data, data),
        .backup = policy_backup(d->policy),
        .socket = d->paths.socket,
        .policy = d->options.policy != NULL ? realpath(d->options.policy, policy) : NULL,
        .groups = d->cgroup != NULL ? cgroup_own(d->cgroup) : NULL,
        .graft_groups = d->cgroup != NULL ? cgroup_grafts(d->cgroup) : NULL,
    };

    for (; seen.root_count < policy_root_count(d->policy) && seen.root_count < JAIL_ROOT_MAX; seen.root_count++)
        seen.roots[seen.root_count] = policy_root(d->policy, seen.root_count)->path;
    if (seen.backup != NULL && access(seen.backup, W_OK | X_OK) != 0)
        return fail(why, ERR_BADARG, "backups cannot be written to %s (`backup` in the policy): %s", seen.backup,
                    strerror(errno));
    if (!policy_daemon_walled(d->policy))
        return OK;
    if (seen.data == NULL)
        return fail(why, ERR_STORAGE, "cannot tell where %s is: %s", d->paths.data, strerror(errno));
    return jail_daemon_files(&seen, why);
}

static enum err open_audit(struct daemon *d, struct failure *why)
{
    return audit_open(d->core.port, d->data_fd, &d->core.audit, why);
}

/* ---- the store ---- */

/* The manager asks for a tick. */
static void txns_want(void *arg)
{
    struct daemon *d = arg;

    port_soon(d->core.port);
}

static size_t list_roots(const struct policy *p, struct file_root roots[FILE_ROOT_MAX])
{
    size_t n = 0;

    for (; n < policy_root_count(p) && n < FILE_ROOT_MAX; n++)
        roots[n] = (struct file_root){ policy_root(p, n)->name, policy_root(p, n)->path };
    return n;
}

static enum err open_engine(struct daemon *d, struct failure *why)
{
    static const int synchronous[] = { [DURABILITY_FULL] = 2, [DURABILITY_NORMAL] = 1, [DURABILITY_OFF] = 0 };
    const struct policy_limits *limits = policy_limits(d->policy);
    struct file_root roots[FILE_ROOT_MAX];
    struct store_options options = {
        .directory = d->paths.data,
        .roots = roots,
        .root_count = list_roots(d->policy, roots),
        .synchronous = synchronous[policy_durability(d->policy)],
        .history_ms = limits->history_ms,
        .history_bytes = limits->history_bytes,
        .events_ms = limits->events_ms,
        .events_bytes = limits->events_bytes,
        .wake = port_uv_wake,
        .wake_arg = d->core.port,
    };
    enum err err = store_sqlite_open(&options, &d->core.store, why);
    uint64_t undone;

    if (err != OK)
        return err;
    undone = d->core.store->ops->facts(d->core.store)->undone;
    if (undone > 0)
        log_line(LOG_WARNING, "recovered: %" PRIu64 " unfinished transactions were undone", undone);
    return OK;
}

static enum err open_txns(struct daemon *d, struct failure *why)
{
    const struct policy_limits *limits = policy_limits(d->policy);
    struct file_root roots[FILE_ROOT_MAX];
    struct txn_options options = {
        .store = d->core.store,
        .roots = roots,
        .root_count = list_roots(d->policy, roots),
        .key_max = limits->key_max,
        .value_max = limits->value_max,
        .lock_wait_ms = limits->lock_wait_ms,
        .cache_bytes = limits->cache_bytes,
        .spill_bytes = limits->spill_bytes,
        .locks_bytes = limits->locks_bytes,
        .wanted = txns_want,
        .wanted_arg = d,
        .stored = core_stored,
        .stored_arg = &d->core,
    };

    return txn_manager_new(&options, &d->core.txns, why);
}

enum err daemon_open_store(struct daemon *d, struct failure *why)
{
    enum err err = open_engine(d, why);

    return err == OK ? open_txns(d, why) : err;
}

static enum err open_objects(struct daemon *d, struct failure *why)
{
    return objects_open(&d->objects, d->data_fd, why);
}

/* ---- all of it ---- */

enum err daemon_open(struct daemon *d, struct failure *why)
{
    static enum err (*const steps[])(struct daemon *, struct failure *) = {
        open_paths,  daemon_take_over, open_data,         open_cgroup, open_loop,
        open_zygote, /* before the wall: it needs what graftd gives up there */
        wall_files,  open_audit,       daemon_open_store, open_objects,
    };
    enum err err = OK;

    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && err == OK; i++)
        err = steps[i](d, why);
    return err;
}

void daemon_close(struct daemon *d)
{
    listen_close(&d->listener);
    drain_fini(&d->drain);
    if (d->core.port != NULL) {
        d->core.port->ops->timer_free(&d->lock_timer);
        d->core.port->ops->timer_free(&d->core.client_timer);
    }
    registry_free(&d->core.registry);
    super_free(&d->core.super);
    if (d->core.txns != NULL)
        txn_manager_free(&d->core.txns);
    if (d->core.store != NULL)
        d->core.store->ops->close(d->core.store);
    handover_end(&d->handover);
    timers_free(&d->core.timers);
    events_free(&d->core.events);
    audit_close(&d->core.audit);
    reload_free(&d->core.reload);
    port_uv_free(&d->core.port);
    cgroup_close(&d->cgroup);
    objects_close(&d->objects);
    inherit_close(&d->inherited);
    if (d->data_fd >= 0)
        close(d->data_fd);
    policy_free(&d->policy);
}
