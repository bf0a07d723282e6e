/* Recurses without end. CRASHED at the end of its stack, with nothing below it touched; undone. */
#include "naughty.h"

GRAFT_MODULE("stack", "1.0.0", "recurses without end");

static volatile int forever = 1;

static __attribute__((noinline)) int descend(volatile char *above)
{
    volatile char frame[1024];

    frame[0] = above[0];
    if (!forever)
        return 0;
    return descend(frame) + frame[0];
}

GRAFT_FUNCTION(run, "[write]")
{
    volatile char top[1] = { 1 };

    write_if_asked(call, "stack");
    return graft_reply_i64(call, descend(top));
}
