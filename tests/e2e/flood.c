/* One call with very many effects, for tests/e2e/x00070-million.sh. */
#include <graft.h>

GRAFT_MODULE("flood", "1.0.0", "a call with very many effects");

enum { DIGITS = 8 };

/* f:00000000, f:00000001, … */
static graft_bytes key_of(int64_t n, char *text)
{
    text[0] = 'f';
    text[1] = ':';
    for (int i = DIGITS + 1; i > 1; i--, n /= 10)
        text[i] = (char)('0' + n % 10);
    return graft_bytes_of(text, DIGITS + 2);
}

GRAFT_FUNCTION(put, "count [abort]")
{
    char text[DIGITS + 2];
    int64_t count;

    if (graft_arg_i64(call, 0, &count) != GRAFT_OK)
        return graft_abort(call, "the count is no number");
    for (int64_t i = 0; i < count; i++) {
        int err = graft_kv_put(call, key_of(i, text), graft_str("value"));
        if (err != GRAFT_OK)
            return err;
    }
    return graft_arg_count(call) > 1 ? graft_abort(call, "asked to") : graft_reply_i64(call, count);
}
