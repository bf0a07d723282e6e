/* A fork bomb. CRASHED by SIGSYS at the first fork; undone; no process more than before. */
#include "naughty.h"

GRAFT_MODULE("fork", "1.0.0", "forks without end");

GRAFT_FUNCTION(run, "[write]")
{
    write_if_asked(call, "fork");
    for (;;)
        system_call(SYS_FORK, 0, 0, 0);
}
