/*
 * Who gets which worker. Calls of a quick graft are sent behind one that runs, so that one wake-up serves many; how many
 * follows from what its calls took lately, so that what stands before a call is always short. Whoever is taken back has
 * done nothing and holds nothing: so no call that waits ever waits for one that stands behind another (T6), and a
 * slow call costs those behind it little (W6).
 */
#include "graftd/super_impl.h"

#include "lib/check.h"

enum {
    DEPTH_MAX = 128,          /* calls in one worker */
    TURN_MAX = 16,            /* calls of one connection in a row, past others who wait */
    AHEAD_US_MAX = 400,       /* CPU time that the calls in one worker are expected to take together */
    BEHIND_FRAME_MAX = 4096,  /* bytes of the frame of a call that is sent behind another, */
    BEHIND_BYTES_MAX = 32768, /* and of all of them in one worker */
    LOOK_MS = 2,
    SLOW_US = 2000,    /* a head with calls behind it is slow when it used as much CPU time, */
    SLOW_LOOKS = 25,   /* or was still there after so many looks */
    ALONE_MIN = 4,     /* so many calls are sent alone after some were taken back; twice as many */
    ALONE_MAX = 16384, /* the next time, up to this many */
    UNSENT_MAX = 64,   /* the same after one could not be sent: 1, twice as many the next time, up to this many */
    WELL_FACTOR = 16,  /* unless so many times as many went well behind others meanwhile: then half */
    AVERAGE_OF = 8,
};

void seats_init(struct pool *p)
{
    list_init(&p->waiting);
    p->run_us = AHEAD_US_MAX; /* slow until a call has shown what it takes */
    p->alone_next = ALONE_MIN;
}

static struct seat *seat_of(struct list *node) { return list_entry(node, struct seat, link); }

struct seat *worker_head(const struct worker *w)
{
    struct list *node = list_first(&w->seats);

    return node == NULL ? NULL : seat_of(node);
}

bool seat_is_head(const struct seat *s) { return s->worker != NULL && worker_head(s->worker) == s; }

struct port_process *seat_process(const struct seat *s) { return s->worker->process; }

uint64_t seat_used_us(struct seat *s)
{
    if (seat_is_head(s))
        s->used_us = worker_read_cpu(s->worker) - s->worker->head_cpu_us;
    return s->used_us;
}

/* ---- how many ---- */

static size_t pool_depth(const struct pool *p)
{
    uint64_t fit = p->run_us == 0 ? DEPTH_MAX : AHEAD_US_MAX / p->run_us;

    return p->fresh || p->alone_left > 0 || fit < 1 ? 1 : fit < DEPTH_MAX ? (size_t)fit : DEPTH_MAX;
}

static void pool_learn(struct pool *p, uint64_t used_us)
{
    p->run_us = p->learned ? (p->run_us * (AVERAGE_OF - 1) + used_us) / AVERAGE_OF : used_us;
    p->learned = true;
    if (p->alone_left > 0)
        p->alone_left--;
}

static void pool_slow_down(struct pool *p)
{
    if (p->alone_left > 0)
        return;
    if (p->well >= (uint64_t)p->alone_next * WELL_FACTOR)
        p->alone_next = p->alone_next / 2 > ALONE_MIN ? p->alone_next / 2 : ALONE_MIN;
    p->alone_left = p->alone_next;
    p->alone_next = p->alone_next * 2 < ALONE_MAX ? p->alone_next * 2 : ALONE_MAX;
    p->well = 0;
}

/* Cheaper than that: no worker is lost by it. */
static void pool_hold_back(struct pool *p)
{
    p->unsent_next = p->unsent_next == 0 ? 1 : p->unsent_next < UNSENT_MAX ? p->unsent_next * 2 : UNSENT_MAX;
    if (p->alone_left < p->unsent_next)
        p->alone_left = p->unsent_next;
}

/* ---- in and out of a worker ---- */

static void seat_enter(struct seat *s, struct worker *w)
{
    if (w->state == IDLE) {
        worker_move(w, BUSY);
        w->lent = s->urgent;
        if (w->lent)
            w->pool->lent++;
        else
            w->pool->taken++;
        w->head_cpu_us = w->cpu_us;
        w->open = false;
        w->words[0] = '\0';
    }
    s->worker = w;
    s->used_us = s->size = 0;
    s->turn = 0;
    list_push(&w->seats, &s->link);
    w->seat_count++;
}

static void seat_out(struct seat *s)
{
    struct worker *w = s->worker;

    list_remove(&s->link);
    w->seat_count--;
    w->behind_bytes -= s->size;
    s->size = 0;
    s->worker = NULL;
}

/* All that stand behind that one, the last one first, so that they come to the queue's front in their order. */
static void take_back_behind(struct seat *s, enum taken reason)
{
    struct worker *w = s->worker;

    while (list_last(&w->seats) != &s->link) {
        struct seat *last = seat_of(list_last(&w->seats));
        w->retired = true;
        pool_slow_down(w->pool);
        pool_stats(w->pool)->taken_back[reason]++;
        seat_out(last);
        last->alone = last->again = true;
        last->events->taken_back(last);
    }
}

struct seat *worker_empty(struct worker *w)
{
    struct seat *head = worker_head(w);

    if (head == NULL)
        return NULL;
    take_back_behind(head, TAKEN_FAILED);
    seat_used_us(head);
    seat_out(head);
    return head;
}

/* ---- those with calls behind ---- */

static void look_later(struct pool *p)
{
    if (!p->looker_armed)
        pool_port(p)->ops->timer_start(p->looker, LOOK_MS);
    p->looker_armed = true;
}

static bool head_is_slow(struct worker *w)
{
    return ++w->looks >= SLOW_LOOKS || seat_used_us(worker_head(w)) >= SLOW_US;
}

void pool_look(void *pool)
{
    struct pool *p = pool;

    p->looker_armed = false;
    list_each (node, &p->others) {
        struct worker *w = list_entry(node, struct worker, link);
        if (w->seat_count > 1 && head_is_slow(w))
            take_back_behind(worker_head(w), TAKEN_SLOW);
        if (w->seat_count > 1)
            look_later(p);
    }
}

/* ---- which worker ---- */

static bool has_room(const struct worker *w, size_t depth)
{
    return w->state == BUSY && w->open && !w->retired && !w->lent && w->seat_count < depth;
}

/* Rather behind a call that runs than with a wake-up of its own. */
static struct worker *find_behind(const struct pool *p, const struct seat *s)
{
    size_t depth = pool_depth(p);

    if (s->alone || s->urgent || depth == 1)
        return NULL;
    list_each (node, &p->others) {
        struct worker *w = list_entry(node, struct worker, link);
        if (has_room(w, depth))
            return w;
    }
    return NULL;
}

/* A worker beyond the pool's most is for urgent ones alone: else those who hold them all might wait for each other. */
static struct worker *find_idle(const struct pool *p, const struct seat *s)
{
    struct list *node;

    if (!s->urgent && p->taken >= p->worker_max)
        return NULL;
    while ((node = list_first(&p->idle)) != NULL) {
        struct worker *w = list_entry(node, struct worker, link);
        if (worker_rested(w))
            return w;
    }
    return NULL;
}

static struct worker *find_worker(const struct pool *p, const struct seat *s)
{
    struct worker *w = find_behind(p, s);

    return w != NULL ? w : find_idle(p, s);
}

/* ---- the queue ---- */

/* The urgent ones first: what they wait for is for them alone, and others may wait for their locks. Then those that were
 * taken back. Then a line for each user, of which the first stands in the queue: whoever has many connections does not
 * have many turns (W6). */
static bool has_line(const struct seat *s) { return !s->urgent && !s->again; }

/* The first of that user's line; NULL: none. As many steps as users wait. */
static struct seat *find_line(struct pool *p, uid_t uid)
{
    for (struct list *node = p->waiting.prev; node != &p->waiting && has_line(seat_of(node)); node = node->prev)
        if (seat_of(node)->uid == uid)
            return seat_of(node);
    return NULL;
}

static void enter_queue(struct pool *p, struct seat *s)
{
    struct seat *line = has_line(s) ? find_line(p, s->uid) : NULL;
    struct list *before = p->waiting.next;

    list_init(&s->same);
    while (s->again && !s->urgent && before != &p->waiting && seat_of(before)->urgent)
        before = before->next;
    if (!s->again && !s->urgent)
        before = &p->waiting;
    if (line != NULL)
        list_push(&line->same, &s->link);
    else
        list_insert(&s->link, before->prev, before);
    p->queue_len++;
    p->urgent += s->urgent;
    s->pool = p;
}

/* Who comes next in its line takes its place, or the last one: it was that user's turn. */
static void leave_queue(struct seat *s, bool turn)
{
    struct list *node = list_pop(&s->same);
    struct seat *next = node == NULL ? NULL : seat_of(node);

    if (next != NULL) {
        list_insert(&next->same, s->same.prev, &s->same); /* all that are left, */
        list_remove(&s->same);                            /* without the one that goes */
        list_insert(&next->link, turn ? s->pool->waiting.prev : &s->link, turn ? &s->pool->waiting : s->link.next);
    }
    list_remove(&s->link);
    s->pool->queue_len--;
    s->pool->urgent -= s->urgent;
    s->pool = NULL;
}

void pool_serve(struct pool *p)
{
    while (!list_empty(&p->waiting)) {
        struct seat *s = seat_of(list_first(&p->waiting));
        struct worker *w = find_worker(p, s);
        if (w == NULL)
            return;
        leave_queue(s, true);
        seat_enter(s, w);
        s->events->granted(s);
    }
}

void pool_refuse_waiting(struct pool *p, enum err err, const char *why)
{
    struct failure f = { 0 };
    struct list *node;

    fail(&f, err, "%s: %s", p->label, why);
    while ((node = list_first(&p->waiting)) != NULL) {
        struct seat *s = seat_of(node);
        leave_queue(s, false);
        s->events->refused(s, &f);
    }
}

static bool must_queue(const struct pool *p, const struct seat *s)
{
    return !s->urgent && !s->again && !list_empty(&p->waiting);
}

enum err seat_take(struct pool *p, struct seat *s, struct failure *why)
{
    struct worker *w;

    if (p->closing)
        return fail(why, ERR_NOGRAFT, "%s is being unloaded", p->label);
    if (p->settled)
        return fail(why, ERR_CRASHED, "cannot run: the process that workers of %s come from is gone", p->label);
    if (!must_queue(p, s) && (w = find_worker(p, s)) != NULL) {
        seat_enter(s, w);
        return OK;
    }
    if (p->queue_len >= p->queue_max && !s->urgent && !s->again)
        return fail(why, ERR_BUSY, "%zu calls wait for %s already; try again later", p->queue_len, p->label);
    enter_queue(p, s);
    pool_fill(p);
    return ERR_WAIT;
}

bool seat_takes_follower(const struct seat *before)
{
    const struct worker *w = before->worker;
    const struct pool *p = w == NULL ? NULL : w->pool;

    return p != NULL && has_room(w, pool_depth(p)) && (before->turn < TURN_MAX || list_empty(&p->waiting));
}

void seat_follow(struct seat *s, const struct seat *before)
{
    CHECK(seat_takes_follower(before));
    seat_enter(s, before->worker);
    s->turn = before->turn + 1;
}

/* ---- what calls do ---- */

enum err seat_send(struct seat *s, struct bytes frame)
{
    struct worker *w = s->worker;

    if (seat_is_head(s)) {
        w->open = true;
        w->looks = 0;
        return pool_port(w->pool)->ops->process_send(w->process, frame);
    }
    if (frame.len > BEHIND_FRAME_MAX || w->behind_bytes + frame.len > BEHIND_BYTES_MAX)
        return ERR_WAIT;
    if (pool_port(w->pool)->ops->process_send(w->process, frame) != OK)
        return ERR_NOMEM;
    w->pool->unsent_next = 0;
    s->size = frame.len;
    w->behind_bytes += frame.len;
    look_later(w->pool);
    return OK;
}

void seat_waits(struct seat *s)
{
    s->worker->open = false;
    take_back_behind(s, TAKEN_WAITS);
}

void seat_leave(struct seat *s)
{
    struct worker *w = s->worker;
    bool head = seat_is_head(s);

    if (s->pool != NULL)
        leave_queue(s, false);
    if (w == NULL)
        return;
    seat_out(s);
    if (!head)
        return;
    worker_read_cpu(w);
    worker_freed(w);
    pool_serve(w->pool);
}

void seat_slow(struct seat *s)
{
    struct worker *w = s->worker;

    if (w->slowed)
        return;
    w->slowed = true;
    take_back_behind(s, TAKEN_SLOW);
    w->retired = true;
    pool_stats(w->pool)->slowed++;
    pool_port(w->pool)->ops->process_slow(w->process, w->pool->group);
}

void seat_rather_alone(struct seat *s)
{
    pool_hold_back(s->worker->pool);
    pool_stats(s->worker->pool)->taken_back[TAKEN_UNSENT]++;
    seat_out(s);
    s->alone = s->again = true;
}

static void worker_goes_on(struct worker *w, struct seat *next)
{
    w->behind_bytes -= next->size;
    next->size = 0;
    w->head_cpu_us = w->cpu_us;
    w->looks = 0;
    w->retired |= worker_is_old(w);
    w->pool->well++;
    pool_stats(w->pool)->behind++;
    next->events->begins(next);
}

void seat_end(struct seat *s)
{
    struct worker *w = s->worker;
    struct pool *p = w->pool;

    seat_out(s);
    pool_learn(p, s->used_us);
    if (worker_head(w) != NULL)
        worker_goes_on(w, worker_head(w));
    else if (w->slowed)
        worker_condemn(w, "was slowed down, and is replaced by one that was not", LOG_DEBUG);
    else if (w->retired)
        worker_condemn(w, "was sent calls that were taken back", LOG_DEBUG);
    else if (p->fresh)
        worker_condemn(w, "served its one call", LOG_DEBUG);
    else
        worker_freed(w);
    pool_serve(p);
}

void seat_drop(struct seat *s, const char *why, bool expected)
{
    struct worker *w = s->worker;
    bool head = seat_is_head(s);

    take_back_behind(s, head ? TAKEN_FAILED : TAKEN_ENDED);
    seat_used_us(s);
    seat_out(s);
    if (head)
        worker_condemn(w, why, expected ? LOG_DEBUG : LOG_INFO);
    else
        w->retired = true;
}
