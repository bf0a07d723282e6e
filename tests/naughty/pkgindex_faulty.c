/*
 * pkgindex, made faulty: of 16 package names, by a hash of the name, one crashes, one spins, one scribbles and one
 * aborts, each after it has written. The other 12 in 16 do what the faultless one does. The index afterwards must hold
 * those alone, and `pkgindex.sin` tells which they are.
 */
#include "../../grafts/pkgindex/index.h"

GRAFT_MODULE("pkgindex", "2.0.0-faulty", "counts Debian packages by section, some of them badly");

enum sin { CRASH, SPIN, SCRIBBLE, ABORT, NONE };

/* FNV-1a: the same name always sins the same way. */
static enum sin sin_of(graft_bytes name)
{
    const unsigned char *p = name.data;
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ p[i]) * 16777619u;
    hash = (hash >> 16 ^ hash) % 16;
    return hash < NONE ? (enum sin)hash : NONE;
}

static int sin_now(graft_call *call, enum sin sin)
{
    volatile int *volatile nowhere = NULL;
    volatile char here = 0;

    if (sin == CRASH)
        *nowhere = 1;
    while (sin == SPIN)
        __asm__ volatile("");
    for (volatile char *p = &here; sin == SCRIBBLE; p++)
        *p = (char)0xa5;
    return sin == ABORT ? graft_abort(call, "this stanza displeases") : GRAFT_OK;
}

GRAFT_FUNCTION(add, "stanza [prefix]")
{
    struct stanza s;
    int err = read_stanza(call, graft_arg(call, 0), &s);

    if (err == GRAFT_OK)
        err = index_stanza(call, prefix_parameter(call, 1), &s);
    return err != GRAFT_OK ? err : sin_now(call, sin_of(s.name));
}

GRAFT_FUNCTION_RO(table, "[prefix]")
{
    return reply_table(call, prefix_parameter(call, 0));
}

/* Writes them all, and crashes. */
GRAFT_FUNCTION(files, "[prefix]")
{
    int err = write_table(call, prefix_parameter(call, 0));

    return err != GRAFT_OK ? err : sin_now(call, CRASH);
}

/* What add does for a package of that name. */
GRAFT_FUNCTION_RO(sin, "name")
{
    static const char *const names[] = { "crash", "spin", "scribble", "abort", "none" };

    return graft_reply_status(call, names[sin_of(graft_arg(call, 0))]);
}
