/* Never frees. Harmless: a call's memory ends with the call, so that any number of calls succeed. */
#include "naughty.h"

#include <stdlib.h>

GRAFT_MODULE("leak", "1.0.0", "never frees");

enum { PIECE = 1 << 20 };

GRAFT_FUNCTION(run, "[write]")
{
    void *piece = malloc(PIECE);

    write_if_asked(call, "leak");
    if (piece == NULL)
        return GRAFT_NO_MEMORY;
    memset(piece, 0xa5, PIECE);
    return graft_reply_status(call, "OK");
}
