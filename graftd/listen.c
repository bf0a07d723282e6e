#include "graftd/listen.h"

#include "graftd/client.h"
#include "graftd/inherit.h"
#include "graftd/port_uv.h"
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    BACKLOG = 4096,            /* who waits to be let in; the system may allow fewer (net.core.somaxconn) */
    ACCEPTS_PER_TURN_MAX = 16, /* about a ms; those who are in want their turn */
    DESCRIPTORS_KEPT = 64,     /* for workers, the store, backups; half of all when there are not many */
    PAUSE_MS = 100,            /* before accept is tried again when not even the reserve helps */
    LOG_EVERY_MS = 10000,
};

struct listener {
    struct core *core;
    struct port *port;
    int fd, reserve; /* reserve: a descriptor kept for the day there is none */
    int fd_max;      /* of a connection */
    bool own_file;
    bool rests; /* somebody else has the socket */
    dev_t device;
    ino_t inode; /* of the socket's file, so that only our own is removed */
    struct watch *watch;
    struct port_timer *pause;
    int64_t logged_ms; /* when a refusal was logged last; 0: never */
    uint64_t unlogged; /* refusals since */
    struct sockaddr_un address;
};

static bool peer(int fd, struct principal *who)
{
    struct ucred cred;
    socklen_t size = sizeof cred, groups = sizeof who->groups;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) != 0)
        return false;
    *who = (struct principal){ .uid = cred.uid, .gid = cred.gid, .pid = cred.pid };
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, who->groups, &groups) == 0)
        who->group_count = groups / sizeof who->groups[0]; /* somebody in more groups than fit is judged without them */
    return true;
}

/* ---- those that are not let in ---- */

static void log_refusal(struct listener *l, const char *sentence)
{
    int64_t now = port_now_ms(l->port);

    l->core->stats.turned_away++;
    l->unlogged++;
    if (l->logged_ms != 0 && now - l->logged_ms < LOG_EVERY_MS)
        return;
    log_line(LOG_WARNING, "clients turned away: %" PRIu64 "; the last one for: %s", l->unlogged, sentence);
    l->logged_ms = now;
    l->unlogged = 0;
}

static void turn_away(struct listener *l, int fd, const char *sentence)
{
    char text[CLIENT_REFUSAL_MAX + sizeof "-BUSY \r\n"];
    int n = snprintf(text, sizeof text, "-BUSY %s\r\n", sentence);

    (void)!send(fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT); /* who does not hear it sees the end */
    close(fd);
    log_refusal(l, sentence);
}

static const char no_descriptors[] = "graftd is out of file descriptors; try again later";

static void pause_over(void *owner)
{
    struct listener *l = owner;

    watch_set(l->watch, l->rests ? 0 : WATCH_READ);
}

/* The kernel has none for us. With the reserve the newcomer is told; without, all wait a while. */
static bool out_of_descriptors(struct listener *l)
{
    int fd = -1;

    if (l->reserve >= 0) {
        close(l->reserve);
        fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
    }
    if (fd >= 0)
        turn_away(l, fd, no_descriptors);
    l->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        return true;
    watch_set(l->watch, 0); /* it stays readable: the loop would spin */
    l->port->ops->timer_start(l->pause, PAUSE_MS);
    return false;
}

static bool accept_one(struct listener *l)
{
    struct principal who;
    char why[CLIENT_REFUSAL_MAX];
    int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS))
        return out_of_descriptors(l);
    if (fd < 0)
        return errno == EINTR || errno == ECONNABORTED;
    if (fd > l->fd_max)
        turn_away(l, fd, no_descriptors);
    else if (!peer(fd, &who))
        close(fd);
    else if (!client_open(l->core, fd, &who, why))
        turn_away(l, fd, why);
    return true;
}

static void listener_ready(void *owner, int events)
{
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN_MAX && accept_one(owner); i++)
        ;
}

/* ---- the socket ---- */

/* A socket file may be left from a crash. If somebody answers on it, it is theirs. */
static enum err clear_path(const struct sockaddr_un *address, struct failure *why)
{
    struct stat st;
    int fd, e;

    if (lstat(address->sun_path, &st) != 0)
        return errno == ENOENT ? OK : fail(why, ERR_STORAGE, "%s: %s", address->sun_path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return fail(why, ERR_STORAGE, "%s is there already, and is not a socket", address->sun_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(why, ERR_STORAGE, "no socket: %s", strerror(errno));
    e = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ? 0 : errno;
    close(fd);
    if (e != ECONNREFUSED)
        return fail(why, ERR_BUSY, "somebody listens on %s already", address->sun_path);
    if (unlink(address->sun_path) != 0)
        return fail(why, ERR_STORAGE, "cannot remove the old %s: %s", address->sun_path, strerror(errno));
    return OK;
}

/* Bound but not listening: nobody can connect before mode and owner are right. */
static enum err bind_path(struct listener *l, mode_t mode, gid_t group, struct failure *why)
{
    const char *path = l->address.sun_path;
    mode_t before = umask(0177);
    int bound = bind(l->fd, (const struct sockaddr *)&l->address, sizeof l->address);
    int e = errno;
    struct stat st;

    umask(before);
    if (bound != 0)
        return fail(why, ERR_STORAGE, "cannot make the socket %s: %s", path, strerror(e));
    if ((group != (gid_t)-1 && lchown(path, (uid_t)-1, group) != 0) || chmod(path, mode) != 0 || lstat(path, &st) != 0)
        return fail(why, ERR_STORAGE, "cannot set mode and group of %s: %s", path, strerror(errno));
    l->device = st.st_dev;
    l->inode = st.st_ino;
    l->own_file = true;
    if (listen(l->fd, BACKLOG) != 0)
        return fail(why, ERR_STORAGE, "cannot listen on %s: %s", path, strerror(errno));
    return OK;
}

static enum err make_socket(struct listener *l, const struct listen_options *o, struct failure *why)
{
    if (strlen(o->path) >= sizeof l->address.sun_path)
        return fail(why, ERR_BADARG, "the socket's path is longer than the %zu bytes that the system allows: %s",
                    sizeof l->address.sun_path - 1, o->path);
    memcpy(l->address.sun_path, o->path, strlen(o->path) + 1);
    if (clear_path(&l->address, why) != OK)
        return why->err;
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return fail(why, ERR_STORAGE, "no descriptors to listen with: %s", strerror(errno));
    return bind_path(l, o->mode, o->group, why);
}

/* Mode and owner are as who made it wanted them. */
static void take_socket(struct listener *l, struct inherited *i)
{
    socklen_t size = sizeof l->address;
    struct stat st;

    l->fd = i->fd;
    i->fd = -1;
    if (getsockname(l->fd, (struct sockaddr *)&l->address, &size) != 0 || !i->own_file ||
        lstat(l->address.sun_path, &st) != 0)
        return;
    l->device = st.st_dev;
    l->inode = st.st_ino;
    l->own_file = true;
}

static void keep_descriptors(struct listener *l)
{
    struct rlimit files;

    l->fd_max = INT_MAX;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < INT_MAX)
        l->fd_max =
            (int)(files.rlim_cur > 2 * DESCRIPTORS_KEPT ? files.rlim_cur - DESCRIPTORS_KEPT : files.rlim_cur / 2);
}

enum err listen_open(struct core *core, struct port *port, const struct listen_options *options, struct listener **out,
                     struct failure *why)
{
    struct listener *l = calloc(1, sizeof *l);

    if (l == NULL)
        return fail(why, ERR_NOMEM, "no memory to listen");
    *l = (struct listener){ .core = core, .port = port, .fd = -1, .reserve = -1, .address.sun_family = AF_UNIX };
    keep_descriptors(l);
    if (options->inherited->fd >= 0)
        take_socket(l, options->inherited);
    else if (make_socket(l, options, why) != OK)
        goto out;
    l->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    l->pause = port->ops->timer_new(port, pause_over, l);
    if (l->reserve < 0 || l->pause == NULL || watch_new(port, l->fd, listener_ready, l, &l->watch) != OK) {
        fail(why, ERR_NOMEM, "no memory or descriptors to listen");
        goto out;
    }
    watch_set(l->watch, WATCH_READ);
    *out = l;
    l = NULL;
out:
    listen_close(&l);
    return why->err;
}

const char *listen_path(const struct listener *l) { return l->address.sun_path; }

int listen_socket(const struct listener *l, bool *own_file)
{
    *own_file = l->own_file;
    return l->fd;
}

void listen_rest(struct listener *l)
{
    l->rests = true;
    watch_set(l->watch, 0);
}

void listen_go_on(struct listener *l)
{
    l->rests = false;
    watch_set(l->watch, WATCH_READ);
}

void listen_close(struct listener **listener)
{
    struct listener *l = *listener;
    struct stat st;

    if (l == NULL)
        return;
    if (l->own_file && !l->rests && lstat(l->address.sun_path, &st) == 0 && st.st_dev == l->device &&
        st.st_ino == l->inode)
        unlink(l->address.sun_path);
    if (l->unlogged > 0)
        log_line(LOG_WARNING, "clients turned away: %" PRIu64 " more", l->unlogged);
    l->port->ops->timer_free(&l->pause);
    watch_free(&l->watch);
    if (l->fd >= 0)
        close(l->fd);
    if (l->reserve >= 0)
        close(l->reserve);
    free(l);
    *listener = NULL;
}
