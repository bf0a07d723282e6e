/* Calls itself, to the depth that it is asked for. Past the limit the innermost is refused, and what each of them did is undone. */
#include "naughty.h"

GRAFT_MODULE("recurse", "1.0.0", "calls itself");

GRAFT_FUNCTION(run, "depth [fail]")
{
    graft_bytes args[2];
    graft_value inner;
    int64_t depth;

    if (graft_arg_i64(call, 0, &depth) != GRAFT_OK)
        return graft_abort(call, "how deep?");
    graft_kv_add_i64(call, graft_str("naughty:recurse"), 1, NULL);
    if (depth <= 0)
        return graft_arg_count(call) > 1 ? graft_abort(call, "deep enough") : graft_reply_i64(call, 0);
    args[0] = graft_format(call, "%lld", (long long)(depth - 1));
    args[1] = graft_arg(call, 1);
    if (graft_call_function(call, "recurse.run", args, graft_arg_count(call), &inner) == GRAFT_OK)
        return inner.kind == GRAFT_VALUE_I64 ? graft_reply_i64(call, inner.integer + 1) : graft_reply_bytes(call, inner.bytes);
    return graft_reply_format(call, "%lld: %.*s", (long long)depth, (int)inner.bytes.len, (const char *)inner.bytes.data);
}
