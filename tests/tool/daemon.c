#include "tests/tool/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { READY_MS_MAX = 20000, LOOK_US = 200 };

void daemon_place(struct daemon *d, const char *program, const char *dir)
{
    d->program = program;
    if (snprintf(d->socket, sizeof d->socket, "%s/socket", dir) >= (int)sizeof d->socket)
        complain("%s is too long a path: a socket's has at most %zu bytes", dir, sizeof d->socket - 1);
    snprintf(d->data, sizeof d->data, "%s/data", dir);
    snprintf(d->policy, sizeof d->policy, "%s/policy", dir);
    snprintf(d->log, sizeof d->log, "%s/log", dir);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        complain("prctl: %s", strerror(errno));
}

pid_t daemon_start(const struct daemon *d)
{
    pid_t parent = getpid(), pid = fork();
    int fd;

    if (pid < 0)
        complain("fork: %s", strerror(errno));
    if (pid > 0)
        return pid;
    fd = open(d->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent || fd < 0 || dup2(fd, STDERR_FILENO) < 0)
        _exit(126);
    execl(d->program, "graftd", "--data", d->data, "--policy", d->policy, "--socket", d->socket, (char *)NULL);
    _exit(127);
}

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void daemon_wait(const struct daemon *d, pid_t pid, bool (*answers)(void *), void *arg)
{
    int64_t end = now_ms() + READY_MS_MAX;

    while (!answers(arg)) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            complain("the daemon ended before it was ready; see %s", d->log);
        if (now_ms() > end)
            complain("the daemon did not get ready");
        usleep(LOOK_US);
    }
}
