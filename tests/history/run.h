/*
 * What the parts of the history test share: a client, what it asks in words (run_ask.c), one command and what was told of it
 * (run_command.c), and the kinds of transactions (run_txn.c). run.c lets the clients run, and has them checked.
 */
#ifndef GRAFTD_TESTS_HISTORY_RUN_H
#define GRAFTD_TESTS_HISTORY_RUN_H

#include "include/graft_client.h"
#include "tests/history/history.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum {
    BLOCK = 8,           /* keys with one prefix */
    WINDOW = 6,          /* keys in use at a time */
    VALUES_PER_KEY = 10, /* about */
    STEPS_MAX = 4,       /* of one call */
    COMMANDS_MAX = 4,    /* of one transaction */
    WORDS_MAX = 64,
    ERROR_WORDS = 7,
};

struct client {
    pthread_t thread;
    int number;
    uint64_t random;
    graft_client *connection; /* NULL: to be connected */
    struct history history;
    int64_t values; /* handed out */
    uint64_t by_error[ERROR_WORDS];
};

extern const char *const error_words[ERROR_WORDS]; /* what a client may be answered */
extern const char *socket_path;
extern unsigned run_number;  /* in the names of its keys, so that one store takes many runs */
extern atomic_uint appended; /* values, by all clients */

/* Ends the program. */
_Noreturn void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
int64_t now_ns(void);
unsigned draw(struct client *c, unsigned below);

/* ---- words ---- */

struct words {
    graft_client_bytes word[WORDS_MAX];
    char text[WORDS_MAX][48];
    size_t count;
};

void add(struct words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void add_key(struct words *w, uint32_t key);
void add_prefix(struct words *w, uint32_t block, const char *end);

/* ---- asking ---- */

bool connected(struct client *c);
void hang_up(struct client *c);
/* Owned by the caller. The daemon never goes away here. */
graft_reply *ask(struct client *c, const struct words *w);
graft_reply *ask_word(struct client *c, const char *a, const char *b);
/* True: it was answered an error, one of those that may be. */
bool failed(struct client *c, const graft_reply *r);

/* ---- one command ---- */

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

uint32_t some_key(struct client *c);
struct command some_command(struct client *c, bool may_be_plain);
void spoil(struct client *c, struct command *m);
void add_step(struct words *w, const struct step *s);
void say_command(struct client *c, const struct command *m, struct words *w);
void read_list(struct history_txn *t, uint32_t key, const graft_reply *r);
/* r NULL: it failed, or nobody knows; what it would have appended is noted. */
void note_command(struct history_txn *t, const struct command *m, const graft_reply *r);

/* ---- transactions ---- */

static inline struct history_txn *begin(struct client *c) { return history_begin(&c->history, now_ns()); }
static inline void end(struct history_txn *t, enum history_status status) { history_end(t, status, now_ns()); }

/* Each is one transaction of the client, from its begin to its end in the history. */
void single_call(struct client *c, bool spoilt);
/* The same again under the same token: it is told the first reply, and does nothing. */
void call_twice(struct client *c);
void multi_exec(struct client *c);
void session(struct client *c);
/* Asks and hangs up: whether it takes place, nobody hears. */
void ask_and_go(struct client *c);

#endif
