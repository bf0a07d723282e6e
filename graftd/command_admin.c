/* INFO, SHUTDOWN: for who operates graftd. */
#include "graftd/allocator.h"
#include "graftd/command.h"
#include "graftd/event.h"
#include "graftd/registry.h"
#include "graftd/super.h"
#include "graftd/timer.h"
#include "lib/resp.h"
#include "policy/jail_daemon.h"

#include <inttypes.h>
#include <strings.h>
#include <unistd.h>

enum { INFO_MAX = 64 * 1024 };

static void info_server(struct core *core, struct buf *b)
{
    buf_addf(b, "graftd_version:%s\r\n", PACKAGE_VERSION);
    buf_addf(b, "redis_version:7.0.0\r\nredis_mode:standalone\r\n"); /* for clients that ask what they may send */
    buf_addf(b, "process_id:%d\r\n", (int)getpid());
    buf_addf(b, "uptime_in_seconds:%" PRIi64 "\r\n", (port_wall_us(core->port) - core->started_us) / 1000000);
    buf_addf(b, "loading:0\r\n");
    buf_addf(b, "draining:%d\r\n", core->draining);
}

static void info_clients(struct core *core, struct buf *b)
{
    buf_addf(b, "connected_clients:%zu\r\n", core->client_count);
    buf_addf(b, "sessions:%zu\r\n", core->session_count);
    buf_addf(b, "maxclients:%" PRIu64 "\r\n", policy_limits(core->policy)->client_max);
    buf_addf(b, "maxclients_per_user:%" PRIu64 "\r\n", policy_limits(core->policy)->client_user_max);
    buf_addf(b, "client_bytes:%zu\r\n", core->client_bytes);
    buf_addf(b, "clients_turned_away:%" PRIu64 "\r\nclients_stalled:%" PRIu64 "\r\nclients_heavy:%" PRIu64 "\r\n",
             core->stats.turned_away, core->stats.stalled, core->stats.heavy);
}

static void info_memory(struct core *core, struct buf *b)
{
    struct allocator_stats s;

    (void)core;
    allocator_stats(&s);
    buf_addf(b, "mem_allocator:%s\r\n", s.name);
    buf_addf(b, "used_memory:%zu\r\n", s.allocated);
    buf_addf(b, "allocator_active:%zu\r\nallocator_resident:%zu\r\nallocator_mapped:%zu\r\n", s.active, s.resident,
             s.mapped);
}

static void info_calls(struct core *core, struct buf *b)
{
    buf_addf(b, "commands:%" PRIu64 "\r\n", core->stats.commands);
    buf_addf(b, "calls:%" PRIu64 "\r\n", core->stats.calls);
    buf_addf(b, "calls_running:%zu\r\n", core->call_count);
    buf_addf(b, "calls_retried:%" PRIu64 "\r\n", core->stats.retries);
    buf_addf(b, "calls_committed:%" PRIu64 "\r\n", core->stats.committed);
    for (size_t e = 1; e < sizeof core->stats.failed / sizeof core->stats.failed[0]; e++)
        if (core->stats.failed[e] != 0)
            buf_addf(b, "calls_failed_%s:%" PRIu64 "\r\n", err_name((enum err)e), core->stats.failed[e]);
}

static void info_grafts(struct core *core, struct buf *b)
{
    struct super_stats s;
    uint64_t taken = 0;

    super_stats(core->super, &s);
    buf_addf(b, "grafts:%zu\r\n", registry_count(core->registry));
    buf_addf(b,
             "workers:%" PRIu64 "\r\nworkers_forked:%" PRIu64 "\r\nworkers_killed:%" PRIu64 "\r\nworkers_died:%" PRIu64
             "\r\n",
             s.workers, s.forked, s.killed, s.died);
    buf_addf(b, "workers_slowed:%" PRIu64 "\r\nworkers_spare:%" PRIu64 "\r\n", s.slowed, s.spares);
    for (int reason = 0; reason < TAKEN_COUNT; reason++)
        taken += s.taken_back[reason];
    buf_addf(b, "calls_behind:%" PRIu64 "\r\ncalls_taken_back:%" PRIu64 "\r\n", s.behind, taken);
    buf_addf(b, "sandbox:%s\r\nsandbox_daemon:%s\r\nsandbox_cgroup:%s\r\n", super_walls(core->super),
             jail_daemon_walls(), core->cgroup);
}

static void info_store(struct core *core, struct buf *b)
{
    const struct store_facts *facts = core->store->ops->facts(core->store);
    struct txn_stats s;

    txn_stats(core->txns, &s);
    buf_addf(b, "engine:%s\r\n", facts->engine);
    if (facts->engine_warning != NULL)
        buf_addf(b, "engine_warning:%s\r\n", facts->engine_warning);
    buf_addf(b, "durability:%s\r\n", durability_name(policy_durability(core->policy)));
    buf_addf(b, "recovered_transactions:%" PRIu64 "\r\n", facts->undone);
    buf_addf(b, "txn_begun:%" PRIu64 "\r\ntxn_committed:%" PRIu64 "\r\ntxn_aborted:%" PRIu64 "\r\n", s.begun,
             s.committed, s.aborted);
    buf_addf(b, "txn_open:%" PRIu64 "\r\n", s.open);
    buf_addf(b, "effects:%" PRIu64 "\r\neffects_undone:%" PRIu64 "\r\n", s.effects, s.undone);
    buf_addf(b, "batches:%" PRIu64 "\r\ndeadlocks:%" PRIu64 "\r\nconflicts:%" PRIu64 "\r\nspilled:%" PRIu64 "\r\n",
             s.batches, s.deadlocks, s.conflicts, s.spilled);
    buf_addf(b, "cache_bytes:%" PRIu64 "\r\ncache_keys:%" PRIu64 "\r\ndirty_keys:%" PRIu64 "\r\n", s.cache_bytes,
             s.cache_keys, s.dirty_keys);
}

static void info_events(struct core *core, struct buf *b)
{
    buf_addf(b, "event_listeners:%zu\r\ntimers:%zu\r\n", events_listener_count(core->events),
             timers_count(core->timers));
}

static const struct section {
    const char *name;
    void (*add)(struct core *, struct buf *);
} sections[] = {
    { "Server", info_server }, { "Clients", info_clients }, { "Memory", info_memory },
    { "Calls", info_calls },   { "Grafts", info_grafts },   { "Store", info_store },
    { "Events", info_events },
};

static bool section_wanted(const struct request *r, const char *name)
{
    for (size_t i = 1; i < r->argc; i++)
        if (arg_is(r->argv[i], name) || arg_is(r->argv[i], "all") || arg_is(r->argv[i], "everything") ||
            arg_is(r->argv[i], "default"))
            return true;
    return r->argc == 1;
}

void command_info(struct request *r)
{
    struct buf b;

    buf_init(&b, INFO_MAX);
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        if (!section_wanted(r, sections[i].name))
            continue;
        buf_addf(&b, "%s# %s\r\n", buf_len(&b) > 0 ? "\r\n" : "", sections[i].name);
        sections[i].add(r->core, &b);
    }
    resp_add_verbatim(&r->reply, buf_bytes(&b), r->proto);
    buf_fini(&b);
    request_done(r);
}

/* As in Redis, success has no reply: the connection closes. HANDOVER: for graftd --takeover, see inherit.h. */
void command_shutdown(struct request *r)
{
    struct failure why = { 0 };

    if (r->argc == 2 && arg_is(r->argv[1], "HANDOVER") && r->core->hand_over(r->core, r, &why) != OK) {
        request_fail(r, &why);
        return;
    }
    r->core->drain(r->core);
    client_quit(r->client);
    request_done(r);
}
