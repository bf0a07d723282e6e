/*
 * graftd: wiring only. Set-up and the end read as a recipe:
 *
 *     options → policy → takeover → data directory → loop → store, transactions → zygote → grafts → socket → serve
 *     drain: no new work → running calls end → clients close → grafts leave → zygote dies → store closes
 */
#include "graftd/audit.h"
#include "graftd/client.h"
#include "graftd/command.h"
#include "graftd/call.h"
#include "graftd/doctor.h"
#include "graftd/event.h"
#include "graftd/inherit.h"
#include "graftd/listen.h"
#include "graftd/objects.h"
#include "graftd/port_uv.h"
#include "graftd/registry.h"
#include "graftd/reload.h"
#include "graftd/session.h"
#include "graftd/super.h"
#include "graftd/timer.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "policy/jail_daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    EXIT_USAGE = 2,
    ERRORS_MAX = 1024 * 1024, /* bytes of what is wrong with a policy */
    POISONED_DRAIN_MS = 1000, /* the store is lost: time to answer those who wait */
    LEAVE_MS = 5000,          /* after the drain: time to tell clients how their calls ended */
};

static const char usage[] =
    "usage: graftd [--data DIR] [--policy FILE|DIR] [--socket PATH] [--takeover] [--check]\n"
    "\n"
    "Hosts grafts: C extensions in sandboxed workers, each call a transaction.\n"
    "\n"
    "  --data DIR       where state is kept; made if it is not there\n"
    "                   (else the policy's, else /var/lib/graftd for root, else ~/.local/state/graftd)\n"
    "  --policy FILE    the rules; a directory's *.scfg are read as one (else a safe default)\n"
    "  --socket PATH    where clients connect (else the policy's, $GRAFTD_SOCKET, $XDG_RUNTIME_DIR/graftd.sock,\n"
    "                   /run/graftd/graftd.sock)\n"
    "  --takeover       in place of the graftd that runs: takes its socket over, waits for its end, and serves;\n"
    "                   who connects meanwhile waits, and is not refused. Starts as usual when none runs\n"
    "  --check          reads the policy, says what is wrong with it, and ends\n"
    "  --doctor         tries which walls this machine has, says what is missing, and ends\n"
    "  --dump-filter    prints the system call filters of grafts, and ends\n"
    "  --worker PATH    the worker program (else beside graftd, else where it was installed)\n"
    "  --verbose        logs the deaths of workers that were asked to die, and the like\n"
    "  --version, --help\n"
    "\n"
    "example: graftd --data /tmp/grafts --socket /tmp/graftd.sock &\n"
    "         GRAFTD_SOCKET=/tmp/graftd.sock graftctl ping\n";

struct options {
    const char *data, *policy, *socket, *worker;
    bool check, doctor, dump_filter, takeover;
};

struct daemon {
    struct core core; /* first: handlers get it, and find us */
    struct options options;
    struct policy *policy;
    char data[PATH_MAX], socket[PATH_MAX], worker[PATH_MAX];
    int data_fd;
    struct objects objects;
    struct inherited inherited;
    int life[2]; /* given away: [0]; [1] is kept to the end, which is how the other side learns of it */
    struct listener *listener;
    struct port_timer *lock_timer, *drain_timer;
    bool closing_clients, leaving, late; /* late: the drain's time is over */
    int status; /* of the process */
};

static int complain(const struct failure *why)
{
    fprintf(stderr, "graftd: %s\n", why->text);
    return EXIT_FAILURE;
}

/* ---- options and paths ---- */

static int parse_options(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        { "data", required_argument, NULL, 'd' },
        { "policy", required_argument, NULL, 'p' },
        { "socket", required_argument, NULL, 's' },
        { "worker", required_argument, NULL, 'w' },
        { "takeover", no_argument, NULL, 't' },
        { "check", no_argument, NULL, 'c' },
        { "doctor", no_argument, NULL, 'D' },
        { "dump-filter", no_argument, NULL, 'F' },
        { "verbose", no_argument, NULL, 'v' },
        { "version", no_argument, NULL, 'V' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    int c;

    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (c) {
        case 'd':
            o->data = optarg;
            break;
        case 'p':
            o->policy = optarg;
            break;
        case 's':
            o->socket = optarg;
            break;
        case 'w':
            o->worker = optarg;
            break;
        case 't':
            o->takeover = true;
            break;
        case 'c':
            o->check = true;
            break;
        case 'D':
            o->doctor = true;
            break;
        case 'F':
            o->dump_filter = true;
            break;
        case 'v':
            log_threshold(LOG_DEBUG);
            break;
        case 'V':
            printf("graftd %s\n", PACKAGE_VERSION);
            exit(EXIT_SUCCESS);
        case 'h':
            fputs(usage, stdout);
            exit(EXIT_SUCCESS);
        default:
            fputs(usage, stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "graftd: what is \"%s\"?\n%s", argv[optind], usage);
        return EXIT_USAGE;
    }
    return 0;
}

static bool find_data(struct daemon *d)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    const char *given = d->options.data != NULL ? d->options.data : policy_data(d->policy);
    int n;

    if (given != NULL)
        n = snprintf(d->data, sizeof d->data, "%s", given);
    else if (geteuid() == 0)
        n = snprintf(d->data, sizeof d->data, "/var/lib/graftd");
    else if (state != NULL && state[0] == '/')
        n = snprintf(d->data, sizeof d->data, "%s/graftd", state);
    else
        n = snprintf(d->data, sizeof d->data, "%s/.local/state/graftd", home != NULL ? home : "");
    return n > 0 && (size_t)n < sizeof d->data;
}

static bool find_socket(struct daemon *d)
{
    const char *env = getenv("GRAFTD_SOCKET"), *runtime = getenv("XDG_RUNTIME_DIR");
    const char *given = d->options.socket != NULL ? d->options.socket : policy_socket(d->policy);
    int n;

    if (given == NULL && env != NULL && env[0] != '\0')
        given = env;
    if (given != NULL)
        n = snprintf(d->socket, sizeof d->socket, "%s", given);
    else if (runtime != NULL && runtime[0] == '/')
        n = snprintf(d->socket, sizeof d->socket, "%s/graftd.sock", runtime);
    else
        n = snprintf(d->socket, sizeof d->socket, "/run/graftd/graftd.sock");
    return n > 0 && (size_t)n < sizeof d->socket;
}

/* Beside our own program when run from where it was built, else where it was installed. */
static bool find_worker(struct daemon *d)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash;

    if (d->options.worker != NULL)
        return snprintf(d->worker, sizeof d->worker, "%s", d->options.worker) < (int)sizeof d->worker &&
               access(d->worker, X_OK) == 0;
    if (n > 0) {
        self[n] = '\0';
        slash = strrchr(self, '/');
        if (slash != NULL && (size_t)(slash - self) + sizeof "/graft-worker" < sizeof d->worker) {
            *slash = '\0';
            snprintf(d->worker, sizeof d->worker, "%.*s/graft-worker", (int)(sizeof d->worker - 16), self);
            if (access(d->worker, X_OK) == 0)
                return true;
        }
    }
    snprintf(d->worker, sizeof d->worker, "%s/graft-worker", LIBEXECDIR);
    return access(d->worker, X_OK) == 0;
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

static enum err open_data(struct daemon *d, struct failure *why)
{
    struct stat st;

    if (!make_directories(d->data))
        return fail(why, ERR_STORAGE, "cannot make the data directory %s: %s", d->data, strerror(errno));
    d->data_fd = open(d->data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->data_fd < 0 || fstat(d->data_fd, &st) != 0)
        return fail(why, ERR_STORAGE, "cannot open the data directory %s: %s", d->data, strerror(errno));
    if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return fail(why, ERR_STORAGE,
                    "others can write to the data directory %s, or it is not ours: chown %u and chmod 700 it", d->data,
                    (unsigned)geteuid());
    return OK;
}

/* ---- the process ---- */

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

static void tell_systemd(const char *message)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd;

    if (path == NULL || path[0] == '\0' || strlen(path) >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&address,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
    close(fd);
}

/* ---- the end ---- */

static void grafts_are_gone(void *owner)
{
    struct daemon *d = owner;

    super_stop(d->core.super);
}

/* One step of the drain, as far as it goes now. */
static void drain_step(struct daemon *d)
{
    struct txn_stats s;

    if (!d->core.draining || d->leaving)
        return;
    txn_stats(d->core.txns, &s);
    if (d->core.call_count > 0 || s.open > 0 || !timers_idle(d->core.timers))
        return;
    if (!d->closing_clients) {
        d->closing_clients = true;
        client_close_all(&d->core);
    }
    if (d->core.client_count > 0)
        return;
    d->leaving = true;
    if (d->core.registry != NULL)
        registry_close(d->core.registry, grafts_are_gone);
    else
        super_stop(d->core.super);
}

static void drain_is_over(void *owner)
{
    struct daemon *d = owner;

    if (d->late) {
        client_drop_all(&d->core);
        return;
    }
    d->late = true;
    d->core.port->ops->timer_start(d->drain_timer, LEAVE_MS);
    if (d->core.call_count == 0 && d->core.session_count == 0)
        return;
    log_line(LOG_WARNING, "%zu calls and %zu transactions of connections did not end in time, and are rolled back",
             d->core.call_count, d->core.session_count);
    session_end_all(&d->core, ERR_KILLED, "the transaction was ended: graftd is stopping");
    call_cancel_all(&d->core, NULL, ERR_KILLED, "was ended: graftd is stopping");
    port_soon(d->core.port);
}

static void drain(struct core *core)
{
    struct daemon *d = (struct daemon *)core;

    if (core->draining)
        return;
    core->draining = true;
    log_line(LOG_INFO, "stopping: %zu calls run", core->call_count);
    tell_systemd("STOPPING=1");
    listen_close(&d->listener);
    event_stored_any(core->events); /* who waits for events is answered */
    core->port->ops->timer_start(d->drain_timer,
                                 d->status != 0 ? POISONED_DRAIN_MS : policy_limits(core->policy)->drain_ms);
    port_soon(core->port);
}

/* Who takes over gets the socket as it is, with everybody who waits in its queue. */
static enum err hand_over(struct core *core, struct request *r, struct failure *why)
{
    struct daemon *d = (struct daemon *)core;
    bool own_file;
    int fds[INHERIT_FDS];

    if (core->draining || d->listener == NULL)
        return fail(why, ERR_BUSY, "graftd is stopping");
    if (pipe2(d->life, O_CLOEXEC) != 0)
        return fail(why, ERR_BUSY, "no descriptors left to hand over with: %s", strerror(errno));
    fds[0] = listen_socket(d->listener, &own_file);
    fds[1] = d->life[0];
    if (request_give(r, bytes_str(own_file ? INHERIT_OWN : INHERIT_LENT), fds, INHERIT_FDS) != OK)
        fail(why, ERR_BUSY, "SHUTDOWN HANDOVER must be alone on its connection");
    close(d->life[0]);
    if (why->err != OK) {
        close(d->life[1]);
        return why->err;
    }
    log_line(LOG_INFO, "another graftd takes over");
    listen_keep_file(d->listener);
    return OK;
}

static void signal_arrived(void *owner, int signum)
{
    (void)signum;
    drain(owner);
}

static void hangup_arrived(void *owner, int signum)
{
    struct daemon *d = owner;

    (void)signum;
    reload_hangup(&d->core);
}

static void zygote_lost(void *owner, const char *why)
{
    struct daemon *d = owner;

    if (!d->leaving) {
        log_line(LOG_ERROR, "the zygote, from which all workers come, is gone: it %s", why);
        _exit(EXIT_FAILURE); /* what is running cannot be answered; what was answered is on disk */
    }
    port_uv_stop(d->core.port);
}

/* ---- the beginning ---- */

static void grafts_are_ready(void *owner)
{
    struct daemon *d = owner;
    struct listen_options options = {
        .path = d->socket,
        .mode = policy_socket_mode(d->policy),
        .group = policy_socket_group(d->policy),
        .inherited = &d->inherited,
    };
    struct failure why = { 0 };

    if (d->core.draining)
        return;
    if (listen_open(&d->core, d->core.port, &options, &d->listener, &why) != OK ||
        (policy_daemon_walled(d->policy) && jail_daemon_calls(&why) != OK)) {
        complain(&why);
        d->status = EXIT_FAILURE;
        drain(&d->core);
        return;
    }
    log_line(LOG_INFO, "graftd %s is ready on %s (data %s, %zu grafts, sandbox %s daemon=%s)", PACKAGE_VERSION, listen_path(d->listener),
             d->data, registry_count(d->core.registry), super_walls(d->core.super), jail_daemon_walls());
    tell_systemd("READY=1");
    timers_start(d->core.timers);
}

static void zygote_is_ready(void *owner)
{
    struct daemon *d = owner;
    struct failure why = { 0 };

    if (d->leaving)
        return;
    if (registry_new(&d->core, grafts_are_ready, d, &d->core.registry, &why) != OK) {
        complain(&why);
        d->status = EXIT_FAILURE;
        drain(&d->core);
    }
}

static const struct super_events super_events = { zygote_is_ready, zygote_lost };

static void tick(void *owner)
{
    struct daemon *d = owner;
    int64_t now = port_now_ms(d->core.port), next;

    if (d->core.txns == NULL) /* the start failed, and only the zygote is waited for */
        return;
    txn_poll(d->core.txns, now);
    if (txn_manager_poisoned(d->core.txns) && d->status == 0) {
        log_line(LOG_ERROR, "an I/O error hit a commit: its outcome is known only after recovery, so graftd ends here");
        d->status = EXIT_FAILURE;
        drain(&d->core);
    }
    next = txn_next_deadline_ms(d->core.txns);
    if (next >= 0)
        d->core.port->ops->timer_start(d->lock_timer, next > now ? (uint64_t)(next - now) : 0);
    drain_step(d);
}

static void lock_deadline(void *owner)
{
    struct daemon *d = owner;

    port_soon(d->core.port);
}

static void sweep_clients(void *owner) { client_sweep(&((struct daemon *)owner)->core); }

static void txns_want(void *arg)
{
    struct daemon *d = arg;

    port_soon(d->core.port);
}

static enum err wall_files(struct daemon *d, struct failure *why)
{
    char data[PATH_MAX], policy[PATH_MAX];
    struct daemon_paths paths = {
        .data = realpath(d->data, data),
        .backup = policy_backup(d->policy),
        .socket = d->socket,
        .policy = d->options.policy != NULL ? realpath(d->options.policy, policy) : NULL,
    };

    for (; paths.root_count < policy_root_count(d->policy) && paths.root_count < JAIL_ROOT_MAX; paths.root_count++)
        paths.roots[paths.root_count] = policy_root(d->policy, paths.root_count)->path;
    if (paths.backup != NULL && access(paths.backup, W_OK | X_OK) != 0)
        return fail(why, ERR_BADARG, "backups cannot be written to %s (`backup` in the policy): %s", paths.backup,
                    strerror(errno));
    if (!policy_daemon_walled(d->policy))
        return OK;
    if (paths.data == NULL)
        return fail(why, ERR_STORAGE, "cannot tell where %s is: %s", d->data, strerror(errno));
    return jail_daemon_files(&paths, why);
}

static enum err open_store(struct daemon *d, struct failure *why)
{
    static const int synchronous[] = { [DURABILITY_FULL] = 2, [DURABILITY_NORMAL] = 1, [DURABILITY_OFF] = 0 };
    const struct policy_limits *limits = policy_limits(d->policy);
    struct file_root roots[FILE_ROOT_MAX];
    struct store_options store = {
        .directory = d->data,
        .roots = roots,
        .synchronous = synchronous[policy_durability(d->policy)],
        .history_ms = limits->history_ms,
        .history_bytes = limits->history_bytes,
        .events_ms = limits->events_ms,
        .events_bytes = limits->events_bytes,
        .wake = port_uv_wake,
        .wake_arg = d->core.port,
    };
    struct txn_options txn = {
        .key_max = limits->key_max,
        .value_max = limits->value_max,
        .lock_wait_ms = limits->lock_wait_ms,
        .cache_bytes = limits->cache_bytes,
        .spill_bytes = limits->spill_bytes,
        .locks_bytes = limits->locks_bytes,
        .wanted = txns_want,
        .wanted_arg = d,
        .stored = core_stored,
        .stored_arg = &d->core,
    };
    enum err err;

    for (; store.root_count < policy_root_count(d->policy) && store.root_count < FILE_ROOT_MAX; store.root_count++) {
        const struct policy_root *root = policy_root(d->policy, store.root_count);
        roots[store.root_count] = (struct file_root){ root->name, root->path };
    }
    err = store_sqlite_open(&store, &d->core.store, why);
    if (err != OK)
        return err;
    txn.store = d->core.store;
    txn.roots = store.roots;
    txn.root_count = store.root_count;
    if (d->core.store->ops->facts(d->core.store)->undone > 0)
        log_line(LOG_WARNING, "recovered: %llu unfinished transactions were undone",
                 (unsigned long long)d->core.store->ops->facts(d->core.store)->undone);
    return txn_manager_new(&txn, &d->core.txns, why);
}

/* What can be wrong with us is found out before, so that the running one goes on if it is. */
static enum err inherit(struct daemon *d, struct failure *why)
{
    enum err err = inherit_from_systemd(&d->inherited, why);

    if (err != OK || d->inherited.fd >= 0 || !d->options.takeover)
        return err;
    err = inherit_from_running(d->socket, &d->inherited, why);
    if (err == OK && d->inherited.fd < 0)
        log_line(LOG_INFO, "nobody listens on %s: there is nothing to take over", d->socket);
    inherit_wait(&d->inherited);
    return err;
}

static enum err open_all(struct daemon *d, struct failure *why)
{
    struct port *port;
    enum err err;

    if (!find_data(d) || !find_socket(d))
        return fail(why, ERR_BADARG, "the path of the data directory or of the socket is too long");
    if (!find_worker(d))
        return fail(why, ERR_STORAGE, "there is no worker program at %s: is graftd installed whole?", d->worker);
    if ((err = inherit(d, why)) != OK || (err = open_data(d, why)) != OK ||
        (err = port_uv_new(d->worker, policy_layers(d->policy), &d->core.port, why)) != OK)
        return err;
    port = d->core.port;
    port->tick = tick;
    port->tick_owner = d;
    d->core.started_us = port_wall_us(port);
    d->lock_timer = port->ops->timer_new(port, lock_deadline, d);
    d->drain_timer = port->ops->timer_new(port, drain_is_over, d);
    d->core.client_timer = port->ops->timer_new(port, sweep_clients, d);
    if (d->lock_timer == NULL || d->drain_timer == NULL || d->core.client_timer == NULL ||
        port_uv_signal(port, SIGTERM, signal_arrived, d) != OK ||
        port_uv_signal(port, SIGINT, signal_arrived, d) != OK ||
        port_uv_signal(port, SIGHUP, hangup_arrived, d) != OK ||
        reload_new(&d->core, d->options.policy, d->policy, &d->core.reload) != OK)
        return fail(why, ERR_NOMEM, "no memory for the event loop");
    if (events_new(&d->core.events) != OK || timers_new(&d->core, &d->core.timers) != OK)
        return fail(why, ERR_NOMEM, "no memory for events and timers");
    /* The zygote first: what graftd gives up, it needs. */
    if ((err = super_new(port, &super_events, d, &d->core.super, why)) != OK || (err = wall_files(d, why)) != OK ||
        (err = audit_open(port, d->data_fd, &d->core.audit, why)) != OK || (err = open_store(d, why)) != OK)
        return err;
    return objects_open(&d->objects, d->data_fd, why);
}

static void close_all(struct daemon *d)
{
    listen_close(&d->listener);
    if (d->core.port != NULL) {
        d->core.port->ops->timer_free(&d->lock_timer);
        d->core.port->ops->timer_free(&d->drain_timer);
        d->core.port->ops->timer_free(&d->core.client_timer);
    }
    registry_free(&d->core.registry);
    super_free(&d->core.super);
    if (d->core.txns != NULL)
        txn_manager_free(&d->core.txns);
    if (d->core.store != NULL)
        d->core.store->ops->close(d->core.store);
    timers_free(&d->core.timers);
    events_free(&d->core.events);
    audit_close(&d->core.audit);
    reload_free(&d->core.reload);
    port_uv_free(&d->core.port);
    objects_close(&d->objects);
    inherit_close(&d->inherited);
    if (d->data_fd >= 0)
        close(d->data_fd);
    policy_free(&d->policy);
}

static int load_policy(struct daemon *d)
{
    struct buf errors;
    enum err err;

    buf_init(&errors, ERRORS_MAX);
    err = policy_load(d->options.policy, geteuid(), &d->policy, &errors);
    if (err != OK)
        fprintf(stderr, "%.*sgraftd: %s\n", (int)buf_len(&errors), (const char *)buf_bytes(&errors).data,
                "the policy has errors; nothing was started");
    else
        command_check_policy(d->policy, &errors);
    if (err == OK && buf_len(&errors) > 0)
        fprintf(stderr, "%.*s", (int)buf_len(&errors), (const char *)buf_bytes(&errors).data);
    buf_fini(&errors);
    return err == OK ? 0 : EXIT_FAILURE;
}

/* What only looks, and ends. */
static int look(struct daemon *d)
{
    if (!find_worker(d)) {
        fprintf(stderr, "graftd: there is no worker program at %s: is graftd installed whole?\n", d->worker);
        return EXIT_FAILURE;
    }
    return d->options.doctor ? doctor_run(d->worker, policy_layers(d->policy)) : doctor_dump_filter(d->worker);
}

int main(int argc, char **argv)
{
    static struct daemon d = { .data_fd = -1, .objects.directory = -1, .inherited = { .fd = -1, .life = -1 } };
    struct failure why = { 0 };
    int status = parse_options(argc, argv, &d.options);

    if (status != 0)
        return status;
    tidy_process();
    hash_init();
    status = load_policy(&d);
    if (status != 0 || d.options.check) {
        if (status == 0)
            printf("the policy %s is good\n", d.options.policy != NULL ? d.options.policy : "(built in)");
        policy_free(&d.policy);
        return status;
    }
    if (d.options.doctor || d.options.dump_filter) {
        status = look(&d);
        policy_free(&d.policy);
        return status;
    }
    d.core.policy = d.policy;
    d.core.objects = &d.objects;
    d.core.drain = drain;
    d.core.hand_over = hand_over;
    list_init(&d.core.calls);
    list_init(&d.core.clients);
    list_init(&d.core.sessions);
    if (open_all(&d, &why) != OK) {
        complain(&why);
        d.status = EXIT_FAILURE;
        d.leaving = true;
        if (d.core.super != NULL) { /* what was started ends before we do */
            super_stop(d.core.super);
            port_uv_run(d.core.port);
        }
    } else {
        port_uv_run(d.core.port);
        log_line(LOG_INFO, "stopped");
    }
    close_all(&d);
    return d.status;
}
