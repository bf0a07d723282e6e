/*
 * Taking back one effect of a committed transaction, by resource (T9).
 *
 *     kv     the key holds again what it held
 *     file   the same, once for each path: from what it held before the transaction to what came of it
 *     timer  what was armed is there no more; what was cancelled is armed again; what has fired comes back parked, for it did
 *     event  it was told, and stays told
 */
#ifndef GRAFTD_PUT_BACK_H
#define GRAFTD_PUT_BACK_H

#include "txn/txn.h"

/* What is taken back: a transaction as STORE_SHOW told it; borrowed, as its effects. */
struct put_back {
    uint64_t txn;
    const struct store_row *row;
    const struct store_effect *effects;
    size_t count;
    size_t *last; /* owned: of the first effect on a file, or of an event, the last one; of their others SIZE_MAX */
};

/* ERR_NOMEM. */
enum err put_back_init(struct put_back *p, const struct store_request *shown);
void put_back_fini(struct put_back *p); /* harmless on a zeroed one */
/* Effect i is an event that was told. */
bool put_back_keeps(const struct put_back *p, size_t i);
/* Takes back effect i, if it is one to be; from the last to the first. Retry style, as in txn.h. *stale: the item does
 * not hold what the effect made of it (ERR_CONFLICT): nothing was done, and others came in between, or have it
 * otherwise. *alike: it holds that only if nobody came in between, see txn_file_put_back. */
enum err put_back_step(const struct put_back *p, size_t i, struct txn *t, bool *stale, bool *alike,
                       struct failure *why);

#endif
