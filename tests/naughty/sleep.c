/*
 * Waits without using CPU, by reading from its own channel where nothing comes. TIMEOUT when the wall
 * deadline passes; the write is undone.
 */
#include "naughty.h"

GRAFT_MODULE("sleep", "1.0.0", "waits for what never comes");

GRAFT_FUNCTION(run, "")
{
    char byte;

    write_always(call, "sleep");
    for (;;)
        system_call(SYS_READ, CHANNEL, (long)&byte, 1);
}
