/* Runs an instruction that is none. CRASHED, with the signal's name; undone. */
#include "naughty.h"

GRAFT_MODULE("ill", "1.0.0", "runs an illegal instruction");

GRAFT_FUNCTION(run, "[write]")
{
    write_if_asked(call, "ill");
    __builtin_trap();
}
