/* Writes, and then spins: others hold a script that has written to be unkillable. TIMEOUT, and the write is gone. */
#include "naughty.h"

GRAFT_MODULE("loop_after_write", "1.0.0", "writes and spins");

GRAFT_FUNCTION(run, "")
{
    write_always(call, "loop_after_write");
    for (;;)
        __asm__ volatile("");
}
