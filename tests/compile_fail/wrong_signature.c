/* graft_init takes nothing and gives a code; what declares it otherwise is refused. */
/* expect: wrong_signature.c:12:.*error: conflicting types for .graft_init. */
#include <graft.h>

GRAFT_MODULE("wrong_signature", "1.0.0", "must not compile");

GRAFT_INIT
{
    return GRAFT_OK;
}

void graft_init(graft_call *call);

GRAFT_FUNCTION(run, "")
{
    return graft_reply_nil(call);
}
