/* Wants more timers than is good for others. */
#include <graft.h>

GRAFT_MODULE("hog", "1.0.0", "arms many timers");

GRAFT_FUNCTION(spin, "takes a tenth of a second or so")
{
    for (volatile unsigned long i = 0; i < 100 * 1000 * 1000ul; i++)
        ;
    return GRAFT_OK;
}

GRAFT_FUNCTION(nothing, "does nothing") { return GRAFT_OK; }

GRAFT_FUNCTION(spin_often, "count: arms hog.spin so often, for now")
{
    int64_t count;
    int err = GRAFT_OK;

    if (graft_arg_i64(call, 0, &count) != GRAFT_OK)
        return graft_abort(call, "how many?");
    for (int64_t i = 0; i < count && err == GRAFT_OK; i++)
        err = graft_after(call, 0, "hog.spin", NULL, 0, NULL);
    return err == GRAFT_OK ? graft_reply_i64(call, count) : err;
}

GRAFT_FUNCTION(arm, "count ms: arms hog.nothing so often, and keeps the ids")
{
    graft_bytes id;
    int64_t count, ms;

    if (graft_arg_i64(call, 0, &count) != GRAFT_OK || graft_arg_i64(call, 1, &ms) != GRAFT_OK)
        return graft_abort(call, "how many, when?");
    for (int64_t i = 0; i < count; i++) {
        int err = graft_after(call, (uint64_t)ms, "hog.nothing", NULL, 0, &id);
        if (err == GRAFT_OK)
            err = graft_kv_put(call, graft_format(call, "id%lld", (long long)i), id);
        if (err != GRAFT_OK)
            return err;
    }
    return graft_reply_i64(call, count);
}

GRAFT_FUNCTION(cancel, "count: cancels these")
{
    graft_bytes id;
    int64_t count;

    if (graft_arg_i64(call, 0, &count) != GRAFT_OK)
        return graft_abort(call, "how many?");
    for (int64_t i = 0; i < count; i++) {
        int err = graft_kv_get(call, graft_format(call, "id%lld", (long long)i), &id);
        if (err == GRAFT_OK)
            err = graft_cancel(call, id);
        if (err != GRAFT_OK)
            return err;
    }
    return graft_reply_i64(call, count);
}
