#include "worker/nursery.h"

#include "lib/check.h"
#include "policy/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
    uint64_t id;
    pid_t pid; /* 0: free place */
};

static struct child children[NURSERY_CHILDREN_MAX];
static size_t child_end; /* no place from here on was ever used */
static int signals = -1;        /* signalfd: a child has ended */
static int life[2] = { -1, -1 }; /* [1] is held by the nursery alone, so that [0] hangs up when it dies */

static _Noreturn void die(const char *what)
{
    (void)!write(2, what, strlen(what));
    (void)!write(2, "\n", 1);
    _exit(1);
}

/* ---- messages ---- */

union fd_space {
    char space[CMSG_SPACE(NURSERY_FDS_MAX * sizeof(int))];
    struct cmsghdr align;
};

void nursery_send(struct buf *message, int fd)
{
    struct bytes b = buf_bytes(message);
    struct iovec part = { .iov_base = (void *)(uintptr_t)b.data, .iov_len = b.len };
    union fd_space space;
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };

    if (fd >= 0) {
        struct cmsghdr *c;

        memset(&space, 0, sizeof space);
        m.msg_control = &space;
        m.msg_controllen = CMSG_SPACE(sizeof fd);
        c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    while (sendmsg(NURSERY_CONTROL, &m, MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            _exit(0); /* the daemon is gone */
    buf_fini(message);
}

void nursery_introduce(struct bytes text)
{
    struct buf b;

    buf_init(&b, WIRE_ORDER_MAX);
    if (wire_add_MANIFEST(&b, &(struct wire_MANIFEST){ .text = text }) != OK)
        _exit(1);
    nursery_send(&b, -1);
}

_Noreturn void nursery_refuse(const struct failure *f)
{
    struct buf b;

    buf_init(&b, WIRE_ORDER_MAX);
    if (wire_add_REFUSED(&b, &(struct wire_REFUSED){ .text = bytes_str(f->text) }) == OK)
        nursery_send(&b, -1);
    _exit(1);
}

static void tell_born(uint64_t id, int pidfd)
{
    struct buf b;

    buf_init(&b, WIRE_ORDER_MAX);
    if (wire_add_BORN(&b, &(struct wire_BORN){ .id = id }) != OK)
        die("graft-worker: no memory for a message");
    nursery_send(&b, pidfd);
}

static void tell_stillborn(uint64_t id, int errnum)
{
    struct buf b;

    buf_init(&b, WIRE_ORDER_MAX);
    if (wire_add_STILLBORN(&b, &(struct wire_STILLBORN){ .id = id, .errnum = (uint32_t)errnum }) != OK)
        die("graft-worker: no memory for a message");
    nursery_send(&b, -1);
}

static uint64_t microseconds(struct timeval t) { return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec; }

static void tell_obituary(uint64_t id, const siginfo_t *si, const struct rusage *use)
{
    struct wire_OBITUARY m = { .id = id, .code = (uint32_t)si->si_code, .status = (uint32_t)si->si_status,
                               .cpu_us = microseconds(use->ru_utime) + microseconds(use->ru_stime),
                               .rss_max_kib = (uint64_t)use->ru_maxrss };
    struct buf b;

    buf_init(&b, WIRE_ORDER_MAX);
    if (wire_add_OBITUARY(&b, &m) != OK)
        die("graft-worker: no memory for a message");
    nursery_send(&b, -1);
}

/* ---- birth ---- */

static struct child *free_place(void)
{
    for (size_t i = 0; i < child_end; i++)
        if (children[i].pid == 0)
            return &children[i];
    return child_end < NURSERY_CHILDREN_MAX ? &children[child_end++] : NULL;
}

static _Noreturn void be_child(const struct nursery *nursery, const struct wire_SPAWN *order, const int fds[])
{
    sigset_t none;

    close(life[1]);
    jail_tie(life[0]);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    memset(children, 0, child_end * sizeof children[0]);
    child_end = 0;
    nursery->child(order, fds);
    _exit(1);
}

static void spawn(const struct nursery *nursery, const struct wire_SPAWN *order, const int fds[])
{
    struct child *place = free_place();
    int pidfd = -1;
    pid_t pid;

    if (place == NULL) {
        tell_stillborn(order->id, EAGAIN);
        return;
    }
    if (nursery->prepare != NULL)
        nursery->prepare(order);
    pid = jail_fork(nursery->nested_pids, &pidfd);
    if (pid == 0)
        be_child(nursery, order, fds);
    if (pid < 0) {
        tell_stillborn(order->id, errno);
        return;
    }
    *place = (struct child){ .id = order->id, .pid = pid };
    tell_born(order->id, pidfd);
    close(pidfd);
}

/* ---- orders ---- */

static size_t take_fds(struct msghdr *m, int fds[])
{
    size_t n = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(c), n * sizeof(int)); /* at most NURSERY_FDS_MAX: the space holds no more */
    }
    return n;
}

static void obey(const struct nursery *nursery, struct bytes frame, const int fds[], size_t fd_count)
{
    struct wire_SPAWN order;
    struct bytes body;
    uint8_t number;
    size_t used;

    if (wire_next(frame, &number, &body, &used) != OK || used != frame.len || number != WIRE_SPAWN ||
        !wire_read_SPAWN(body, &order))
        die("graft-worker: the daemon sent something that is not an order");
    if (fd_count != nursery->fd_count)
        tell_stillborn(order.id, EINVAL);
    else
        spawn(nursery, &order, fds);
}

static void take_order(const struct nursery *nursery)
{
    static uint8_t frame[WIRE_ORDER_MAX];
    int fds[NURSERY_FDS_MAX] = { -1, -1 };
    struct iovec part = { .iov_base = frame, .iov_len = sizeof frame };
    union fd_space space;
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = sizeof space };
    ssize_t n = recvmsg(NURSERY_CONTROL, &m, MSG_CMSG_CLOEXEC);
    size_t fd_count;

    if (n < 0 && errno == EINTR)
        return;
    if (n <= 0)
        _exit(0); /* the daemon is gone, or wants us to be */
    fd_count = take_fds(&m, fds);
    if ((m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
        die("graft-worker: the daemon sent an order that is too long");
    obey(nursery, bytes_of(frame, (size_t)n), fds, fd_count);
    for (size_t i = 0; i < fd_count; i++)
        close(fds[i]);
}

/* ---- death ---- */

static void bury(const siginfo_t *si, const struct rusage *use)
{
    for (size_t i = 0; i < child_end; i++)
        if (children[i].pid == si->si_pid) {
            children[i].pid = 0;
            tell_obituary(children[i].id, si, use);
            return;
        }
    /* An orphan of a dead template: nobody asked for it. */
}

static void reap(void)
{
    struct signalfd_siginfo drained;
    struct rusage use;
    siginfo_t si;

    (void)!read(signals, &drained, sizeof drained);
    for (;;) {
        si.si_pid = 0;
        if (syscall(SYS_waitid, P_ALL, 0, &si, WEXITED | WNOHANG, &use) != 0 || si.si_pid == 0)
            return;
        bury(&si, &use);
    }
}

static void prepare(void)
{
    sigset_t ended;

    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &ended, NULL) != 0)
        die("graft-worker: cannot block SIGCHLD");
    signals = signalfd(-1, &ended, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0 || pipe2(life, O_CLOEXEC) != 0)
        die("graft-worker: no descriptors left");
}

_Noreturn void nursery_run(const struct nursery *nursery)
{
    struct pollfd on[2];

    CHECK(nursery->fd_count <= NURSERY_FDS_MAX);
    prepare();
    on[0] = (struct pollfd){ .fd = NURSERY_CONTROL, .events = POLLIN };
    on[1] = (struct pollfd){ .fd = signals, .events = POLLIN };
    for (;;) {
        if (poll(on, 2, -1) < 0 && errno != EINTR)
            die("graft-worker: cannot wait for orders");
        if (on[1].revents != 0)
            reap();
        if (on[0].revents != 0)
            take_order(nursery);
    }
}
