/*
 * Which page to give up: VINO's page eviction graft. The pager offers what it would take, coldest first; the application
 * has said which pages it is about to need.
 *
 *     graftctl call evict.keep --key hot:index 7 8 9
 *     graftctl call evict.choose --key hot:index 8 7 31 4       31
 */
#include "numbers.h"

GRAFT_MODULE("evict", "1.0.0", "chooses the page to give up");

GRAFT_FUNCTION(keep, "page …") { return numbers_put_args(call, graft_key(call, 0)); }

/* Replies the first page that is not to be kept. ABORTED when all are: then the pager takes its own. */
GRAFT_FUNCTION_RO(choose, "page …")
{
    struct numbers kept;
    uint32_t page = 0;
    size_t count = graft_arg_count(call);
    int err;

    if ((err = numbers_get(call, graft_key(call, 0), &kept)) != GRAFT_OK)
        return err;
    for (size_t i = 0; i < count; i++) {
        if ((err = numbers_arg(call, i, &page)) != GRAFT_OK)
            return err;
        if (numbers_find(kept, 0, page) == kept.count)
            return graft_reply_i64(call, page);
    }
    return graft_abort(call, "all %zu pages are to be kept", count);
}
