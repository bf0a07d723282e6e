/*
 * Large transactions that connections hold, under kill -9. Each client makes one of almost a megabyte, call by call, far beyond
 * what is kept in memory, so most of it is on disk before it ends (T4); then it commits, or rolls back. What a kill finds open
 * is what the next start has to recover, and that takes a while: kills come then, too.
 */
#include "tests/tool/crash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS = 3, GROUPS = 4 };

struct client {
    int number;
    uint64_t round, total;
    uint64_t now, next; /* what all keys hold: 0, or the round that committed last; and that which may have */
};

static struct client clients[CLIENTS];

static bool do_words(graft_client *connection, const struct words *w)
{
    graft_reply *r = try_ask(connection, w);
    bool on = r != NULL;

    graft_client_free_reply(&r);
    return on;
}

static bool do_word(graft_client *connection, const char *word)
{
    struct words w;

    say(&w, word, NULL);
    return do_words(connection, &w);
}

static bool one_round(struct client *c, graft_client *connection)
{
    bool commit = mix(crash_seed ^ (uint64_t)c->number << 40 ^ ++c->round) % 3 > 0;
    struct words w;

    if (!do_word(connection, "BEGIN"))
        return false;
    for (int group = 0; group < GROUPS; group++) {
        say(&w, "CALL", "ledger.bulk", "ARGS", NULL);
        add(&w, "session:%d:%d:", c->number, group);
        add(&w, "%" PRIu64, c->round);
        if (!do_words(connection, &w))
            return false;
    }
    if (commit)
        c->next = c->round;
    if (!do_word(connection, commit ? "COMMIT" : "ROLLBACK"))
        return false;
    c->now = c->next;
    c->total += GROUPS + 2;
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

/* ---- after a crash ---- */

static bool is_round(const graft_reply *r, uint64_t round)
{
    static char piece[CRASH_PIECE_SIZE];
    char text[24];
    size_t len;
    const char *found = graft_client_text(r, &len);

    if (round == 0)
        return graft_client_kind(r) == GRAFT_REPLY_NIL;
    snprintf(text, sizeof text, "%" PRIu64, round);
    bulk_piece(text, piece);
    return len == sizeof piece && memcmp(found, piece, len) == 0;
}

static void check_client(struct client *c, graft_client *connection)
{
    struct words w;
    graft_reply *r;

    for (int group = 0; group < GROUPS; group++) {
        say(&w, "MGET", NULL);
        for (int i = 0; i < CRASH_PIECES; i++)
            add(&w, "session:%d:%d:%d", c->number, group, i);
        r = ask(connection, &w);
        if (group == 0 && !is_round(graft_client_item(r, 0), c->now))
            c->now = c->next; /* then all of it must be there */
        for (size_t i = 0; i < CRASH_PIECES; i++)
            if (!is_round(graft_client_item(r, i), c->now))
                complain("session client %d: round %" PRIu64 " of %" PRIu64 " is there in part: key %d:%zu is %.20s…",
                         c->number, c->now, c->round, group, i, graft_client_text(graft_client_item(r, i), NULL));
        graft_client_free_reply(&r);
    }
    c->next = c->now;
}

/* ---- the resource ---- */

static void set_up(graft_client *connection)
{
    (void)connection;
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = (struct client){ .number = i };
}

static void check(graft_client *connection)
{
    for (int i = 0; i < CLIENTS; i++)
        check_client(&clients[i], connection);
}

const struct resource crash_session = {
    "large transactions", set_up, CRASH_CLIENTS(clients, run_client), NULL, check, NULL
};
