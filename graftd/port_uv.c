/*
 * The real world on one libuv loop: clock, timers, readiness, signals, wake-ups from other threads.
 * The only home of libuv.
 *
 * Time stands still while one callback of the loop runs: a clock is read at most once in each.
 *
 * Order of a turn: libuv calls timers and what is ready; then, before it sleeps, the prepare hook runs
 * the daemon's tick and the flushes until nobody asks for more. So all that one turn produced for one
 * peer leaves in one write.
 */
#include "graftd/port_uv.h"

#include "lib/check.h"
#include "lib/hash.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

enum {
    SIGNAL_MAX = 8,
    RANDOM_POOL = 4096,      /* bytes */
    SPARE_TIMERS_MAX = 1024, /* kept for the next calls: their memory, and libuv's two steps to close one */
    TICKS_PER_TURN_MAX = 64, /* then sleepers get their turn: I/O is looked at again */
};

struct port_uv {
    struct port base;
    uv_loop_t loop;
    uv_prepare_t prepare;
    uv_idle_t idle; /* active while work is left: keeps the loop from sleeping */
    uv_async_t wake;
    const char *worker_program;
    const struct layer_rules *layers;
    const struct cgroup *cgroup;
    uint8_t pool[RANDOM_POOL];
    size_t pool_left;
    uint64_t moment; /* callbacks so far */
    bool knows_ms, knows_us;
    int64_t us;
    struct port_timer *spare_timers;
    size_t spare_timer_count;
    bool tick_wanted;
    int working;                          /* pieces of work on other threads */
    struct flush *flushes, **flushes_end; /* in the order in which they were asked for */
    size_t signal_count;
    struct port_signal {
        uv_signal_t handle;
        void (*arrived)(void *owner, int signum);
        void *owner;
    } signals[SIGNAL_MAX];
};

struct port_timer {
    uv_timer_t handle;
    void (*fired)(void *owner);
    void *owner;
    struct port_timer *next_spare;
};

struct watch {
    uv_poll_t handle;
    int events; /* what is watched for now; asking for the same again costs no system call */
    watch_ready *ready;
    void *owner;
};

static struct port_uv *real(struct port *p) { return (struct port_uv *)p; }

/* A callback begins. */
static struct port_uv *enter(struct port_uv *p)
{
    p->moment++;
    p->knows_ms = p->knows_us = false;
    return p;
}

uint64_t port_uv_moment(struct port *p) { return real(p)->moment; }

static int64_t now_ms(struct port *port)
{
    struct port_uv *p = real(port);

    if (!p->knows_ms)
        uv_update_time(&p->loop);
    p->knows_ms = true;
    return (int64_t)uv_now(&p->loop);
}

static int64_t wall_us(struct port *port)
{
    struct port_uv *p = real(port);
    struct timespec ts;

    if (p->knows_us)
        return p->us;
    clock_gettime(CLOCK_REALTIME, &ts);
    p->us = (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
    p->knows_us = true;
    return p->us;
}

/* Seeds of calls are small and many: drawn from a pool, so that not each of them is a system call. Used bytes are wiped. */
static void fill_random(struct port *p, void *out, size_t n)
{
    struct port_uv *uv = real(p);

    CHECK(n <= sizeof uv->pool);
    if (uv->pool_left < n) {
        hash_random(uv->pool, sizeof uv->pool);
        uv->pool_left = sizeof uv->pool;
    }
    uv->pool_left -= n;
    memcpy(out, uv->pool + uv->pool_left, n);
    explicit_bzero(uv->pool + uv->pool_left, n);
}

static void idle_turn(uv_idle_t *handle) { (void)handle; }

static void keep_turning(struct port_uv *p)
{
    if (!uv_is_active((uv_handle_t *)&p->idle))
        CHECK(uv_idle_start(&p->idle, idle_turn) == 0);
}

static void soon(struct port *p) { real(p)->tick_wanted = true; }

void flush_soon(struct port *p, struct flush *f)
{
    if (f->queued)
        return;
    f->queued = true;
    f->next = NULL;
    *real(p)->flushes_end = f;
    real(p)->flushes_end = &f->next;
}

static void flush_out(struct port_uv *p, struct flush **at)
{
    struct flush *f = *at;

    *at = f->next;
    if (f->next == NULL)
        p->flushes_end = at;
    f->queued = false;
}

void flush_cancel(struct port *p, struct flush *f)
{
    if (!f->queued)
        return;
    for (struct flush **at = &real(p)->flushes; *at != NULL; at = &(*at)->next)
        if (*at == f) {
            flush_out(real(p), at);
            return;
        }
}

static void before_sleep(uv_prepare_t *handle)
{
    struct port_uv *p = handle->data;
    struct flush *f;

    uv_idle_stop(&p->idle);
    for (int i = 0; p->tick_wanted && i < TICKS_PER_TURN_MAX; i++) {
        enter(p)->tick_wanted = false;
        p->base.tick(p->base.tick_owner);
    }
    enter(p);
    while ((f = p->flushes) != NULL) {
        flush_out(p, &p->flushes);
        f->run(f);
    }
    if (p->tick_wanted)
        keep_turning(p);
}

static void woken(uv_async_t *handle) { enter(handle->data)->tick_wanted = true; }

void port_uv_wake(void *port) { uv_async_send(&real(port)->wake); }

/* ---- timers ---- */

static void timer_fired(uv_timer_t *handle)
{
    struct port_timer *t = handle->data;

    enter(handle->loop->data);
    t->fired(t->owner);
}

static struct port_timer *take_spare(struct port_uv *p)
{
    struct port_timer *t = p->spare_timers;

    if (t == NULL)
        return NULL;
    p->spare_timers = t->next_spare;
    p->spare_timer_count--;
    return t;
}

static struct port_timer *timer_new(struct port *p, void (*fired)(void *owner), void *owner)
{
    struct port_timer *t = take_spare(real(p));

    if (t == NULL && (t = calloc(1, sizeof *t)) != NULL)
        CHECK(uv_timer_init(&real(p)->loop, &t->handle) == 0);
    if (t == NULL)
        return NULL;
    t->handle.data = t;
    t->fired = fired;
    t->owner = owner;
    return t;
}

/* libuv counts from the time it looked at last, which may be long ago in a busy turn. */
static void timer_start(struct port_timer *t, uint64_t ms)
{
    (void)now_ms(t->handle.loop->data);
    CHECK(uv_timer_start(&t->handle, timer_fired, ms, 0) == 0);
}

static void timer_stop(struct port_timer *t) { uv_timer_stop(&t->handle); }

static void free_closed(uv_handle_t *handle) { free(handle->data); }

static void timer_free(struct port_timer **timer)
{
    struct port_timer *t = *timer;
    struct port_uv *p;

    if (t == NULL)
        return;
    *timer = NULL;
    p = t->handle.loop->data;
    if (p->spare_timer_count == SPARE_TIMERS_MAX) {
        uv_close((uv_handle_t *)&t->handle, free_closed);
        return;
    }
    uv_timer_stop(&t->handle);
    t->next_spare = p->spare_timers;
    p->spare_timers = t;
    p->spare_timer_count++;
}

/* ---- readiness ---- */

static void watch_event(uv_poll_t *handle, int status, int events)
{
    struct watch *w = handle->data;
    int ready = 0;

    enter(handle->loop->data);
    if (status < 0 || (events & UV_READABLE) != 0)
        ready |= WATCH_READ;
    if (status < 0 || (events & UV_WRITABLE) != 0)
        ready |= WATCH_WRITE;
    if (status < 0 || (events & (UV_DISCONNECT | UV_PRIORITIZED)) != 0)
        ready |= WATCH_HANGUP;
    w->ready(w->owner, ready);
}

enum err watch_new(struct port *p, int fd, watch_ready *ready, void *owner, struct watch **out)
{
    struct watch *w = calloc(1, sizeof *w);

    if (w == NULL)
        return ERR_NOMEM;
    if (uv_poll_init(&real(p)->loop, &w->handle, fd) != 0) {
        free(w);
        return ERR_NOMEM;
    }
    w->handle.data = w;
    w->ready = ready;
    w->owner = owner;
    *out = w;
    return OK;
}

void watch_set(struct watch *w, int events)
{
    int uv =
        ((events & WATCH_READ) != 0 ? UV_READABLE : 0) | ((events & WATCH_WRITE) != 0 ? UV_WRITABLE : 0) |
        ((events & WATCH_HANGUP) != 0 ? UV_DISCONNECT : 0) |
        ((events & WATCH_GONE) != 0 ? UV_PRIORITIZED : 0); /* which a Unix socket never has: only its loss is told */

    if (events == w->events)
        return;
    w->events = events;
    if (uv == 0)
        uv_poll_stop(&w->handle);
    else
        CHECK(uv_poll_start(&w->handle, uv, watch_event) == 0);
}

void watch_free(struct watch **w)
{
    if (*w == NULL)
        return;
    uv_close((uv_handle_t *)&(*w)->handle, free_closed);
    *w = NULL;
}

/* ---- work on another thread ---- */

struct work {
    uv_work_t handle;
    struct port *port;
    void (*work)(void *);
    void (*done)(void *);
    void *owner;
};

static void work_run(uv_work_t *handle)
{
    struct work *w = handle->data;

    w->work(w->owner);
}

static void work_done(uv_work_t *handle, int status)
{
    struct work *w = handle->data;

    CHECK(status == 0); /* we never cancel */
    enter(real(w->port));
    real(w->port)->working--;
    w->done(w->owner);
    free(w);
}

static enum err work_queue(struct port *p, void (*work)(void *), void (*done)(void *), void *owner)
{
    struct work *w = calloc(1, sizeof *w);

    if (w == NULL)
        return ERR_NOMEM;
    *w = (struct work){ .port = p, .work = work, .done = done, .owner = owner };
    w->handle.data = w;
    real(p)->working++;
    CHECK(uv_queue_work(&real(p)->loop, &w->handle, work_run, work_done) == 0);
    return OK;
}

/* ---- signals ---- */

static void signal_event(uv_signal_t *handle, int signum)
{
    struct port_signal *s = handle->data;

    enter(handle->loop->data);
    s->arrived(s->owner, signum);
}

enum err port_uv_signal(struct port *port, int signum, void (*arrived)(void *owner, int signum), void *owner)
{
    struct port_uv *p = real(port);
    struct port_signal *s = &p->signals[p->signal_count];

    CHECK(p->signal_count < SIGNAL_MAX);
    if (uv_signal_init(&p->loop, &s->handle) != 0)
        return ERR_NOMEM;
    p->signal_count++;
    s->handle.data = s;
    s->arrived = arrived;
    s->owner = owner;
    return uv_signal_start(&s->handle, signal_event, signum) == 0 ? OK : ERR_NOMEM;
}

/* ---- the loop ---- */

static enum err zygote_open(struct port *p, const struct process_events *events, void *owner, struct port_process **out,
                            struct failure *why)
{
    return process_open_zygote(p, real(p)->worker_program, real(p)->layers, events, owner, out, why);
}

static struct port_group *group_open(struct port *p, struct port_process *template, const char *name, uint32_t weight,
                                     void (*done)(void *owner), void *owner)
{
    return group_new(p, real(p)->cgroup, template, name, weight, done, owner);
}

static const struct port_ops port_uv_ops = {
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
    .process_slow = process_slow,
    .group_new = group_open,
    .group_free = group_free,
    .process_cpu_us = process_cpu_us,
    .process_pid = process_pid,
    .stream_open = stream_open,
    .stream_in = stream_in,
    .stream_send = stream_send,
    .stream_unsent = stream_unsent,
    .stream_give = stream_give,
    .stream_pause = stream_pause,
    .stream_close = stream_close,
};

enum err port_uv_new(const char *worker_program, const struct layer_rules *layers, const struct cgroup *cgroup,
                     struct port **out, struct failure *why)
{
    struct port_uv *p = calloc(1, sizeof *p);

    if (p == NULL)
        return fail(why, ERR_NOMEM, "no memory for the event loop");
    if (uv_loop_init(&p->loop) != 0) {
        free(p);
        return fail(why, ERR_NOMEM, "the event loop cannot be set up: out of descriptors or memory");
    }
    p->base.ops = &port_uv_ops;
    p->loop.data = p;
    p->flushes_end = &p->flushes;
    p->worker_program = worker_program;
    p->layers = layers;
    p->cgroup = cgroup;
    CHECK(uv_prepare_init(&p->loop, &p->prepare) == 0);
    CHECK(uv_idle_init(&p->loop, &p->idle) == 0);
    CHECK(uv_async_init(&p->loop, &p->wake, woken) == 0);
    p->prepare.data = p->wake.data = p;
    CHECK(uv_prepare_start(&p->prepare, before_sleep) == 0);
    *out = &p->base;
    return OK;
}

void port_uv_run(struct port *p)
{
    uv_run(&real(p)->loop, UV_RUN_DEFAULT);
    while (real(p)->working > 0) /* each ends by itself, and its owner counts on being told */
        uv_run(&real(p)->loop, UV_RUN_ONCE);
}

void port_uv_stop(struct port *p)
{
    uv_stop(&real(p)->loop);
    keep_turning(real(p));
}

void port_uv_free(struct port **port)
{
    struct port_uv *p;

    if (*port == NULL)
        return;
    p = real(*port);
    for (struct port_timer *t; (t = take_spare(p)) != NULL;)
        uv_close((uv_handle_t *)&t->handle, free_closed);
    uv_close((uv_handle_t *)&p->prepare, NULL);
    uv_close((uv_handle_t *)&p->idle, NULL);
    uv_close((uv_handle_t *)&p->wake, NULL);
    for (size_t i = 0; i < p->signal_count; i++)
        uv_close((uv_handle_t *)&p->signals[i].handle, NULL);
    uv_run(&p->loop, UV_RUN_NOWAIT); /* the second step of every close */
    CHECK(uv_loop_close(&p->loop) == 0);
    free(p);
    *port = NULL;
}
