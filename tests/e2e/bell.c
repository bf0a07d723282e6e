/* Rings: emits events and arms timers, as its callers say. */
#include <graft.h>

GRAFT_MODULE("bell", "1.0.0", "emits events and arms timers");

GRAFT_FUNCTION(ring, "topic text…")
{
    for (size_t i = 1; i < graft_arg_count(call); i++) {
        int err = graft_emit(call, graft_arg(call, 0), graft_arg(call, i));
        if (err != GRAFT_OK)
            return err;
    }
    return graft_reply_status(call, "OK");
}

GRAFT_FUNCTION(ring_and_fail, "topic text")
{
    graft_emit(call, graft_arg(call, 0), graft_arg(call, 1));
    return graft_abort(call, "rang and thought better of it");
}

GRAFT_FUNCTION(ring_and_crash, "topic text")
{
    graft_emit(call, graft_arg(call, 0), graft_arg(call, 1));
    *(volatile int *)(graft_arg_count(call) * 8) = 1; /* near NULL */
    return GRAFT_OK;
}

/* The nested call fails: its event is not told, the one round it is. */
GRAFT_FUNCTION(ring_round, "topic text")
{
    graft_bytes args[2] = { graft_arg(call, 0), graft_str("inner") };

    graft_emit(call, graft_arg(call, 0), graft_arg(call, 1));
    if (graft_call_function(call, "bell.ring_and_fail", args, 2, NULL) != GRAFT_CALL_FAILED)
        return graft_abort(call, "the inner call did not fail");
    return graft_reply_status(call, "OK");
}

GRAFT_FUNCTION(ring_many, "topic count")
{
    int64_t count;

    if (graft_arg_i64(call, 1, &count) != GRAFT_OK)
        return graft_abort(call, "how many?");
    for (int64_t i = 0; i < count; i++)
        graft_emit(call, graft_arg(call, 0), graft_format(call, "%lld", (long long)i));
    return graft_reply_i64(call, count);
}

GRAFT_FUNCTION(note, "key text: appends text to key")
{
    graft_bytes old = { NULL, 0 };
    int err = graft_kv_get(call, graft_arg(call, 0), &old);

    if (err != GRAFT_OK && err != GRAFT_NOT_FOUND)
        return err;
    return graft_kv_put(call, graft_arg(call, 0),
                        graft_format(call, "%s%s.", graft_text(call, old), graft_text(call, graft_arg(call, 1))));
}

GRAFT_FUNCTION(refuse, "key text: the same, and fails")
{
    graft_kv_put(call, graft_arg(call, 0), graft_arg(call, 1));
    return graft_abort(call, "always says no");
}

GRAFT_FUNCTION(arm, "ms function arg…: replies with the timer's id")
{
    graft_bytes args[8], id;
    size_t count = graft_arg_count(call) - 2;
    int64_t ms;
    int err;

    if (graft_arg_i64(call, 0, &ms) != GRAFT_OK || ms < 0 || count > 8)
        return graft_abort(call, "when?");
    for (size_t i = 0; i < count; i++)
        args[i] = graft_arg(call, i + 2);
    err = graft_after(call, (uint64_t)ms, graft_text(call, graft_arg(call, 1)), args, count, &id);
    return err == GRAFT_OK ? graft_reply_bytes(call, id) : err;
}

GRAFT_FUNCTION(arm_and_fail, "ms function arg")
{
    graft_bytes args[1] = { graft_arg(call, 2) };

    graft_after(call, 0, graft_text(call, graft_arg(call, 1)), args, 1, NULL);
    return graft_abort(call, "armed and thought better of it");
}

GRAFT_FUNCTION(cancel, "id")
{
    int err = graft_cancel(call, graft_arg(call, 0));

    return err == GRAFT_NOT_FOUND ? graft_reply_status(call, "NONE") : err != GRAFT_OK ? err : graft_reply_status(call, "OK");
}

/* Rings again, and arms itself for the next time. */
GRAFT_FUNCTION(tick, "key left ms")
{
    graft_bytes args[3] = { graft_arg(call, 0), { NULL, 0 }, graft_arg(call, 2) };
    int64_t left, ms;
    int err;

    if (graft_arg_i64(call, 1, &left) != GRAFT_OK || graft_arg_i64(call, 2, &ms) != GRAFT_OK)
        return graft_abort(call, "how often?");
    if ((err = graft_kv_add_i64(call, graft_arg(call, 0), 1, NULL)) != GRAFT_OK || left <= 1)
        return err;
    args[1] = graft_format(call, "%lld", (long long)(left - 1));
    return graft_after(call, (uint64_t)ms, "bell.tick", args, 3, NULL);
}
