/* A format that does not fit its argument: told, as a warning of the compiler. */
/* warn: format.c:9:.*warning: format .%s. expects argument of type .char \*. */
#include <graft.h>

GRAFT_MODULE("format", "1.0.0", "compiles with a warning");

GRAFT_FUNCTION(run, "")
{
    return graft_abort(call, "%s", 5);
}
