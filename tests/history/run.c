/*
 * history SOCKET SECONDS SEED [CLIENTS]: clients work on few lists at random, all at once, in every way in which graftd has
 * transactions; then what they were told is checked (history.h). The graft lists (tests/e2e/lists.c) is loaded.
 *
 *     calls with declared keys and without · BEGIN … COMMIT with savepoints, reads before writes, scans · MULTI … EXEC ·
 *     calls under a token, sent twice · calls that abort, crash, run into their limit · calls inside calls, some of which
 *     fail · clients that hang up in the middle, or before they hear
 *
 * Keys come and go: a list gets some ten values, then others take its place, so that there are keys that are not there yet
 * (phantoms). The seed fixes what each client asks, and is part of the names of its keys; in which order it happens is the
 * daemon's.
 */
#include "include/graft_client.h"
#include "tests/history/history.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    CLIENTS_MAX = 64,
    BLOCK = 8,           /* keys with one prefix */
    WINDOW = 6,          /* keys in use at a time */
    VALUES_PER_KEY = 10, /* about */
    LIST_MAX = 4096,
    STEPS_MAX = 4,    /* of one call */
    COMMANDS_MAX = 4, /* of one transaction */
    WORDS_MAX = 64,
    REPLY_MS_MAX = 30000,
    TXNS_MAX = 60000, /* of all clients: the check is bounded, too */
};

struct client {
    pthread_t thread;
    int number;
    uint64_t random;
    graft_client *connection; /* NULL: to be connected */
    struct history history;
    int64_t values; /* handed out */
    uint64_t by_error[8];
};

static const char *const error_words[] = {
    "ABORTED", "CRASHED", "TIMEOUT", "DEADLOCK", "CONFLICT", "EXECABORT", "BUSY"
};

static struct client clients[CLIENTS_MAX];
static const char *socket_path;
static int64_t end_ns;
static unsigned run; /* in the names of its keys, so that one store takes many runs */
static atomic_uint appended, begun;

static _Noreturn void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

static _Noreturn void complain(const char *format, ...)
{
    va_list ap;

    fputs("history: ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    _exit(1);
}

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static unsigned draw(struct client *c, unsigned below)
{
    uint64_t v = c->random += 0x9e3779b97f4a7c15;

    v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9;
    v = (v ^ v >> 27) * 0x94d049bb133111eb;
    return (unsigned)((v ^ v >> 31) % below);
}

/* ---- words ---- */

struct words {
    graft_client_bytes word[WORDS_MAX];
    char text[WORDS_MAX][48];
    size_t count;
};

static void add(struct words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct words *w, const char *format, ...)
{
    char *text = w->text[w->count];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof w->text[0], format, ap);
    va_end(ap);
    w->word[w->count++] = (graft_client_bytes){ text, strlen(text) };
}

static void add_key(struct words *w, uint32_t key) { add(w, "h%u:%06u:%u", run, key / BLOCK, key % BLOCK); }
static void add_prefix(struct words *w, uint32_t block, const char *end) { add(w, "h%u:%06u:%s", run, block, end); }

/* ---- asking ---- */

static bool connected(struct client *c)
{
    if (c->connection != NULL)
        return true;
    c->connection = graft_client_new();
    if (c->connection == NULL)
        complain("no memory");
    graft_client_timeout(c->connection, REPLY_MS_MAX);
    if (graft_client_connect(c->connection, socket_path) != GRAFT_CLIENT_OK)
        complain("%s", graft_client_error(c->connection));
    return true;
}

static void hang_up(struct client *c) { graft_client_free(&c->connection); }

/* Owned by the caller. The daemon never goes away here. */
static graft_reply *ask(struct client *c, const struct words *w)
{
    graft_reply *r = NULL;

    if (graft_client_command(c->connection, w->count, w->word, &r) != GRAFT_CLIENT_OK)
        complain("client %d: %s", c->number, graft_client_error(c->connection));
    return r;
}

static graft_reply *ask_word(struct client *c, const char *a, const char *b)
{
    struct words w = { .count = 0 };

    add(&w, "%s", a);
    if (b != NULL)
        add(&w, "%s", b);
    return ask(c, &w);
}

static bool failed(struct client *c, const graft_reply *r)
{
    const char *text = graft_client_text(r, NULL);
    size_t known = sizeof error_words / sizeof error_words[0], i = 0;

    if (graft_client_kind(r) != GRAFT_REPLY_ERROR)
        return false;
    while (i < known && strncmp(text, error_words[i], strlen(error_words[i])) != 0)
        i++;
    if (i == known)
        complain("client %d was answered: %s", c->number, text);
    c->by_error[i]++;
    return true;
}

/* ---- steps: what one command does to lists ---- */

struct step {
    char what;    /* as in lists.c; g: GET, p: SCAN */
    uint32_t key; /* s, p: a block */
    int64_t value;
};

struct command {
    struct step steps[STEPS_MAX + 1];
    size_t count;
    bool plain; /* GET or SCAN, not a call */
};

static uint32_t some_key(struct client *c) { return atomic_load(&appended) / VALUES_PER_KEY + draw(c, WINDOW); }

static bool appends(char what) { return what == 'a' || what == 'n' || what == 'f'; }

static struct step some_step(struct client *c)
{
    static const char kinds[] = "rrraaaaans";
    struct step s = { kinds[draw(c, sizeof kinds - 1)], some_key(c), 0 };

    if (s.what == 'n' && draw(c, 2) == 0)
        s.what = 'f';
    if (s.what == 's')
        s.key /= BLOCK;
    if (appends(s.what))
        s.value = (int64_t)(c->number + 1) * 1000000 + ++c->values;
    return s;
}

static struct command some_command(struct client *c, bool may_be_plain)
{
    struct command m = { .count = 1 + draw(c, STEPS_MAX) };

    if (may_be_plain && draw(c, 3) == 0) {
        m.plain = true;
        m.count = 1;
        m.steps[0] = (struct step){ 'g', some_key(c), 0 };
        if (draw(c, 3) == 0)
            m.steps[0] = (struct step){ 'p', some_key(c) / BLOCK, 0 };
        return m;
    }
    for (size_t i = 0; i < m.count; i++)
        m.steps[i] = some_step(c);
    return m;
}

static void spoil(struct client *c, struct command *m) { m->steps[m->count++].what = "xxxcl"[draw(c, 5)]; }

static void add_step(struct words *w, const struct step *s)
{
    add(w, "%c", s->what);
    if (s->what == 's')
        add_prefix(w, s->key, "");
    else
        add_key(w, s->key);
    add(w, "%" PRId64, s->value);
}

/* Keys that are read or appended to here, not by a nested call. */
static void add_declared(struct words *w, const struct command *m, bool declare)
{
    size_t at = w->count, n = 0;

    add(w, "0");
    for (size_t i = 0; declare && i < m->count; i++)
        if (m->steps[i].what == 'r' || m->steps[i].what == 'a') {
            add_key(w, m->steps[i].key);
            n++;
        }
    snprintf(w->text[at], sizeof w->text[at], "%zu", n);
}

static void say_command(struct client *c, const struct command *m, struct words *w)
{
    w->count = 0;
    if (m->plain && m->steps[0].what == 'g') {
        add(w, "GET");
        add_key(w, m->steps[0].key);
    } else if (m->plain) {
        add(w, "SCAN");
        add(w, "0");
        add(w, "MATCH");
        add_prefix(w, m->steps[0].key, "*");
        add(w, "COUNT");
        add(w, "1000");
    } else {
        add(w, "FCALL");
        add(w, "lists.mix");
        add_declared(w, m, draw(c, 2) == 0);
        for (size_t i = 0; i < m->count; i++)
            add_step(w, &m->steps[i]);
    }
}

/* ---- what was told ---- */

static void read_list(struct history_txn *t, uint32_t key, const graft_reply *r)
{
    static _Thread_local int64_t list[LIST_MAX];
    const char *at = graft_client_text(r, NULL);
    size_t n = 0;

    while (*at != '\0' && n < LIST_MAX) {
        char *end;
        list[n++] = strtoll(at, &end, 10);
        at = *end == ',' ? end + 1 : end;
        if (end == at)
            break;
    }
    history_read(t, key, list, n);
}

static const graft_reply *find_key(const graft_reply *r, size_t stride, uint32_t key)
{
    char name[48];

    snprintf(name, sizeof name, "h%u:%06u:%u", run, key / BLOCK, key % BLOCK);
    for (size_t i = 0; i < graft_client_count(r); i += stride)
        if (strcmp(graft_client_text(graft_client_item(r, i), NULL), name) == 0)
            return graft_client_item(r, i + stride - 1);
    return NULL;
}

/* Every key of the block was looked at, also those that are not there. */
static void read_block(struct history_txn *t, uint32_t block, const graft_reply *r, bool values)
{
    for (uint32_t key = block * BLOCK; key < (block + 1) * BLOCK; key++) {
        const graft_reply *found = find_key(r, values ? 2 : 1, key);
        if (found == NULL)
            history_read(t, key, NULL, 0);
        else if (values)
            read_list(t, key, found);
        else
            history_exists(t, key);
    }
}

static void note_step(struct history_txn *t, const struct step *s, const graft_reply *r)
{
    size_t before;

    if (s->what == 's')
        read_block(t, s->key, r, true);
    else if (s->what == 'r' || s->what == 'a' || s->what == 'n')
        read_list(t, s->key, r);
    if (!appends(s->what))
        return;
    before = t->count;
    history_append(t, s->key, s->value);
    if (s->what == 'f')
        history_undo(t, before);
    else
        atomic_fetch_add(&appended, 1);
}

/* r NULL: it failed, or nobody knows; what it would have appended is noted. */
static void note_command(struct history_txn *t, const struct command *m, const graft_reply *r)
{
    if (m->plain && r != NULL) {
        if (m->steps[0].what == 'g')
            read_list(t, m->steps[0].key, r);
        else if (strcmp(graft_client_text(graft_client_item(r, 0), NULL), "0") == 0)
            read_block(t, m->steps[0].key, graft_client_item(r, 1), false);
        return;
    }
    for (size_t i = 0; i < m->count; i++)
        if (r != NULL)
            note_step(t, &m->steps[i], graft_client_item(r, i));
        else if (appends(m->steps[i].what))
            history_append(t, m->steps[i].key, m->steps[i].value);
}

static struct history_txn *begin(struct client *c) { return history_begin(&c->history, now_ns()); }
static void end(struct history_txn *t, enum history_status status) { history_end(t, status, now_ns()); }

/* ---- transactions ---- */

static void single_call(struct client *c, bool spoilt)
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

/* The same again under the same token: it is told the first reply, and does nothing. */
static void call_twice(struct client *c)
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

static void multi_exec(struct client *c)
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

static void session(struct client *c)
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

/* Asks and hangs up: whether it takes place, nobody hears. */
static void ask_and_go(struct client *c)
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

static void *run_client(void *arg)
{
    struct client *c = arg;

    while (now_ns() < end_ns && atomic_fetch_add(&begun, 1) < TXNS_MAX && connected(c)) {
        unsigned kind = draw(c, 20);
        if (kind < 7)
            single_call(c, false);
        else if (kind < 8)
            single_call(c, true);
        else if (kind < 9)
            call_twice(c);
        else if (kind < 13)
            multi_exec(c);
        else if (kind < 19 || draw(c, 4) > 0)
            session(c);
        else
            ask_and_go(c);
    }
    hang_up(c);
    return NULL;
}

/* ---- the whole ---- */

/* Reads every list, when all is done. */
static void read_all(struct client *c, struct history *h)
{
    uint32_t last = atomic_load(&appended) / VALUES_PER_KEY + WINDOW + 1;
    struct history_txn *t;
    struct words w;
    graft_reply *r;

    connected(c);
    t = history_begin(h, now_ns());
    for (uint32_t key = 0; key <= last; key++) {
        w.count = 0;
        add(&w, "GET");
        add_key(&w, key);
        r = ask(c, &w);
        read_list(t, key, r);
        graft_client_free_reply(&r);
    }
    end(t, HISTORY_OK);
    hang_up(c);
}

static int report(const struct history *h, const struct client *all, int count)
{
    static struct history_findings f;
    size_t by_status[4] = { 0 };

    for (size_t i = 0; i < h->count; i++)
        by_status[h->txns[i]->status]++;
    history_check(h, &f);
    printf("%zu transactions: %zu answered, %zu failed, %zu unknown; %u appends, %zu edges;", f.txns,
           by_status[HISTORY_OK], by_status[HISTORY_FAILED], by_status[HISTORY_UNKNOWN], atomic_load(&appended),
           f.edges);
    for (size_t e = 0; e < sizeof error_words / sizeof error_words[0]; e++) {
        uint64_t n = 0;
        for (int i = 0; i < count; i++)
            n += all[i].by_error[e];
        printf(" %s %" PRIu64, error_words[e], n);
    }
    printf("\n");
    for (size_t i = 0; i < f.count && i < HISTORY_FINDINGS_MAX; i++)
        fprintf(stderr, "%s: %s\n", f.finding[i].name, f.finding[i].text);
    if (f.count == 0)
        printf("strictly serializable: no anomaly\n");
    return f.count == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct history h = { 0 };
    int seconds = argc > 3 ? atoi(argv[2]) : 0, count = argc > 4 ? atoi(argv[4]) : 16, status;
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;

    if (seconds <= 0 || count <= 0 || count > CLIENTS_MAX) {
        fprintf(stderr, "usage: history SOCKET SECONDS SEED [CLIENTS]\n");
        return 2;
    }
    socket_path = argv[1];
    run = (unsigned)seed;
    alarm((unsigned)seconds + 120);
    printf("seed %" PRIu64 ", %d clients, %d s\n", seed, count, seconds);
    fflush(stdout);
    end_ns = now_ns() + (int64_t)seconds * 1000000000;
    for (int i = 0; i < count; i++) {
        clients[i].number = i;
        clients[i].random = seed * 1000 + (uint64_t)i;
        if (pthread_create(&clients[i].thread, NULL, run_client, &clients[i]) != 0)
            complain("no more threads");
    }
    for (int i = 0; i < count; i++) {
        pthread_join(clients[i].thread, NULL);
        history_merge(&h, &clients[i].history);
    }
    sleep(1); /* what was asked by those who hung up has ended */
    read_all(&clients[0], &h);
    status = report(&h, clients, count);
    history_free(&h);
    return status;
}
