/*
 * Timers under kill -9. Each call of a client arms a timer and leaves its number in a key: one transaction. Some calls fail
 * in the end. What a timer calls adds one to a counter of its number, and one to a counter of all.
 *
 * After a crash, of the numbers up to that in the key each is either counted once or still armed, and no other is counted.
 * At the end, when nothing is armed any more, each is counted once, and the counter of all says the same.
 */
#include "tests/tool/crash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    CLIENTS = 2,
    MS_SOON = 30,
    MS_LATE = 250,   /* of some: they meet a kill */
    ARMED_MAX = 400, /* of one client that are not counted yet: it waits */
    LIST_MAX = 1000, /* of TIMER LIST */
    ASKED_MAX = CRASH_WORDS_MAX - 1,
    FINISH_TRIES = 4000, /* of 5 ms */
};

struct client {
    int number;
    uint64_t total, round;
    int64_t sent, answered;
    int64_t settled;      /* each up to this one was counted once */
    bool armed[LIST_MAX]; /* of number settled + 1 + i: as TIMER LIST had it */
};

static struct client clients[CLIENTS];

/* ---- the load ---- */

static bool one_round(struct client *c, graft_client *connection)
{
    uint64_t chance = mix(crash_seed ^ (uint64_t)c->number << 16 ^ ++c->round);
    bool good = chance % 4 > 0;
    struct words w;
    graft_reply *r;

    say(&w, "CALL", "clerk.arm", "ARGS", NULL);
    add(&w, "timer:%d", c->number);
    add(&w, "%" PRId64, good ? c->answered + 1 : -1);
    add(&w, "%d", (int)(chance / 64 % (chance / 8 % 8 == 0 ? MS_LATE : MS_SOON)));
    add(&w, "%s", good ? "well" : chance % 32 == 0 ? "crash" : "abort");
    if (!good)
        return try_refused(connection, &w);
    c->sent = c->answered + 1;
    r = try_ask(connection, &w);
    if (r == NULL)
        return false;
    graft_client_free_reply(&r);
    c->answered = c->sent;
    c->total++;
    return true;
}

static void *run_client(void *arg)
{
    struct client *c = arg;
    graft_client *connection = reach();

    while (connection != NULL && c->answered - c->settled < ARMED_MAX && one_round(c, connection))
        ;
    graft_client_free(&connection);
    return NULL;
}

/* ---- after a crash ---- */

static int64_t number_at(graft_client *connection, const struct client *c, const char *what)
{
    struct words w;
    graft_reply *r;
    int64_t n;

    say(&w, "GET", NULL);
    add(&w, "timer:%d%s", c->number, what);
    r = ask(connection, &w);
    n = graft_client_kind(r) == GRAFT_REPLY_NIL ? 0 : strtoll(graft_client_text(r, NULL), NULL, 10);
    graft_client_free_reply(&r);
    return n;
}

static void note_armed(const graft_reply *timer)
{
    const graft_reply *args = graft_client_find(timer, "args");
    const char *state = graft_client_text(graft_client_find(timer, "state"), NULL);
    int64_t n = strtoll(graft_client_text(graft_client_item(args, 1), NULL), NULL, 10);
    int number = -1;

    if (sscanf(graft_client_text(graft_client_item(args, 0), NULL), "timer:%d", &number) != 1 || number < 0 ||
        number >= CLIENTS || strcmp(state, "parked") == 0)
        complain("timer client %d: a timer is %s: %s", number, state,
                 graft_client_text(graft_client_find(timer, "error"), NULL));
    if (n <= clients[number].settled || n > clients[number].answered)
        complain("timer client %d: number %" PRId64 " is armed, and was counted, or never armed by an answered call",
                 number, n);
    clients[number].armed[n - clients[number].settled - 1] = true;
}

/* What is armed now; how many. */
static size_t list_armed(graft_client *connection)
{
    struct words w;
    graft_reply *r;
    size_t count;

    for (int i = 0; i < CLIENTS; i++)
        memset(clients[i].armed, 0, sizeof clients[i].armed);
    say(&w, "TIMER", "LIST", NULL);
    r = ask(connection, &w);
    count = graft_client_count(r);
    for (size_t i = 0; i < count; i++)
        note_armed(graft_client_item(r, i));
    graft_client_free_reply(&r);
    return count;
}

/* The counters of some numbers from `first` on. Listed first, counted then: what is not armed has been counted. */
static void check_counts(struct client *c, graft_client *connection, int64_t first, int64_t last)
{
    struct words w;
    graft_reply *r;

    say(&w, "MGET", NULL);
    for (int64_t n = first; n <= last; n++)
        add(&w, "timer:%d:%" PRId64, c->number, n);
    r = ask(connection, &w);
    for (int64_t n = first; n <= last; n++) {
        const graft_reply *item = graft_client_item(r, (size_t)(n - first));
        bool nil = graft_client_kind(item) == GRAFT_REPLY_NIL, maybe = n <= c->answered;
        if (!nil && (!maybe || strcmp(graft_client_text(item, NULL), "1") != 0))
            complain("timer client %d: number %" PRId64 " of %" PRId64 " was counted %s times", c->number, n,
                     c->answered, graft_client_text(item, NULL));
        if (nil && maybe && !c->armed[n - c->settled - 1])
            complain("timer client %d: number %" PRId64 " of %" PRId64 " is neither armed nor counted: lost", c->number,
                     n, c->answered);
    }
    graft_client_free_reply(&r);
}

static void find_number(struct client *c, graft_client *connection)
{
    int64_t n = number_at(connection, c, "");

    if (n < c->answered || n > c->sent)
        complain("timer client %d: answered up to %" PRId64 ", sent up to %" PRId64 ", found %" PRId64, c->number,
                 c->answered, c->sent, n);
    if (number_at(connection, c, ":-1") != 0)
        complain("timer client %d: a call that failed has armed a timer", c->number);
    c->answered = c->sent = n;
    check_counts(c, connection, n + 1, n + 1);
}

static void check_client(struct client *c, graft_client *connection)
{
    int64_t all = number_at(connection, c, ":all");

    if (all < c->settled || all > c->answered)
        complain("timer client %d: %" PRId64 " of %" PRId64 " were counted", c->number, all, c->answered);
    for (int64_t n = c->settled + 1; n <= c->answered; n += ASKED_MAX)
        check_counts(c, connection, n, n + ASKED_MAX - 1 < c->answered ? n + ASKED_MAX - 1 : c->answered);
    while (c->settled < c->answered && !c->armed[0]) {
        memmove(c->armed, c->armed + 1, sizeof c->armed - sizeof c->armed[0]);
        c->settled++;
    }
}

static void check(graft_client *connection)
{
    for (int i = 0; i < CLIENTS; i++)
        find_number(&clients[i], connection);
    list_armed(connection);
    for (int i = 0; i < CLIENTS; i++)
        check_client(&clients[i], connection);
}

static void finish(graft_client *connection)
{
    for (int i = 0; list_armed(connection) > 0; i++) {
        if (i == FINISH_TRIES)
            complain("timer client 0: some timers never fire");
        nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
    }
    for (int i = 0; i < CLIENTS; i++) {
        struct client *c = &clients[i];
        check_client(c, connection);
        if (c->settled != c->answered || number_at(connection, c, ":all") != c->answered)
            complain("timer client %d: %" PRId64 " were counted, and %" PRId64 " were armed", i,
                     number_at(connection, c, ":all"), c->answered);
    }
}

/* ---- the resource ---- */

static void set_up(graft_client *connection)
{
    (void)connection;
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = (struct client){ .number = i };
}

const struct resource crash_timer = { "timers", set_up, CRASH_CLIENTS(clients, run_client), NULL, check, finish };
