/* What the crash test calls: every call leaves a trace by which it can be told afterwards whether it was there whole. */
#include <graft.h>

#include <stdlib.h>
#include <string.h>

GRAFT_MODULE("ledger", "1.0.0", "moves and marks in one transaction");

enum { PIECES = 8, PIECE_SIZE = 24 * 1024 };

static graft_bytes parameter(graft_call *call, size_t i)
{
    size_t keys = graft_key_count(call);

    return i < keys ? graft_key(call, i) : graft_arg(call, i - keys);
}

/* Parameters may be declared keys, as far as they are keys. */
GRAFT_FUNCTION(move, "from to mark amount number")
{
    int64_t amount;
    size_t args = graft_arg_count(call);
    int err;

    if (graft_arg_i64(call, args - 2, &amount) != GRAFT_OK)
        return graft_abort(call, "the amount is no number");
    if ((err = graft_kv_add_i64(call, parameter(call, 0), -amount, NULL)) != GRAFT_OK)
        return err;
    if ((err = graft_kv_add_i64(call, parameter(call, 1), amount, NULL)) != GRAFT_OK)
        return err;
    if ((err = graft_kv_put(call, parameter(call, 2), graft_arg(call, args - 1))) != GRAFT_OK)
        return err;
    return graft_reply_status(call, "OK");
}

/* PIECES keys PREFIX0 …, each with the number repeated over PIECE_SIZE bytes: more than one batch may hold. */
GRAFT_FUNCTION(bulk, "prefix number")
{
    graft_bytes number = graft_arg(call, 1);
    char *piece = malloc(PIECE_SIZE);
    int err;

    if (piece == NULL || number.len == 0)
        return GRAFT_NO_MEMORY;
    for (size_t i = 0; i < PIECE_SIZE; i++)
        piece[i] = i % (number.len + 1) == number.len ? ' ' : ((const char *)number.data)[i % (number.len + 1)];
    for (int i = 0; i < PIECES; i++) {
        graft_bytes key = graft_format(call, "%s%d", graft_text(call, graft_arg(call, 0)), i);

        if ((err = graft_kv_put(call, key, graft_bytes_of(piece, PIECE_SIZE))) != GRAFT_OK)
            return err;
    }
    return graft_reply_status(call, "OK");
}

/* Takes from an account, writes a key, and then fails: it must leave nothing. */
GRAFT_FUNCTION(spoil, "account key [crash]")
{
    int *volatile nowhere = NULL;

    graft_kv_add_i64(call, graft_arg(call, 0), 1000000, NULL);
    graft_kv_put(call, graft_arg(call, 1), graft_str("spoilt"));
    if (graft_arg_count(call) > 2)
        *nowhere = 1;
    return graft_abort(call, "spoilt");
}
