/*
 * The same claims for either engine: a world with the real store or with the one in tests/sim, and requests of it that
 * wait for their answer; events and timers in short words. Files are in engine_file.h.
 */
#ifndef GRAFTD_TESTS_ENGINE_KIT_H
#define GRAFTD_TESTS_ENGINE_KIT_H

#include "tests/sim/store_mem.h"
#include "tests/store_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
    bool real;
    struct kit kit;
    struct disk *disk;
    struct store *mem;
};

/* The first and the last of a test, for cmocka: *state is the world, open. */
int setup_real(void **state);
int setup_mem(void **state);
int teardown(void **state);

void must_open(struct world *w);
void shut(struct world *w);
/* As after a crash: what has not ended is undone. */
void reopen(struct world *w);
/* With these bounds, which only the real engine keeps. */
void reopen_keeping(struct world *w, uint64_t events_ms, uint64_t events_bytes, uint64_t history_ms);

enum err ask(struct world *w, struct store_request *r);
void ask_ok(struct world *w, struct store_request *r);
const struct store_facts *facts(struct world *w);
/* outcome NULL: an early write. first: effects of it that were written before. */
void store(struct world *w, uint64_t txn, const char *outcome, uint64_t first, const struct store_effect *e,
           size_t count);
enum err undo(struct world *w, uint64_t txn);

struct store_effect effect(char resource, const char *key, const char *before, const char *after);
/* The ids that changed it, newest first, as text. */
const char *changed_by(struct world *w, enum store_kind kind, char resource, const char *key);
/* The ids that DEPENDENTS tells, as text. */
const char *dependents(struct world *w, uint64_t txn);

/* An event's effect: topic, then a number that nobody else has. */
struct store_effect event(const char *topic, const char *name, const char *before, const char *after);
/* One event in a transaction of its own. */
void tell(struct world *w, uint64_t txn, const char *topic, const char *data, int64_t ended_us);
/* "id:data …" of the topic, after this id; '+' behind: there are more. */
const char *told(struct world *w, const char *topic, uint64_t after, size_t max);

bool timer_holds(struct world *w, const char *id, const char *text);

#define BOTH(name) \
    { #name " (sqlite)", name, setup_real, teardown, NULL }, { #name " (memory)", name, setup_mem, teardown, NULL }
#define REAL(name) cmocka_unit_test_setup_teardown(name, setup_real, teardown)

#endif
