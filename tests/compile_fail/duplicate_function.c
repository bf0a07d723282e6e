/* Two functions of one name. */
/* expect: duplicate_function.c:12:.*error: redefinition of .graft_function_run. */
#include <graft.h>

GRAFT_MODULE("duplicate_function", "1.0.0", "must not compile");

GRAFT_FUNCTION(run, "")
{
    return graft_reply_nil(call);
}

GRAFT_FUNCTION(run, "")
{
    return graft_reply_nil(call);
}
