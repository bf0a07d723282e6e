#include "tests/sim/port_sim.h"

#include "lib/check.h"
#include "lib/wire.h"
#include "tests/sim/graft_sim.h"
#include "tests/sim/port_sim_inside.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PIPE_MAX = 1 << 20, /* bytes */
    OBJECT_MAX = 256,   /* bytes of a simulated object */
    FIRST_WALL_S = 1000000000,
    STEP_CPU_US = 4, /* of a worker */
};

enum kind { ZYGOTE, TEMPLATE, WORKER };

struct port_process {
    struct list link;
    struct port_sim *sim;
    enum kind kind;
    const struct process_events *events;
    void *owner;
    struct port_process *nursery; /* NULL: the zygote, or the nursery went first */
    pid_t pid;
    bool born, dead;           /* dead: of itself or by a kill, and its death is not told yet */
    bool held, killed, broken; /* held: its owner could not take a message */
    bool in_message;
    size_t in_hand;
    struct buf pipe, in; /* what it said: on its way; arrived */
    struct buf out;      /* what it was told */
    uint64_t cpu_us;
    struct obituary obituary;
    struct bytes object; /* owned; a template's */
    struct graft_sim graft;
};

struct port_group {
    void (*done)(void *owner);
    void *owner;
    bool told;
};

static int64_t now_ms(struct port *p) { return simulated(p)->now_ms; }

static int64_t wall_us(struct port *p) { return FIRST_WALL_S * INT64_C(1000000) + simulated(p)->now_ms * 1000; }

static void fill_random(struct port *p, void *out, size_t n)
{
    for (uint8_t *to = out; n > 0; n--)
        *to++ = (uint8_t)chance_next(simulated(p)->chance);
}

static void soon(struct port *p) { simulated(p)->tick_wanted = true; }

/* ---- processes ---- */

static struct port_process *process_new(struct port_sim *s, enum kind kind, const struct process_events *events,
                                        void *owner)
{
    struct port_process *p = calloc(1, sizeof *p);

    CHECK(p != NULL);
    *p = (struct port_process){ .sim = s, .kind = kind, .events = events, .owner = owner };
    buf_init(&p->pipe, PIPE_MAX);
    buf_init(&p->in, PIPE_MAX);
    buf_init(&p->out, PIPE_MAX);
    list_push(&s->processes, &p->link);
    return p;
}

static void process_free(struct port_process *p)
{
    list_remove(&p->link);
    buf_fini(&p->pipe);
    buf_fini(&p->in);
    buf_fini(&p->out);
    graft_sim_fini(&p->graft);
    free((void *)(uintptr_t)p->object.data);
    free(p);
}

static enum err zygote_open(struct port *port, const struct process_events *events, void *owner,
                            struct port_process **out, struct failure *why)
{
    (void)why;
    *out = process_new(simulated(port), ZYGOTE, events, owner);
    return OK;
}

static struct bytes read_object(int file)
{
    char text[OBJECT_MAX];
    ssize_t n = pread(file, text, sizeof text, 0);
    char *copy;

    CHECK(n >= 0);
    copy = bytes_dup(bytes_of(text, (size_t)n));
    CHECK(copy != NULL);
    return bytes_of(copy, (size_t)n);
}

static enum err process_spawn(struct port *port, struct port_process *nursery, const struct process_limits *limits,
                              int file, const struct process_events *events, void *owner, struct port_process **out,
                              struct failure *why)
{
    struct port_sim *s = simulated(port);
    struct port_process *p;

    (void)limits;
    CHECK(nursery->kind != WORKER);
    CHECK((file >= 0) == (nursery->kind == ZYGOTE));
    if (fault(s))
        return fail(why, ERR_BUSY, "no descriptors left for another process");
    p = process_new(s, nursery->kind == ZYGOTE ? TEMPLATE : WORKER, events, owner);
    p->nursery = nursery;
    if (file >= 0)
        p->object = read_object(file);
    *out = p;
    return OK;
}

static enum err process_send(struct port_process *p, struct bytes frames)
{
    return p->dead ? OK : buf_add(&p->out, frames.data, frames.len);
}

/* Gives the owner what arrived whole, as the real one does. */
static void deliver(struct port_process *p)
{
    uint8_t number;
    struct bytes body;
    enum err err;

    p->in_message = true;
    while (!p->killed && !p->broken && !p->held) {
        err = wire_next(buf_bytes(&p->in), &number, &body, &p->in_hand);
        if (err == ERR_AGAIN)
            break;
        if (err != OK) {
            p->broken = true;
            p->events->broken(p->owner, "it sent a frame of impossible length");
            break;
        }
        if (!p->events->message(p->owner, number, body)) {
            p->held = !p->killed;
            break;
        }
        buf_consume(&p->in, p->in_hand);
        p->in_hand = 0;
    }
    p->in_message = false;
}

static void process_resume(struct port_process *p)
{
    if (!p->held)
        return;
    CHECK(!p->in_message);
    p->held = false;
    if (chance_one_in(p->sim->chance, 2))
        deliver(p);
}

static bool process_said_more(struct port_process *p) { return buf_len(&p->in) > p->in_hand; }

static void process_kill(struct port_process *p)
{
    p->killed = true;
    p->held = false;
    buf_clear(&p->out);
}

static void process_dies(struct port_process *p, int code, int status)
{
    if (p->dead)
        return;
    p->dead = true;
    p->obituary = (struct obituary){
        .born = p->born, .errnum = p->born ? 0 : EAGAIN, .code = code, .status = status, .cpu_us = p->cpu_us
    };
}

static void process_end(struct port_process *p) { process_dies(p, CLD_EXITED, 0); }

static uint64_t process_cpu_us(struct port_process *p) { return p->cpu_us; }

/* Time in this world is not shared. */
static void process_slow(struct port_process *p, struct port_group *group)
{
    (void)p;
    (void)group;
}

static pid_t process_pid(struct port_process *p) { return p->pid; }

static void group_waits(void *group) { (void)group; }

static void group_told(void *group)
{
    struct port_group *g = group;

    g->told = true;
    g->done(g->owner);
}

/* Some grafts have none. The others have no share, either, but with the time that it takes to have one. */
static struct port_group *group_new(struct port *port, struct port_process *template, const char *name, uint32_t weight,
                                    void (*done)(void *owner), void *owner)
{
    struct port_group *g = chance_one_in(simulated(port)->chance, 2) ? NULL : calloc(1, sizeof *g);

    (void)name;
    CHECK(template->kind == TEMPLATE);
    CHECK(weight > 0);
    if (g == NULL)
        return NULL;
    *g = (struct port_group){ .done = done, .owner = owner };
    if (work_queue(port, group_waits, group_told, g) == OK)
        return g;
    free(g);
    return NULL;
}

static void group_free(struct port_group **g)
{
    CHECK(*g == NULL || (*g)->told);
    free(*g);
    *g = NULL;
}

/* ---- events ---- */

static void tick_comes(struct port_sim *s, void *what)
{
    (void)what;
    s->tick_wanted = false;
    s->base.tick(s->base.tick_owner);
}

static void disk_wakes(struct port_sim *s, void *what)
{
    (void)what;
    s->tick_wanted = true;
}

static void time_passes(struct port_sim *s, int64_t ms)
{
    s->now_ms += ms;
    list_each (node, &s->processes) {
        struct port_process *p = list_entry(node, struct port_process, link);
        if (!p->dead && p->kind == WORKER && p->graft.state == GRAFT_SPINS)
            p->cpu_us += (uint64_t)ms * 1000;
    }
}

/* From outside: an operator, or a machine that is out of memory. */
static void someone_kills(struct port_sim *s)
{
    list_each (node, &s->processes) {
        struct port_process *p = list_entry(node, struct port_process, link);
        if (p->kind != ZYGOTE && p->born && chance_one_in(s->chance, 4)) {
            process_dies(p, CLD_KILLED, SIGKILL);
            return;
        }
    }
}

static void clock_moves(struct port_sim *s, void *what)
{
    (void)what;
    if (fault(s))
        someone_kills(s);
    time_passes(s, 1 + chance_below(s->chance, 3));
}

static void birth(struct port_sim *s, void *what)
{
    struct port_process *p = what;

    if (p->nursery != NULL && fault(s)) {
        process_dies(p, 0, 0);
        return;
    }
    p->born = true;
    p->pid = ++s->last_pid;
    if (p->kind == ZYGOTE)
        CHECK(wire_add_MANIFEST(&p->pipe, &(struct wire_MANIFEST){ bytes_str("walls\tsimulated") }) == OK);
    else if (p->kind == TEMPLATE)
        graft_sim_introduce(p->object, &p->pipe);
    else
        graft_sim_init(&p->graft, p->nursery->object, s->chance);
}

static void worker_runs(struct port_sim *s, void *what)
{
    struct port_process *p = what;

    (void)s;
    graft_sim_run(&p->graft, &p->out, &p->pipe);
    p->cpu_us += STEP_CPU_US;
    if (p->graft.state == GRAFT_DIES && p->graft.signal_number == 0)
        process_dies(p, CLD_EXITED, 3);
    else if (p->graft.state == GRAFT_DIES)
        process_dies(p, CLD_KILLED, p->graft.signal_number);
}

static void kill_lands(struct port_sim *s, void *what)
{
    (void)s;
    process_dies(what, CLD_KILLED, SIGKILL);
}

static void words_arrive(struct port_sim *s, void *what)
{
    struct port_process *p = what;

    if (buf_len(&p->pipe) > 0)
        move_bytes(&p->pipe, &p->in, p->kind == WORKER ? some_of(s, buf_len(&p->pipe)) : buf_len(&p->pipe));
    deliver(p);
}

static bool whole_message(const struct port_process *p)
{
    uint8_t number;
    struct bytes body;
    size_t used;

    return wire_next(buf_bytes(&p->in), &number, &body, &used) != ERR_AGAIN;
}

/* What a nursery leaves behind dies with it, and nobody writes its obituary. */
static void orphan_children(struct port_process *nursery)
{
    list_each (node, &nursery->sim->processes) {
        struct port_process *p = list_entry(node, struct port_process, link);
        if (p->nursery != nursery)
            continue;
        p->nursery = NULL;
        process_dies(p, 0, 0);
    }
}

static void death_is_told(struct port_sim *s, void *what)
{
    struct port_process *p = what;

    (void)s;
    if (buf_len(&p->in) > 0 && !p->killed && !p->broken) {
        p->broken = true;
        p->events->broken(p->owner, "it stopped in the middle of a message");
        return; /* the death is told later */
    }
    orphan_children(p);
    p->events->died(p->owner, &p->obituary);
    process_free(p);
}

static void process_events(struct port_process *p, struct turn *t)
{
    bool heard = !p->killed && !p->broken;

    if (!p->dead && p->killed)
        can_happen(t, kill_lands, p);
    else if (!p->dead && !p->born && (p->kind == ZYGOTE || !p->nursery->dead))
        can_happen(t, birth, p);
    else if (!p->dead && p->born && p->kind == WORKER && graft_sim_can_run(&p->graft, &p->out))
        can_happen(t, worker_runs, p);
    if (heard && !p->held && (buf_len(&p->pipe) > 0 || whole_message(p)))
        can_happen(t, words_arrive, p);
    else if (p->dead && (!heard || !p->held))
        can_happen(t, death_is_told, p);
}

static void peer_acts(struct port_sim *s, void *what)
{
    struct peer *peer = what;

    (void)s;
    peer->act(peer);
}

static void collect_events(struct port_sim *s, struct turn *t)
{
    struct port_timer *first = timer_first(s);

    if (s->tick_wanted)
        can_happen(t, tick_comes, NULL);
    else if (s->options.disk_busy(s->options.disk))
        can_happen(t, disk_wakes, NULL);
    if (first != NULL && first->due_ms <= s->now_ms)
        can_happen(t, timer_fires, first);
    work_events(s, t);
    list_each (node, &s->processes)
        process_events(list_entry(node, struct port_process, link), t);
    list_each (node, &s->streams)
        stream_events(list_entry(node, struct port_stream, link), t);
    list_each (node, &s->peers) {
        struct peer *peer = list_entry(node, struct peer, link);
        if (peer->can_act(peer))
            can_happen(t, peer_acts, peer);
    }
    if (t->count > 0)
        can_happen(t, clock_moves, NULL);
}

bool port_sim_step(struct port *port)
{
    struct port_sim *s = simulated(port);
    struct port_timer *first;
    struct turn t = { .count = 0 };
    struct event *e;

    collect_events(s, &t);
    if (t.count == 0) {
        if ((first = timer_first(s)) == NULL)
            return false;
        time_passes(s, first->due_ms - s->now_ms);
        return true;
    }
    e = &t.events[chance_below(s->chance, t.count)];
    e->happens(s, e->what);
    return true;
}

/* ---- the whole ---- */

static const struct port_ops ops = {
    .now_ms = now_ms,
    .wall_us = wall_us,
    .random = fill_random,
    .soon = soon,
    .timer_new = timer_new,
    .timer_start = timer_start,
    .timer_stop = timer_stop,
    .timer_free = timer_free,
    .work = work_queue,
    .zygote_open = zygote_open,
    .process_spawn = process_spawn,
    .process_send = process_send,
    .process_resume = process_resume,
    .process_said_more = process_said_more,
    .process_kill = process_kill,
    .process_end = process_end,
    .process_cpu_us = process_cpu_us,
    .process_slow = process_slow,
    .group_new = group_new,
    .group_free = group_free,
    .process_pid = process_pid,
    .stream_open = stream_open,
    .stream_in = stream_in,
    .stream_send = stream_send,
    .stream_unsent = stream_unsent,
    .stream_pause = stream_pause,
    .stream_close = stream_close,
};

struct port *port_sim_new(const struct port_sim_options *options)
{
    struct port_sim *s = calloc(1, sizeof *s);

    CHECK(s != NULL);
    *s = (struct port_sim){ .base.ops = &ops, .options = *options, .chance = options->chance, .last_pid = 100 };
    list_init(&s->timers);
    list_init(&s->processes);
    list_init(&s->streams);
    list_init(&s->works);
    list_init(&s->peers);
    return &s->base;
}

const char *port_sim_free(struct port **p)
{
    struct port_sim *s = simulated(*p);
    const char *left;

    streams_end_lingering(s);
    left = !list_empty(&s->timers)      ? "a timer"
           : !list_empty(&s->processes) ? "a process"
           : !list_empty(&s->streams)   ? "a connection"
           : !list_empty(&s->works)     ? "work on another thread"
                                        : NULL;

    if (left == NULL)
        free(s);
    *p = NULL;
    return left;
}

void port_sim_peer(struct port *p, struct peer *peer)
{
    simulated(p)->newcomer = peer;
    list_push(&simulated(p)->peers, &peer->link);
}

void port_sim_set_faults(struct port *p, unsigned one_in) { simulated(p)->options.fault_one_in = one_in; }
