/*
 * A pool's control groups on the real port. The kernel takes milliseconds to move a process, and no loop waits for that
 * (W5): each step runs on another thread, one at a time for a pool. Workers that are to be slowed meanwhile are moved by
 * the next step, all of them; until then they are where they were, and nice.
 */
#include "graftd/port_uv.h"

#include "lib/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    NAME_SIZE = 64,
    SLOW_MAX = 64,    /* workers that wait to be moved, as many as a pool has; one more stays where it is */
    LEAVE_TRIES = 25, /* the last process is reaped, and yet the kernel may count it a moment longer; */
    LEAVE_MS = 20,    /* what is left after that goes at the end, or at the next start */
};

/* Who is to be moved. The descriptors are owned. */
struct movers {
    size_t count;
    struct mover {
        pid_t pid;
        int pidfd;
    } list[SLOW_MAX];
};

struct port_group {
    struct port *port;
    const struct cgroup *cgroup;
    char name[NAME_SIZE];
    uint32_t weight;
    unsigned number;
    struct movers moving, next; /* moving: the step's while one runs */
    void (*done)(void *owner);
    void *owner;
    struct failure why; /* of the first step; OK: the groups stand */
    bool stepping;
    bool ended; /* freed while a step ran */
};

static bool movers_add(struct movers *m, struct port_process *p)
{
    int pidfd = m->count == SLOW_MAX ? -1 : fcntl(process_pidfd(p), F_DUPFD_CLOEXEC, 0);

    if (pidfd < 0)
        return false;
    m->list[m->count++] = (struct mover){ process_pid(p), pidfd };
    return true;
}

static void movers_drop(struct movers *m)
{
    while (m->count > 0)
        close(m->list[--m->count].pidfd);
}

static struct cgroup_member member(const struct port_group *g, size_t i)
{
    return (struct cgroup_member){ g->name, g->number, g->moving.list[i].pid, g->moving.list[i].pidfd };
}

static void group_free_now(struct port_group *g)
{
    movers_drop(&g->moving);
    movers_drop(&g->next);
    free(g);
}

/* ---- in ---- */

static void enter(void *group)
{
    struct port_group *g = group;
    struct cgroup_member template = member(g, 0);

    (void)cgroup_graft_open(g->cgroup, &template, g->weight, &g->why);
}

static void entered(void *group)
{
    struct port_group *g = group;

    g->stepping = false;
    movers_drop(&g->moving);
    if (g->why.err != OK)
        log_line(LOG_WARNING, "%s: has no share of the CPU of its own: %s", g->name, g->why.text);
    g->done(g->owner);
}

struct port_group *group_new(struct port *port, const struct cgroup *cgroup, struct port_process *template,
                             const char *name, uint32_t weight, void (*done)(void *owner), void *owner)
{
    static unsigned last_number;
    struct port_group *g = cgroup == NULL ? NULL : calloc(1, sizeof *g);

    if (g == NULL)
        return NULL;
    *g = (struct port_group){
        .port = port, .cgroup = cgroup, .number = ++last_number, .weight = weight, .done = done, .owner = owner
    };
    snprintf(g->name, sizeof g->name, "%s", name);
    g->stepping = movers_add(&g->moving, template) && port->ops->work(port, enter, entered, g) == OK;
    if (g->stepping)
        return g;
    log_line(LOG_WARNING, "%s: has no share of the CPU of its own: no memory or descriptor left for one", name);
    group_free_now(g);
    return NULL;
}

/* ---- to the slow ones ---- */

static void slow_down(void *group)
{
    struct port_group *g = group;

    for (size_t i = 0; i < g->moving.count; i++) {
        struct cgroup_member worker = member(g, i);
        struct failure why = { 0 };
        (void)cgroup_graft_slow(g->cgroup, &worker, &why); /* it may have ended by now, and is nice in any case */
    }
}

static void group_leave(struct port_group *g);
static void slowed_down(void *group);

static void next_step(struct port_group *g)
{
    if (g->stepping || g->next.count == 0)
        return;
    g->moving = g->next;
    g->next.count = 0;
    g->stepping = g->port->ops->work(g->port, slow_down, slowed_down, g) == OK;
    if (!g->stepping)
        movers_drop(&g->moving);
}

static void slowed_down(void *group)
{
    struct port_group *g = group;

    g->stepping = false;
    movers_drop(&g->moving);
    if (g->ended)
        group_leave(g);
    else
        next_step(g);
}

void group_slow(struct port_group *g, struct port_process *worker)
{
    if (g != NULL && g->why.err == OK && movers_add(&g->next, worker))
        next_step(g);
}

/* ---- out ---- */

static void leave(void *group)
{
    struct port_group *g = group;

    for (int i = 0; i < LEAVE_TRIES && !cgroup_graft_close(g->cgroup, g->name, g->number); i++)
        nanosleep(&(struct timespec){ .tv_nsec = LEAVE_MS * 1000000L }, NULL);
}

static void left(void *group) { group_free_now(group); }

static void group_leave(struct port_group *g)
{
    if (g->why.err != OK || g->port->ops->work(g->port, leave, left, g) != OK)
        group_free_now(g);
}

void group_free(struct port_group **group)
{
    struct port_group *g = *group;

    *group = NULL;
    if (g == NULL)
        return;
    g->ended = true;
    if (!g->stepping)
        group_leave(g);
}
