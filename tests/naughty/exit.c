/* Leaves its process in the middle of a call, with status 0. CRASHED, never a success; undone. */
#include "naughty.h"

GRAFT_MODULE("exit", "1.0.0", "leaves");

GRAFT_FUNCTION(run, "[write]")
{
    write_if_asked(call, "exit");
    return (int)system_call(SYS_EXIT_GROUP, 0, 0, 0);
}
