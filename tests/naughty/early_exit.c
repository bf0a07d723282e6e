/* Says READY by itself while graft_init runs, and exits. Its worker dies unused again and again: started ever more slowly. */
#include "naughty.h"

GRAFT_MODULE("early_exit", "1.0.0", "claims to be ready, and exits");

GRAFT_INIT
{
    static const unsigned char ready[] = { 1, 0, 0, 0, 16 };

    system_call(1, 3, (long)ready, sizeof ready);
    system_call(231, 0, 0, 0);
    return GRAFT_OK;
}

GRAFT_FUNCTION(run, "") { return graft_reply_status(call, "OK"); }
