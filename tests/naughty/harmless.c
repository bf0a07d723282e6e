/* No sin: it must work, before and after every other one. Replies a map, and leaves its key when asked to. */
#include "naughty.h"

GRAFT_MODULE("harmless", "1.0.0", "does what it should");

GRAFT_FUNCTION(run, "[write]")
{
    write_if_asked(call, "harmless");
    graft_reply_map(call, 1);
    graft_reply_bytes(call, graft_str("harmless"));
    return graft_reply_i64(call, 1);
}
