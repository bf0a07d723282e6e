/*
 * graft-worker: started once by the daemon, the ancestor of everything that runs graft code.
 *
 *     graft-worker [--degraded]      descriptor 3: control socket (SEQPACKET), 2: the daemon's log
 *
 * The keeper (this process) gives up what it can and forks the zygote, first process of the new namespaces; then it
 * only waits, and ends as the zygote did. The zygote says MANIFEST with one record, "walls\t…", or REFUSED, and is
 * the nursery of the templates. --degraded: walls that this machine does not offer may be missing.
 */
#include "policy/jail.h"
#include "worker/nursery.h"
#include "worker/template.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell_walls(void)
{
    char walls[JAIL_WALLS_MAX], record[JAIL_WALLS_MAX + 8];
    int n = snprintf(record, sizeof record, "walls\t%s", jail_walls(walls, sizeof walls));

    nursery_introduce(bytes_of(record, (size_t)n + 1));
}

static _Noreturn void be_zygote(int life)
{
    static const struct nursery nursery = { .fd_count = 2, .child = template_run };
    struct failure f = { .err = OK };

    jail_tie(life);
    close(life);
    if (jail_zygote(&f) != OK)
        nursery_refuse(&f);
    tell_walls();
    nursery_run(&nursery);
}

/* Ends as the zygote did. */
static _Noreturn void wait_for(pid_t zygote)
{
    int status;

    while (waitpid(zygote, &status, 0) < 0)
        if (errno != EINTR)
            _exit(1);
    if (WIFSIGNALED(status)) {
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static bool is_control_socket(int fd)
{
    int type = 0;
    socklen_t size = sizeof type;

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

/* Whatever the daemon had set is inherited, and below here nobody counts on it. */
static void reset_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_IGN); /* a daemon that is gone is noticed by write() */
}

int main(int argc, char **argv)
{
    bool degraded = argc == 2 && strcmp(argv[1], "--degraded") == 0;
    struct failure f = { .err = OK };
    int life[2];
    pid_t zygote;

    if (argc != (degraded ? 2 : 1) || !is_control_socket(NURSERY_CONTROL)) {
        fprintf(stderr, "graft-worker is started by graftd, with a control socket as descriptor 3\n");
        return 2;
    }
    reset_signals();
    if (sodium_init() < 0)
        fail(&f, ERR_UNKNOWN, "libsodium cannot be used");
    if (f.err != OK || jail_keeper(degraded, &f) != OK)
        nursery_refuse(&f);
    if (pipe2(life, O_CLOEXEC) != 0 || (zygote = fork()) < 0) {
        fail(&f, ERR_UNKNOWN, "the zygote cannot be started: %s", strerror(errno));
        nursery_refuse(&f);
    }
    if (zygote == 0) {
        close(life[1]);
        be_zygote(life[0]);
    }
    close(NURSERY_CONTROL);
    close(life[0]);
    wait_for(zygote);
}
