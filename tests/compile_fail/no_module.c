/* A graft that does not say its name. The compiler cannot see it; graftctl does, in what it made. */
/* expect: no_module.c: .*has no GRAFT_MODULE */
#include <graft.h>

GRAFT_FUNCTION(run, "")
{
    return graft_reply_nil(call);
}
