/*
 * What runs in the simulated templates and workers: scripted grafts, good and bad, which speak lib/wire like the real
 * worker.
 *
 * The object of such a graft is one line of text: "<name> <version> <kind>"; the kind says what is wrong with it. Its
 * functions work on accounts ("acct:<n>", whose sum never changes) and on marks ("op:<id>:<part>", each written by
 * one call alone), so that the state tells which calls took place. With every fourth mark a call adds to a file of its own
 * ("op.<id>" grows by "<part>."), with every fourth it emits an event ("op"), with every fourth it arms a timer, whose
 * name it writes to "arm:<id>:<part>", and a transfer adds a line to "ledger". The timer's call emits an event ("ring") and
 * then, now and then, fails.
 */
#ifndef GRAFTD_TESTS_SIM_GRAFT_SIM_H
#define GRAFTD_TESTS_SIM_GRAFT_SIM_H

#include "lib/buf.h"
#include "tests/sim/chance.h"

enum {
    GRAFT_SIM_ACCOUNTS = 6,
    GRAFT_SIM_BALANCE = 1000, /* of each account at first */
    GRAFT_SIM_PARTS_MAX = 12,
    GRAFT_SIM_KEY_MAX = 48,
    GRAFT_SIM_FILE_PART = 1,  /* of four */
    GRAFT_SIM_EVENT_PART = 2, /* the same */
    GRAFT_SIM_TIMER_PART = 3, /* the same */
    GRAFT_SIM_TIMER_TRIES = 3,
};
#define GRAFT_SIM_LEDGER "ledger"

/* Arguments of all but the audits: id, parts; transfer: also amount, from, to. In this order in the manifest. */
enum graft_sim_function {
    FUNCTION_AUDIT,    /* reads all accounts, page by page: replies with their sum. Read-only */
    FUNCTION_LOOK,     /* replies how many of the op's marks there are. Read-only */
    FUNCTION_GLANCE,   /* reads all accounts, key by key: the same as the audit. Read-only, the last one that is */
    FUNCTION_TRANSFER, /* moves amount, writes its mark, replies OK */
    FUNCTION_PUT,      /* writes its marks, replies OK */
    FUNCTION_TWICE,    /* the same, then says DONE again, at once, or a word later, and after that nothing any more */
    FUNCTION_RING,     /* a timer's call. Its arguments: the op that armed it, and the part */
    FUNCTION_HUSH,     /* cancels that timer, and writes "hush:<id>:<part>" if there was one. Replies OK */
    FUNCTION_ABORT,    /* these write their marks, and then: say no, */
    FUNCTION_CODE,     /* return a number, */
    FUNCTION_MEMORY,   /* run out of memory, */
    FUNCTION_SPIN,     /* never end, */
    FUNCTION_SLEEP,    /* the same without using the CPU, */
    FUNCTION_CRASH,    /* die, */
    FUNCTION_LIE,      /* say something that nobody may say, */
    FUNCTION_GREEDY,   /* or write on and on */
    FUNCTION_COUNT,
};

extern const char *const graft_sim_functions[FUNCTION_COUNT];
/* The kinds of objects; the first is a good one. */
extern const char *const graft_sim_kinds[];
extern const unsigned graft_sim_kind_count;

enum graft_sim_state {
    GRAFT_NEW,   /* has not said READY */
    GRAFT_IDLE,  /* waits for a call */
    GRAFT_RUNS,  /* has something to do */
    GRAFT_WAITS, /* for an answer to a host call */
    GRAFT_LATE,  /* will say something that nobody asked for */
    GRAFT_SPINS, /* uses CPU, for ever */
    GRAFT_MUTE,  /* neither does nor hears anything any more */
    GRAFT_DIES,  /* by signal_number */
};

struct graft_sim {
    struct chance *chance;
    char kind[16];
    enum graft_sim_state state;
    int signal_number;
    struct buf kept; /* calls that came before the answer that was waited for */
    /* the call */
    uint64_t txn;
    unsigned function, step, parts;
    unsigned arming; /* the part with which a timer is being armed */
    char id[24], from[GRAFT_SIM_KEY_MAX], to[GRAFT_SIM_KEY_MAX];
    int64_t amount, balance[2];
    bool known[2];
    int64_t sum;
    unsigned account;
    char after[GRAFT_SIM_KEY_MAX + 1]; /* where the next page begins */
    size_t after_len;
};

/* What the template of that object says, as frames. */
void graft_sim_introduce(struct bytes object, struct buf *said);
void graft_sim_init(struct graft_sim *g, struct bytes object, struct chance *chance);
void graft_sim_fini(struct graft_sim *g);
bool graft_sim_can_run(const struct graft_sim *g, const struct buf *heard);
/* One step: hears at most one frame, says what it says. */
void graft_sim_run(struct graft_sim *g, struct buf *heard, struct buf *said);

#endif
