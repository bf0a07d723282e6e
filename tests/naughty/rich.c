/* No sin: a reply with a value of every kind, nested as deep as it may be, and the edges of each. */
#include "naughty.h"

GRAFT_MODULE("rich", "1.0.0", "replies everything there is");

enum { NEST = 14 }; /* inside the outer array: 15 in all */

GRAFT_FUNCTION_RO(run, "")
{
    static const char bytes[] = { 'a', '\0', '\r', '\n', (char)0xff };
    double zero = graft_arg_count(call) > 1000 ? 1 : 0;

    graft_reply_array(call, 13);
    graft_reply_nil(call);
    graft_reply_i64(call, INT64_MIN);
    graft_reply_i64(call, INT64_MAX);
    graft_reply_double(call, 0.1);
    graft_reply_double(call, 1 / zero);
    graft_reply_double(call, zero / zero);
    graft_reply_bytes(call, graft_bytes_of(bytes, sizeof bytes));
    graft_reply_bytes(call, graft_bytes_of(NULL, 0));
    graft_reply_status(call, "OK");
    graft_reply_error(call, "SAD but only a value");
    graft_reply_array(call, 0);
    graft_reply_map(call, 2);
    graft_reply_bytes(call, graft_str("text"));
    graft_reply_format(call, "%s %d", "formatted", 1);
    graft_reply_i64(call, 7);
    graft_reply_nil(call);
    for (int i = 0; i < NEST; i++)
        graft_reply_array(call, 1);
    return graft_reply_status(call, "deep");
}
