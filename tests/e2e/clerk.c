/* What the crash test calls for files, events and timers: each call is told its number and leaves it in all that it does. */
#include <graft.h>

#include <stdlib.h>
#include <string.h>

GRAFT_MODULE("clerk", "1.0.0", "files, rings and reminds, with a number everywhere");

enum { PERIOD = 16 /* what grows begins anew with each sixteenth number */ };

/* The last argument says how it ends: well, or not. */
static int end(graft_call *call)
{
    const char *how = graft_text(call, graft_arg(call, graft_arg_count(call) - 1));
    int *volatile nowhere = NULL;

    if (strcmp(how, "crash") == 0)
        *nowhere = 1;
    if (strcmp(how, "abort") == 0)
        return graft_abort(call, "as it was told");
    return graft_reply_status(call, "OK");
}

/* "…n", or anew. */
static int grow(graft_call *call, graft_bytes path, int64_t n)
{
    graft_bytes text = graft_format(call, "%lld.", (long long)n);

    return n % PERIOD == 1 ? graft_file_write(call, path, text) : graft_file_append(call, path, text);
}

/* The one file under a new name, and longer. */
static int move(graft_call *call, const char *dir, int64_t n)
{
    graft_bytes to = graft_format(call, "%s/at.%lld", dir, (long long)n);
    int err =
        n == 1 ? GRAFT_OK : graft_file_rename(call, graft_format(call, "%s/at.%lld", dir, (long long)(n - 1)), to);

    return err == GRAFT_OK ? grow(call, to, n) : err;
}

/* One comes, in a directory of three, and the one of two numbers ago goes. */
static int shift(graft_call *call, const char *dir, int64_t n)
{
    graft_bytes old = graft_format(call, "%s/%lld/x", dir, (long long)((n + 1) % 3));
    int err = graft_file_write(call, graft_format(call, "%s/%lld/x", dir, (long long)(n % 3)),
                               graft_format(call, "%lld", (long long)n));

    return err == GRAFT_OK && n > 2 ? graft_file_remove(call, old) : err;
}

GRAFT_FUNCTION(shelve, "dir number content journal how")
{
    const char *dir = graft_text(call, graft_arg(call, 0));
    graft_bytes line = graft_format(call, "%s %s\n", dir, graft_text(call, graft_arg(call, 1)));
    int64_t n;
    int err = graft_arg_i64(call, 1, &n);

    if (err == GRAFT_OK)
        err = graft_file_write(call, graft_format(call, "%s/whole", dir), graft_arg(call, 2));
    if (err == GRAFT_OK)
        err = grow(call, graft_format(call, "%s/log", dir), n);
    if (err == GRAFT_OK)
        err = move(call, dir, n);
    if (err == GRAFT_OK)
        err = graft_kv_put(call, graft_arg(call, 0), graft_arg(call, 1));
    if (err == GRAFT_OK)
        err = shift(call, dir, n);
    if (err == GRAFT_OK && graft_arg(call, 3).len > 0)
        err = graft_file_append(call, graft_arg(call, 3), line);
    return err == GRAFT_OK ? end(call) : err;
}

GRAFT_FUNCTION(ring, "key number topic shared how")
{
    graft_bytes name = graft_arg(call, 0), number = graft_arg(call, 1);
    int err = graft_emit(call, graft_arg(call, 2), number);

    if (err == GRAFT_OK)
        err = graft_kv_put(call, name, number);
    if (err == GRAFT_OK)
        err = graft_emit(call, graft_arg(call, 3),
                         graft_format(call, "%s %s", graft_text(call, name), graft_text(call, number)));
    return err == GRAFT_OK ? end(call) : err;
}

GRAFT_FUNCTION(arm, "key number ms how")
{
    graft_bytes args[2] = { graft_arg(call, 0), graft_arg(call, 1) };
    int64_t ms;
    int err = graft_arg_i64(call, 2, &ms);

    if (err == GRAFT_OK)
        err = graft_after(call, (uint64_t)ms, "clerk.fire", args, 2, NULL);
    if (err == GRAFT_OK)
        err = graft_kv_put(call, args[0], args[1]);
    return err == GRAFT_OK ? end(call) : err;
}

/* Counts for its number, and for all. */
GRAFT_FUNCTION(fire, "key number")
{
    const char *name = graft_text(call, graft_arg(call, 0));
    graft_bytes one = graft_format(call, "%s:%s", name, graft_text(call, graft_arg(call, 1)));
    int err = graft_kv_add_i64(call, one, 1, NULL);

    return err == GRAFT_OK ? graft_kv_add_i64(call, graft_format(call, "%s:all", name), 1, NULL) : err;
}
