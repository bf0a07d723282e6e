/*
 * Takes memory until there is none. LIMIT, naming the memory limit, when it gives up; with "stubborn" it
 * goes on asking: LIMIT or TIMEOUT. Undone, and the machine did not feel it.
 */
#include "naughty.h"

#include <stdlib.h>

GRAFT_MODULE("memory", "1.0.0", "takes memory until there is none");

enum { PIECE = 1 << 20 };

GRAFT_FUNCTION(run, "[write] [stubborn]")
{
    int stubborn = arg_is(call, 1, "stubborn");

    write_if_asked(call, "memory");
    for (;;) {
        void *piece = malloc(PIECE);

        if (piece == NULL && !stubborn)
            return GRAFT_NO_MEMORY;
        if (piece != NULL)
            memset(piece, 0xa5, PIECE);
    }
}
