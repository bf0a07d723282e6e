/* A path is graft_bytes, and a visit of files gets what a file is: one of keys does not fit. */
/* expect: file_path.c:17:.*error: (incompatible type for argument 2 of .graft_file_list.|passing argument 3 of .graft_file_list. from incompatible) */
#include <graft.h>

GRAFT_MODULE("file_path", "1.0.0", "must not compile");

static int visit(graft_call *call, graft_bytes key, graft_bytes value, void *user)
{
    (void)key;
    (void)value;
    (void)user;
    return graft_reply_nil(call);
}

GRAFT_FUNCTION(run, "")
{
    return graft_file_list(call, "statements", visit, NULL);
}
