/* Writes through a NULL pointer. CRASHED, with the signal's name; undone. */
#include "naughty.h"

GRAFT_MODULE("segv", "1.0.0", "writes to address 0");

GRAFT_FUNCTION(run, "[write]")
{
    volatile int *volatile nowhere = NULL;

    write_if_asked(call, "segv");
    *nowhere = 1;
    return GRAFT_OK;
}
