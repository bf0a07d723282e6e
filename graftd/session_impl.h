/*
 * What the files of a session share, and nobody else sees:
 *
 *     session.c            its life, and BEGIN, COMMIT, ROLLBACK    session_savepoint.c  marks in it to go back to
 *     session_statement.c  what works in it                         session_time.c       the limits on its time
 *     session_multi.c      MULTI, EXEC and what they put aside
 */
#ifndef GRAFTD_SESSION_IMPL_H
#define GRAFTD_SESSION_IMPL_H

#include "graftd/call.h"
#include "graftd/command.h"
#include "graftd/session.h"
#include "lib/state.h"

/* What is true in a state:
 *                 client        txn     timer   on core->sessions
 *     QUEUING     yes           no      no      no
 *     OPEN        yes           open    runs    yes
 *     COMMITTING  no            given   stopped no
 *     UNDOING     while it is   given   stopped no
 *     LOST        yes           no      stopped no */
enum session_state { QUEUING, OPEN, COMMITTING, UNDOING, LOST, GONE };

struct savepoint {
    char name[SAVEPOINT_NAME_MAX];
    size_t len;
    struct txn_mark mark;
};

struct session {
    struct list link; /* core->sessions */
    struct core *core;
    struct client *client; /* whose it is; NULL: nobody's, gone when the transaction has ended */
    unsigned state;
    struct principal who;
    struct hold hold;
    int64_t begun_us;
    struct port_timer *timer;
    uint64_t idle_ms, timeout_ms;    /* limits; 0: none */
    int64_t begun_ms, idle_since_ms; /* monotonic; idle_since_ms 0: not idle */

    struct request *statement; /* works in it now; NULL: nothing does */
    bool entered;              /* the statement is in the hold by itself, not as a call */
    struct hold_frame frame;
    struct failure refusal; /* why the statement failed, while it is taken back */
    size_t target;          /* ROLLBACK TO: which savepoint */
    struct savepoint savepoints[SAVEPOINT_MAX];
    size_t savepoint_count;

    struct request *waiting; /* told when the transaction has ended; NULL: nobody */
    bool wanted;             /* UNDOING: it was asked for, by ROLLBACK */
    struct failure why;      /* UNDOING, LOST */
    char facts[SESSION_FACTS_MAX];
    uint64_t undone;

    /* MULTI, EXEC */
    struct list parts, *next; /* requests put aside; the next one to run */
    size_t part_count, part_bytes, part_number;
    bool broken;          /* one could not be put aside */
    struct request *exec; /* NULL: it began with BEGIN, or EXEC has not come yet */
    bool stepping, again; /* exec_run is at work; and was asked for meanwhile */
    bool retrying;        /* UNDOING after a deadlock, and then from the first part */
    unsigned retries;
};

/* session.c */
struct session *session_at(const struct request *r); /* of r's connection; NULL: none */
struct session *session_new(struct request *r);      /* QUEUING; the client's. NULL: no memory */
void session_free(struct session *s);                /* nobody's; the transaction has ended */
void session_detach(struct session *s);              /* the client has none any more */
enum err session_open(struct session *s, const char *function, struct failure *why);
void session_give_commit(struct session *s, struct request *r);
/* The session that BEGIN began; NULL: r is told that there is none. */
struct session *session_wanted(struct request *r);
/* False: it is not there to be used; r is told why, now or when it is undone. */
bool session_is_open(struct session *s, struct request *r);
/* No transaction for r, for no fault of its client: what was sent behind it was meant for one, and must not run outside.
 * The connection is closed after the error. */
void session_cannot(struct request *r, const struct failure *why);

/* session_statement.c */
/* r's work in it is taken back to the mark; the statement is then over. A part that cannot be taken back alone takes
 * the whole session along. ERR_WAIT: not yet. */
enum err session_go_back(struct session *s, struct txn_mark mark);
/* What works in it ends without a word; who asked for it is told when all is undone. Harmless if nothing does. */
void session_stop(struct session *s);

/* session_time.c */
enum err session_time_open(struct session *s); /* ERR_NOMEM */

/* session_multi.c */
void exec_again(struct session *s);

#endif
