/*
 * Every way in which graftd has transactions: a call, one that fails, one that is sent twice under a token; MULTI … EXEC;
 * BEGIN … COMMIT with savepoints; a client that hangs up before it hears.
 */
#include "tests/history/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void single_call(struct client *c, bool spoilt)
{
    struct command m = some_command(c, !spoilt);
    struct history_txn *t;
    struct words w;
    graft_reply *r;

    if (spoilt)
        spoil(c, &m);
    say_command(c, &m, &w);
    t = begin(c);
    r = ask(c, &w);
    if (failed(c, r)) {
        note_command(t, &m, NULL);
        end(t, HISTORY_FAILED);
    } else {
        end(t, HISTORY_OK);
        note_command(t, &m, r);
    }
    graft_client_free_reply(&r);
}

void call_twice(struct client *c)
{
    struct command m = some_command(c, false);
    struct words w = { .count = 0 };
    struct history_txn *t = begin(c);
    graft_reply *r;
    bool bad;

    add(&w, "CALL"), add(&w, "lists.mix"), add(&w, "IDEM"),
        add(&w, "%d-%" PRId64 "-%u", c->number, c->values, draw(c, 1u << 30));
    add(&w, "ARGS");
    for (size_t i = 0; i < m.count; i++)
        add_step(&w, &m.steps[i]);
    r = ask(c, &w);
    bad = failed(c, r);
    if (!bad) {
        graft_client_free_reply(&r);
        r = ask(c, &w);
        if (failed(c, r))
            complain("a repeat failed");
    }
    end(t, bad ? HISTORY_FAILED : HISTORY_OK);
    note_command(t, &m, bad ? NULL : r);
    graft_client_free_reply(&r);
}

void multi_exec(struct client *c)
{
    struct command m[COMMANDS_MAX];
    size_t n = 1 + draw(c, COMMANDS_MAX);
    struct history_txn *t;
    struct words w;
    graft_reply *r = ask_word(c, "MULTI", NULL);

    graft_client_free_reply(&r);
    for (size_t i = 0; i < n; i++) {
        do
            m[i] = some_command(c, true);
        while (m[i].plain && m[i].steps[0].what == 'p');
        if (draw(c, 20) == 0 && !m[i].plain)
            spoil(c, &m[i]);
        say_command(c, &m[i], &w);
        r = ask(c, &w);
        if (strcmp(graft_client_text(r, NULL), "QUEUED") != 0)
            complain("a command in MULTI was answered: %s", graft_client_text(r, NULL));
        graft_client_free_reply(&r);
    }
    t = begin(c);
    r = ask_word(c, "EXEC", NULL);
    end(t, failed(c, r) ? HISTORY_FAILED : HISTORY_OK);
    for (size_t i = 0; i < n; i++)
        note_command(t, &m[i], t->status == HISTORY_OK ? graft_client_item(r, i) : NULL);
    graft_client_free_reply(&r);
}

static bool is_over(const graft_reply *r)
{
    const char *text = graft_client_text(r, NULL);

    return strncmp(text, "DEADLOCK", 8) == 0 || strncmp(text, "CONFLICT", 8) == 0 || strstr(text, "ROLLBACK") != NULL;
}

/* False: the transaction cannot go on. */
static bool session_command(struct client *c, struct history_txn *t)
{
    struct command m = some_command(c, true);
    size_t before = t->count;
    struct words w;
    graft_reply *r;
    bool on = true;

    if (draw(c, 20) == 0 && !m.plain)
        spoil(c, &m);
    say_command(c, &m, &w);
    r = ask(c, &w);
    if (failed(c, r)) {
        on = !is_over(r);
        note_command(t, &m, NULL);
        history_undo(t, before);
    } else {
        note_command(t, &m, r);
    }
    graft_client_free_reply(&r);
    return on;
}

/* Reads, thinks, and writes, as an application does. */
static bool session_rmw(struct client *c, struct history_txn *t)
{
    uint32_t key = some_key(c);
    int64_t value = (int64_t)(c->number + 1) * 1000000 + ++c->values;
    struct words w = { .count = 0 };
    size_t len, before;
    graft_reply *r, *set;
    const char *old;
    char *grown;
    bool on;

    add(&w, "GET");
    add_key(&w, key);
    r = ask(c, &w);
    if (failed(c, r)) {
        on = !is_over(r);
        graft_client_free_reply(&r);
        return on;
    }
    read_list(t, key, r);
    old = graft_client_text(r, &len);
    grown = malloc(len + 32);
    if (grown == NULL)
        complain("no memory");
    sprintf(grown, "%s%s%" PRId64, old, len == 0 ? "" : ",", value);
    snprintf(w.text[0], sizeof w.text[0], "SET");
    w.word[w.count++] = (graft_client_bytes){ grown, strlen(grown) };
    before = t->count;
    history_append(t, key, value);
    set = ask(c, &w);
    on = !failed(c, set) || !is_over(set);
    if (graft_client_kind(set) == GRAFT_REPLY_ERROR)
        history_undo(t, before);
    else
        atomic_fetch_add(&appended, 1);
    graft_client_free_reply(&set);
    graft_client_free_reply(&r);
    free(grown);
    return on;
}

static bool session_part(struct client *c, struct history_txn *t)
{
    bool on = true;

    for (unsigned n = 1 + draw(c, COMMANDS_MAX); n > 0 && on; n--)
        on = draw(c, 3) == 0 ? session_rmw(c, t) : session_command(c, t);
    return on;
}

static bool session_savepoint(struct client *c, struct history_txn *t)
{
    struct words back = { .count = 0 };
    size_t before = t->count;
    graft_reply *r = ask_word(c, "SAVEPOINT", "s");
    bool on = !failed(c, r);

    graft_client_free_reply(&r);
    on = on && session_part(c, t);
    if (!on || draw(c, 2) == 0)
        return on;
    add(&back, "ROLLBACK");
    add(&back, "TO");
    add(&back, "s");
    r = ask(c, &back);
    on = !failed(c, r);
    history_undo(t, before);
    graft_client_free_reply(&r);
    return on;
}

static void session_end(struct client *c, struct history_txn *t, bool on)
{
    unsigned how = on ? draw(c, 12) : 0;
    graft_reply *r;

    if (how == 1) {
        end(t, HISTORY_FAILED);
        hang_up(c);
        return;
    }
    r = ask_word(c, how == 0 ? "ROLLBACK" : "COMMIT", NULL);
    end(t, how == 0 || failed(c, r) ? HISTORY_FAILED : HISTORY_OK);
    graft_client_free_reply(&r);
}

void session(struct client *c)
{
    struct history_txn *t = begin(c);
    graft_reply *r = ask_word(c, "BEGIN", NULL);
    bool on;

    if (failed(c, r))
        complain("BEGIN was answered: %s", graft_client_text(r, NULL));
    graft_client_free_reply(&r);
    on = session_part(c, t);
    if (on && draw(c, 3) == 0)
        on = session_savepoint(c, t);
    if (on && draw(c, 3) == 0)
        on = session_part(c, t);
    session_end(c, t, on);
}

void ask_and_go(struct client *c)
{
    struct command m = some_command(c, false);
    struct history_txn *t = begin(c);
    graft_client *connection = c->connection;
    struct words w;

    note_command(t, &m, NULL);
    end(t, HISTORY_UNKNOWN);
    say_command(c, &m, &w);
    graft_client_timeout(connection, 1 + draw(c, 3)); /* sent, and then not waited for */
    if (graft_client_append(connection, w.count, w.word) == GRAFT_CLIENT_OK) {
        graft_reply *r = NULL;
        (void)graft_client_next(connection, &r);
        graft_client_free_reply(&r);
    }
    hang_up(c);
}
