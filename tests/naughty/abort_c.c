/* Calls abort(). CRASHED, and the reply says that abort() was called; undone. */
#include "naughty.h"

#include <stdlib.h>

GRAFT_MODULE("abort_c", "1.0.0", "calls abort()");

GRAFT_FUNCTION(run, "[write]")
{
    write_if_asked(call, "abort_c");
    abort();
}
