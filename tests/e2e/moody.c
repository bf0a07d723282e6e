/* Counts, quickly as a rule: how each call ends, and what it does before, its callers say. */
#include <graft.h>

#include <string.h>

GRAFT_MODULE("moody", "1.0.0", "counts, and has moods");

enum { SPIN = 20000000 }; /* turns: some milliseconds, less than the limit */

static int is(graft_bytes b, const char *text) { return b.len == strlen(text) && memcmp(b.data, text, b.len) == 0; }

/* Counts the key that was declared, and one more that was not. */
GRAFT_FUNCTION(count, "mood key")
{
    graft_bytes mood = graft_arg(call, 0);
    int64_t now;
    int rc = graft_kv_add_i64(call, graft_key(call, 0), 1, &now);

    if (rc == GRAFT_OK && graft_arg_count(call) > 1)
        rc = graft_kv_add_i64(call, graft_arg(call, 1), 1, &now);
    if (rc != GRAFT_OK)
        return rc;
    if (is(mood, "spin"))
        for (volatile int i = 0; i < SPIN; i++)
            ;
    if (is(mood, "no"))
        return graft_abort(call, "is in no mood");
    if (is(mood, "crash"))
        *(volatile int *)(graft_arg_count(call) * 8) = 1; /* near NULL */
    if (is(mood, "loop"))
        for (;;)
            __asm__ volatile("");
    if (is(mood, "nest")) {
        graft_bytes args[] = { graft_str("quick"), graft_str("nested") };
        graft_value v;
        rc = graft_call_function(call, "moody.inner", args, 2, &v);
        if (rc != GRAFT_OK)
            return rc;
    }
    return graft_reply_status(call, "OK");
}

GRAFT_FUNCTION(inner, "mood key")
{
    int64_t now;
    int rc = graft_kv_add_i64(call, graft_arg(call, 1), 1, &now);

    return rc == GRAFT_OK ? graft_reply_nil(call) : rc;
}
