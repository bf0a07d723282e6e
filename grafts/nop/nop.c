/* Does nothing: what is left of a call when its work is taken away. The benchmarks measure it. */
#include <graft.h>

GRAFT_MODULE("nop", "1.0.0", "does nothing");

GRAFT_FUNCTION_RO(nop, "[value]")
{
    if (graft_arg_count(call) == 0)
        return graft_reply_nil(call);
    return graft_reply_bytes(call, graft_arg(call, 0));
}
