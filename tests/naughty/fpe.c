/* Divides by zero. CRASHED, with the signal's name; undone. */
#include "naughty.h"

GRAFT_MODULE("fpe", "1.0.0", "divides by zero");

GRAFT_FUNCTION(run, "[write]")
{
    volatile int seven = 7, zero = 0;

    write_if_asked(call, "fpe");
    return graft_reply_i64(call, seven / zero);
}
