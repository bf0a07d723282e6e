/* Spins, with much memory or little: what a daemon may have under it when it is killed, or when others want the CPU. */
#include <graft.h>
#include <stdlib.h>
#include <string.h>
GRAFT_MODULE("burn", "1.0.0", "spins, with much memory or little");
enum { DIRTY = 256 << 20 };
GRAFT_FUNCTION(spin, "")
{
    for (;;)
        __asm__ volatile("");
}
GRAFT_FUNCTION(dirty, "")
{
    void *p = malloc(DIRTY);
    if (p == NULL)
        return graft_abort(call, "no memory");
    memset(p, 1, DIRTY);
    for (;;)
        __asm__ volatile("");
}
