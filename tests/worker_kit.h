/*
 * What the tests of the worker share: a test as the daemon, with the real graft-worker below it. It builds grafts, starts
 * a zygote, a template and workers, makes calls, and hears and answers what the workers ask.
 *
 * What a message holds is borrowed until the next one. GRAFT_WORKER: the program, else ./graft-worker. GRAFTD_TOP: the
 * source tree, else ".".
 */
#ifndef GRAFTD_TESTS_WORKER_KIT_H
#define GRAFTD_TESTS_WORKER_KIT_H

#include "lib/value.h"
#include "lib/wire.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { FRAME_ROOM = 1 << 22, MEMORY_MAX = 1 << 20, STACK_MAX = 256 * 1024 };

/* What main does around its tests: a folder for what is built, and an end to what hangs. */
void worker_kit_open(unsigned seconds_max);
int worker_kit_close(int failed); /* the exit status */

/* ---- building ---- */

int build(const char *name, const char *source);

/* ---- frames ---- */

/* One datagram from a nursery: its number, or -1 when it hung up. */
int take(int socket, struct bytes *body, int *fd);
void order(int socket, const struct wire_SPAWN *m, const int fds[], size_t count);
/* One frame from a worker's stream: its number, or -1 when it hung up. */
int hear(int channel, struct bytes *body);
void tell(int channel, struct buf *b);

/* ---- the tree ---- */

struct tree {
    pid_t keeper;
    int zygote, template; /* control sockets */
};

struct worker {
    int channel, pidfd;
};

/* What workers are given; a test may change it. */
extern struct wire_SPAWN worker_order;

pid_t start(int *control, const char *flag);
int spawn_template(int zygote, int file, int *pidfd);
struct worker spawn_worker(struct tree *t);
struct worker ready_worker(struct tree *t);
void end_tree(struct tree *t);
/* The function's index in a manifest; *count: of all. */
uint16_t find_function(struct bytes manifest, const char *name, size_t *count);
void lay_down(struct worker *w);

/* ---- calls ---- */

extern uint64_t last_txn; /* of the call made last */

/* keys: NULL-ended pairs key, value (NULL: absent) … ; args: space-separated. */
void call_index(const struct worker *w, uint16_t index, const char *const *keys, const char *args, bool readonly);
struct wire_DONE done(const struct worker *w);
void assert_text(struct bytes b, const char *text);
void assert_replied(struct wire_DONE m, enum value kind, const char *text, int64_t number);
/* The worker's last words have this in them (NULL: it says none), and its death was by that signal. */
void assert_dies(struct tree *t, struct worker *w, const char *words, int signal);
/* Ended by the daemon. */
void dismiss(struct tree *t, struct worker *w);

/* ---- what it asks for, and gets ---- */

/* The worker reads that key, and gets that value. */
void assert_reads(const struct worker *w, const char *key, const char *value);
void assert_puts(const struct worker *w, const char *key, const char *value);

/* A graft of its own beside the zoo. */
struct guest {
    struct tree tree; /* its template, the zoo's zygote */
    int pidfd;
    struct bytes manifest; /* until the next message */
};

struct guest load_guest(const struct tree *t, const char *name, const char *source);
void unload_guest(struct guest *g);

#endif
