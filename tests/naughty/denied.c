/*
 * Touches a key that its grant does not cover, elsewhere:denied or the second argument: writes it, or with a third
 * argument "read" reads it. DENIED, naming the rule or that there is none; undone. Wants a policy such as
 *
 *     graft denied { allow read write kv "naughty:*" }
 */
#include "naughty.h"

GRAFT_MODULE("denied", "1.0.0", "touches what is not its own");

GRAFT_FUNCTION(run, "[write] [key] [read]")
{
    graft_bytes key = graft_arg_count(call) > 1 ? graft_arg(call, 1) : graft_str("elsewhere:denied"), value;

    write_if_asked(call, "denied");
    if (!arg_is(call, 2, "read"))
        graft_kv_put(call, key, graft_str("was here"));
    else if (graft_kv_get(call, key, &value) == GRAFT_OK)
        return graft_reply_bytes(call, value);
    return graft_reply_status(call, "OK");
}

/* Effects in a function that says it has none: READONLY. */
GRAFT_FUNCTION_RO(read_only, "")
{
    write_always(call, "denied");
    return graft_reply_status(call, "OK");
}
