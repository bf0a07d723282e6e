/*
 * crash GRAFTD DIR KILLS SEED: kills a daemon with SIGKILL at random instants under load, restarts it, and checks each time
 * that nothing that was answered is lost, and that what was not answered is there whole or not at all (T2, T3, T7). Some
 * kills come while the daemon is still starting, and so recovering.
 *
 * DIR has the policy, and data into which the grafts bank, clerk, ledger and pkgindex were loaded. What is done and checked is the
 * resources' (crash.h); here is who kills whom.
 *
 * This process is the reaper of whatever the daemon leaves behind: after each kill it must end up childless.
 */
#include "tests/tool/crash.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    KILL_MS_MIN = 5,
    KILL_MS_MAX = 250,
    LONG_ONE_IN = 4, /* lives that last */
    LONG_MS_MAX = 800,
    ALONE_ONE_IN = 2, /* lives with the load of one resource */
    EARLY_ONE_IN = 3, /* kills while the daemon is still starting */
    EARLY_MS_MAX = 25,
    WAIT_MS_MAX = 20000, /* for processes to be gone */
    REPLY_MS_MAX = 20000,
    SECONDS_MAX = 1800,
};

static const struct resource *const resources[] = { &crash_kv,   &crash_undo,  &crash_session,
                                                    &crash_file, &crash_event, &crash_timer };
enum { RESOURCES = sizeof resources / sizeof resources[0] };
static pthread_t threads[RESOURCES][CRASH_CLIENTS_MAX];

uint64_t crash_seed;
char crash_files[4096];
static uint64_t random_state;
static struct daemon place;
static pid_t running; /* the daemon */
static unsigned kill_number, early_kills;

_Noreturn void complain(const char *format, ...)
{
    va_list ap;

    fprintf(stderr, "crash: seed %" PRIu64 ", kill %u: ", crash_seed, kill_number);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    if (running > 0 && kill(running, SIGKILL) == 0)
        waitpid(running, NULL, 0); /* who starts another at once finds the socket free */
    _exit(1);
}

/* ---- chance: the same for the same seed ---- */

uint64_t mix(uint64_t v)
{
    v += 0x9e3779b97f4a7c15;
    v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9;
    v = (v ^ v >> 27) * 0x94d049bb133111eb;
    return v ^ v >> 31;
}

static unsigned draw(unsigned below) { return (unsigned)((random_state = mix(random_state)) % below); }

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

graft_client *reach(void)
{
    graft_client *c = graft_client_new();

    if (c == NULL)
        complain("out of memory");
    graft_client_timeout(c, REPLY_MS_MAX);
    if (graft_client_connect(c, place.socket) != GRAFT_CLIENT_OK)
        graft_client_free(&c);
    return c;
}

int reach_bare(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval patience = { .tv_sec = REPLY_MS_MAX / 1000 };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        complain("no socket for %s", place.socket);
    memcpy(address.sun_path, place.socket, sizeof place.socket);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
        connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool answers(void *connection) { return (*(graft_client **)connection = reach()) != NULL; }

/* A connection to the daemon once it is ready. */
static graft_client *daemon_ready(pid_t pid)
{
    graft_client *c = NULL;

    daemon_wait(&place, pid, answers, &c);
    return c;
}

/* Kills it, and waits until it and all that came from it are gone. */
static void daemon_kill(pid_t pid)
{
    int64_t end = now_ms() + WAIT_MS_MAX;
    int status;
    pid_t gone;

    if (waitpid(pid, &status, WNOHANG) != 0)
        complain("the daemon ended on its own, status %#x; see %s", (unsigned)status, place.log);
    kill(pid, SIGKILL);
    while ((gone = waitpid(-1, &status, WNOHANG)) >= 0 || errno != ECHILD) {
        if (now_ms() > end)
            complain("some of the daemon's processes outlived it");
        if (gone <= 0)
            sleep_us(200);
    }
}

/* ---- requests ---- */

void add_bytes(struct words *w, const char *data, size_t len)
{
    w->word[w->count++] = (graft_client_bytes){ data, len };
}

void add(struct words *w, const char *format, ...)
{
    char *text = w->text[w->count];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof w->text[0], format, ap);
    va_end(ap);
    add_bytes(w, text, strlen(text));
}

void say(struct words *w, const char *word, ...)
{
    va_list ap;

    w->count = 0;
    va_start(ap, word);
    for (; word != NULL; word = va_arg(ap, const char *))
        add(w, "%s", word);
    va_end(ap);
}

graft_reply *try_ask(graft_client *connection, const struct words *w)
{
    graft_reply *r = NULL;
    int err = graft_client_command(connection, w->count, w->word, &r);

    if (err == GRAFT_CLIENT_LOST)
        return NULL;
    if (err != GRAFT_CLIENT_OK)
        complain("%s: %s", (const char *)w->word[0].data, graft_client_error(connection));
    if (graft_client_kind(r) == GRAFT_REPLY_ERROR)
        complain("%s was answered: %s", (const char *)w->word[0].data, graft_client_text(r, NULL));
    return r;
}

bool try_refused(graft_client *connection, const struct words *w)
{
    graft_reply *r = NULL;
    int err = graft_client_command(connection, w->count, w->word, &r);
    const char *text;

    if (err == GRAFT_CLIENT_LOST)
        return false;
    if (err != GRAFT_CLIENT_OK)
        complain("%s: %s", (const char *)w->word[1].data, graft_client_error(connection));
    text = graft_client_text(r, NULL);
    if (graft_client_kind(r) != GRAFT_REPLY_ERROR ||
        (strncmp(text, "ABORTED ", 8) != 0 && strncmp(text, "CRASHED ", 8) != 0))
        complain("%s, which fails, was answered: %s", (const char *)w->word[1].data, text);
    graft_client_free_reply(&r);
    return true;
}

graft_reply *ask(graft_client *connection, const struct words *w)
{
    graft_reply *r;

    if (graft_client_command(connection, w->count, w->word, &r) != GRAFT_CLIENT_OK)
        complain("%s %s: %s", (const char *)w->word[0].data, w->count > 1 ? (const char *)w->word[1].data : "",
                 graft_client_error(connection));
    if (graft_client_kind(r) == GRAFT_REPLY_ERROR)
        complain("%s: %s", (const char *)w->word[0].data, graft_client_text(r, NULL));
    return r;
}

void bulk_piece(const char *text, char *out)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < CRASH_PIECE_SIZE; i++)
        out[i] = i % (len + 1) == len ? ' ' : text[i % (len + 1)];
}

/* ---- the load of one resource ---- */

static size_t thread_count(const struct resource *r) { return r->client_count + (r->beside != NULL); }

static void load(int i)
{
    const struct resource *r = resources[i];
    char *client = r->clients;

    if (thread_count(r) > CRASH_CLIENTS_MAX)
        complain("%s: more than %d clients", r->name, CRASH_CLIENTS_MAX);
    for (size_t k = 0; k < thread_count(r); k++, client += r->client_size) {
        bool beside = k == r->client_count;
        if (pthread_create(&threads[i][k], NULL, beside ? r->beside : r->run, beside ? NULL : client) != 0)
            complain("no more threads");
    }
}

static void join(int i)
{
    for (size_t k = 0; k < thread_count(resources[i]); k++)
        pthread_join(threads[i][k], NULL);
}

static uint64_t total(const struct resource *r)
{
    uint64_t sum = 0;

    for (size_t k = 0; k < r->client_count; k++)
        sum += *(const uint64_t *)(const void *)((const char *)r->clients + k * r->client_size + r->total_at);
    return sum;
}

/* ---- the whole ---- */

static void load_and_kill(pid_t pid)
{
    int alone =
        draw(ALONE_ONE_IN) == 0 ? (int)draw(RESOURCES) : -1; /* what all share is slow: some get it for themselves */

    for (int i = 0; i < RESOURCES; i++)
        if (alone < 0 || alone == i)
            load(i);
    sleep_us((KILL_MS_MIN + draw(draw(LONG_ONE_IN) == 0 ? LONG_MS_MAX : KILL_MS_MAX)) * 1000 + draw(1000));
    daemon_kill(pid);
    for (int i = 0; i < RESOURCES; i++)
        if (alone < 0 || alone == i)
            join(i);
    kill_number++;
}

/* A daemon that is ready, after some that did not live to be. */
static pid_t start_again(unsigned kills)
{
    pid_t pid = running = daemon_start(&place);

    while (kill_number < kills && draw(EARLY_ONE_IN) == 0) {
        sleep_us(draw(EARLY_MS_MAX * 1000));
        daemon_kill(pid);
        kill_number++;
        early_kills++;
        pid = running = daemon_start(&place);
    }
    return pid;
}

/* How often a start had something to undo, and how many transactions. */
static void tell_recoveries(void)
{
    FILE *log = fopen(place.log, "r");
    unsigned long starts = 0, undone = 0, n;
    char line[1024];

    while (log != NULL && fgets(line, sizeof line, log) != NULL) {
        const char *at = strstr(line, "recovered: ");
        if (at != NULL && sscanf(at, "recovered: %lu", &n) == 1) {
            starts++;
            undone += n;
        }
    }
    if (log != NULL)
        fclose(log);
    printf("%u kills came while it was starting; %lu starts had to recover, and undid %lu transactions\n", early_kills,
           starts, undone);
}

int main(int argc, char **argv)
{
    unsigned kills = argc == 5 ? (unsigned)atoi(argv[3]) : 0;
    graft_client *connection;
    pid_t pid;

    if (kills == 0) {
        fprintf(stderr, "usage: crash GRAFTD DIR KILLS SEED\n");
        return 2;
    }
    daemon_place(&place, argv[1], argv[2]);
    snprintf(crash_files, sizeof crash_files, "%s/data/files", argv[2]);
    random_state = crash_seed = strtoull(argv[4], NULL, 10);
    printf("seed %" PRIu64 ", %u kills\n", crash_seed, kills);
    fflush(stdout);
    alarm(SECONDS_MAX);

    pid = running = daemon_start(&place);
    connection = daemon_ready(pid);
    for (int i = 0; i < RESOURCES; i++)
        resources[i]->set_up(connection);
    while (kill_number < kills) {
        graft_client_free(&connection);
        load_and_kill(pid);
        pid = start_again(kills);
        connection = daemon_ready(pid);
        for (int i = 0; i < RESOURCES; i++)
            resources[i]->check(connection);
    }
    for (int i = 0; i < RESOURCES; i++)
        if (resources[i]->finish != NULL)
            resources[i]->finish(connection);
    graft_client_free(&connection);
    daemon_kill(pid);
    for (int i = 0; i < RESOURCES; i++)
        printf("%s: %" PRIu64 " requests answered, none lost, none there in part\n", resources[i]->name,
               total(resources[i]));
    tell_recoveries();
    return 0;
}
