/* Spins for ever. TIMEOUT when its CPU deadline passes; undone; the worker is killed. */
#include "naughty.h"

GRAFT_MODULE("loop", "1.0.0", "spins");

GRAFT_FUNCTION(run, "[write]")
{
    write_if_asked(call, "loop");
    for (;;)
        __asm__ volatile("");
}
