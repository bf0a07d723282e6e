/*
 * Events under kill -9. Each call of a client emits its number on a topic of its own and on one that all share, and leaves it
 * in a key: one transaction. Some calls fail in the end. A reader follows the shared topic, and a subscriber is told of it;
 * both go on from their last id after each kill, and what they were told must not be lost either (T2).
 *
 * After a crash each topic holds the numbers up to that in the key, each once, in their order, with rising ids; and the
 * subscriber hears of all of them, and of nothing else.
 */
#include "tests/tool/crash.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS = 3, PAGE = 500, BLOCK_MS = 50 };

struct client {
    int number;
    uint64_t total, round;
    int64_t sent, answered;
};

/* Who reads a topic: everything behind its last id, once each. */
struct reader {
    char topic[24];
    int64_t last_id;
    int64_t seen[CLIENTS]; /* the last number of each client */
};

static struct client clients[CLIENTS];
static struct reader readers[CLIENTS], follower, subscriber; /* the last two: of the shared topic */

/* ---- the load ---- */

static bool one_round(struct client *c, graft_client *connection)
{
    uint64_t chance = mix(crash_seed ^ (uint64_t)c->number << 20 ^ ++c->round);
    bool good = chance % 4 > 0;
    struct words w;
    graft_reply *r;

    say(&w, "CALL", "clerk.ring", "ARGS", NULL);
    add(&w, "event:%d", c->number);
    add(&w, "%" PRId64, c->answered + 1);
    add(&w, "%s", readers[c->number].topic);
    add(&w, "%s", follower.topic);
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

    while (connection != NULL && one_round(c, connection))
        ;
    graft_client_free(&connection);
    return NULL;
}

/* The payload of each topic of a client's own is a number, that of the shared one "event:CLIENT NUMBER". */
static void take_event(struct reader *reader, int64_t id, const char *text)
{
    bool shared = reader == &follower || reader == &subscriber;
    const char *how = reader == &subscriber ? "SUBSCRIBE" : "READ";
    int64_t n = 0;
    int number = 0;
    bool good = shared ? sscanf(text, "event:%d %" SCNd64, &number, &n) == 2 : sscanf(text, "%" SCNd64, &n) == 1;

    if (id <= reader->last_id)
        complain("event topic %s, %s: id %" PRId64 " came after %" PRId64, reader->topic, how, id, reader->last_id);
    if (!good || number < 0 || number >= CLIENTS || n != reader->seen[number] + 1)
        complain("event topic %s, %s: \"%s\" came after number %" PRId64 ": not each once", reader->topic, how, text,
                 good && number >= 0 && number < CLIENTS ? reader->seen[number] : -1);
    reader->last_id = id;
    reader->seen[number] = n;
}

/* False: the connection is lost. *more: there may be more. */
static bool read_page(struct reader *reader, graft_client *connection, int block_ms, bool *more)
{
    struct words w;
    graft_reply *r;

    say(&w, "EVENTS", "READ", reader->topic, "AFTER", NULL);
    add(&w, "%" PRId64, reader->last_id);
    add(&w, "COUNT");
    add(&w, "%d", PAGE);
    if (block_ms > 0) {
        add(&w, "BLOCK");
        add(&w, "%d", block_ms);
    }
    r = try_ask(connection, &w);
    if (r == NULL)
        return false;
    *more = graft_client_count(r) == PAGE;
    for (size_t i = 0; i < graft_client_count(r); i++) {
        const graft_reply *event = graft_client_item(r, i);
        take_event(reader, graft_client_integer(graft_client_item(event, 0)),
                   graft_client_text(graft_client_item(event, 1), NULL));
    }
    graft_client_free_reply(&r);
    return true;
}

/* False: the connection is lost. */
static bool hear(FILE *ear)
{
    char text[EAR_TEXT];
    int64_t id;

    if (!ear_hear(ear, subscriber.topic, &id, text))
        return false;
    take_event(&subscriber, id, text);
    return true;
}

static void *run_subscriber(void *arg)
{
    FILE *ear = ear_open(subscriber.topic, subscriber.last_id);

    (void)arg;
    while (ear != NULL && hear(ear))
        ;
    if (ear != NULL)
        fclose(ear);
    return NULL;
}

static void *run_follower(void *arg)
{
    graft_client *connection = reach();
    pthread_t beside;
    bool more;

    (void)arg;
    if (pthread_create(&beside, NULL, run_subscriber, NULL) != 0)
        complain("no more threads");
    while (connection != NULL && read_page(&follower, connection, BLOCK_MS, &more))
        ;
    graft_client_free(&connection);
    pthread_join(beside, NULL);
    return NULL;
}

/* ---- after a crash ---- */

/* Until it has heard what the follower has read. */
static void hear_all(void)
{
    FILE *ear = ear_open(subscriber.topic, subscriber.last_id);

    while (memcmp(subscriber.seen, follower.seen, sizeof follower.seen) != 0)
        if (ear == NULL || !hear(ear))
            complain("event topic %s: SUBSCRIBE told up to id %" PRId64 ", and there are events up to %" PRId64,
                     subscriber.topic, subscriber.last_id, follower.last_id);
    if (subscriber.last_id != follower.last_id)
        complain("event topic %s: the last event is %" PRId64 ", and %" PRId64 " by SUBSCRIBE", subscriber.topic,
                 follower.last_id, subscriber.last_id);
    if (ear != NULL)
        fclose(ear);
}

static void read_all(struct reader *reader, graft_client *connection)
{
    bool more = true;

    while (more)
        if (!read_page(reader, connection, 0, &more))
            complain("event topic %s: the daemon went away", reader->topic);
}

static void check_client(struct client *c, graft_client *connection)
{
    const struct reader *own = &readers[c->number];
    struct words w;
    graft_reply *r;
    int64_t n;

    say(&w, "GET", NULL);
    add(&w, "event:%d", c->number);
    r = ask(connection, &w);
    n = graft_client_kind(r) == GRAFT_REPLY_NIL ? 0 : strtoll(graft_client_text(r, NULL), NULL, 10);
    graft_client_free_reply(&r);
    if (n < c->answered || n > c->sent)
        complain("event client %d: answered up to %" PRId64 ", sent up to %" PRId64 ", found %" PRId64, c->number,
                 c->answered, c->sent, n);
    if (own->seen[0] != n || follower.seen[c->number] != n)
        complain("event client %d: number %" PRId64 " is there in part: its topic ends with %" PRId64
                 ", and the shared one with %" PRId64,
                 c->number, n, own->seen[0], follower.seen[c->number]);
    c->answered = c->sent = n;
}

static void check(graft_client *connection)
{
    read_all(&follower, connection);
    for (int i = 0; i < CLIENTS; i++)
        read_all(&readers[i], connection);
    hear_all();
    for (int i = 0; i < CLIENTS; i++)
        check_client(&clients[i], connection);
}

/* At the end each topic is read once more, from its beginning. */
static void finish(graft_client *connection)
{
    for (int i = 0; i < CLIENTS; i++) {
        readers[i].last_id = 0;
        memset(readers[i].seen, 0, sizeof readers[i].seen);
    }
    follower.last_id = subscriber.last_id = 0;
    memset(follower.seen, 0, sizeof follower.seen);
    memset(subscriber.seen, 0, sizeof subscriber.seen);
    check(connection);
}

/* ---- the resource ---- */

static void set_up(graft_client *connection)
{
    (void)connection;
    snprintf(follower.topic, sizeof follower.topic, "rings");
    snprintf(subscriber.topic, sizeof subscriber.topic, "rings");
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){ .number = i };
        snprintf(readers[i].topic, sizeof readers[i].topic, "rings.%d", i);
    }
}

const struct resource crash_event = {
    "events", set_up, CRASH_CLIENTS(clients, run_client), run_follower, check, finish
};
