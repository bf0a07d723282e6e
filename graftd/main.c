/*
 * graftd: wiring only. Set-up and the end read as a recipe:
 *
 *     options → policy → takeover → data directory → control group → loop → zygote → store, transactions → grafts → socket → serve
 *     drain: no new work → running calls end → clients close → grafts leave → zygote dies → store closes → groups go
 *     for a takeover: … → clients close → store closes → the other one serves → grafts leave → zygote dies → groups go
 */
#include "graftd/command.h"
#include "graftd/daemon_impl.h"
#include "graftd/doctor.h"
#include "graftd/port_uv.h"
#include "lib/hash.h"
#include "lib/log.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ERRORS_MAX = 1024 * 1024 }; /* bytes of what is wrong with a policy */

static void tidy_process(void)
{
    struct rlimit files;
    int fd;

    while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
        ;
    if (fd > STDERR_FILENO)
        close(fd);
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a write past ulimit -f fails, and does not end graftd */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

static int load_policy(struct daemon *d)
{
    struct buf errors;
    enum err err;

    buf_init(&errors, ERRORS_MAX);
    err = policy_load(d->options.policy, geteuid(), &d->policy, &errors);
    if (err == OK)
        command_check_policy(d->policy, &errors);
    if (buf_len(&errors) > 0)
        fprintf(stderr, "%.*s", (int)buf_len(&errors), (const char *)buf_bytes(&errors).data);
    if (err != OK)
        fprintf(stderr, "graftd: the policy has errors; nothing was started\n");
    buf_fini(&errors);
    return err == OK ? 0 : EXIT_FAILURE;
}

static int check(struct daemon *d)
{
    printf("the policy %s is good\n", d->options.policy != NULL ? d->options.policy : "(built in)");
    return EXIT_SUCCESS;
}

/* --doctor, --dump-filter: what only looks, and ends. */
static int look(struct daemon *d)
{
    struct failure why = { 0 };

    if (paths_find_worker(&d->paths, &d->options, &why) != OK) {
        daemon_complain(d, &why);
        return d->status;
    }
    return d->options.doctor ? doctor_run(d->paths.worker, d->policy) : doctor_dump_filter(d->paths.worker);
}

static void wire(struct daemon *d)
{
    d->core.policy = d->policy;
    d->core.objects = &d->objects;
    d->core.drain = daemon_drain;
    d->core.hand_over = daemon_hand_over;
    list_init(&d->core.calls);
    list_init(&d->core.clients);
    list_init(&d->core.sessions);
}

static int serve(struct daemon *d)
{
    struct failure why = { 0 };

    wire(d);
    if (daemon_open(d, &why) == OK) {
        port_uv_run(d->core.port);
        log_line(LOG_INFO, "stopped");
        return d->status;
    }
    daemon_complain(d, &why);
    d->drain.leaving = true;
    if (d->core.super != NULL) { /* what was started ends before we do */
        super_stop(d->core.super);
        port_uv_run(d->core.port);
    }
    return d->status;
}

/* One that comes too late changes nothing: the status tells how it went. */
static void hold_signals(void)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
}

int main(int argc, char **argv)
{
    static struct daemon d = { .data_fd = -1,
                               .objects.directory = -1,
                               .inherited = { .fd = -1, .life = -1, .ready = -1 } };
    int status = options_read(argc, argv, &d.options);

    if (status != 0)
        return status;
    tidy_process();
    hash_init();
    status = load_policy(&d);
    if (status == 0 && d.options.check)
        status = check(&d);
    else if (status == 0 && (d.options.doctor || d.options.dump_filter))
        status = look(&d);
    else if (status == 0)
        status = serve(&d);
    hold_signals();
    daemon_close(&d);
    return status;
}
