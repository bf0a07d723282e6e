/*
 * crash GRAFTD DIR KILLS SEED: kills a daemon with SIGKILL at random instants under load, restarts it, and checks each time
 * that nothing that was answered is lost, and that what was not answered is there whole or not at all (T2, T3, T7).
 *
 * DIR has the policy, and data into which the grafts bank, ledger and pkgindex were loaded. Each client numbers
 * its requests, and each request leaves its number in the same transaction as its work. So after a crash the number N that
 * is found tells which requests took place: those up to N. It must be
 *
 *     the last one answered  <=  N  <=  the last one sent
 *
 * and the work of the requests up to N, no more and no less, must be there: the balances of the accounts are computed anew
 * from nothing but these numbers and the seed. Readers remember what they saw, which must not be lost either (T2).
 *
 * This process is the reaper of whatever the daemon leaves behind: after each kill it must end up childless.
 */
#include "include/graft_client.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    ACCOUNTS = 8,
    BALANCE = 1000,     /* of each account, at the beginning */
    PIECES = 8,         /* keys of one MSET or bulk */
    BULK_SIZE = 24 * 1024,
    PADDING_MAX = 3000, /* bytes behind the number of a SET */
    PIPE = 4,           /* requests that are sent ahead */
    STANZA_SIZE = 7,
    KILL_MS_MIN = 5,
    KILL_MS_MAX = 150,
    EARLY_ONE_IN = 8,   /* kills while the daemon is still starting */
    EARLY_MS_MAX = 25,
    WAIT_MS_MAX = 20000, /* for the daemon to be ready, for processes to be gone */
    REPLY_MS_MAX = 20000,
    TEXT_MAX = 64 * 1024,
    SECONDS_MAX = 900,
};

enum kind { MOVE_KEYS, MOVE_ARGS, SET, INCR, PIPELINE, MSET, BULK, STANZA, SPOIL, AUDIT, LOOK, KINDS };

struct client {
    int number;
    enum kind kind;
    pthread_t thread;
    int64_t sent, answered; /* numbers of requests */
    int64_t settled;        /* requests whose moves are in the model */
    int64_t seen;           /* LOOK: the highest number it read */
    uint64_t total;         /* requests answered, over all */
};

static const enum kind kinds[] = { MOVE_KEYS, MOVE_KEYS, MOVE_KEYS, MOVE_ARGS, MOVE_ARGS, SET, INCR, PIPELINE, MSET,
                                   BULK, STANZA, SPOIL, AUDIT, LOOK };
enum { CLIENTS = sizeof kinds / sizeof kinds[0] };

static struct client clients[CLIENTS];
static int64_t balances[ACCOUNTS]; /* the model */
static uint64_t seed, random_state;
static char socket_path[4096], data_path[4096], policy_path[4096], log_path[4096];
static const char *graftd;
static unsigned kill_number;

static _Noreturn void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

static _Noreturn void complain(const char *format, ...)
{
    va_list ap;

    fprintf(stderr, "crash: seed %" PRIu64 ", kill %u: ", seed, kill_number);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    _exit(1); /* the daemon ends with us: PR_SET_PDEATHSIG */
}

/* ---- chance: the same for the same seed ---- */

static uint64_t mix(uint64_t v)
{
    v += 0x9e3779b97f4a7c15;
    v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9;
    v = (v ^ v >> 27) * 0x94d049bb133111eb;
    return v ^ v >> 31;
}

static unsigned draw(unsigned below) { return (unsigned)((random_state = mix(random_state)) % below); }

struct move {
    unsigned from, to, amount;
};

/* What request n of a client moves; from < to, so that undeclared moves cannot deadlock. */
static struct move move_of(int client, int64_t n)
{
    uint64_t r = mix(seed ^ (uint64_t)client << 48 ^ (uint64_t)n);
    unsigned from = (unsigned)(r % (ACCOUNTS - 1)), span = ACCOUNTS - 1 - from;

    return (struct move){ from, from + 1 + (unsigned)((r >> 8) % span), (unsigned)((r >> 16) % 100) };
}

/* ---- the daemon ---- */

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void sleep_us(unsigned us)
{
    struct timespec ts = { us / 1000000, (long)(us % 1000000) * 1000 };

    while (nanosleep(&ts, &ts) != 0)
        ;
}

static pid_t daemon_start(void)
{
    pid_t parent = getpid(), pid = fork();
    int fd;

    if (pid < 0)
        complain("fork: %s", strerror(errno));
    if (pid > 0)
        return pid;
    fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent || fd < 0 || dup2(fd, STDERR_FILENO) < 0)
        _exit(126);
    execl(graftd, "graftd", "--data", data_path, "--policy", policy_path, "--socket", socket_path, (char *)NULL);
    _exit(127);
}

static graft_client *reach(void)
{
    graft_client *c = graft_client_new();

    if (c == NULL)
        complain("out of memory");
    graft_client_timeout(c, REPLY_MS_MAX);
    if (graft_client_connect(c, socket_path) != GRAFT_CLIENT_OK)
        graft_client_free(&c);
    return c;
}

/* A connection to the daemon once it is ready. */
static graft_client *daemon_ready(pid_t pid)
{
    int64_t end = now_ms() + WAIT_MS_MAX;
    graft_client *c;

    while ((c = reach()) == NULL) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            complain("the daemon ended before it was ready; see %s", log_path);
        if (now_ms() > end)
            complain("the daemon did not get ready");
        sleep_us(500);
    }
    return c;
}

/* Kills it, and waits until it and all that came from it are gone. */
static void daemon_kill(pid_t pid)
{
    int64_t end = now_ms() + WAIT_MS_MAX;
    int status;
    pid_t gone;

    if (waitpid(pid, &status, WNOHANG) != 0)
        complain("the daemon ended on its own, status %#x; see %s", (unsigned)status, log_path);
    kill(pid, SIGKILL);
    while ((gone = waitpid(-1, &status, WNOHANG)) >= 0 || errno != ECHILD) {
        if (now_ms() > end)
            complain("some of the daemon's processes outlived it");
        if (gone <= 0)
            sleep_us(200);
    }
}

/* ---- requests ---- */

enum { WORDS_MAX = 24 };

struct words {
    graft_client_bytes word[WORDS_MAX];
    char text[WORDS_MAX][64];
    size_t count;
};

static void add_bytes(struct words *w, const char *data, size_t len)
{
    w->word[w->count++] = (graft_client_bytes){ data, len };
}

static void add(struct words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct words *w, const char *format, ...)
{
    char *text = w->text[w->count];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof w->text[0], format, ap);
    va_end(ap);
    add_bytes(w, text, strlen(text));
}

/* "N xxxx…", of a length that depends on N; returns it. */
static size_t padded(int64_t n, char *text)
{
    size_t head = (size_t)sprintf(text, "%" PRId64 " ", n), padding = (size_t)(mix((uint64_t)n) % PADDING_MAX);

    memset(text + head, 'x', padding);
    return head + padding;
}

static size_t bulk_piece(int64_t n, char *text)
{
    char number[24];
    size_t len = (size_t)sprintf(number, "%" PRId64 " ", n);

    for (size_t i = 0; i < BULK_SIZE; i++)
        text[i] = number[i % len];
    return BULK_SIZE;
}

static void make_request(struct client *c, int64_t n, struct words *w, char *text)
{
    struct move m = move_of(c->number, n);

    w->count = 0;
    switch (c->kind) {
    case MOVE_KEYS:
        add(w, "FCALL"), add(w, "ledger.move"), add(w, "3"), add(w, "acct:%u", m.from), add(w, "acct:%u", m.to);
        add(w, "mark:%d", c->number), add(w, "%u", m.amount), add(w, "%" PRId64, n);
        break;
    case MOVE_ARGS:
        add(w, "CALL"), add(w, "ledger.move"), add(w, "ARGS"), add(w, "acct:%u", m.from), add(w, "acct:%u", m.to);
        add(w, "mark:%d", c->number), add(w, "%u", m.amount), add(w, "%" PRId64, n);
        break;
    case SET:
        add(w, "SET"), add(w, "set:%d", c->number), add_bytes(w, text, padded(n, text));
        break;
    case INCR:
    case PIPELINE:
        add(w, "INCR"), add(w, "incr:%d", c->number);
        break;
    case MSET:
        add(w, "MSET");
        for (int i = 0; i < PIECES; i++)
            add(w, "mset:%d:%d", c->number, i), add(w, "%" PRId64, n);
        break;
    case BULK:
        add(w, "CALL"), add(w, "ledger.bulk"), add(w, "ARGS"), add(w, "bulk:%d:", c->number), add(w, "%" PRId64, n);
        break;
    case STANZA:
        add(w, "FCALL"), add(w, "pkgindex.add"), add(w, "0");
        add(w, "Package: p%" PRId64 "\nSection: s\nInstalled-Size: %d\n", n, STANZA_SIZE), add(w, "pkg:");
        break;
    case SPOIL:
        add(w, "CALL"), add(w, "ledger.spoil"), add(w, "ARGS"), add(w, "acct:0"), add(w, "spoilt");
        if (n % 4 == 0)
            add(w, "crash");
        break;
    case AUDIT:
        add(w, "FCALL_RO"), add(w, "bank.audit"), add(w, "0");
        break;
    default:
        add(w, "GET"), add(w, "mark:0");
    }
}

static int64_t number_of(const graft_reply *r)
{
    return graft_client_kind(r) == GRAFT_REPLY_NIL ? 0 : strtoll(graft_client_text(r, NULL), NULL, 10);
}

/* A reply to request n, while the load runs. */
static void judge(struct client *c, int64_t n, const graft_reply *r)
{
    bool failed = graft_client_kind(r) == GRAFT_REPLY_ERROR;
    const char *text = graft_client_text(r, NULL);

    if (c->kind == SPOIL ? !failed || (strncmp(text, "ABORTED ", 8) != 0 && strncmp(text, "CRASHED ", 8) != 0) : failed)
        complain("client %d, request %" PRId64 ", was answered: %s", c->number, n, text);
    if ((c->kind == INCR || c->kind == PIPELINE) && graft_client_integer(r) != n)
        complain("INCR number %" PRId64 " of client %d was answered %" PRId64, n, c->number, graft_client_integer(r));
    if (c->kind == AUDIT && graft_client_integer(graft_client_find(r, "total")) != ACCOUNTS * BALANCE)
        complain("the sum of all accounts was seen to be %" PRId64, graft_client_integer(graft_client_find(r, "total")));
    if (c->kind == LOOK) {
        if (number_of(r) < c->seen)
            complain("number %" PRId64 " was read after %" PRId64, number_of(r), c->seen);
        c->seen = number_of(r);
    }
    c->answered = n;
    c->total++;
}

/* One client's life between two crashes. */
static void *run_client(void *arg)
{
    struct client *c = arg;
    graft_client *connection = reach();
    char *text = malloc(TEXT_MAX);
    graft_reply *reply;
    struct words w;
    int err = connection == NULL ? GRAFT_CLIENT_LOST : GRAFT_CLIENT_OK;

    while (err == GRAFT_CLIENT_OK) {
        for (int i = 0; i < (c->kind == PIPELINE ? PIPE : 1) && err == GRAFT_CLIENT_OK; i++) {
            make_request(c, ++c->sent, &w, text);
            err = graft_client_append(connection, w.count, w.word);
        }
        while (err == GRAFT_CLIENT_OK && graft_client_pending(connection) > 0) {
            err = graft_client_next(connection, &reply);
            if (err == GRAFT_CLIENT_OK) {
                judge(c, c->answered + 1, reply);
                graft_client_free_reply(&reply);
            }
        }
    }
    if (err != GRAFT_CLIENT_LOST)
        complain("client %d: %s", c->number, graft_client_error(connection));
    free(text);
    graft_client_free(&connection);
    return NULL;
}

/* ---- what must be true after a crash ---- */

static graft_reply *ask(graft_client *connection, const struct words *w)
{
    graft_reply *r;

    if (graft_client_command(connection, w->count, w->word, &r) != GRAFT_CLIENT_OK)
        complain("%s %s: %s", (const char *)w->word[0].data, w->count > 1 ? (const char *)w->word[1].data : "",
                 graft_client_error(connection));
    if (graft_client_kind(r) == GRAFT_REPLY_ERROR)
        complain("%s: %s", (const char *)w->word[0].data, graft_client_text(r, NULL));
    return r;
}

/* The keys in which a client's numbers are. */
static void name_keys(const struct client *c, struct words *w)
{
    w->count = 0;
    add(w, "MGET");
    if (c->kind == MOVE_KEYS || c->kind == MOVE_ARGS)
        add(w, "mark:%d", c->number);
    else if (c->kind == SET)
        add(w, "set:%d", c->number);
    else if (c->kind == INCR || c->kind == PIPELINE)
        add(w, "incr:%d", c->number);
    else if (c->kind == STANZA)
        add(w, "pkg:count:s"), add(w, "pkg:size:s");
    for (int i = 0; i < PIECES && (c->kind == MSET || c->kind == BULK); i++)
        add(w, "%s:%d:%d", c->kind == MSET ? "mset" : "bulk", c->number, i);
    if (w->count == 1)
        add(w, "spoilt");
}

/* The bytes that request n left in the client's key number i. */
static size_t expected(const struct client *c, int64_t n, size_t i, char *text)
{
    if (c->kind == SET)
        return padded(n, text);
    if (c->kind == BULK)
        return bulk_piece(n, text);
    return (size_t)sprintf(text, "%" PRId64, c->kind == STANZA && i == 1 ? n * STANZA_SIZE : n);
}

static void check_client(graft_client *connection, struct client *c)
{
    static char text[TEXT_MAX];
    struct words w;
    graft_reply *r;
    int64_t n;

    name_keys(c, &w);
    r = ask(connection, &w);
    n = number_of(graft_client_item(r, 0));
    if (c->kind == SPOIL || c->kind == AUDIT || c->kind == LOOK) {
        if (graft_client_kind(graft_client_item(r, 0)) != GRAFT_REPLY_NIL)
            complain("a call that failed left a key");
        n = c->sent;
    }
    if (n < c->answered || n > c->sent)
        complain("client %d: answered up to %" PRId64 ", sent up to %" PRId64 ", found %" PRId64, c->number, c->answered, c->sent, n);
    for (size_t i = 0; n > 0 && c->kind < SPOIL && i < graft_client_count(r); i++) {
        size_t len, want = expected(c, n, i, text);
        const char *found = graft_client_text(graft_client_item(r, i), &len);
        if (len != want || memcmp(found, text, len) != 0)
            complain("client %d: request %" PRId64 " is there in part: %s is %.40s…", c->number, n,
                     (const char *)w.word[i + 1].data, found);
    }
    graft_client_free_reply(&r);
    for (; (c->kind == MOVE_KEYS || c->kind == MOVE_ARGS) && c->settled < n; c->settled++) {
        struct move m = move_of(c->number, c->settled + 1);
        balances[m.from] -= m.amount;
        balances[m.to] += m.amount;
    }
    c->sent = c->answered = n;
}

static void check_balances(graft_client *connection)
{
    struct words w = { .count = 0 };
    graft_reply *r;
    int64_t sum = 0;

    add(&w, "MGET");
    for (int i = 0; i < ACCOUNTS; i++)
        add(&w, "acct:%d", i);
    r = ask(connection, &w);
    for (size_t i = 0; i < ACCOUNTS; i++) {
        int64_t found = number_of(graft_client_item(r, i));
        sum += found;
        if (found != balances[i])
            complain("acct:%zu holds %" PRId64 "; the moves that took place make it %" PRId64, i, found, balances[i]);
    }
    graft_client_free_reply(&r);
    if (sum != ACCOUNTS * BALANCE)
        complain("the sum of all accounts is %" PRId64 " instead of %d", sum, ACCOUNTS * BALANCE);
}

static void check_all(graft_client *connection)
{
    int64_t seen = 0;

    for (int i = 0; i < CLIENTS; i++)
        if (clients[i].kind == LOOK)
            seen = clients[i].seen;
    if (clients[0].answered < seen)
        clients[0].answered = seen; /* what a reader was told is as durable as what the writer was */
    for (int i = 0; i < CLIENTS; i++)
        check_client(connection, &clients[i]);
    check_balances(connection);
}

/* ---- the whole ---- */

static void set_up(graft_client *connection)
{
    for (int i = 0; i < ACCOUNTS; i++) {
        struct words w = { .count = 0 };
        graft_reply *r;
        add(&w, "SET"), add(&w, "acct:%d", i), add(&w, "%d", BALANCE);
        r = ask(connection, &w);
        graft_client_free_reply(&r);
        balances[i] = BALANCE;
    }
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = (struct client){ .number = i, .kind = kinds[i] };
}

static void load_and_kill(pid_t pid)
{
    for (int i = 0; i < CLIENTS; i++)
        if (pthread_create(&clients[i].thread, NULL, run_client, &clients[i]) != 0)
            complain("no more threads");
    sleep_us((KILL_MS_MIN + draw(KILL_MS_MAX - KILL_MS_MIN)) * 1000 + draw(1000));
    daemon_kill(pid);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(clients[i].thread, NULL);
}

int main(int argc, char **argv)
{
    unsigned kills = argc == 5 ? (unsigned)atoi(argv[3]) : 0;
    graft_client *connection;
    uint64_t total = 0;
    pid_t pid;

    if (kills == 0) {
        fprintf(stderr, "usage: crash GRAFTD DIR KILLS SEED\n");
        return 2;
    }
    graftd = argv[1];
    snprintf(socket_path, sizeof socket_path, "%s/socket", argv[2]);
    snprintf(data_path, sizeof data_path, "%s/data", argv[2]);
    snprintf(policy_path, sizeof policy_path, "%s/policy", argv[2]);
    snprintf(log_path, sizeof log_path, "%s/log", argv[2]);
    random_state = seed = strtoull(argv[4], NULL, 10);
    printf("seed %" PRIu64 ", %u kills\n", seed, kills);
    fflush(stdout);
    alarm(SECONDS_MAX);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        complain("prctl: %s", strerror(errno));

    pid = daemon_start();
    connection = daemon_ready(pid);
    set_up(connection);
    while (kill_number < kills) {
        graft_client_free(&connection);
        load_and_kill(pid);
        kill_number++;
        pid = daemon_start();
        while (kill_number < kills && draw(EARLY_ONE_IN) == 0) {
            sleep_us(draw(EARLY_MS_MAX * 1000));
            daemon_kill(pid);
            kill_number++;
            pid = daemon_start();
        }
        connection = daemon_ready(pid);
        check_all(connection);
    }
    graft_client_free(&connection);
    daemon_kill(pid);
    for (int i = 0; i < CLIENTS; i++)
        total += clients[i].total;
    printf("%" PRIu64 " requests answered, none lost, none there in part\n", total);
    return 0;
}
