/* Its init never ends. BADGRAFT at load once the deadline passed; nothing is loaded, nobody else waited. */
#include "naughty.h"

GRAFT_MODULE("spininit", "1.0.0", "never starts");

GRAFT_INIT
{
    for (;;)
        __asm__ volatile("");
}

GRAFT_FUNCTION(run, "")
{
    return graft_reply_nil(call);
}
