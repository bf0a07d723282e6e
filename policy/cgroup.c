/*
 * Two names of one mechanism: version 2 calls a share cpu.weight (1 to 10000, else 100), version 1 cpu.shares (2 to
 * 262144, else 1024). What is ours in OWN is known by its name, and by graftd's being in the group that ends in
 * ".daemon": that one is made first and removed first, so whoever can remove it knows that the rest is nobody's.
 */
#include "policy/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DAEMON_TIMES = 4 }; /* as much as all grafts: graftd is who everybody waits for */

enum {
    LINE_SIZE = 2 * PATH_MAX,
    NAME_SIZE = 128,
    GRAFTS_MAX = CGROUP_WEIGHT_MAX / DAEMON_TIMES,
    SLOW_PART = 10, /* as nice 10 is, between processes */
    V1_STANDARD = 1024,
    LEFT_MAX = 4096, /* entries of OWN that are looked at for what was left behind */
    BUSY_TRIES = 50, /* waits for a group to get empty, */
    BUSY_MS = 20,    /* each this long */
    ENTER_TRIES = 3, /* another start may take a group for left behind before anybody is in it */
};

#define PREFIX "graftd-"
#define DAEMON ".daemon"
#define GRAFTS ".grafts"
#define GRAFT "graft-"
#define SLOW "-slow"

struct cgroup {
    struct cgroup_world world; /* its paths are not kept */
    int version;
    char own_path[PATH_MAX], grafts_path[PATH_MAX];
    char daemon[NAME_SIZE], grafts[NAME_SIZE]; /* in OWN */
    int own, grafts_at;                        /* directories; -1: not (yet) */
    int own_procs, own_control;                /* files of OWN, for the way back */
    bool entered, shares;                      /* the process is in its leaf; it was us who let OWN share out */
};

static int make_directory(int at, const char *name) { return mkdirat(at, name, 0755); }
static int remove_directory(int at, const char *name) { return unlinkat(at, name, AT_REMOVEDIR); }

static int write_text(int file, const char *text)
{
    ssize_t n = pwrite(file, text, strlen(text), 0);

    if (n >= 0 && n != (ssize_t)strlen(text))
        errno = EIO;
    return n == (ssize_t)strlen(text) ? 0 : -1;
}

static const struct cgroup_world machine = {
    "/proc/self/cgroup", "/proc/self/mountinfo", "", make_directory, remove_directory, write_text,
};

static void rest(int ms) { nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000L }, NULL); }

/* ---- where we are ---- */

static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);

    for (const char *at = list; *at != '\0'; at += strcspn(at, ","), at += *at == ',')
        if (strncmp(at, word, n) == 0 && (at[n] == ',' || at[n] == '\0'))
            return true;
    return false;
}

/* Calls seen() with each line that is not too long, until it says true. */
static bool any_line(const char *path, bool (*seen)(char *line, void *arg), void *arg)
{
    char line[LINE_SIZE];
    FILE *f = fopen(path, "re");
    bool found = false, whole = true;

    while (f != NULL && !found && fgets(line, sizeof line, f) != NULL) {
        char *end = strchr(line, '\n');
        if (end != NULL)
            *end = '\0';
        found = whole && end != NULL && seen(line, arg);
        whole = end != NULL;
    }
    if (f != NULL)
        fclose(f);
    return found;
}

struct place {
    int version;
    char group[PATH_MAX];
    const char *root;
    char path[PATH_MAX]; /* where the group is seen */
};

/* "4:cpu,cpuacct:/path" is version 1, "0::/path" version 2. */
static bool is_group(char *line, void *arg)
{
    struct place *p = arg;
    char *controllers = strchr(line, ':'), *path = controllers == NULL ? NULL : strchr(controllers + 1, ':');

    if (path == NULL)
        return false;
    *path++ = '\0';
    controllers++;
    if (p->version == 1 ? !has_word(controllers, "cpu") : strncmp(line, "0:", 2) != 0 || controllers[0] != '\0')
        return false;
    if (path[0] != '/' || strlen(path) >= sizeof p->group)
        return false;
    strcpy(p->group, path);
    return true;
}

/* Of a path, what comes after the directory above; NULL when that is not above. */
static const char *below(const char *path, const char *above)
{
    size_t n = strcmp(above, "/") == 0 ? 0 : strlen(above);

    if (strncmp(path, above, n) != 0 || (path[n] != '/' && path[n] != '\0'))
        return NULL;
    return strcmp(path + n, "/") == 0 ? "" : path + n;
}

/* "36 35 98:0 ROOT MOUNTPOINT options… - TYPE source SUPER-OPTIONS" */
static bool is_mount(char *line, void *arg)
{
    struct place *p = arg;
    char *tail = strstr(line, " - "), *save = NULL, *root, *point, *type, *options;
    const char *rest_of;
    int n;

    if (tail == NULL)
        return false;
    *tail = '\0';
    for (int i = 0; i < 3; i++)
        if (strtok_r(i == 0 ? line : NULL, " ", &save) == NULL)
            return false;
    root = strtok_r(NULL, " ", &save);
    point = strtok_r(NULL, " ", &save);
    type = strtok_r(tail + 3, " ", &save);
    if (root == NULL || point == NULL || type == NULL || strtok_r(NULL, " ", &save) == NULL)
        return false;
    options = strtok_r(NULL, " ", &save);
    if (strcmp(type, p->version == 1 ? "cgroup" : "cgroup2") != 0 ||
        (p->version == 1 && (options == NULL || !has_word(options, "cpu"))))
        return false;
    rest_of = below(p->group, root);
    if (rest_of == NULL || strstr(rest_of, "/..") != NULL || strchr(point, '\\') != NULL)
        return false;
    n = snprintf(p->path, sizeof p->path, "%s%s%s", p->root, point, rest_of);
    return n > 0 && (size_t)n < sizeof p->path;
}

static enum err find_own(struct cgroup *c, struct failure *why)
{
    struct place p = { .root = c->world.root };
    bool member = false;

    for (p.version = 1; p.version <= 2; p.version++) {
        if (!any_line(c->world.self, is_group, &p))
            continue;
        member = true;
        if (!any_line(c->world.mounts, is_mount, &p))
            continue;
        c->version = p.version;
        strcpy(c->own_path, p.path);
        return OK;
    }
    return fail(why, ERR_UNKNOWN, member ? "its control group is mounted nowhere" : "there are no control groups here");
}

/* ---- files ---- */

/* These give 0, or errno. */

static int write_fd(const struct cgroup *c, int fd, const char *text)
{
    return c->world.write(fd, text) == 0 ? 0 : errno;
}

static int write_file(const struct cgroup *c, int at, const char *directory, const char *name, const char *text)
{
    char path[NAME_SIZE + 32];
    int fd, e;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    fd = openat(at, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno;
    e = write_fd(c, fd, text);
    close(fd);
    return e;
}

static bool file_has(int at, const char *name, const char *word)
{
    char text[512], *save = NULL;
    int fd = openat(at, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    bool found = false;

    if (fd >= 0)
        close(fd);
    text[n < 0 ? 0 : n] = '\0';
    for (char *w = strtok_r(text, " \n", &save); w != NULL && !found; w = strtok_r(NULL, " \n", &save))
        found = strcmp(w, word) == 0;
    return found;
}

static int write_weight(const struct cgroup *c, int at, const char *directory, uint32_t weight)
{
    uint32_t shares = weight * V1_STANDARD / CGROUP_WEIGHT_STANDARD;
    char text[16];

    snprintf(text, sizeof text, "%u", c->version == 2 ? weight : shares < 2 ? 2 : shares);
    return write_file(c, at, directory, c->version == 2 ? "cpu.weight" : "cpu.shares", text);
}

/* ---- what was left behind ---- */

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n > m && strcmp(name + n - m, end) == 0;
}

/* A group of OWN, with the groups of grafts in it, as far as nobody is in them. */
static int remove_whole(const struct cgroup *c, const char *name)
{
    int at = openat(c->own, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *d = at < 0 ? NULL : fdopendir(at);
    struct dirent *e;

    if (d == NULL && at >= 0)
        close(at);
    while (d != NULL && (e = readdir(d)) != NULL)
        if (strncmp(e->d_name, GRAFT, strlen(GRAFT)) == 0)
            (void)c->world.remove(dirfd(d), e->d_name);
    if (d != NULL)
        closedir(d);
    return c->world.remove(c->own, name);
}

/* What a graftd that is gone has left, under any id. Its name without DAEMON or GRAFTS is given. */
static void remove_left(const struct cgroup *c, const char *stem)
{
    char name[NAME_SIZE + sizeof GRAFTS];

    strcpy(stpcpy(name, stem), DAEMON);
    if (remove_whole(c, name) != 0 && errno != ENOENT)
        return; /* somebody is in it, or it is not ours to remove */
    strcpy(stpcpy(name, stem), GRAFTS);
    (void)remove_whole(c, name);
}

static void remove_all_left(const struct cgroup *c)
{
    int at = openat(c->own, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = at < 0 ? NULL : fdopendir(at);
    struct dirent *e;

    if (d == NULL && at >= 0)
        close(at);
    for (int i = 0; d != NULL && i < LEFT_MAX && (e = readdir(d)) != NULL; i++) {
        char stem[NAME_SIZE];
        size_t n = strlen(e->d_name), tail = ends_in(e->d_name, DAEMON) ? strlen(DAEMON) : strlen(GRAFTS);

        if (n >= sizeof stem || strncmp(e->d_name, PREFIX, strlen(PREFIX)) != 0 ||
            (!ends_in(e->d_name, DAEMON) && !ends_in(e->d_name, GRAFTS)))
            continue;
        snprintf(stem, sizeof stem, "%.*s", (int)(n - tail), e->d_name);
        remove_left(c, stem);
    }
    if (d != NULL)
        closedir(d);
}

/* A graftd that was killed takes a moment to go, and its workers after it. */
static int make_when_empty(const struct cgroup *c, const char *name)
{
    int e = 0;

    for (int i = 0; i < BUSY_TRIES; i++) {
        if (c->world.make(c->own, name) == 0)
            return 0;
        e = errno;
        if (e != EEXIST)
            return e;
        if (remove_whole(c, name) != 0)
            rest(BUSY_MS);
    }
    return e;
}

/* ---- our own ---- */

static enum err refuse(const struct cgroup *c, const char *what, int e, struct failure *why)
{
    return fail(why, ERR_UNKNOWN, "%s in %s: %s", what, c->own_path,
                e == EEXIST  ? "another graftd is in those of this name"
                : e == EBUSY ? "other processes are in it, beside graftd"
                             : strerror(e));
}

static enum err enter_leaf(struct cgroup *c, struct failure *why)
{
    int e = 0;

    for (int i = 0; i < ENTER_TRIES; i++) {
        if ((e = make_when_empty(c, c->daemon)) != 0)
            return refuse(c, "it cannot make groups", e, why);
        e = write_file(c, c->own, c->daemon, "cgroup.procs", "0");
        if (e == 0) {
            c->entered = true;
            return OK;
        }
        (void)c->world.remove(c->own, c->daemon);
        if (e != ENOENT && e != ENODEV)
            break;
    }
    return refuse(c, "it cannot move into a group", e, why);
}

/* A group's weight is spread over the processors that it uses. */
static uint32_t weight_of_grafts(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (processors < 1)
        return CGROUP_WEIGHT_STANDARD;
    return processors > GRAFTS_MAX / CGROUP_WEIGHT_STANDARD ? GRAFTS_MAX
                                                            : (uint32_t)processors * CGROUP_WEIGHT_STANDARD;
}

static enum err share_out(struct cgroup *c, struct failure *why)
{
    int e;

    if (c->version == 2 && !file_has(c->own, "cgroup.subtree_control", "cpu")) {
        if ((e = write_fd(c, c->own_control, "+cpu")) != 0)
            return refuse(c, "it cannot share out the CPU", e, why);
        c->shares = true;
    }
    if ((e = write_weight(c, c->own, c->daemon, DAEMON_TIMES * weight_of_grafts())) != 0)
        return refuse(c, "it cannot set its weight", e, why);
    return OK;
}

static enum err open_grafts(struct cgroup *c, struct failure *why)
{
    int e = make_when_empty(c, c->grafts);

    if (e != 0)
        return refuse(c, "it cannot make a group for grafts", e, why);
    c->grafts_at = openat(c->own, c->grafts, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (c->grafts_at < 0)
        return refuse(c, "it cannot open the group for grafts", errno, why);
    if ((e = write_weight(c, c->own, c->grafts, weight_of_grafts())) != 0)
        return refuse(c, "it cannot set the weight of grafts", e, why);
    if (c->version == 2 && (e = write_file(c, c->own, c->grafts, "cgroup.subtree_control", "+cpu")) != 0)
        return refuse(c, "it cannot share out the CPU between grafts", e, why);
    return OK;
}

static enum err open_own(struct cgroup *c, struct failure *why)
{
    c->own = open(c->own_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c->own < 0)
        return fail(why, ERR_UNKNOWN, "%s cannot be opened: %s", c->own_path, strerror(errno));
    if (c->version == 2 && !file_has(c->own, "cgroup.controllers", "cpu"))
        return fail(why, ERR_UNKNOWN, "%s was not given the cpu controller", c->own_path);
    c->own_procs = openat(c->own, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    if (c->version == 2)
        c->own_control = openat(c->own, "cgroup.subtree_control", O_WRONLY | O_CLOEXEC);
    if (c->own_procs < 0 || (c->version == 2 && c->own_control < 0))
        return fail(why, ERR_UNKNOWN, "%s is not its own to share out: %s", c->own_path, strerror(errno));
    return OK;
}

enum err cgroup_open(const struct cgroup_world *world, const char *id, struct cgroup **out, struct failure *why)
{
    struct cgroup *c = calloc(1, sizeof *c);
    enum err err;

    if (c == NULL)
        return fail(why, ERR_NOMEM, "no memory for control groups");
    *c = (struct cgroup){
        .world = world != NULL ? *world : machine, .own = -1, .grafts_at = -1, .own_procs = -1, .own_control = -1
    };
    snprintf(c->daemon, sizeof c->daemon, PREFIX "%.*s" DAEMON, CGROUP_ID_MAX - 1, id);
    snprintf(c->grafts, sizeof c->grafts, PREFIX "%.*s" GRAFTS, CGROUP_ID_MAX - 1, id);
    err = find_own(c, why);
    if (err == OK)
        err = open_own(c, why);
    if (err == OK && strlen(c->own_path) + NAME_SIZE >= sizeof c->grafts_path)
        err = fail(why, ERR_UNKNOWN, "the path of its control group is too long");
    if (err == OK) {
        stpcpy(stpcpy(stpcpy(c->grafts_path, c->own_path), "/"), c->grafts);
        remove_all_left(c);
        err = enter_leaf(c, why);
    }
    if (err == OK)
        err = share_out(c, why);
    if (err == OK)
        err = open_grafts(c, why);
    if (err != OK) {
        cgroup_close(&c);
        return err;
    }
    *out = c;
    return OK;
}

void cgroup_close(struct cgroup **group)
{
    struct cgroup *c = *group;

    if (c == NULL)
        return;
    if (c->grafts_at >= 0) {
        (void)remove_whole(c, c->grafts);
        close(c->grafts_at);
    }
    if (c->shares)
        (void)write_fd(c, c->own_control, "-cpu");
    if (c->entered && write_fd(c, c->own_procs, "0") == 0)
        (void)c->world.remove(c->own, c->daemon);
    if (c->own_procs >= 0)
        close(c->own_procs);
    if (c->own_control >= 0)
        close(c->own_control);
    if (c->own >= 0)
        close(c->own);
    free(c);
    *group = NULL;
}

int cgroup_version(const struct cgroup *c) { return c->version; }
const char *cgroup_own(const struct cgroup *c) { return c->own_path; }
const char *cgroup_grafts(const struct cgroup *c) { return c->grafts_path; }

/* ---- grafts ---- */

/* A name that the manifest let pass is one already; this holds whatever is let pass some day. */
static const char *graft_directory(const char *name, unsigned number, const char *end, char out[NAME_SIZE])
{
    int n = snprintf(out, NAME_SIZE, GRAFT "%.64s", name);

    for (char *p = out; *p != '\0'; p++)
        if ((*p < 'a' || *p > 'z') && (*p < '0' || *p > '9') && *p != '-')
            *p = '_';
    snprintf(out + n, NAME_SIZE - (size_t)n, "-%u%s", number, end);
    return out;
}

/* It has not ended: so its number is its own. */
static bool lives(int pidfd)
{
    struct pollfd p = { .fd = pidfd, .events = POLLIN };

    return poll(&p, 1, 0) == 0;
}

static int make_graft(const struct cgroup *c, const char *directory, uint32_t weight)
{
    if (c->world.make(c->grafts_at, directory) != 0)
        return errno;
    return write_weight(c, c->grafts_at, directory, weight);
}

static enum err move_to(const struct cgroup *c, const struct cgroup_member *m, const char *directory,
                        struct failure *why)
{
    char text[16];
    int e;

    snprintf(text, sizeof text, "%d", (int)m->pid);
    e = lives(m->pidfd) ? write_file(c, c->grafts_at, directory, "cgroup.procs", text) : ESRCH;
    return e == 0 ? OK
                  : fail(why, ERR_UNKNOWN, "process %d cannot be moved to %s/%s: %s", (int)m->pid, c->grafts_path,
                         directory, strerror(e));
}

enum err cgroup_graft_open(const struct cgroup *c, const struct cgroup_member *template, uint32_t weight,
                           struct failure *why)
{
    char quick[NAME_SIZE], slow[NAME_SIZE];
    int e;

    graft_directory(template->name, template->number, "", quick);
    graft_directory(template->name, template->number, SLOW, slow);
    e = make_graft(c, quick, weight);
    if (e == 0)
        e = make_graft(c, slow, weight < SLOW_PART ? 1 : weight / SLOW_PART);
    if (e != 0)
        fail(why, ERR_UNKNOWN, "%s/%s cannot be made: %s", c->grafts_path, quick, strerror(e));
    if (e == 0 && move_to(c, template, quick, why) == OK)
        return OK;
    (void)cgroup_graft_close(c, template->name, template->number);
    return ERR_UNKNOWN;
}

enum err cgroup_graft_slow(const struct cgroup *c, const struct cgroup_member *worker, struct failure *why)
{
    char slow[NAME_SIZE];

    return move_to(c, worker, graft_directory(worker->name, worker->number, SLOW, slow), why);
}

static bool is_gone(const struct cgroup *c, const char *directory)
{
    return c->world.remove(c->grafts_at, directory) == 0 || errno == ENOENT;
}

bool cgroup_graft_close(const struct cgroup *c, const char *name, unsigned number)
{
    char directory[NAME_SIZE];
    bool quick = is_gone(c, graft_directory(name, number, "", directory));

    return is_gone(c, graft_directory(name, number, SLOW, directory)) && quick;
}
