/*
 * What clients did, as lists that grow: a checker of isolation in the manner of Elle (Kingsbury and Alvaro, VLDB 2020).
 *
 * A key holds a list; a transaction reads lists and appends values, each value once in a history. So a list that was read
 * tells the order of its versions, and with it who depends on whom:
 *
 *     ww  appended right behind the other's value         wr  read a list that ends with the other's value
 *     rw  read the list before the other's value came     rt  began when the other had been answered
 *
 * A cycle is an anomaly, and has a name. What is found, worst first:
 *
 *     phantom-value     a value that nobody appended
 *     duplicate         a value that is in a list twice
 *     lost              a value whose transaction was answered, and which is not in the list that was read last
 *     incompatible      two reads of a key of which neither begins with the other
 *     internal          a transaction that does not see its own work, or two states of others'
 *     G1a               aborted read: a value of what failed or was taken back
 *     G1b               intermediate read: a list that ends in the middle of another's appends
 *     G0 G1c G-single G2         cycles of ww; ww and wr; these and one rw; these and several
 *     …-realtime                 the same with rt: serializable, but not in the order of the clock (T6)
 *
 * Must never know: sockets, clocks, threads.
 */
#ifndef GRAFTD_TESTS_HISTORY_H
#define GRAFTD_TESTS_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum history_kind { HISTORY_APPEND, HISTORY_READ, HISTORY_EXISTS };

struct history_op {
    enum history_kind kind;
    bool undone; /* APPEND: taken back inside its transaction; nobody else may see it */
    uint32_t key;
    int64_t value; /* APPEND; never 0 */
    int64_t *list; /* READ: owned */
    size_t count;
};

enum history_status { HISTORY_OPEN, HISTORY_OK, HISTORY_FAILED, HISTORY_UNKNOWN };

struct history_txn {
    int64_t begun_ns, ended_ns;
    enum history_status status;
    struct history_op *ops; /* owned */
    size_t count, cap;
};

struct history {
    struct history_txn **txns; /* owned */
    size_t count, cap;
};

/* Borrowed from the history. Memory that is short ends the program. */
struct history_txn *history_begin(struct history *h, int64_t now_ns);
void history_append(struct history_txn *t, uint32_t key, int64_t value);
void history_read(struct history_txn *t, uint32_t key, const int64_t *list, size_t count); /* the list is copied */
void history_exists(struct history_txn *t, uint32_t key);                                  /* it holds something */
/* What was appended since there were `count` operations is taken back. */
void history_undo(struct history_txn *t, size_t count);
void history_end(struct history_txn *t, enum history_status status, int64_t now_ns);
/* Moves all of `from`, which is empty then. */
void history_merge(struct history *to, struct history *from);
void history_free(struct history *h);

enum { HISTORY_FINDINGS_MAX = 32, HISTORY_TEXT_MAX = 1024 };

struct history_findings {
    struct {
        const char *name;
        char text[HISTORY_TEXT_MAX];
    } finding[HISTORY_FINDINGS_MAX];
    size_t count; /* may pass the maximum: these are counted and not told */
    size_t txns, edges;
};

/* The history must end with an OK transaction that reads every key, for `lost`. */
void history_check(const struct history *h, struct history_findings *f);

#endif
