/*
 * Keys and values under kill -9. Each client numbers its requests, and each request leaves its number in the same transaction
 * as its work. So after a crash the number N that is found tells which requests took place: those up to N. It must be
 *
 *     the last one answered  <=  N  <=  the last one sent
 *
 * and the work of the requests up to N, no more and no less, must be there: the balances of the accounts are computed anew
 * from nothing but these numbers and the seed. Readers remember what they saw, which must not be lost either (T2).
 */
#include "tests/tool/crash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    ACCOUNTS = 8,
    BALANCE = 1000,        /* of each account, at the beginning */
    PIECES = CRASH_PIECES, /* keys of one MSET or bulk */
    PADDING_MAX = 3000,    /* bytes behind the number of a SET */
    PIPE = 4,              /* requests that are sent ahead */
    STANZA_SIZE = 7,
    LOOK_NS = 500 * 1000, /* between looks, which would leave no time to others */
    TEXT_MAX = 64 * 1024,
};

enum kind { MOVE_KEYS, MOVE_ARGS, SET, INCR, PIPELINE, MSET, BULK, STANZA, SPOIL, AUDIT, LOOK, KINDS };

struct client {
    int number;
    enum kind kind;
    int64_t sent, answered; /* numbers of requests */
    int64_t settled;        /* requests whose moves are in the model */
    int64_t seen;           /* LOOK: the highest number it read */
    uint64_t total;         /* requests answered, over all */
};

static const enum kind kinds[] = { MOVE_KEYS, MOVE_KEYS, MOVE_KEYS, MOVE_ARGS, MOVE_ARGS, SET,   INCR,
                                   PIPELINE,  MSET,      BULK,      STANZA,    SPOIL,     AUDIT, LOOK };
enum { CLIENTS = sizeof kinds / sizeof kinds[0] };

static struct client clients[CLIENTS];
static int64_t balances[ACCOUNTS]; /* the model */

struct move {
    unsigned from, to, amount;
};

/* What request n of a client moves; from < to, so that undeclared moves cannot deadlock. */
static struct move move_of(int client, int64_t n)
{
    uint64_t r = mix(crash_seed ^ (uint64_t)client << 48 ^ (uint64_t)n);
    unsigned from = (unsigned)(r % (ACCOUNTS - 1)), span = ACCOUNTS - 1 - from;

    return (struct move){ from, from + 1 + (unsigned)((r >> 8) % span), (unsigned)((r >> 16) % 100) };
}

/* "N xxxx…", of a length that depends on N; returns it. */
static size_t padded(int64_t n, char *text)
{
    size_t head = (size_t)sprintf(text, "%" PRId64 " ", n), padding = (size_t)(mix((uint64_t)n) % PADDING_MAX);

    memset(text + head, 'x', padding);
    return head + padding;
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
        complain("the sum of all accounts was seen to be %" PRId64,
                 graft_client_integer(graft_client_find(r, "total")));
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
        if (c->kind == LOOK)
            nanosleep(&(struct timespec){ .tv_nsec = LOOK_NS }, NULL);
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
    if (c->kind == BULK) {
        char number[24];
        snprintf(number, sizeof number, "%" PRId64, n);
        bulk_piece(number, text);
        return CRASH_PIECE_SIZE;
    }
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
        complain("client %d: answered up to %" PRId64 ", sent up to %" PRId64 ", found %" PRId64, c->number,
                 c->answered, c->sent, n);
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

static void check(graft_client *connection)
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

const struct resource crash_kv = { "keys and values", set_up, CRASH_CLIENTS(clients, run_client), NULL, check, NULL };
