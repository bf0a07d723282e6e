#include "graftd/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool find_data(struct paths *p, const struct options *o, const struct policy *policy)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    const char *given = o->data != NULL ? o->data : policy_data(policy);
    int n;

    if (given != NULL)
        n = snprintf(p->data, sizeof p->data, "%s", given);
    else if (geteuid() == 0)
        n = snprintf(p->data, sizeof p->data, "/var/lib/graftd");
    else if (state != NULL && state[0] == '/')
        n = snprintf(p->data, sizeof p->data, "%s/graftd", state);
    else
        n = snprintf(p->data, sizeof p->data, "%s/.local/state/graftd", home != NULL ? home : "");
    return n > 0 && (size_t)n < sizeof p->data;
}

static bool find_socket(struct paths *p, const struct options *o, const struct policy *policy)
{
    const char *env = getenv("GRAFTD_SOCKET"), *runtime = getenv("XDG_RUNTIME_DIR");
    const char *given = o->socket != NULL ? o->socket : policy_socket(policy);
    int n;

    if (given == NULL && env != NULL && env[0] != '\0')
        given = env;
    if (given != NULL)
        n = snprintf(p->socket, sizeof p->socket, "%s", given);
    else if (runtime != NULL && runtime[0] == '/')
        n = snprintf(p->socket, sizeof p->socket, "%s/graftd.sock", runtime);
    else
        n = snprintf(p->socket, sizeof p->socket, "/run/graftd/graftd.sock");
    return n > 0 && (size_t)n < sizeof p->socket;
}

enum err paths_find(struct paths *p, const struct options *o, const struct policy *policy, struct failure *why)
{
    if (!find_data(p, o, policy))
        return fail(why, ERR_BADARG, "the path of the data directory is empty, or has more than %d bytes",
                    PATH_MAX - 1);
    if (!find_socket(p, o, policy))
        return fail(why, ERR_BADARG, "the path of the socket is empty, or has more than %d bytes", PATH_MAX - 1);
    return OK;
}

static bool find_worker(struct paths *p, const struct options *o)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash;

    if (o->worker != NULL)
        return snprintf(p->worker, sizeof p->worker, "%s", o->worker) < (int)sizeof p->worker &&
               access(p->worker, X_OK) == 0;
    if (n > 0) {
        self[n] = '\0';
        slash = strrchr(self, '/');
        if (slash != NULL && (size_t)(slash - self) + sizeof "/graft-worker" < sizeof p->worker) {
            *slash = '\0';
            snprintf(p->worker, sizeof p->worker, "%.*s/graft-worker", (int)(sizeof p->worker - 16), self);
            if (access(p->worker, X_OK) == 0)
                return true;
        }
    }
    snprintf(p->worker, sizeof p->worker, "%s/graft-worker", LIBEXECDIR);
    return access(p->worker, X_OK) == 0;
}

enum err paths_find_worker(struct paths *p, const struct options *o, struct failure *why)
{
    if (!find_worker(p, o))
        return fail(why, ERR_STORAGE, "there is no worker program at %s: is graftd installed whole?", p->worker);
    return OK;
}

/* mkdir -p, with nothing for others in what is new. */
static bool make_directories(const char *path)
{
    char at[PATH_MAX];

    snprintf(at, sizeof at, "%s", path);
    for (char *p = at + 1; *p != '\0'; p++)
        if (*p == '/') {
            *p = '\0';
            if (mkdir(at, 0755) != 0 && errno != EEXIST)
                return false;
            *p = '/';
        }
    return mkdir(at, 0700) == 0 || errno == EEXIST;
}

/* Open, and nobody else's to write to. */
static enum err check_data(const char *path, int fd, struct failure *why)
{
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0)
        return fail(why, ERR_STORAGE, "cannot open the data directory %s: %s", path, strerror(errno));
    if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return fail(why, ERR_STORAGE,
                    "others can write to the data directory %s, or it is not ours: chown %u and chmod 700 it", path,
                    (unsigned)geteuid());
    return OK;
}

enum err paths_open_data(const struct paths *p, int *fd, struct failure *why)
{
    enum err err;
    int new;

    if (!make_directories(p->data))
        return fail(why, ERR_STORAGE, "cannot make the data directory %s: %s", p->data, strerror(errno));
    new = open(p->data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    err = check_data(p->data, new, why);
    if (err == OK)
        *fd = new;
    else if (new >= 0)
        close(new);
    return err;
}
