/*
 * The load generator that all servers are measured by: clients that each keep a number of requests under way, latencies
 * from the moment a request is made to the moment its answer is read. load.c has the clients, the clock and the figures;
 * load_resp.c, load_pg.c and load_tarantool.c each speak one protocol, and nothing else.
 *
 *     load_resp SOCKET CLIENTS PIPELINE SECONDS [-e] WORD…
 *
 * Prints one JSON object. In each WORD `@` is a number of KEY_DIGITS digits below KEYS, no two alike in one request, and
 * a word `%4096` is 4096 random bytes. -e: every answer must be an error; without it none may be. One that is not as it must be
 * ends the program with 1: what failed is no measure of anything.
 */
#ifndef GRAFTD_BENCH_LOAD_H
#define GRAFTD_BENCH_LOAD_H

#include "lib/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KEYS_DEFAULT = 10000, /* $KEYS, at most 10^KEY_DIGITS */
    KEY_DIGITS = 8,
    WORDS_MAX = 128, /* of a request */
    CLIENTS_MAX = 1024,
    PIPELINE_MAX = 256,            /* requests of a client that are not answered */
    STREAM_MAX = 64 * 1024 * 1024, /* bytes waiting to be sent or decoded, of one client */
};

struct client {
    int fd;                       /* non-blocking */
    struct buf out, in;           /* of protocols that are a stream of bytes */
    void *state;                  /* the protocol's own */
    uint64_t asked[PIPELINE_MAX]; /* when, ns: a ring */
    unsigned first, waiting;      /* oldest of them; how many */
    bool wants_room;              /* not all could be sent */
};

struct answer {
    bool is_error;
    struct bytes text; /* of an error; borrowed until the next one is read */
};

/* One protocol. What fails ends the program, with load_die(). */
struct protocol {
    void (*open)(struct client *c, const char *address, const struct bytes *words, size_t count);
    void (*ask)(struct client *c, const struct bytes *words, size_t count); /* one more request; words are borrowed */
    bool (*send)(struct client *c);                        /* what was asked; false: the rest when there is room */
    void (*receive)(struct client *c);                     /* what has arrived */
    bool (*next)(struct client *c, struct answer *answer); /* false: no whole answer is there */
};

int load_main(int argc, char **argv, const struct protocol *protocol);
void load_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void load_want(enum err err); /* memory: ends the program unless it is 0 */

/* For protocols that are a stream over a Unix socket: open, send and receive. */
int stream_connect(const char *path);
bool stream_send(struct client *c);
void stream_receive(struct client *c);

#endif
