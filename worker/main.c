/*
 * graft-worker: started once by the daemon, the ancestor of everything that runs graft code.
 *
 *     graft-worker [--degraded] [--require LAYERS] [--allow-missing LAYERS]
 *         descriptor 3: control socket (SEQPACKET), 2: the daemon's log. LAYERS: names of policy/layer.c, with commas
 *     graft-worker --dump-filter      prints the system call filters
 *     graft-worker --probe            puts up what it can, prints a line for each layer, and ends
 *
 * The keeper (this process) gives up what it can and forks the zygote, first process of the new namespaces; then it
 * only waits, and ends as the zygote did. The zygote tests the walls, says MANIFEST with one record, "walls\t…", or
 * REFUSED, and is the nursery of the templates.
 */
#include "policy/jail.h"
#include "policy/jail_filter.h"
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
    if (jail_zygote(&f) != OK || jail_self_test(&f) != OK)
        nursery_refuse(&f);
    tell_walls();
    nursery_run(&nursery);
}

/* For `graftd --doctor`: name, errno that it failed with or 0; for the self-test what it said, too. */
static _Noreturn void be_probe(int life)
{
    struct failure f = { .err = OK };

    jail_tie(life);
    close(life);
    if (jail_zygote(&f) == OK)
        (void)jail_self_test(&f);
    for (int l = 0; l < LAYER_COUNT; l++)
        dprintf(NURSERY_CONTROL, "%s\t%d\t%s\n", layer_rows[l].name, jail_lack((enum layer)l),
                l == LAYER_SELF_TEST ? f.text : "");
    _exit(0);
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

/* ---- options ---- */

struct options {
    struct layer_rules rules;
    bool probe;
};

static bool read_options(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        bool valued = i + 1 < argc;

        if (strcmp(argv[i], "--degraded") == 0)
            o->rules.degraded = true;
        else if (strcmp(argv[i], "--probe") == 0)
            o->probe = true;
        else if (strcmp(argv[i], "--require") == 0 && valued && layer_list_read(argv[i + 1], &o->rules.required))
            i++;
        else if (strcmp(argv[i], "--allow-missing") == 0 && valued && layer_list_read(argv[i + 1], &o->rules.may_lack))
            i++;
        else
            return false;
    }
    return true;
}

static int dump_filter(void)
{
    if (jail_filter_prepare() != 0) {
        fprintf(stderr, "graft-worker: this kernel has no system call filters: %s\n", strerror(errno));
        return 1;
    }
    jail_filter_show(1);
    return 0;
}

/* The zygote's life: [0] is its end, [1] the keeper's. */
static _Noreturn void keep(const struct options *o)
{
    struct failure f = { .err = OK };
    int life[2];
    pid_t zygote;

    if (sodium_init() < 0)
        fail(&f, ERR_UNKNOWN, "libsodium cannot be used");
    if (f.err != OK || jail_keeper(&o->rules, o->probe, &f) != OK)
        nursery_refuse(&f);
    if (pipe2(life, O_CLOEXEC) != 0 || (zygote = fork()) < 0) {
        fail(&f, ERR_UNKNOWN, "the zygote cannot be started: %s", strerror(errno));
        nursery_refuse(&f);
    }
    if (zygote == 0) {
        close(life[1]);
        if (o->probe)
            be_probe(life[0]);
        be_zygote(life[0]);
    }
    close(NURSERY_CONTROL);
    close(life[0]);
    wait_for(zygote);
}

int main(int argc, char **argv)
{
    struct options o = { .probe = false };

    if (argc == 2 && strcmp(argv[1], "--dump-filter") == 0)
        return dump_filter();
    if (!read_options(argc, argv, &o) || !is_control_socket(NURSERY_CONTROL)) {
        fprintf(stderr, "graft-worker is started by graftd, with a control socket as descriptor 3\n");
        return 2;
    }
    reset_signals();
    keep(&o);
}
