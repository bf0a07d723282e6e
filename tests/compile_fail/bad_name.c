/* A name that no command could tell from an option or a path. */
/* expect: bad_name.c: .*the name in GRAFT_MODULE must be a small letter */
#include <graft.h>

GRAFT_MODULE("-bad/name", "1.0.0", "must not be built");

GRAFT_FUNCTION(run, "")
{
    return graft_reply_nil(call);
}
