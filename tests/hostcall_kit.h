/*
 * What the tests of graftd/hostcall.h share: a worker's message is given to it over a transaction that the test plays, and
 * what was done and answered is looked at. Linked in front of libtxn, whose functions it stands for.
 *
 * What the graft may, and no more, are the `rules` of hostcall_kit.c, to whose lines and columns the denials point.
 */
#ifndef GRAFTD_TESTS_HOSTCALL_KIT_H
#define GRAFTD_TESTS_HOSTCALL_KIT_H

#include "graftd/hostcall.h"
#include "graftd/timer.h"
#include "lib/wire.h"
#include "txn/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SECONDS_MAX = 60, NOW_US = 1700000000 };

/* The transaction: it does as it is told to here. */
struct played {
    char done[1000];      /* what was asked of it */
    enum err err;         /* what it says */
    unsigned waits;       /* so often it says ERR_WAIT first */
    const char *why;      /* with that sentence */
    struct txn_file file; /* what it finds */
    struct bytes data;
    struct store_pair pairs[4];
    size_t pair_count, effects, timers;
    unsigned names;
};

extern struct played played;

struct world {
    struct port_ops ops;
    struct port port;
    struct principal who;
    struct policy_limits bounds;
    struct grant *grant;
    struct hostcall_context h;
    struct failure why;
    struct buf message;
};

extern struct buf sent; /* to the worker */

/* Of all tests; *state: the world. */
int hostcall_set_up(void **state);
int hostcall_tear_down(void **state);
/* As if nothing had been asked or told. */
void renew(struct world *w);

/* SAY(w, FILE_READ, .path = …): what comes of that message. */
#define SAY(w, NAME, ...) \
    (buf_clear(&(w)->message), \
     assert_int_equal(wire_add_##NAME(&(w)->message, &(struct wire_##NAME){ __VA_ARGS__ }), OK), said(w))
enum err said(struct world *w);

/* The body of the only message that was sent, of that number. */
struct bytes answered(uint8_t number);
void assert_value(bool present, const char *text);
/* Nothing was done and nothing answered. */
void assert_refused(struct world *w, enum err err, enum err expected, const char *text);

struct bytes str(const char *s);
struct bytes nothing(void);

#endif
