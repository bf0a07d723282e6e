/*
 * death GRAFTD DIR KILLS LOAD: SIGKILLs a daemon under LOAD (idle, spin, dirty) KILLS times, starts it again at once, and
 * prints how long it took until the last of its processes was gone, and until the new one answered.
 *
 * DIR has policy, and data into which the graft burn was loaded. Each process is watched by a pidfd of its own, taken
 * before the kill. An answered SET must be found by the next daemon (T7). What outlives the daemon by
 * SURVIVE_MS_MAX fails the run; how many milliseconds it really took is for people.
 */
#include "tests/tool/daemon.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    KILLS_MAX = 1000,
    CALLS = 3, /* at work when the daemon is killed */
    PROCESSES_MAX = 256,
    SURVIVE_MS_MAX = 10000,
    LOAD_MS = 400, /* for the calls to be at work, and their memory to be dirty */
    TEXT_MAX = 4096,
};

struct family {
    size_t count;
    struct pollfd members[PROCESSES_MAX];
};

static struct daemon place;
static int calls[CALLS];

_Noreturn void complain(const char *format, ...)
{
    va_list ap;

    fputs("death: ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    _exit(1); /* the daemon ends with us: PR_SET_PDEATHSIG */
}

static double now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* ---- the daemon ---- */

static int reach(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", place.socket);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool answers(void *fd) { return (*(int *)fd = reach()) >= 0; }

static int daemon_ready(pid_t pid)
{
    int fd = -1;

    daemon_wait(&place, pid, answers, &fd);
    return fd;
}

/* One request, one line of reply (the second of a bulk). */
static void ask(int fd, const char *expected, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void ask(int fd, const char *expected, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list ap;
    ssize_t n;
    size_t have = 0;

    va_start(ap, format);
    n = vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
        complain("cannot ask: %s", strerror(errno));
    while (have < strlen(expected)) {
        n = recv(fd, text + have, sizeof text - 1 - have, 0);
        if (n <= 0)
            complain("no answer to %s: %s", format, n == 0 ? "it hung up" : strerror(errno));
        have += (size_t)n;
    }
    text[have] = '\0';
    if (strcmp(text, expected) != 0)
        complain("expected %s, got %s", expected, text);
}

/* ---- its family ---- */

static void adopt(struct family *f, pid_t pid)
{
    char path[64], text[TEXT_MAX];
    FILE *file;
    long child;
    int fd = pidfd_open(pid, 0);

    if (fd < 0 || f->count == PROCESSES_MAX)
        return;
    f->members[f->count++] = (struct pollfd){ .fd = fd, .events = POLLIN };
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    file = fopen(path, "re");
    if (file == NULL)
        return;
    if (fgets(text, sizeof text, file) == NULL)
        text[0] = '\0';
    fclose(file);
    for (char *p = text, *end; (child = strtol(p, &end, 10)) > 0 && end != p; p = end)
        adopt(f, (pid_t)child);
}

static bool family_gone(struct family *f)
{
    if (poll(f->members, f->count, 0) < 0)
        complain("poll: %s", strerror(errno));
    for (size_t i = 0; i < f->count; i++)
        if (f->members[i].revents == 0)
            return false;
    return true;
}

static void family_forget(struct family *f)
{
    for (size_t i = 0; i < f->count; i++)
        close(f->members[i].fd);
    f->count = 0;
}

/* ---- one life ---- */

static void load(int fd, const char *kind)
{
    const char *request = strcmp(kind, "spin") == 0 ? "CALL burn.spin\r\n" : "CALL burn.dirty\r\n";
    struct timespec begun = { 0, LOAD_MS * 1000000L };

    for (int i = 0; i < CALLS; i++) {
        calls[i] = strcmp(kind, "idle") == 0 ? -1 : reach();
        if (calls[i] >= 0 && send(calls[i], request, strlen(request), MSG_NOSIGNAL) < 0)
            complain("cannot call: %s", strerror(errno));
    }
    ask(fd, "+PONG\r\n", "PING\r\n");
    nanosleep(&begun, NULL);
}

static void unload(void)
{
    for (int i = 0; i < CALLS; i++)
        if (calls[i] >= 0)
            close(calls[i]);
}

struct times {
    double gone[KILLS_MAX], serving[KILLS_MAX];
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* Kills pid; *fd and the result are the next daemon's. */
static pid_t kill_and_start(pid_t pid, int *fd, double *gone, double *serving)
{
    static struct family family;
    double begin;
    pid_t next;
    bool served = false;
    int again = -1;

    adopt(&family, pid);
    begin = now_ms();
    kill(pid, SIGKILL);
    next = daemon_start(&place);
    *gone = 0;
    while (*gone == 0 || !served) {
        if (*gone == 0 && family_gone(&family))
            *gone = now_ms() - begin;
        if (*gone == 0 && now_ms() - begin > SURVIVE_MS_MAX)
            complain("of %zu processes some outlived the daemon by %d ms", family.count, SURVIVE_MS_MAX);
        if (*gone != 0) {
            again = daemon_ready(next);
            ask(again, "+PONG\r\n", "PING\r\n");
            served = true;
            *serving = now_ms() - begin;
        }
        if (!served)
            usleep(50);
    }
    close(*fd);
    *fd = again;
    family_forget(&family);
    unload();
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    return next;
}

int main(int argc, char **argv)
{
    static struct times t;
    int kills = argc == 5 ? atoi(argv[3]) : 0, fd;
    char key[32];
    pid_t pid;

    if (kills < 1 || kills > KILLS_MAX) {
        fprintf(stderr, "usage: death GRAFTD DIR KILLS idle|spin|dirty\n");
        return 2;
    }
    daemon_place(&place, argv[1], argv[2]);
    pid = daemon_start(&place);
    fd = daemon_ready(pid);
    for (int i = 0; i < kills; i++) {
        load(fd, argv[4]);
        ask(fd, "+OK\r\n", "SET answered %06d\r\n", i);
        pid = kill_and_start(pid, &fd, &t.gone[i], &t.serving[i]);
        snprintf(key, sizeof key, "$6\r\n%06d\r\n", i);
        ask(fd, key, "GET answered\r\n");
    }
    qsort(t.gone, (size_t)kills, sizeof t.gone[0], compare);
    qsort(t.serving, (size_t)kills, sizeof t.serving[0], compare);
    printf("%s: %d kills: the last process gone after p50 %.1f ms, max %.1f ms; serving again after p50 %.1f ms, max "
           "%.1f ms\n",
           argv[4], kills, t.gone[kills / 2], t.gone[kills - 1], t.serving[kills / 2], t.serving[kills - 1]);
    kill(pid, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) /* all of them are ours: PR_SET_CHILD_SUBREAPER */
        ;
    return 0;
}
