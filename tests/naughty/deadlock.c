/*
 * Writes two keys with some spinning in between. Two calls that name the same keys in opposite order wait for each
 * other: the daemon sees it when it closes, undoes one and runs it again; both succeed.
 */
#include "naughty.h"

GRAFT_MODULE("deadlock", "1.0.0", "takes two keys in the order it is told");

/* The first argument must not be "write" here: the key that it writes would keep the two calls apart. */
GRAFT_FUNCTION(run, "- first second [spins]")
{
    int64_t spins = 0;
    int err;

    if (graft_arg_count(call) > 3 && graft_arg_i64(call, 3, &spins) != GRAFT_OK)
        return graft_abort(call, "spins must be a whole number");
    if ((err = graft_kv_add_i64(call, graft_arg(call, 1), 1, NULL)) != GRAFT_OK)
        return err;
    for (int64_t i = 0; i < spins; i++)
        __asm__ volatile("");
    if ((err = graft_kv_add_i64(call, graft_arg(call, 2), 1, NULL)) != GRAFT_OK)
        return err;
    return graft_reply_status(call, "OK");
}
