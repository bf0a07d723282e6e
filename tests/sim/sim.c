/*
 * The daemon's whole logic in a simulated world: sim [seed [count]]; 1 and 300 without words.
 *
 * A run is a few lives of one daemon over one disk. In each, clients ask at random while workers do their scripted
 * worst; a life ends in silence (all was answered, nothing can happen any more), by a stop in the middle, by a crash,
 * or by a disk that fails. In some another daemon takes over in the middle, and is gone before it serves: the drain is taken
 * back, with the store closed and opened again if it came so far, and life goes on. After each the model judges the disk as
 * recovery finds it (T1 to T7), and nothing may be left in memory. A crash is the moment from which nobody hears anything
 * and nothing reaches the disk; the corpse is then taken apart, so that a sanitizer sees what it leaks.
 *
 * Every run is fixed by its seed. One that fails prints it; `sim SEED` repeats it, with SIM_VERBOSE=1 the daemon's log,
 * too. Then the canaries: runs in which the world breaks a promise of its own must fail (store: a committed effect
 * never reaches the disk; timer: one that has fired stays stored; port: a reply is sent twice). They run without words,
 * and alone with SIM_CANARY=store, timer or port.
 *
 * Linked from the other files here, graftd/libgraftd.a, txn/libtxn.a, policy/libpolicy.a and lib/libbase.a; no libuv and
 * no SQLite is in it.
 */
#include "graftd/client.h"
#include "graftd/drain.h"
#include "graftd/event.h"
#include "graftd/objects.h"
#include "graftd/registry.h"
#include "graftd/super.h"
#include "graftd/timer.h"
#include "lib/check.h"
#include "lib/log.h"
#include "tests/sim/client_sim.h"
#include "tests/sim/model.h"
#include "tests/sim/port_sim.h"
#include "tests/sim/seen.h"
#include "tests/sim/silence.h"
#include "tests/sim/store_mem.h"
#include "tests/sim/store_sim.h"
#include "txn/inside.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CANARY_SEEDS = 50, /* within as many a canary must be caught */
    CLIENTS = 6,
    LIVES_MAX = 4,
    CRASH_STEPS_MAX = 500, /* to wait for a good moment */
    REQUESTS_MAX = 60,     /* of one client */
    STEPS_MAX = 200000,    /* of one life; then it hangs */
    OWNER = 1000,
    SECONDS_MAX = 3600,
};

enum canary { CANARY_NONE, CANARY_STORE, CANARY_TIMER, CANARY_PORT };
enum ending { END_SILENCE, END_STOP, END_CRASH, END_UNKNOWN, END_TAKEOVER };

struct world {
    struct core core; /* first: handlers get it, and find us */
    struct chance chance;
    struct model model;
    struct disk *disk;
    struct policy *policy;
    struct objects objects;
    struct store_sim store;
    struct port_timer *lock_timer;
    struct drain drain;
    bool honest; /* see client_sim.h; for all lives, as grafts outlive them */
    bool ready, loaded, ended, stopped, poisoned;
    bool lent;            /* another daemon has the socket */
    bool bad_disk, quiet; /* quiet: whatever could still happen has */
    struct client_sim clients[CLIENTS];
    unsigned client_count; /* connected so far */
    enum canary canary;
};

static uint64_t seed_now; /* for last words */
static char directory[64];

static bool disk_busy(void *arg)
{
    struct world *w = arg;

    return w->store.inner != NULL && store_mem_waiting(w->store.inner) > 0;
}

/* ---- the daemon, wired as in graftd/daemon_open.c and daemon_run.c ---- */

static void drain(struct core *core)
{
    struct world *w = (struct world *)(void *)core;

    if (!core->draining)
        drain_begin(&w->drain, policy_limits(core->policy)->drain_ms);
}

static void close_store(struct world *w)
{
    txn_manager_free(&w->core.txns);
    w->core.store->ops->close(w->core.store);
    w->core.store = NULL;
}

/* As in graftd/daemon_takeover.c. */
static void drained(struct world *w)
{
    if (w->lent && !w->poisoned)
        close_store(w);
    else
        drain_leave(&w->drain);
}

static void tick(void *owner)
{
    struct world *w = owner;
    int64_t now = port_now_ms(w->core.port), next;

    if (w->core.txns == NULL)
        return;
    txn_poll(w->core.txns, now);
    if (txn_manager_poisoned(w->core.txns) && !w->poisoned) {
        w->poisoned = true;
        drain(&w->core);
    }
    next = txn_next_deadline_ms(w->core.txns);
    if (next >= 0)
        w->core.port->ops->timer_start(w->lock_timer, next > now ? (uint64_t)(next - now) : 0);
    if (drain_step(&w->drain))
        drained(w);
}

static void wants_tick(void *owner) { port_soon(((struct world *)owner)->core.port); }

static void grafts_are_ready(void *owner)
{
    struct world *w = owner;

    w->ready = true;
    timers_start(w->core.timers);
}

static void zygote_is_ready(void *owner)
{
    struct world *w = owner;
    struct failure why = { 0 };

    CHECK(registry_new(&w->core, grafts_are_ready, w, &w->core.registry, &why) == OK);
}

static void zygote_lost(void *owner, const char *why)
{
    struct world *w = owner;

    if (!w->drain.leaving)
        model_wrong(&w->model, "the zygote is lost: %s", why);
    w->stopped = true;
}

static const struct super_events super_events = { zygote_is_ready, zygote_lost };

static void open_store(struct world *w)
{
    bool tiny = chance_one_in(&w->chance, 2); /* less than a policy may say: small transactions do what large ones do */
    const struct policy_limits *limits = policy_limits(w->policy);
    struct txn_options options = {
        .store = &w->store.store,
        .key_max = limits->key_max,
        .value_max = limits->value_max,
        .lock_wait_ms = limits->lock_wait_ms,
        .cache_bytes = tiny ? 2000 : limits->cache_bytes,
        .spill_bytes = tiny ? 500 : limits->spill_bytes,
        .wanted = wants_tick,
        .wanted_arg = w,
        .locks_bytes = limits->locks_bytes,
        .stored = core_stored,
        .stored_arg = &w->core,
    };
    struct failure why = { 0 };

    store_sim_open(&w->store, store_mem_open(w->disk), &w->chance);
    w->core.store = &w->store.store;
    CHECK(txn_manager_new(&options, &w->core.txns, &why) == OK);
    if (tiny)
        w->core.txns->locks.warm_max = 2;
    store_mem_set_delay(w->store.inner, 1 + chance_below(&w->chance, 6));
    w->store.forgets = w->canary == CANARY_STORE   ? store_sim_is_mark
                       : w->canary == CANARY_TIMER ? store_sim_is_timer_gone
                                                   : NULL;
}

#define TIMERS "timers tries 3 backoff 5ms\n" /* GRAFT_SIM_TIMER_TRIES */
#define RESOURCES "allow read write file \"*\"; allow emit \"*\"; allow timer \"*\"\n"

static void open_policy(struct world *w)
{
    static const char *const policies[] = {
        "limit lock-wait 50ms queue 4 drain 1s\ntxn spill 64K\n" TIMERS
        "graft default { limit cpu 20ms wall 100ms effects 36\n workers min 1 max 3\n allow read write kv \"*\"\n " RESOURCES " }\n",
        "limit lock-wait 5s drain 200ms\ntxn spill 64K\n" TIMERS
        "graft default { limit cpu 5ms wall 50ms effects 26\n workers min 2 max 2\n worker fresh call\n allow read write kv \"*\"\n " RESOURCES " }\n",
        "limit queue 64 drain 10s\n" TIMERS
        "graft default { limit cpu 50ms wall 1s effects 45\n workers min 1 max 8\n allow read write kv \"*\"\n " RESOURCES " }\n",
    };
    const char *text = policies[chance_below(&w->chance, 3)];
    struct buf errors;
    enum err err;

    buf_init(&errors, 64 * 1024);
    err = policy_parse("sim", bytes_str(text), OWNER, &w->policy, &errors);
    if (err != OK)
        fprintf(stderr, "%.*s", (int)buf_len(&errors), (const char *)buf_bytes(&errors).data);
    CHECK(err == OK);
    buf_fini(&errors);
}

static void boot(struct world *w)
{
    struct port_sim_options options = {
        .chance = &w->chance,
        .echo = w->canary == CANARY_PORT,
        .disk_busy = disk_busy,
        .disk = w,
    };
    struct failure why = { 0 };
    struct port *port = port_sim_new(&options);

    w->core = (struct core){ .port = port, .policy = w->policy, .objects = &w->objects, .drain = drain };
    list_init(&w->core.calls);
    list_init(&w->core.clients);
    list_init(&w->core.sessions);
    w->ready = w->loaded = w->ended = w->stopped = w->poisoned = w->lent = w->bad_disk = w->quiet = false;
    w->client_count = 0;
    port->tick = tick;
    port->tick_owner = w;
    w->lock_timer = port->ops->timer_new(port, wants_tick, w);
    CHECK(drain_init(&w->drain, &w->core) == OK);
    CHECK(events_new(&w->core.events) == OK && timers_new(&w->core, &w->core.timers) == OK);
    open_store(w);
    CHECK(super_new(port, &super_events, w, &w->core.super, &why) == OK);
}

static void take_apart(struct world *w)
{
    const char *left;

    seen_count(w->core.super, w->clients, w->client_count);
    for (unsigned i = 0; i < w->client_count; i++) {
        peer_forget(&w->clients[i].peer);
        client_sim_fini(&w->clients[i]);
    }
    if (!w->stopped)
        return; /* it hangs: what it holds is lost */
    w->core.port->ops->timer_free(&w->lock_timer);
    drain_fini(&w->drain);
    registry_free(&w->core.registry);
    super_free(&w->core.super);
    close_store(w);
    timers_free(&w->core.timers);
    events_free(&w->core.events);
    left = port_sim_free(&w->core.port);
    if (left != NULL)
        model_wrong(&w->model, "when all had stopped, %s was left", left);
}

/* ---- a life ---- */

static bool wrong(const struct world *w) { return w->model.wrong[0] != '\0'; }

/* Until it is so; false: it never is. */
static bool run_until(struct world *w, const bool *so)
{
    for (unsigned i = 0; i < STEPS_MAX && !*so; i++)
        if (!port_sim_step(w->core.port))
            break;
    return *so;
}

static void bank_is_loaded(void *owner, const struct failure *why, struct graft *g)
{
    struct world *w = owner;

    (void)g;
    CHECK(why->err == OK);
    w->loaded = true;
}

static void load_bank(struct world *w)
{
    struct failure why = { 0 };

    if (registry_find(w->core.registry, bytes_str("bank")) != NULL || chance_one_in(&w->chance, 10))
        return;
    CHECK(graft_load(w->core.registry, bytes_str("bank"), bytes_str("bank 1.0 good\n"), false, OWNER, bank_is_loaded, w,
                     &why) == OK);
    if (!run_until(w, &w->loaded))
        model_wrong(&w->model, "the first graft is never loaded");
}

static void connect_one(struct world *w)
{
    struct principal who = { .uid = OWNER, .gid = OWNER, .pid = 1 };
    struct client_sim *c = &w->clients[w->client_count];
    char refusal[CLIENT_REFUSAL_MAX];

    if (w->core.draining)
        return;
    client_sim_init(c, &w->core, &w->model, &w->chance, 1 + chance_below(&w->chance, REQUESTS_MAX));
    c->honest = w->honest;
    w->client_count++;
    port_sim_peer(w->core.port, &c->peer);
    (void)client_open(&w->core, -1, &who, refusal); /* its peer learns it from the port */
}

static void crash(struct world *w)
{
    store_mem_crash(w->store.inner, chance_below(&w->chance, (unsigned)store_mem_waiting(w->store.inner) + 1));
    port_sim_set_faults(w->core.port, 0);
    for (unsigned i = 0; i < w->client_count; i++)
        peer_forget(&w->clients[i].peer);
    drain(&w->core);
}

static void disk_fails(struct world *w)
{
    static const enum store_kind kinds[] = { STORE_COMMIT,    STORE_COMMIT,    STORE_GET,  STORE_SCAN,
                                             STORE_GRAFT_PUT, STORE_GRAFT_DEL, STORE_LIST, STORE_UNDO };

    store_mem_fail_next(w->store.inner, kinds[chance_below(&w->chance, 8)], ERR_STORAGE, false);
}

/* The daemon closes its connections, some with requests that it has not looked at. */
static void take_over(struct world *w)
{
    for (unsigned i = 0; i < w->client_count; i++)
        w->clients[i].patient = false;
    w->lent = true;
    drain(&w->core);
}

/* The other one dies at any time: while calls still run here, or when it has the store. */
static void take_back(struct world *w)
{
    w->lent = false;
    if (w->core.txns == NULL)
        open_store(w);
    drain_take_back(&w->drain);
}

static void end_life(struct world *w, enum ending ending)
{
    switch (ending) {
    case END_STOP:
        drain(&w->core);
        break;
    case END_CRASH:
        crash(w);
        break;
    case END_UNKNOWN:
        store_mem_fail_next(w->store.inner, STORE_COMMIT, ERR_UNKNOWN, chance_one_in(&w->chance, 2));
        break;
    case END_TAKEOVER:
        take_over(w);
        break;
    default:
        break;
    }
}

/* A crash is worth most while the disk is behind. */
static bool moment_has_come(struct world *w, enum ending ending)
{
    return ending != END_CRASH || (disk_busy(w) && chance_one_in(&w->chance, 3));
}

static void live(struct world *w, enum ending ending)
{
    unsigned clients = 1 + chance_below(&w->chance, CLIENTS), step = 0, end = 50 + chance_below(&w->chance, 2500);
    bool going = true;

    w->bad_disk = chance_one_in(&w->chance, 4);
    for (; going && !w->stopped && !wrong(w) && step < STEPS_MAX; step++) {
        if (w->client_count < clients && (w->client_count == 0 || chance_one_in(&w->chance, 50)))
            connect_one(w);
        if (w->bad_disk && w->core.txns != NULL && chance_one_in(&w->chance, 300))
            disk_fails(w);
        if (step >= end && !w->ended && (step == end + CRASH_STEPS_MAX || moment_has_come(w, ending))) {
            w->ended = true;
            end_life(w, ending);
            clients = ending == END_TAKEOVER ? CLIENTS : clients;
        }
        if (w->lent && !w->poisoned && chance_one_in(&w->chance, 100))
            take_back(w);
        going = port_sim_step(w->core.port) || w->lent || (w->client_count < clients && !w->core.draining);
    }
    if (step == STEPS_MAX)
        model_wrong(&w->model, "after %d steps there is no silence", STEPS_MAX);
}

/* ---- silence ---- */

static void check_silence(struct world *w)
{
    struct silence s = { &w->core, w->store.inner, w->clients, w->client_count, &w->model };

    silence_check(&s);
    w->quiet = !w->core.draining && !w->bad_disk; /* timers that could not be read wait for the next life */
}

/* What recovery makes of the disk. */
static void judge_disk(struct world *w)
{
    struct store *s = store_mem_open(w->disk);

    s->ops->close(s);
    model_judge(&w->model, w->disk, w->quiet);
}

static void run_life(struct world *w)
{
    static const enum ending endings[] = { END_SILENCE, END_SILENCE, END_STOP,     END_CRASH,   END_CRASH,
                                           END_CRASH,   END_UNKNOWN, END_TAKEOVER, END_TAKEOVER };
    enum ending ending = endings[chance_below(&w->chance, 9)];

    boot(w);
    if (!run_until(w, &w->ready))
        model_wrong(&w->model, "the daemon is never ready");
    if (!wrong(w))
        load_bank(w);
    if (!w->honest && chance_one_in(&w->chance, 3))
        port_sim_set_faults(w->core.port, 30 + chance_below(&w->chance, 200));
    if (!wrong(w))
        live(w, ending);
    if (!wrong(w) && !w->stopped)
        check_silence(w);
    drain(&w->core);
    if (!run_until(w, &w->stopped))
        model_wrong(&w->model, "it never stops");
    take_apart(w);
    if (!wrong(w))
        judge_disk(w);
}

/* ---- a run ---- */

static bool run_seed(uint64_t seed, enum canary canary)
{
    static struct world w;
    unsigned lives;
    bool good;

    seed_now = seed;
    w = (struct world){ .chance = { seed }, .canary = canary, .disk = disk_new() };
    w.objects.directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(w.objects.directory >= 0);
    model_init(&w.model, w.disk);
    open_policy(&w);
    w.honest = chance_one_in(&w.chance, 3);
    lives = 1 + chance_below(&w.chance, LIVES_MAX);
    while (lives-- > 0 && !wrong(&w))
        run_life(&w);
    good = !wrong(&w);
    if (!good && canary == CANARY_NONE)
        fprintf(stderr, "sim: seed %llu: %s\n     again: sim %llu\n", (unsigned long long)seed, w.model.wrong,
                (unsigned long long)seed);
    policy_free(&w.policy);
    objects_close(&w.objects);
    if (w.store.inner == NULL)
        disk_free(&w.disk);
    return good;
}

static bool run_canary(enum canary canary, const char *name, uint64_t seed)
{
    for (uint64_t i = 0; i < CANARY_SEEDS; i++)
        if (!run_seed(seed + i, canary)) {
            printf("sim: canary %s is caught at seed %llu\n", name, (unsigned long long)(seed + i));
            return true;
        }
    fprintf(stderr, "sim: canary %s was not caught in %d seeds: the checks are blind\n", name, CANARY_SEEDS);
    return false;
}

static const struct {
    enum canary canary;
    const char *name;
} canaries[] = { { CANARY_STORE, "store" }, { CANARY_TIMER, "timer" }, { CANARY_PORT, "port" } };

static void last_words(int signum)
{
    char text[96];
    int n = snprintf(text, sizeof text, "sim: seed %llu ended by signal %d\n", (unsigned long long)seed_now, signum);

    if (write(STDERR_FILENO, text, (size_t)n) < 0)
        _exit(EXIT_FAILURE);
    signal(signum, SIG_DFL);
    raise(signum);
}

static void prepare_last_words(void)
{
    struct sigaction before;

    signal(SIGABRT, last_words);
    signal(SIGALRM, last_words);
    if (sigaction(SIGSEGV, NULL, &before) == 0 &&
        before.sa_handler == SIG_DFL) /* else a sanitizer's, which says more */
        signal(SIGSEGV, last_words);
}

static void remove_directory(void)
{
    DIR *d = opendir(directory);
    struct dirent *e;

    while (d != NULL && (e = readdir(d)) != NULL)
        (void)unlinkat(dirfd(d), e->d_name, 0);
    if (d != NULL)
        closedir(d);
    rmdir(directory);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : argc > 1 ? 1 : SEEDS;
    const char *canary = getenv("SIM_CANARY");
    bool all = argc == 1 || canary != NULL, good = true;

    prepare_last_words();
    alarm(argc > 1 ? SECONDS_MAX : 300);
    log_threshold(getenv("SIM_VERBOSE") != NULL ? LOG_DEBUG : LOG_ERROR + 1);
    snprintf(directory, sizeof directory, "/tmp/graftd-sim-XXXXXX");
    CHECK(mkdtemp(directory) != NULL);
    for (uint64_t i = 0; canary == NULL && i < count; i++)
        good &= run_seed(seed + i, CANARY_NONE);
    if (canary == NULL)
        good &= seen_all(count);
    for (size_t i = 0; i < sizeof canaries / sizeof canaries[0]; i++)
        if (all && (canary == NULL || strcmp(canary, canaries[i].name) == 0))
            good &= run_canary(canaries[i].canary, canaries[i].name, seed);
    remove_directory();
    if (canary == NULL)
        printf("sim: seeds %llu to %llu %s\n", (unsigned long long)seed, (unsigned long long)(seed + count - 1),
               good ? "are good" : "FAILED");
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
