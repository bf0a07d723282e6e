/*
 * What the parts of the crash test share. A *resource* is something that clients change while the daemon is killed, with a
 * checker of its own: crash_kv.c, crash_undo.c, crash_session.c, crash_file.c, crash_event.c, crash_timer.c.
 *
 * Each keeps the same promise (T2, T3, T7): what was answered is there; of what was asked and not answered each thing is
 * there whole or not at all; and there is nothing else.
 */
#ifndef GRAFTD_TESTS_CRASH_H
#define GRAFTD_TESTS_CRASH_H

#include "include/graft_client.h"
#include "tests/tool/daemon.h" /* complain() */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct resource {
    const char *name;
    void (*set_up)(graft_client *); /* once, on the first daemon */
    /* Each runs on a thread of its own until its connection is lost. */
    void *clients;
    size_t client_count, client_size, total_at; /* total_at: where a client keeps the number of its requests answered */
    void *(*run)(void *client);
    void *(*beside)(void *);        /* runs as a client does, without being one. NULL: nothing */
    void (*check)(graft_client *);  /* on the next daemon: complains of what must not be */
    void (*finish)(graft_client *); /* after the last check: what can only be said when all is still. NULL: nothing */
};

enum { CRASH_CLIENTS_MAX = 16 }; /* of one resource, with what runs beside them */
#define CRASH_CLIENTS(clients, run) \
    clients, sizeof clients / sizeof clients[0], sizeof clients[0], offsetof(struct client, total), run

extern const struct resource crash_kv, crash_undo, crash_session, crash_file, crash_event, crash_timer;

extern uint64_t crash_seed;
extern char crash_files[4096]; /* the standard root */

uint64_t mix(uint64_t v); /* chance: the same for the same seed */

enum { CRASH_PIECES = 8, CRASH_PIECE_SIZE = 24 * 1024, CRASH_WORDS_MAX = 24 };

struct words {
    graft_client_bytes word[CRASH_WORDS_MAX];
    char text[CRASH_WORDS_MAX][64];
    size_t count;
};

void add_bytes(struct words *w, const char *data, size_t len); /* borrowed */
void add(struct words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same with a list of words, NULL at its end. */
void say(struct words *w, const char *word, ...) __attribute__((sentinel));

graft_client *reach(void); /* NULL: nobody is there */
int reach_bare(void);      /* the same, a descriptor; -1 */
/* The reply, owned by the caller. An error, or a lost connection, is a complaint. */
graft_reply *ask(graft_client *connection, const struct words *w);
/* The reply, or NULL: the connection is lost, as it should be after a kill. An error is a complaint. */
graft_reply *try_ask(graft_client *connection, const struct words *w);
/* The same of a call that fails, ABORTED or CRASHED: false: the connection is lost. */
bool try_refused(graft_client *connection, const struct words *w);

/* crash_ear.c: a subscription from behind an id on; to be fclose()d. NULL: the connection is lost. */
enum { EAR_TEXT = 64 };
FILE *ear_open(const char *topic, int64_t after);
/* The next event. False: the connection is lost, or nothing came for REPLY_MS_MAX. */
bool ear_hear(FILE *ear, const char *topic, int64_t *id, char text[EAR_TEXT]);

/* What ledger.bulk writes into each piece for that text; out has CRASH_PIECE_SIZE bytes. */
void bulk_piece(const char *text, char *out);

#endif
