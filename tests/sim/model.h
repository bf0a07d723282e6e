/*
 * What must be true of the state, whatever happened: a serial map of who was told what.
 *
 * Each change that a client asks for leaves traces that it alone can leave: marks ("op:<id>:<part>"), if a graft makes
 * them a file, events and timers, a bit of a counter ("ctr:<n>"), and with a transfer the balance of two accounts and a line. So the state tells which changes took place,
 * and
 *
 *     T1, T2  what a reply shows has taken place, also after a crash
 *     T3      what was answered with an error left nothing
 *     T6      the sum of all accounts is the same in every reply; what was answered before a question was asked shows
 *             in its answer
 *     T7      what was answered OK is there; each of the others is there whole or not at all
 *
 * Of a timer that a change has armed one thing is true: it has fired once, or it was cancelled, or it is stored; and in
 * the end, when it is stored, it was tried as often as the policy says and is parked.
 */
#ifndef GRAFTD_TESTS_SIM_MODEL_H
#define GRAFTD_TESTS_SIM_MODEL_H

#include "tests/sim/graft_sim.h"
#include "tests/sim/store_mem.h"

enum { MODEL_COUNTERS = 16, MODEL_BITS = 62, MODEL_OPS_MAX = 4096 };

enum fate {
    FATE_OPEN, /* never answered, or nobody knows */
    FATE_DONE,
    FATE_FAILED,
};

/* CALL: marks by a graft, with its file and its events. */
enum trace { TRACE_MARKS, TRACE_CALL, TRACE_TRANSFER, TRACE_BIT };

struct op {
    enum trace trace;
    unsigned parts;            /* marks */
    unsigned from, to, amount; /* a transfer's */
    unsigned counter, bit;
    enum fate fate;
    const void *asker; /* who asked for it, and when; NULL: nobody yet */
    uint64_t asked;
    uint64_t seen;     /* when a reply showed it first; 0: never */
    uint64_t answered; /* when it was answered */
};

struct model {
    struct op ops[MODEL_OPS_MAX];
    unsigned op_count;
    unsigned bits[MODEL_COUNTERS];              /* used */
    unsigned owner[MODEL_COUNTERS][MODEL_BITS]; /* which op's bit it is */
    uint64_t clock;                             /* counts questions and answers */
    char wrong[512];                            /* what was found first; empty: nothing */
};

/* The state that every run begins with. */
void model_init(struct model *m, struct disk *d);
void model_wrong(struct model *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The id of a new op, or -1: there are enough. */
int model_marks(struct model *m, unsigned parts);
int model_call(struct model *m, unsigned parts);
int model_transfer(struct model *m, unsigned from, unsigned to, unsigned amount);
int model_bit(struct model *m, unsigned counter);

void model_answer(struct model *m, int op, enum fate fate);
/* A reply to what was asked at that time shows a mark of it, or that there is none. */
void model_shows(struct model *m, int op, bool present, uint64_t asked);
void model_shows_counter(struct model *m, unsigned counter, int64_t value, uint64_t asked);
/* The disk, when nothing is under way any more. quiet: nor can anything happen any more, so each timer that is left is
 * parked. */
void model_judge(struct model *m, const struct disk *d, bool quiet);

#endif
