/* Its init fails with the number 7. BADGRAFT at load, with the number; nothing is loaded. */
#include "naughty.h"

GRAFT_MODULE("badinit", "1.0.0", "cannot start");

GRAFT_INIT
{
    return 7;
}

GRAFT_FUNCTION(run, "")
{
    return graft_reply_nil(call);
}
