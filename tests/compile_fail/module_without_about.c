/* GRAFT_MODULE wants a name, a version and what the module is about. */
/* expect: module_without_about.c:5:.*error: macro "GRAFT_MODULE" requires 3 arguments, but only 2 given */
#include <graft.h>

GRAFT_MODULE("module_without_about", "1.0.0");

GRAFT_FUNCTION(run, "")
{
    return graft_reply_nil(call);
}
