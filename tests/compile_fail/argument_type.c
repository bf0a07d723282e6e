/* A C string is no graft_bytes: graft_str() makes one of it. */
/* expect: argument_type.c:9:.*error: incompatible type for argument 2 of .graft_kv_put. */
#include <graft.h>

GRAFT_MODULE("argument_type", "1.0.0", "must not compile");

GRAFT_FUNCTION(run, "")
{
    return graft_kv_put(call, "key", graft_str("value"));
}
