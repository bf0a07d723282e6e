#include "graftd/listen.h"

#include "graftd/client.h"
#include "graftd/port_uv.h"
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    BACKLOG = 512,
    ACCEPTS_PER_TURN_MAX = 64,
};

struct listener {
    struct core *core;
    struct port *port;
    int fd, reserve; /* reserve: a descriptor kept for the day there is none */
    dev_t device;
    ino_t inode; /* of the socket's file, so that only our own is removed */
    struct watch *watch;
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

static void turn_away(int fd, const char *sentence)
{
    char text[256];
    int n = snprintf(text, sizeof text, "-BUSY %s\r\n", sentence);

    if (send(fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_line(LOG_DEBUG, "a client that was turned away did not hear it");
    close(fd);
}

static void out_of_descriptors(struct listener *l)
{
    int fd;

    if (l->reserve < 0)
        return;
    close(l->reserve);
    fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        turn_away(fd, "graftd is out of file descriptors; try again later");
    l->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    log_line(LOG_WARNING, "out of file descriptors: a client was turned away");
}

static bool accept_one(struct listener *l)
{
    uint64_t max = policy_limits(l->core->policy)->client_max;
    struct principal who;
    char sentence[96];
    int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE)
            out_of_descriptors(l);
        return errno == EINTR || errno == ECONNABORTED;
    }
    if (l->core->client_count >= max) {
        snprintf(sentence, sizeof sentence, "%" PRIu64 " clients are connected, and no more are allowed", max);
        turn_away(fd, sentence);
    } else if (!peer(fd, &who)) {
        close(fd);
    } else {
        client_open(l->core, fd, &who);
    }
    return true;
}

static void listener_ready(void *owner, int events)
{
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN_MAX && accept_one(owner); i++)
        ;
}

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
    if (listen(l->fd, BACKLOG) != 0)
        return fail(why, ERR_STORAGE, "cannot listen on %s: %s", path, strerror(errno));
    return OK;
}

enum err listen_open(struct core *core, struct port *port, const char *path, mode_t mode, gid_t group,
                     struct listener **out, struct failure *why)
{
    struct listener *l = calloc(1, sizeof *l);

    if (l == NULL)
        return fail(why, ERR_NOMEM, "no memory to listen");
    *l = (struct listener){ .core = core, .port = port, .fd = -1, .reserve = -1, .address.sun_family = AF_UNIX };
    if (strlen(path) >= sizeof l->address.sun_path) {
        fail(why, ERR_BADARG, "the socket's path is longer than the %zu bytes that the system allows: %s",
             sizeof l->address.sun_path - 1, path);
        goto out;
    }
    memcpy(l->address.sun_path, path, strlen(path) + 1);
    if (clear_path(&l->address, why) != OK)
        goto out;
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    l->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (l->fd < 0 || l->reserve < 0) {
        fail(why, ERR_STORAGE, "no descriptors to listen with: %s", strerror(errno));
        goto out;
    }
    if (bind_path(l, mode, group, why) != OK)
        goto out;
    if (watch_new(port, l->fd, listener_ready, l, &l->watch) != OK) {
        fail(why, ERR_NOMEM, "no memory to listen");
        goto out;
    }
    watch_set(l->watch, WATCH_READ);
    *out = l;
    l = NULL;
out:
    listen_close(&l);
    return why->err;
}

void listen_close(struct listener **listener)
{
    struct listener *l = *listener;
    struct stat st;

    if (l == NULL)
        return;
    if (l->inode != 0 && lstat(l->address.sun_path, &st) == 0 && st.st_dev == l->device && st.st_ino == l->inode)
        unlink(l->address.sun_path);
    watch_free(&l->watch);
    if (l->fd >= 0)
        close(l->fd);
    if (l->reserve >= 0)
        close(l->reserve);
    free(l);
    *listener = NULL;
}
