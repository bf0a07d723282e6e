/*
 * What the files of TXN UNDO and REDO share, and nobody else sees; command_undo.c tells how they work together.
 */
#ifndef GRAFTD_COMMAND_UNDO_IMPL_H
#define GRAFTD_COMMAND_UNDO_IMPL_H

#include "graftd/history.h"
#include "graftd/put_back.h"

/* One that is taken back. */
struct undone {
    uint64_t id, by;            /* by: the transaction that the history will tell of; 0: not begun */
    struct store_request shown; /* owns its effects */
    struct put_back back;
};

struct undo {
    struct request *r;
    uint64_t target;
    bool cascade, trial, redo;
    struct undone *list; /* owned; newest first, the target is the last */
    size_t count, loaded;
    size_t bytes;
    struct txn *txn;
    bool running;     /* txn is ours to go on with */
    size_t at, taken; /* list[at] is being taken back, so many of its effects have been */
    bool stale;       /* an item does not hold what it should */
    bool alike;       /* what builds on it must be asked again, see put_back_step */
    bool asking;      /* it is */
    bool again;       /* it begins anew when txn has ended */
    unsigned retries;
};

/* command_undo.c */
/* It ends, and u is gone: r is told why, or has its reply. */
void undo_fail(struct undo *u, const struct failure *why);
void undo_done(struct undo *u);
void undo_forget(struct undo *u);            /* what was found, as before undo_ask */
const char *undo_name(const struct undo *u); /* "undone", for sentences */

/* command_undo_find.c */
void undo_find(struct undo *u); /* REDO: which transaction is to be taken back */
void undo_ask(
    struct undo *u); /* what builds on it, and what all of them did; from the beginning, as often as need be */

/* command_undo_run.c */
void undo_begin(struct undo *u); /* the list is complete: takes it back */

/* command_undo_reply.c */
/* {undone: [{id, by}], effects: […], kept: [{id, topic, data}]}. ERR_LIMIT, ERR_NOMEM. */
enum err undo_add_reply(struct undo *u);

#endif
