/*
 * The zygote, templates and workers on the real port: sockets, descriptors, births and deaths.
 *
 *     daemon ─ SEQPACKET ─ zygote ─ forks ─ template ─ forks ─ worker
 *       ├───── SEQPACKET ────────────────────┘                   │
 *       └───── STREAM ──────────────────────────────────────────┘
 *
 * A process is acted upon by its pidfd, never by its pid (the pid serves to read its CPU clock, and to slow it). Its death
 * is told once, after everything that it said before; after a kill nothing that it said is heard any more.
 * What comes from it is hostile (W2): framed here, decoded by who asked.
 */
#include "graftd/port_uv.h"

#include "lib/check.h"
#include "lib/list.h"
#include "lib/wire.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    IN_CHUNK = 64 * 1024,
    IN_KEEP_MAX = 1024 * 1024, /* bytes of an empty buffer worth keeping */
    IN_MAX = WIRE_FRAME_MAX + 4 + IN_CHUNK,
    OUT_MAX = 2 * WIRE_FRAME_MAX,
    SLOW_NICE = 10, /* about a tenth of the CPU beside one that is not slowed */
    OWED_MAX = 64 * 1024, /* bytes; a worker is not heard while more is not sent: calls that wait in it are less */
    CHANNEL_FD = 3,       /* the child's end, as the worker program expects it */
};

enum kind { ZYGOTE, TEMPLATE, WORKER };

struct port_process {
    struct port *port;
    enum kind kind;
    const struct process_events *events;
    void *owner;
    struct port_process *nursery; /* who forked it; NULL for the zygote, or when the nursery went first */
    struct list children, sibling;
    uint64_t id, last_child_id;
    int fd, pidfd;
    pid_t pid;                       /* 0: not known */
    struct watch *watch, *pid_watch; /* pid_watch: the zygote's, our own child */
    struct flush flush;
    struct buf in, out;
    bool held, killed, deaf; /* held: the owner could not take a message; deaf: the channel has ended */
    bool blocked;            /* the socket took no more */
    bool buried;             /* the obituary is written */
    bool in_message;         /* the owner is being called */
    size_t in_hand;          /* bytes of the message that the owner is being given */
    uint64_t cpu_us, cpu_moment; /* CPU time used, and when that was read: see port_uv_moment() */
    struct obituary obituary;
};

static void process_free(struct port_process *p)
{
    flush_cancel(p->port, &p->flush);
    watch_free(&p->watch);
    watch_free(&p->pid_watch);
    close(p->fd);
    if (p->pidfd >= 0)
        close(p->pidfd);
    buf_fini(&p->in);
    buf_fini(&p->out);
    list_remove(&p->sibling);
    free(p);
}

/* What a nursery leaves behind when it dies: its children are dying too, and nobody will write their obituaries. */
static void orphan_children(struct port_process *p)
{
    list_each (node, &p->children) {
        struct port_process *child = list_entry(node, struct port_process, sibling);
        list_remove(&child->sibling);
        child->nursery = NULL;
        if (child->pidfd >= 0)
            pidfd_send_signal(child->pidfd, SIGKILL, NULL, 0);
        child->buried = true;
        flush_soon(child->port, &child->flush);
    }
}

static void bury(struct port_process *p)
{
    orphan_children(p);
    p->obituary.born = p->obituary.born || p->pidfd >= 0;
    p->events->died(p->owner, &p->obituary);
    process_free(p);
}

/* A killed worker is not heard any more; what a killed nursery reported of its children still counts. */
static bool may_speak(const struct port_process *p) { return !p->killed || p->kind != WORKER; }

/* An honest worker waits for its answer before it says more; what another says meanwhile waits, so that it cannot make
 * the daemon hold more for it than one large answer. The dead are heard to their end. */
static bool owes_answer(const struct port_process *p)
{
    return p->kind == WORKER && !p->buried && buf_len(&p->out) > OWED_MAX;
}

/* Its first word and the word of its birth come by two ways: who is told of a template can count on its number. */
static bool is_unborn(const struct port_process *p) { return p->kind == TEMPLATE && p->pidfd < 0 && !p->buried; }

static void set_interest(struct port_process *p)
{
    bool listening = !p->deaf && !p->held && may_speak(p) && !owes_answer(p) && !is_unborn(p);

    watch_set(p->watch, (listening ? WATCH_READ : 0) | (p->blocked ? WATCH_WRITE : 0));
}

static void hear_no_more(struct port_process *p, const char *what)
{
    p->deaf = true;
    p->blocked = false;
    set_interest(p);
    if (what != NULL && !p->killed)
        p->events->broken(p->owner, what);
}

/* child_pid() on older kernels, and for one that is reaped already. */
static pid_t read_pid(int pidfd)
{
    char path[64], line[256];
    long pid = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
    f = fopen(path, "re");
    if (f == NULL)
        return 0;
    while (pid == 0 && fgets(line, sizeof line, f) != NULL)
        (void)sscanf(line, "Pid: %ld", &pid);
    fclose(f);
    return (pid_t)pid;
}

/* What PIDFD_GET_INFO gives, since Linux 6.13. The number of the process stands in it as this process sees it. */
struct pidfd_facts {
    uint64_t mask, cgroup;
    uint32_t pid, others[11];
};

#define PIDFD_ASK _IOWR(0xff, 11, struct pidfd_facts)

/* -1: reaped already; 0: not known. */
static pid_t child_pid(int pidfd)
{
    struct pidfd_facts facts = { .mask = 1 };

    return ioctl(pidfd, PIDFD_ASK, &facts) == 0 ? (pid_t)facts.pid : read_pid(pidfd);
}

static struct port_process *find_child(struct port_process *p, uint64_t id)
{
    list_each (node, &p->children) {
        struct port_process *child = list_entry(node, struct port_process, sibling);
        if (child->id == id)
            return child;
    }
    return NULL;
}

static bool child_born(struct port_process *p, struct bytes body, int *pidfd)
{
    struct wire_BORN m;
    struct port_process *child;
    pid_t pid;

    if (!wire_read_BORN(body, &m) || *pidfd < 0 || (child = find_child(p, m.id)) == NULL || child->pidfd >= 0)
        return false;
    child->pidfd = *pidfd;
    *pidfd = -1;
    pid = child_pid(child->pidfd);
    child->pid = pid > 0 ? pid : 0;
    if (child->killed || pid == 0) /* without a pid its CPU time cannot be watched; the dead use none, and are heard */
        process_kill(child);
    set_interest(child);
    return true;
}

static bool child_stillborn(struct port_process *p, struct bytes body)
{
    struct wire_STILLBORN m;
    struct port_process *child;

    if (!wire_read_STILLBORN(body, &m) || (child = find_child(p, m.id)) == NULL)
        return false;
    child->obituary.errnum = (int)m.errnum;
    child->buried = true;
    flush_soon(child->port, &child->flush);
    return true;
}

static bool child_died(struct port_process *p, struct bytes body)
{
    struct wire_OBITUARY m;
    struct port_process *child;

    if (!wire_read_OBITUARY(body, &m) || (child = find_child(p, m.id)) == NULL)
        return false;
    child->obituary = (struct obituary){
        .born = true,
        .code = (int)m.code,
        .status = (int)m.status,
        .cpu_us = m.cpu_us,
        .rss_max_kib = m.rss_max_kib,
    };
    child->cpu_us = m.cpu_us;
    child->buried = true;
    flush_soon(child->port, &child->flush);
    return true;
}

/* One datagram from a nursery. False: it does not speak the language. */
static bool nursery_message(struct port_process *p, struct bytes datagram, int *pidfd)
{
    uint8_t number;
    struct bytes body;
    size_t used;

    if (wire_next(datagram, &number, &body, &used) != OK || used != datagram.len)
        return false;
    switch (number) {
    case WIRE_BORN:
        return child_born(p, body, pidfd);
    case WIRE_STILLBORN:
        return child_stillborn(p, body);
    case WIRE_OBITUARY:
        return child_died(p, body);
    default:
        CHECK(p->events->message(p->owner, number, body)); /* nothing a nursery says has to wait */
        return true;
    }
}

/* False when there was nothing to read: for now, or for ever (then deaf). */
static bool read_nursery(struct port_process *p)
{
    static uint8_t datagram[WIRE_ORDER_MAX];
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = { datagram, sizeof datagram };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    ssize_t n = recvmsg(p->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *c;
    int pidfd = -1;
    bool good;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        hear_no_more(p, NULL);
        return false;
    }
    c = CMSG_FIRSTHDR(&msg);
    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&pidfd, CMSG_DATA(c), sizeof pidfd);
    good = (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 && nursery_message(p, bytes_of(datagram, (size_t)n), &pidfd);
    if (pidfd >= 0)
        close(pidfd);
    if (!good && !p->deaf)
        hear_no_more(p, "it sent something that is not a message");
    return true;
}

/* Gives the owner what is whole. */
static void deliver(struct port_process *p)
{
    uint8_t number;
    struct bytes body;
    size_t used;
    enum err err;

    p->in_message = true;
    while (!p->killed && !p->deaf && !p->held && !owes_answer(p)) {
        err = wire_next(buf_bytes(&p->in), &number, &body, &used);
        if (err == ERR_AGAIN)
            break;
        if (err != OK) {
            hear_no_more(p, "it sent a frame of impossible length");
            break;
        }
        p->in_hand = used;
        if (!p->events->message(p->owner, number, body)) {
            p->held = !p->killed;
            break;
        }
        buf_consume(&p->in, used);
        p->in_hand = 0;
    }
    p->in_message = false;
    if (buf_len(&p->in) == 0 && p->in.cap > IN_KEEP_MAX)
        buf_fini(&p->in);
}

/* The same for a worker's stream. */
static bool read_channel(struct port_process *p)
{
    uint8_t number, *room;
    struct bytes body;
    size_t whole, want = IN_CHUNK;
    ssize_t n;

    if (wire_next(buf_bytes(&p->in), &number, &body, &whole) == ERR_AGAIN && whole > buf_len(&p->in) + want)
        want = whole - buf_len(&p->in);
    if (buf_reserve(&p->in, want, &room) != OK) {
        hear_no_more(p, "it sent more than there is memory for");
        return false;
    }
    n = recv(p->fd, room, want, MSG_DONTWAIT);
    if (n > 0) {
        buf_wrote(&p->in, (size_t)n);
        deliver(p);
        return true;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    hear_no_more(p, buf_len(&p->in) > 0 ? "it stopped in the middle of a message" : NULL);
    return false;
}

static bool hear(struct port_process *p)
{
    if (p->deaf || p->held || !may_speak(p) || owes_answer(p))
        return false;
    return p->kind == WORKER ? read_channel(p) : read_nursery(p);
}

static void channel_ready(void *owner, int events)
{
    struct port_process *p = owner;

    if ((events & WATCH_WRITE) != 0)
        flush_soon(p->port, &p->flush);
    if ((events & WATCH_READ) == 0)
        return;
    (void)hear(p);
    set_interest(p);
}

static void write_out(struct port_process *p)
{
    p->blocked = false;
    while (buf_len(&p->out) > 0 && !p->blocked) {
        struct bytes b = buf_bytes(&p->out);
        ssize_t n = send(p->fd, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0)
            buf_consume(&p->out, (size_t)n);
        else if (errno == EAGAIN)
            p->blocked = true;
        else if (errno != EINTR)
            buf_clear(&p->out); /* it is gone: its obituary comes */
    }
    if (buf_len(&p->out) == 0 && p->out.cap > IN_KEEP_MAX)
        buf_fini(&p->out);
    if (buf_len(&p->out) == 0 && buf_len(&p->in) > 0 && !p->in_message)
        deliver(p); /* what it said before it had its answer */
    set_interest(p);
}

/* End of a turn: writes what is owed; tells a death once everything said before it was heard. */
static void process_flush(struct flush *flush)
{
    struct port_process *p = (struct port_process *)((char *)flush - offsetof(struct port_process, flush));

    if (!p->buried) {
        write_out(p);
        return;
    }
    if (p->kind == WORKER && !p->in_message)
        deliver(p);
    while (hear(p))
        ;
    if (!p->held) /* a message waits: its owner resumes or kills, and the death is told after the rest */
        bury(p);
}

static struct port_process *process_new(struct port *port, enum kind kind, int fd, const struct process_events *events,
                                        void *owner)
{
    struct port_process *p = calloc(1, sizeof *p);

    if (p == NULL)
        return NULL;
    *p = (struct port_process){
        .port = port,
        .kind = kind,
        .fd = fd,
        .pidfd = -1,
        .events = events,
        .owner = owner,
        .flush.run = process_flush,
    };
    list_init(&p->children);
    buf_init(&p->in, IN_MAX);
    buf_init(&p->out, OUT_MAX);
    if (watch_new(port, fd, channel_ready, p, &p->watch) != OK) {
        free(p);
        return NULL;
    }
    set_interest(p);
    return p;
}

/* ---- births ---- */

static enum err send_order(struct port_process *nursery, const struct wire_SPAWN *order, const int *fds,
                           size_t fd_count, struct failure *why)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(2 * sizeof(int))];
    } control = { 0 };
    struct buf b;
    struct iovec iov;
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control };
    struct cmsghdr *c;
    enum err err;

    buf_init(&b, WIRE_ORDER_MAX);
    err = wire_add_SPAWN(&b, order);
    if (err != OK)
        return fail(why, err, "no memory to start a process");
    iov = (struct iovec){ b.data, b.len };
    msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
    if (sendmsg(nursery->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)b.len)
        err = fail(why, ERR_BUSY, "its parent process takes no order: %s", strerror(errno));
    buf_fini(&b);
    return err;
}

enum err process_spawn(struct port *port, struct port_process *nursery, const struct process_limits *limits, int file,
                       const struct process_events *events, void *owner, struct port_process **out, struct failure *why)
{
    enum kind kind = nursery->kind == ZYGOTE ? TEMPLATE : WORKER;
    struct wire_SPAWN order = {
        .id = nursery->last_child_id + 1,
        .memory_max = limits->memory_max,
        .stack_max = limits->stack_max,
        .cpu_s_max = limits->cpu_s_max,
        .key_max = limits->key_max,
        .value_max = limits->value_max,
    };
    struct port_process *p;
    int pair[2];
    enum err err;

    CHECK(nursery->kind != WORKER && (file >= 0) == (kind == TEMPLATE));
    if (socketpair(AF_UNIX, (kind == WORKER ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_CLOEXEC, 0, pair) != 0)
        return fail(why, ERR_BUSY, "no descriptors left for another process: %s", strerror(errno));
    p = process_new(port, kind, pair[0], events, owner);
    if (p == NULL) {
        close(pair[0]);
        close(pair[1]);
        return fail(why, ERR_NOMEM, "no memory for another process");
    }
    err = send_order(nursery, &order, (int[]){ pair[1], file }, kind == TEMPLATE ? 2 : 1, why);
    close(pair[1]);
    if (err != OK) {
        process_free(p);
        return err;
    }
    p->id = nursery->last_child_id = order.id;
    p->nursery = nursery;
    list_push(&nursery->children, &p->sibling);
    *out = p;
    return OK;
}

static void zygote_ended(void *owner, int events)
{
    struct port_process *p = owner;
    siginfo_t info = { 0 };

    (void)events;
    if (waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0)
        return;
    p->obituary = (struct obituary){ .born = true, .code = info.si_code, .status = info.si_status };
    p->buried = true;
    watch_set(p->pid_watch, 0);
    flush_soon(p->port, &p->flush);
}

static enum err exec_zygote(const char *program, const struct layer_rules *layers, int fd, pid_t *pid,
                            struct failure *why)
{
    char required[LAYER_LIST_MAX], may_lack[LAYER_LIST_MAX];
    char *argv[] = { (char *)(uintptr_t)program, (char *)(uintptr_t) "--require",
                     (char *)(uintptr_t)layer_list(layers->required, required, sizeof required),
                     (char *)(uintptr_t) "--allow-missing",
                     (char *)(uintptr_t)layer_list(layers->may_lack, may_lack, sizeof may_lack),
                     layers->degraded ? (char *)(uintptr_t) "--degraded" : NULL, NULL };
    char *envp[] = { NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int e;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, fd, CHANNEL_FD);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    e = posix_spawn(pid, program, &actions, &attributes, argv, envp);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return e == 0 ? OK : fail(why, ERR_STORAGE, "cannot start %s: %s", program, strerror(e));
}

enum err process_open_zygote(struct port *port, const char *program, const struct layer_rules *layers,
                             const struct process_events *events, void *owner, struct port_process **out,
                             struct failure *why)
{
    struct port_process *p;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return fail(why, ERR_BUSY, "no descriptors left for the zygote: %s", strerror(errno));
    p = process_new(port, ZYGOTE, pair[0], events, owner);
    if (p == NULL) {
        close(pair[0]);
        close(pair[1]);
        return fail(why, ERR_NOMEM, "no memory for the zygote");
    }
    if (exec_zygote(program, layers, pair[1], &p->pid, why) != OK) {
        close(pair[1]);
        process_free(p);
        return why->err;
    }
    close(pair[1]);
    p->pidfd = pidfd_open(p->pid, 0);
    if (p->pidfd < 0) { /* it is our child and not reaped, so its number is its own still */
        fail(why, ERR_UNKNOWN,
             "the sandbox lacks a wall: \"pidfd\" round the keeper failed: %s; graftd cannot run grafts without it",
             strerror(errno));
        kill(p->pid, SIGKILL);
        process_free(p);
        return why->err;
    }
    if (watch_new(port, p->pidfd, zygote_ended, p, &p->pid_watch) != OK) {
        pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0);
        process_free(p);
        return fail(why, ERR_NOMEM, "no memory for the zygote");
    }
    watch_set(p->pid_watch, WATCH_READ);
    *out = p;
    return OK;
}

/* ---- what the owner does ---- */

enum err process_send(struct port_process *p, struct bytes frames)
{
    enum err err = buf_add(&p->out, frames.data, frames.len);

    flush_soon(p->port, &p->flush);
    return err;
}

void process_resume(struct port_process *p)
{
    if (!p->held)
        return;
    p->held = false;
    CHECK(!p->in_message);
    deliver(p);
    if (p->buried)
        flush_soon(p->port, &p->flush);
    else
        set_interest(p);
}

void process_kill(struct port_process *p)
{
    p->killed = true;
    p->held = false;
    if (p->pidfd >= 0)
        pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0);
    p->blocked = false;
    buf_clear(&p->out);
    if (p->buried)
        flush_soon(p->port, &p->flush);
    set_interest(p);
}

void process_end(struct port_process *p) { shutdown(p->fd, SHUT_WR); }

/* Being nicer needs no right; where it is forbidden, the process stays as it is. Inside a control group this weighs against
 * what else is in it: where grafts have groups of their own, other workers of the graft; else graftd and all workers. */
void process_slow(struct port_process *p, struct port_group *group)
{
    if (p->pid == 0 || p->buried)
        return;
    (void)setpriority(PRIO_PROCESS, (id_t)p->pid, SLOW_NICE);
    group_slow(group, p);
}

uint64_t process_cpu_us(struct port_process *p)
{
    clockid_t clock = (clockid_t)(~(unsigned)p->pid << 3 | 2);
    uint64_t moment = port_uv_moment(p->port);
    struct timespec ts;

    if (p->cpu_moment == moment)
        return p->cpu_us;
    p->cpu_moment = moment;
    if (p->pid != 0 && !p->buried && clock_gettime(clock, &ts) == 0)
        p->cpu_us = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
    return p->cpu_us;
}

bool process_said_more(struct port_process *p) { return buf_len(&p->in) > p->in_hand; }

pid_t process_pid(struct port_process *p) { return p->pid; }
int process_pidfd(struct port_process *p) { return p->pidfd; }
