/* What is not in graft_import.def cannot be called; the line that tries is named. */
/* expect: forbidden_call.c:12: a graft may not call open\(\); it can reach the outside through graft_\* calls alone */
#include <graft.h>

#include <fcntl.h>

GRAFT_MODULE("forbidden_call", "1.0.0", "must not be built");

GRAFT_FUNCTION(run, "")
{
    /* The host's files are not the graft's. */
    return graft_reply_i64(call, open("/etc/passwd", O_RDONLY));
}
