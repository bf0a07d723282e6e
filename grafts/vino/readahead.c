/*
 * Which blocks to fetch ahead: VINO's read-ahead graft. A system guesses that the block behind will be read next. Who
 * reads in another order knows that order before, and says it once; then each read is answered with what follows it.
 *
 *     graftctl call readahead.plan --key ra:orders 7 300 12 9 41
 *     graftctl call readahead.next --key ra:orders --key ra:orders:place 300       12 9 41
 *
 * The second key holds how far the reader is, so that a block may stand in a plan more than once. Who reads all of it again begins anew.
 */
#include "numbers.h"

GRAFT_MODULE("readahead", "1.0.0", "tells which blocks to fetch ahead");

#define AHEAD 4 /* blocks */

GRAFT_FUNCTION(plan, "block …") { return numbers_put_args(call, graft_key(call, 0)); }

/* Replies the blocks that will be read after this one. ABORTED when it is not in the rest of the plan: then guess. */
GRAFT_FUNCTION(next, "block")
{
    struct numbers plan;
    int64_t place = 0;
    uint32_t block = 0;
    size_t at, count;
    int err;

    if ((err = numbers_arg(call, 0, &block)) != GRAFT_OK ||
        (err = numbers_get(call, graft_key(call, 0), &plan)) != GRAFT_OK)
        return err;
    err = graft_kv_get_i64(call, graft_key(call, 1), &place);
    if (err != GRAFT_OK && err != GRAFT_NOT_FOUND)
        return err;
    at = numbers_find(plan, (size_t)place, block);
    if (at == plan.count)
        at = numbers_find(plan, 0, block);
    if (at == plan.count)
        return graft_abort(call, "block %u is not in the plan", block);
    if ((err = graft_kv_put_i64(call, graft_key(call, 1), (int64_t)at + 1)) != GRAFT_OK)
        return err;
    count = plan.count - at - 1 < AHEAD ? plan.count - at - 1 : AHEAD;
    if ((err = graft_reply_array(call, count)) != GRAFT_OK)
        return err;
    for (size_t i = 1; i <= count; i++)
        graft_reply_i64(call, plan.at[at + i]);
    return GRAFT_OK;
}
