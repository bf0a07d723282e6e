/*
 * Writes a value of 16 MiB and a byte (the default), a key of 4 KiB and a byte, or replies more than 32 MiB.
 * GRAFT_TOO_LARGE inside, and the call fails; undone.
 */
#include "naughty.h"

#include <stdlib.h>

GRAFT_MODULE("big", "1.0.0", "writes more than there may be");

enum { VALUE = (16 << 20) + 1, KEY = (4 << 10) + 1, REPLY = (32 << 20) + 1 };

GRAFT_FUNCTION(run, "[write] [value|key|reply]")
{
    char *large;

    write_if_asked(call, "big");
    large = calloc(1, REPLY);
    if (large == NULL)
        return GRAFT_NO_MEMORY;
    if (arg_is(call, 1, "key"))
        return graft_kv_put(call, graft_bytes_of(large, KEY), graft_str(""));
    if (arg_is(call, 1, "reply"))
        return graft_reply_bytes(call, graft_bytes_of(large, REPLY));
    return graft_kv_put(call, graft_str("naughty:big:value"), graft_bytes_of(large, VALUE));
}
