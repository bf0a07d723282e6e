/*
 * Writes over all memory that it can reach, upwards from its stack (the default), its data, its code or its heap, until
 * it dies. CRASHED, or TIMEOUT when there is much of it; undone; later calls see nothing of it.
 */
#include "naughty.h"

#include <stdlib.h>

GRAFT_MODULE("scribble", "1.0.0", "writes over its memory");

static char data[64] = { 1 };

static void scribble(volatile char *p)
{
    for (volatile char *up = p;; up++)
        *up = (char)0xa5;
}

GRAFT_FUNCTION(run, "[write] [stack|data|code|heap]")
{
    char stack[64] = { 1 };

    write_if_asked(call, "scribble");
    if (arg_is(call, 1, "data"))
        scribble(data);
    else if (arg_is(call, 1, "code"))
        scribble((volatile char *)(uintptr_t)&graft_function_run);
    else if (arg_is(call, 1, "heap"))
        scribble(malloc(64));
    scribble(stack);
    return GRAFT_OK;
}
