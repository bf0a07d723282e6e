#include "graftd/inherit.h"

#include "lib/buf.h"
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    SYSTEMD_FD = 3,
    REPLY_MAX = 512,
    REPLY_S_MAX = 10, /* for the running daemon to answer */
    REMIND_MS = 10000,
};

static const char request[] = "SHUTDOWN HANDOVER\r\n";

/* ---- any ---- */

static bool is_listening_unix(int fd)
{
    int domain = 0, type = 0, listening = 0;
    socklen_t a = sizeof domain, b = sizeof type, c = sizeof listening;

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &a) == 0 && domain == AF_UNIX &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &b) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &c) == 0 && listening == 1;
}

static enum err prepare(struct inherited *i, const char *from, struct failure *why)
{
    if (!is_listening_unix(i->fd))
        return fail(why, ERR_BADARG, "%s passed something that is not a listening Unix stream socket", from);
    if (fcntl(i->fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(i->fd, F_SETFL, O_NONBLOCK) != 0)
        return fail(why, ERR_STORAGE, "the socket from %s cannot be used: %s", from, strerror(errno));
    return OK;
}

void inherit_close(struct inherited *i)
{
    if (i->fd >= 0)
        close(i->fd);
    if (i->life >= 0)
        close(i->life);
    if (i->ready >= 0)
        close(i->ready);
    *i = (struct inherited){ .fd = -1, .life = -1, .ready = -1 };
}

void inherit_ready(struct inherited *i)
{
    if (i->ready < 0)
        return;
    (void)!write(i->ready, "", 1); /* it may be gone meanwhile */
    close(i->ready);
    i->ready = -1;
}

/* ---- systemd ---- */

static bool env_number(const char *name, uint64_t *value)
{
    const char *text = getenv(name);

    return text != NULL && bytes_to_u64(bytes_str(text), value);
}

enum err inherit_from_systemd(struct inherited *out, struct failure *why)
{
    uint64_t pid, count;
    bool for_us = env_number("LISTEN_PID", &pid) && pid == (uint64_t)getpid() && env_number("LISTEN_FDS", &count);

    *out = (struct inherited){ .fd = -1, .life = -1, .ready = -1 };
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (!for_us || count == 0)
        return OK;
    if (count != 1)
        return fail(why, ERR_BADARG,
                    "systemd passed %llu sockets; graftd listens on one: see ListenStream in graftd.socket",
                    (unsigned long long)count);
    out->fd = SYSTEMD_FD;
    return prepare(out, "systemd", why);
}

/* ---- a running daemon ---- */

static int reach(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval patience = { .tv_sec = REPLY_S_MAX };
    int fd, e;

    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 &&
        connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    e = errno;
    close(fd);
    errno = e;
    return -1;
}

/* The reply's bytes, and the descriptors with them. */
static ssize_t receive(int from, char reply[REPLY_MAX], struct inherited *out)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(INHERIT_FDS * sizeof(int))];
    } control;
    struct iovec iov = { reply, REPLY_MAX - 1 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    ssize_t n = recvmsg(from, &msg, MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
    int fds[INHERIT_FDS];

    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof fds)) {
        memcpy(fds, CMSG_DATA(c), sizeof fds);
        out->fd = fds[0];
        out->life = fds[1];
        out->ready = fds[2];
    }
    if (n >= 0)
        reply[n] = '\0';
    return n;
}

static enum err understand(const char *reply, struct inherited *out, struct failure *why)
{
    if (reply[0] == '-')
        return fail(why, ERR_NOPERM, "the running graftd does not hand over: %.*s", (int)strcspn(reply + 1, "\r\n"),
                    reply + 1);
    out->own_file = strcmp(reply, INHERIT_OWN) == 0;
    if (out->fd < 0 || (!out->own_file && strcmp(reply, INHERIT_LENT) != 0))
        return fail(why, ERR_PROTOCOL, "what listens there answered something else than graftd would");
    return prepare(out, "the running graftd", why);
}

enum err inherit_from_running(const char *path, struct inherited *out, struct failure *why)
{
    char reply[REPLY_MAX];
    int fd = reach(path);
    ssize_t n;

    *out = (struct inherited){ .fd = -1, .life = -1, .ready = -1 };
    if (fd < 0 && (errno == ENOENT || errno == ECONNREFUSED))
        return OK;
    if (fd < 0)
        return fail(why, ERR_STORAGE, "cannot reach the running graftd on %s: %s", path, strerror(errno));
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0)
        n = -1;
    else
        n = receive(fd, reply, out);
    if (n <= 0)
        fail(why, ERR_STORAGE, "the running graftd on %s did not answer: %s", path,
             n == 0 ? "it hung up" : strerror(errno));
    else
        (void)understand(reply, out, why);
    close(fd);
    if (why->err != OK)
        inherit_close(out);
    return why->err;
}

void inherit_wait(struct inherited *i)
{
    struct pollfd p = { .fd = i->life };

    if (i->life < 0)
        return;
    log_line(LOG_INFO, "the running graftd gave its socket; it goes on if this one fails");
    while (poll(&p, 1, REMIND_MS) == 0)
        log_line(LOG_INFO, "waiting for its running calls to end");
    close(i->life);
    i->life = -1;
}
