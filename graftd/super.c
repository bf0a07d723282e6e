#include "graftd/super_impl.h"

#include "graftd/obituary.h"
#include "lib/state.h"
#include "lib/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BACKOFF_MS_MIN = 10,
    BACKOFF_MS_MAX = 5000,
    WORKER_CPU_S = 60,      /* a worker older than this in CPU time is replaced between two calls, */
    WORKER_CPU_S_SLACK = 5, /* so that RLIMIT_CPU, this much above that and a call's limit, is met by runaways alone */
    INTRODUCE_MS_MAX = 10000,  /* a template must have said what its graft is */
    START_LOG_LINES_MAX = 100, /* of graft_init; later ones are dropped */
    IDLE_CPU_US_MAX = 20000,   /* CPU time that a worker may use while it serves nobody */
    IDLE_CHECK_MS = 1000,
    WALLS_MAX = 512,
    START_MS_MIN = 1000, /* graft_init may take the graft's wall limit, and at least this */
};

static const struct state worker_states[] = {
    [STARTING] = { "starting", STATE_BIT(IDLE) | STATE_BIT(DYING) },
    [IDLE] = { "idle", STATE_BIT(BUSY) | STATE_BIT(DYING) },
    [BUSY] = { "busy", STATE_BIT(IDLE) | STATE_BIT(DYING) },
    [DYING] = { "dying", 0 },
};

struct super {
    struct port *port;
    const struct super_events *events;
    void *owner;
    struct port_process *zygote;
    bool ready;
    char walls[WALLS_MAX];
    struct failure refused;
    struct super_stats stats;
};

/* ---- workers ---- */

static void pool_died_young(struct pool *p, const char *why);
static void pool_died_unused(struct pool *p);
static void pool_fill_later(struct pool *p);
static void pool_check_closed(struct pool *p);

struct port *pool_port(const struct pool *p) { return p->super->port; }

struct super_stats *pool_stats(const struct pool *p) { return &p->super->stats; }

void worker_move(struct worker *w, enum worker_state next)
{
    struct pool *p = w->pool;

    if (w->state == STARTING) {
        p->starting--;
        p->super->port->ops->timer_free(&w->start_timer);
    }
    if (next == DYING)
        p->live--;
    if (next == DYING && w->state == BUSY)
        pool_spend(p);
    if (w->state == IDLE)
        p->idle_count--;
    if (w->state == BUSY && w->lent)
        p->lent--;
    else if (w->state == BUSY)
        p->taken--;
    state_move(worker_states, &w->state, next);
    list_remove(&w->link);
    if (next != IDLE) {
        list_push(&p->others, &w->link);
        return;
    }
    p->idle_count++;
    if (w->served > 0)
        list_push_front(&p->idle, &w->link);
    else
        list_push(&p->idle, &w->link);
}

uint64_t worker_read_cpu(struct worker *w)
{
    w->cpu_us = w->pool->super->port->ops->process_cpu_us(w->process);
    return w->cpu_us;
}

void worker_end(struct worker *w, const char *why, enum log_level level)
{
    struct seat *head = worker_empty(w);

    snprintf(w->words, sizeof w->words, "%s", why);
    worker_move(w, DYING);
    w->pool->super->port->ops->process_kill(w->process);
    w->pool->super->stats.killed++;
    log_line(w->pool->closing ? LOG_DEBUG : level, "%s: worker %d killed: %s", w->pool->label,
             (int)w->pool->super->port->ops->process_pid(w->process), why);
    if (head != NULL)
        head->events->died(head, w->words, false);
}

void worker_condemn(struct worker *w, const char *why, enum log_level level)
{
    unsigned was = w->state;

    if (was == DYING)
        return;
    worker_end(w, why, level);
    if (was == STARTING)
        pool_died_young(w->pool, w->words);
    else if (was == IDLE && w->served == 0)
        pool_died_unused(w->pool);
    pool_fill_later(w->pool);
    if (was == BUSY)
        pool_serve(w->pool); /* one that is idle may have been one too many until now */
}

bool worker_is_old(const struct worker *w) { return w->cpu_us > WORKER_CPU_S * 1000000ull; }

/* Some time later it is looked at once: one that does not wait for its next call by then never will, as it cannot sleep. */
static void worker_rests(struct worker *w)
{
    struct pool *p = w->pool;

    if (!p->rest_armed)
        p->super->port->ops->timer_start(p->rest, IDLE_CHECK_MS);
    p->rest_armed = true;
    w->rest_cpu_us = w->cpu_us;
    worker_move(w, IDLE);
}

void worker_freed(struct worker *w)
{
    struct pool *p = w->pool;

    w->served++;
    p->backoff_ms = BACKOFF_MS_MIN;
    worker_rests(w);
    if (p->super->port->ops->process_said_more(w->process))
        worker_condemn(w, "spoke on after its call had ended", LOG_INFO);
    else if (worker_is_old(w))
        worker_condemn(w, "is old, and replaced by a new one", LOG_INFO);
    else if (p->live > p->worker_max + p->lent && list_empty(&p->waiting))
        worker_condemn(w, "was one more than the most, for a nested call", LOG_DEBUG);
}

bool worker_rested(struct worker *w)
{
    if (worker_read_cpu(w) <= w->rest_cpu_us + IDLE_CPU_US_MAX)
        return true;
    worker_condemn(w, "used CPU time while it served nobody", LOG_INFO);
    return false;
}

static bool worker_came_up(struct worker *w, struct bytes body)
{
    struct pool *p = w->pool;
    struct wire_READY m;

    if (!wire_read_READY(body, &m))
        return false;
    worker_read_cpu(w);
    worker_rests(w);
    if (!p->proven) {
        p->proven = true;
        if (!p->settled) /* another worker may have failed before */
            p->events->ready(p->owner);
    }
    pool_serve(p);
    return true;
}

static void worker_log(struct worker *w, struct bytes body)
{
    struct wire_LOG m;
    char text[LOG_LINE_MAX];

    if (wire_read_LOG(body, &m) && w->log_lines++ < START_LOG_LINES_MAX)
        log_line(LOG_INFO, "%s: %s", w->pool->label, bytes_show(m.text, text, sizeof text));
}

static bool worker_message(void *owner, uint8_t number, struct bytes body)
{
    struct worker *w = owner;
    struct wire_DYING last;

    if (number == WIRE_DYING && w->state != IDLE && w->words[0] == '\0' && wire_read_DYING(body, &last) &&
        last.text.len > 0) {
        bytes_show(last.text, w->words, sizeof w->words);
        return true;
    }
    if (w->words[0] != '\0' && w->state != DYING) { /* those were its last words */
        worker_condemn(w, "spoke on after its last words", LOG_INFO);
        return true;
    }
    if (w->state == BUSY)
        return worker_head(w)->events->message(worker_head(w), number, body);
    if (w->state == STARTING && number == WIRE_LOG)
        worker_log(w, body);
    else if (w->state != STARTING || number == WIRE_MEMORY || number != WIRE_READY || !worker_came_up(w, body))
        worker_condemn(w, "spoke out of turn", LOG_INFO);
    return true;
}

static void worker_broken(void *owner, const char *what)
{
    struct worker *w = owner;
    char text[WORDS_MAX];

    snprintf(text, sizeof text, "broke the protocol: %s", what);
    worker_condemn(w, text, LOG_INFO);
}

static void worker_died(void *owner, const struct obituary *o)
{
    struct worker *w = owner;
    struct pool *p = w->pool;
    struct seat *head = worker_empty(w);
    unsigned was = w->state;
    bool unused = w->served == 0;
    char why[WORDS_MAX];

    obituary_explain(o, w->words, why, sizeof why);
    log_line(was == DYING ? LOG_DEBUG : LOG_WARNING, "%s: worker %d %s (cpu %llu ms, memory %llu KiB)", p->label,
             (int)p->super->port->ops->process_pid(w->process), why, (unsigned long long)o->cpu_us / 1000,
             (unsigned long long)o->rss_max_kib);
    if (was != DYING)
        worker_move(w, DYING);
    p->super->stats.died++;
    p->super->stats.workers--;
    if (head != NULL)
        head->events->died(head, why, obituary_outside(o, w->words));
    list_remove(&w->link);
    p->total--;
    free(w);
    if (was == STARTING)
        pool_died_young(p, why);
    else if (was == IDLE && unused)
        pool_died_unused(p);
    pool_fill_later(p);
    if (was == BUSY)
        pool_serve(p);
    pool_check_closed(p);
}

static const struct process_events worker_process_events = { worker_message, worker_broken, worker_died };

static void start_took_too_long(void *owner) { worker_condemn(owner, "did not finish graft_init in time", LOG_INFO); }

static enum err worker_start(struct pool *p, struct failure *why)
{
    struct port *port = p->super->port;
    struct worker *w = calloc(1, sizeof *w);

    if (w == NULL)
        return fail(why, ERR_NOMEM, "no memory for a worker");
    w->pool = p;
    w->state = STARTING;
    list_init(&w->seats);
    w->start_timer = port->ops->timer_new(port, start_took_too_long, w);
    if (w->start_timer == NULL || port->ops->process_spawn(port, p->template, &p->limits, -1, &worker_process_events, w,
                                                           &w->process, why) != OK) {
        port->ops->timer_free(&w->start_timer);
        free(w);
        return fail(why, ERR_NOMEM, "no memory for a worker");
    }
    port->ops->timer_start(w->start_timer, p->start_ms);
    list_push(&p->others, &w->link);
    p->total++;
    p->live++;
    p->starting++;
    p->super->stats.forked++;
    p->super->stats.workers++;
    return OK;
}

/* ---- pools ---- */

static void pool_fail(struct pool *p, enum err err, const char *why)
{
    struct failure f = { 0 };

    if (p->settled || p->closing)
        return;
    p->settled = true;
    fail(&f, err, "%s", why);
    p->events->failed(p->owner, &f);
}

static void back_off(struct pool *p)
{
    p->backing_off = true;
    p->super->port->ops->timer_start(p->timer, p->backoff_ms);
    p->backoff_ms = p->backoff_ms * 2 > BACKOFF_MS_MAX ? BACKOFF_MS_MAX : p->backoff_ms * 2;
}

/* A worker ended before it was ready: the graft is bad, or the machine is out of something. */
static void pool_died_young(struct pool *p, const char *why)
{
    char text[FAILURE_TEXT_MAX];

    if (p->closing)
        return;
    snprintf(text, sizeof text, "its first worker did not come up: %s", why);
    if (!p->proven)
        pool_fail(p, ERR_BADGRAFT, text);
    else if (!p->backing_off)
        back_off(p);
    if (p->live == 0)
        pool_refuse_waiting(p, ERR_CRASHED, why);
}

/* A worker that was ready and ended before it served anybody: the next one may do the same, so it is not started at once. */
static void pool_died_unused(struct pool *p)
{
    if (!p->closing && !p->backing_off)
        back_off(p);
}

static bool pool_wants_worker(const struct pool *p)
{
    if (!p->started || p->closing || p->settled || p->backing_off || p->template == NULL ||
        p->live >= p->worker_max + p->urgent + p->lent)
        return false;
    return p->live < p->worker_min || (!p->proven && p->live == 0) || p->queue_len > p->starting ||
           p->idle_count + p->starting < p->spares;
}

void pool_fill(struct pool *p)
{
    struct failure why = { 0 };

    while (pool_wants_worker(p)) {
        if (worker_start(p, &why) != OK) {
            log_line(LOG_WARNING, "%s: cannot start a worker: %s", p->label, why.text);
            if (!p->proven)
                pool_died_young(p, why.text);
            if (!p->backing_off)
                back_off(p); /* who waits is told by the timer, not from in here: a caller may be about to wait */
            return;
        }
    }
}

static void fill_timer(void *owner)
{
    struct pool *p = owner;

    p->filler_armed = false;
    pool_fill(p);
}

/* Whoever used up a worker has its answer first, and then the next worker is born; unless somebody waits for one. */
static void pool_fill_later(struct pool *p)
{
    if (!list_empty(&p->waiting))
        pool_fill(p);
    else if (!p->filler_armed && pool_wants_worker(p)) {
        p->filler_armed = true;
        p->super->port->ops->timer_start(p->filler, 0);
    }
}

/* The idle are looked at some time after they became so, and before they are used: what their CPU time goes into is nobody's call (W3). */
static void rest_timer(void *owner)
{
    struct pool *p = owner;

    p->rest_armed = false;
    list_each (node, &p->idle)
        (void)worker_rested(list_entry(node, struct worker, link));
}

static void pool_timer(void *owner)
{
    struct pool *p = owner;

    p->backing_off = false;
    if (!p->introduced && !p->closing) {
        pool_fail(p, ERR_BADGRAFT, "the process that opened it did not say what it is in time");
        return;
    }
    pool_fill(p);
    if (p->live == 0 && p->backing_off)
        pool_refuse_waiting(p, ERR_BUSY, "no worker can be started now; try again later");
    pool_check_closed(p);
}

static void pool_free(struct pool *p)
{
    const struct port_ops *ops = p->super->port->ops;

    ops->group_free(&p->group);
    ops->timer_free(&p->timer);
    ops->timer_free(&p->rest);
    ops->timer_free(&p->looker);
    ops->timer_free(&p->spender);
    ops->timer_free(&p->filler);
    spares_fini(p);
    free(p);
}

static void pool_check_closed(struct pool *p)
{
    const struct pool_events *events = p->events;
    void *owner = p->owner;

    if (!p->closing || p->template != NULL || p->total > 0 || p->placing)
        return;
    pool_free(p);
    events->closed(owner);
}

static bool template_message(void *owner, uint8_t number, struct bytes body)
{
    struct pool *p = owner;
    struct wire_MANIFEST manifest;
    struct wire_REFUSED refused;
    char text[FAILURE_TEXT_MAX];

    if (p->closing)
        return true;
    if (number == WIRE_MANIFEST && !p->introduced && wire_read_MANIFEST(body, &manifest)) {
        p->introduced = true;
        p->super->port->ops->timer_stop(p->timer);
        p->events->manifest(p->owner, manifest.text);
    } else if (number == WIRE_REFUSED && wire_read_REFUSED(body, &refused)) {
        pool_fail(p, ERR_BADGRAFT, bytes_show(refused.text, text, sizeof text));
    } else {
        pool_fail(p, ERR_BADGRAFT, "its template spoke out of turn");
        p->super->port->ops->process_kill(p->template);
    }
    return true;
}

static void template_broken(void *owner, const char *what)
{
    struct pool *p = owner;

    log_line(LOG_WARNING, "%s: template broke the protocol: %s", p->label, what);
    p->super->port->ops->process_kill(p->template);
}

static void template_died(void *owner, const struct obituary *o)
{
    struct pool *p = owner;
    char why[WORDS_MAX], text[FAILURE_TEXT_MAX];

    obituary_explain(o, "", why, sizeof why);
    p->template = NULL;
    if (!p->closing && !p->settled)
        log_line(LOG_WARNING, "%s: template %s", p->label, why);
    snprintf(text, sizeof text, "the process that opened it %s", why);
    pool_fail(p, ERR_BADGRAFT, text);
    pool_refuse_waiting(p, ERR_CRASHED, why);
    pool_check_closed(p);
}

static const struct process_events template_process_events = { template_message, template_broken, template_died };

enum err pool_open(struct super *s, int file, const char *label, const struct pool_events *events, void *owner,
                   struct pool **out, struct failure *why)
{
    static const struct process_limits none = { 0 };
    struct pool *p = calloc(1, sizeof *p);

    if (p == NULL)
        return fail(why, ERR_NOMEM, "no memory for the graft");
    *p = (struct pool){ .super = s, .label = label, .events = events, .owner = owner, .backoff_ms = BACKOFF_MS_MIN };
    list_init(&p->idle);
    list_init(&p->others);
    seats_init(p);
    p->timer = s->port->ops->timer_new(s->port, pool_timer, p);
    p->rest = s->port->ops->timer_new(s->port, rest_timer, p);
    p->looker = s->port->ops->timer_new(s->port, pool_look, p);
    p->spender = s->port->ops->timer_new(s->port, pool_spent_lately, p);
    p->filler = s->port->ops->timer_new(s->port, fill_timer, p);
    if (p->timer == NULL || p->rest == NULL || p->looker == NULL || p->spender == NULL || p->filler == NULL ||
        s->port->ops->process_spawn(s->port, s->zygote, &none, file, &template_process_events, p, &p->template, why) !=
            OK) {
        pool_free(p);
        return fail(why, ERR_NOMEM, "no memory for the graft");
    }
    s->port->ops->timer_start(p->timer, INTRODUCE_MS_MAX);
    *out = p;
    return OK;
}

/* Workers from now on: they are born where their template is. */
static void pool_placed(void *owner)
{
    struct pool *p = owner;

    p->placing = false;
    p->started = true;
    pool_fill(p);
    pool_check_closed(p);
}

void pool_start(struct pool *p, const struct grant_limits *limits, const struct policy_limits *bounds)
{
    p->limits = (struct process_limits){
        .memory_max = limits->memory,
        .stack_max = limits->stack,
        .cpu_s_max = WORKER_CPU_S + limits->cpu_ms / 1000 + WORKER_CPU_S_SLACK,
        .key_max = (uint32_t)bounds->key_max,
        .value_max = (uint32_t)bounds->value_max,
    };
    p->start_ms = limits->wall_ms > START_MS_MIN ? limits->wall_ms : START_MS_MIN;
    p->worker_min = limits->worker_min;
    p->worker_max = limits->worker_max;
    p->fresh = limits->fresh;
    p->queue_max = bounds->queue_max;
    if (p->template != NULL)
        p->group =
            p->super->port->ops->group_new(p->super->port, p->template, p->label, limits->cpu_weight, pool_placed, p);
    p->placing = p->group != NULL;
    if (!p->placing) {
        p->started = true;
        pool_fill(p);
    }
}

void pool_close(struct pool *p)
{
    static const char gone[] = "is not needed any more";
    struct port *port = p->super->port;

    p->closing = true;
    pool_refuse_waiting(p, ERR_NOGRAFT, "is being unloaded");
    list_each (node, &p->idle) {
        struct worker *w = list_entry(node, struct worker, link);
        worker_condemn(w, gone, LOG_DEBUG);
    }
    list_each (node, &p->others)
        worker_condemn(list_entry(node, struct worker, link), gone, LOG_DEBUG);
    if (p->template != NULL)
        port->ops->process_kill(p->template);
    port->ops->timer_start(p->timer, 0);
}

size_t pool_worker_count(const struct pool *p) { return p->live; }

/* ---- the zygote ---- */

static bool zygote_message(void *owner, uint8_t number, struct bytes body)
{
    struct super *s = owner;
    struct wire_MANIFEST walls;
    struct wire_REFUSED refused;
    char text[FAILURE_TEXT_MAX];

    if (number == WIRE_MANIFEST && !s->ready && wire_read_MANIFEST(body, &walls)) {
        while (walls.text.len > 0 && ((const char *)walls.text.data)[walls.text.len - 1] == '\0')
            walls.text.len--; /* a text record ends with NUL */
        if (bytes_start_with(walls.text, bytes_str("walls\t")))
            walls.text = bytes_of((const char *)walls.text.data + 6, walls.text.len - 6);
        bytes_show(walls.text, s->walls, sizeof s->walls);
        s->ready = true;
        s->events->ready(s->owner);
    } else if (number == WIRE_REFUSED && wire_read_REFUSED(body, &refused)) {
        fail(&s->refused, ERR_DENIED, "%s", bytes_show(refused.text, text, sizeof text));
    } else {
        s->port->ops->process_kill(s->zygote);
    }
    return true;
}

static void zygote_broken(void *owner, const char *what)
{
    struct super *s = owner;

    fail(&s->refused, ERR_CRASHED, "the zygote broke the protocol: %s", what);
    s->port->ops->process_kill(s->zygote);
}

static void zygote_died(void *owner, const struct obituary *o)
{
    struct super *s = owner;
    char why[WORDS_MAX];

    s->zygote = NULL;
    obituary_explain(o, s->refused.text, why, sizeof why);
    s->events->lost(s->owner, why);
}

static const struct process_events zygote_process_events = { zygote_message, zygote_broken, zygote_died };

enum err super_new(struct port *port, const struct super_events *events, void *owner, struct super **out,
                   struct failure *why)
{
    struct super *s = calloc(1, sizeof *s);

    if (s == NULL)
        return fail(why, ERR_NOMEM, "no memory for the supervisor");
    *s = (struct super){ .port = port, .events = events, .owner = owner };
    if (port->ops->zygote_open(port, &zygote_process_events, s, &s->zygote, why) != OK) {
        free(s);
        return why->err;
    }
    *out = s;
    return OK;
}

void super_stop(struct super *s)
{
    if (s->zygote != NULL)
        s->port->ops->process_kill(s->zygote);
    else
        s->events->lost(s->owner, "it is gone");
}

void super_free(struct super **s)
{
    free(*s);
    *s = NULL;
}

const char *super_walls(const struct super *s) { return s->walls; }

void super_stats(const struct super *s, struct super_stats *out) { *out = s->stats; }
