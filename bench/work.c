/* What the bench asks of graftd beside the grafts bank and nop. */
#include <graft.h>

#include "spin.h"

GRAFT_MODULE("work", "1.0.0", "work for the bench");

/* Computes, and touches nothing. */
GRAFT_FUNCTION_RO(spin, "rounds")
{
    int64_t rounds;

    if (graft_arg_i64(call, 0, &rounds) != GRAFT_OK)
        return graft_abort(call, "rounds must be a whole number");
    return graft_reply_i64(call, spin(rounds));
}

/* Writes two keys, and gives up. */
GRAFT_FUNCTION(give_up, "")
{
    graft_kv_put(call, graft_key(call, 0), graft_str("1"));
    graft_kv_put(call, graft_key(call, 1), graft_str("2"));
    return graft_abort(call, "as it was to");
}

/* A change of the first key here, and one of the second in a call inside. */
GRAFT_FUNCTION(outer, "")
{
    graft_bytes args[] = { graft_key(call, 1), graft_str("1") };
    graft_value reply;
    int err = graft_kv_add_i64(call, graft_key(call, 0), 1, NULL);

    if (err != GRAFT_OK || (err = graft_call_function(call, "bank.deposit", args, 2, &reply)) != GRAFT_OK)
        return err;
    return graft_reply_i64(call, reply.integer);
}

/* So many undo records, spread over the declared keys, which are its locks; then it ends as it is told. */
GRAFT_FUNCTION(locks, "undos give_up")
{
    size_t keys = graft_key_count(call);
    int64_t undos, give_up;

    if (graft_arg_i64(call, 0, &undos) != GRAFT_OK || graft_arg_i64(call, 1, &give_up) != GRAFT_OK || keys == 0)
        return graft_abort(call, "needs keys, and two whole numbers");
    for (int64_t i = 0; i < undos; i++)
        graft_kv_put(call, graft_key(call, (size_t)i % keys), graft_str("x"));
    return give_up ? graft_abort(call, "as it was to") : graft_reply_nil(call);
}
