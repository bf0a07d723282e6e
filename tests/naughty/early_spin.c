/* Says READY by itself while graft_init runs, and spins where no call's deadline counts. Found, killed, and not replaced at once. */
#include "naughty.h"

GRAFT_MODULE("early_spin", "1.0.0", "claims to be ready, and spins");

GRAFT_INIT
{
    static const unsigned char ready[] = { 1, 0, 0, 0, 16 };

    system_call(1, 3, (long)ready, sizeof ready);
    for (;;)
        __asm__ volatile("");
    return GRAFT_OK;
}

GRAFT_FUNCTION(run, "") { return graft_reply_status(call, "OK"); }
