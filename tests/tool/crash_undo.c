/*
 * Taking back, under kill -9: each undo is whole or not at all (T7, T9). A client makes one change of some keys, or two that
 * build on each other, asks BLAME for the first one's number, takes it back (with `CASCADE` if there are two), now and then
 * puts it back again, and begins anew.
 *
 * It always knows what the keys hold *now*, and while it asks for something what they will hold *next*. After a crash they
 * hold one of these, all alike, and TXN STATUS agrees.
 */
#include "tests/tool/crash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS = 4, STATE_MAX = 32 };

struct client {
    int number;
    uint64_t round, total;
    char now[STATE_MAX], next[STATE_MAX]; /* "": the keys are not there */
    int64_t changed;                      /* the transaction that is to be taken back; 0: not known */
    const char *if_now, *if_next;         /* what TXN STATUS must say of it then; NULL: nothing is asked */
};

static struct client clients[CLIENTS];

static bool is_bulk(const struct client *c) { return c->number % 2 == 1; }

/* Done: what was to come is now. */
static void settle(struct client *c)
{
    memcpy(c->now, c->next, sizeof c->now);
    c->if_now = c->if_next;
    c->total++;
}

/* False: the connection is lost. */
static bool do_it(struct client *c, graft_client *connection, const struct words *w)
{
    graft_reply *r = try_ask(connection, w);

    if (r == NULL)
        return false;
    settle(c);
    graft_client_free_reply(&r);
    return true;
}

static bool change(struct client *c, graft_client *connection, char letter)
{
    struct words w;

    snprintf(c->next, sizeof c->next, "%" PRIu64 "%c", c->round, letter);
    c->if_now = c->if_next = NULL;
    if (is_bulk(c)) {
        say(&w, "CALL", "ledger.bulk", "ARGS", NULL);
        add(&w, "undo:%d:", c->number);
        add(&w, "%s", c->next);
    } else {
        say(&w, "MSET", NULL);
        for (int i = 0; i < CRASH_PIECES; i++) {
            add(&w, "undo:%d:%d", c->number, i);
            add(&w, "%s", c->next);
        }
    }
    return do_it(c, connection, &w);
}

/* The number of the change that came last. */
static bool find_change(struct client *c, graft_client *connection)
{
    struct words w;
    graft_reply *r;

    say(&w, "BLAME", NULL);
    add(&w, "undo:%d:0", c->number);
    add(&w, "COUNT");
    add(&w, "1");
    r = try_ask(connection, &w);
    if (r == NULL)
        return false;
    c->changed = graft_client_integer(graft_client_find(graft_client_item(r, 0), "id"));
    if (c->changed <= 0)
        complain("BLAME knows nothing of what client %d has just changed", c->number);
    graft_client_free_reply(&r);
    return true;
}

/* From `before` to `after`, which the history calls that change's state by these words. */
static bool turn(struct client *c, graft_client *connection, const char *word, bool cascade, const char *after,
                 const char *if_now, const char *if_next)
{
    struct words w;

    snprintf(c->next, sizeof c->next, "%s", after);
    c->if_now = if_now;
    c->if_next = if_next;
    say(&w, "TXN", word, NULL);
    add(&w, "%" PRId64, c->changed);
    if (cascade)
        add(&w, "CASCADE");
    return do_it(c, connection, &w);
}

static bool one_round(struct client *c, graft_client *connection)
{
    char before[STATE_MAX], changed[STATE_MAX];
    uint64_t chance = mix(crash_seed ^ (uint64_t)c->number << 32 ^ ++c->round);
    bool cascade = chance % 3 == 0;

    memcpy(before, c->now, sizeof before);
    if (!change(c, connection, 'a'))
        return false;
    memcpy(changed, c->now, sizeof changed);
    if (!find_change(c, connection) || (cascade && !change(c, connection, 'b')))
        return false;
    if (chance % 5 == 0)
        return true; /* it stays, and the next round builds on it */
    if (!turn(c, connection, "UNDO", cascade, before, "committed", "undone"))
        return false;
    return cascade || chance % 7 != 0 || turn(c, connection, "REDO", false, changed, "undone", "committed");
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

static bool is_state(const struct client *c, const graft_reply *r, const char *state)
{
    static char piece[CRASH_PIECE_SIZE];
    const char *want = state;
    size_t len, want_len = strlen(state);
    const char *text = graft_client_text(r, &len);

    if (state[0] == '\0')
        return graft_client_kind(r) == GRAFT_REPLY_NIL;
    if (is_bulk(c)) {
        bulk_piece(state, piece);
        want = piece;
        want_len = sizeof piece;
    }
    return len == want_len && memcmp(text, want, len) == 0;
}

static void check_status(const struct client *c, graft_client *connection, const char *want)
{
    struct words w;
    graft_reply *r;

    if (want == NULL)
        return;
    say(&w, "TXN", "STATUS", NULL);
    add(&w, "%" PRId64, c->changed);
    r = ask(connection, &w);
    if (strcmp(graft_client_text(r, NULL), want) != 0)
        complain("undo client %d: the keys hold \"%s\", and TXN STATUS %" PRId64 " says %s instead of %s", c->number,
                 c->now, c->changed, graft_client_text(r, NULL), want);
    graft_client_free_reply(&r);
}

static void check_client(struct client *c, graft_client *connection)
{
    struct words w;
    graft_reply *r;
    bool moved;

    say(&w, "MGET", NULL);
    for (int i = 0; i < CRASH_PIECES; i++)
        add(&w, "undo:%d:%d", c->number, i);
    r = ask(connection, &w);
    moved = !is_state(c, graft_client_item(r, 0), c->now);
    for (size_t i = 0; i < CRASH_PIECES; i++)
        if (!is_state(c, graft_client_item(r, i), moved ? c->next : c->now))
            complain("undo client %d: round %" PRIu64 ", was \"%s\", asked for \"%s\", and key %zu is %.20s…",
                     c->number, c->round, c->now, c->next, i, graft_client_text(graft_client_item(r, i), NULL));
    graft_client_free_reply(&r);
    /* the same text before and after: either may have come of it */
    if (strcmp(c->now, c->next) != 0 || c->if_now == c->if_next)
        check_status(c, connection, moved ? c->if_next : c->if_now);
    if (moved)
        memcpy(c->now, c->next, sizeof c->now);
    memcpy(c->next, c->now, sizeof c->next);
    c->if_now = c->if_next = NULL;
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

const struct resource crash_undo = {
    "undo, redo, cascade", set_up, CRASH_CLIENTS(clients, run_client), NULL, check, NULL
};
