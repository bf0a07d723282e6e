/*
 * A token bucket for each name: who may go on, and who waits for how long.
 *
 *     graftctl call ratelimit.take login:ada 5 1        5 at once, 1 more each second
 *     1  4  0                                           allowed, tokens left, milliseconds to wait
 *
 * The key rate:BUCKET holds "LEVEL TIME": millionths of a token, and when that was, microseconds since 1970. A token a
 * second is thus a millionth a microsecond, and the arithmetic is exact in whole numbers. A call that is not allowed
 * writes nothing.
 */
#include <graft.h>

GRAFT_MODULE("ratelimit", "1.0.0", "token buckets");

#define NUMBER_MAX 1000000000 /* of capacity, refill and cost: every product below then fits 64 bits */
#define TOKEN 1000000         /* millionths */

struct bucket {
    int64_t level; /* millionths of a token */
    int64_t at;    /* microseconds since 1970 */
};

static int read_number(graft_call *call, size_t i, const char *what, int64_t min, int64_t *number)
{
    if (graft_arg_i64(call, i, number) != GRAFT_OK || *number < min || *number > NUMBER_MAX)
        return graft_abort(call, "%s must be a whole number from %lld to %d", what, (long long)min, NUMBER_MAX);
    return GRAFT_OK;
}

/* Decimal digits up to a stop character or the end; moves p behind the stop. */
static int read_digits(const char **p, const char *end, char stop, int64_t *value)
{
    const char *start = *p;

    for (*value = 0; *p < end && **p != stop; (*p)++)
        if (**p < '0' || **p > '9' || __builtin_mul_overflow(*value, 10, value)
            || __builtin_add_overflow(*value, **p - '0', value))
            return GRAFT_BAD_VALUE;
    if (*p == start)
        return GRAFT_BAD_VALUE;
    *p += *p < end;
    return GRAFT_OK;
}

static int read_bucket(graft_bytes value, struct bucket *b)
{
    const char *p = value.data, *end = p + value.len;
    int err = read_digits(&p, end, ' ', &b->level);

    return err != GRAFT_OK ? err : read_digits(&p, end, '\0', &b->at);
}

/* What flowed in since the bucket was written; a clock that went back gives nothing. */
static void refill(struct bucket *b, int64_t capacity, int64_t per_second, int64_t now)
{
    int64_t full = capacity * TOKEN, elapsed = now > b->at ? now - b->at : 0;
    int64_t missing = b->level < full ? full - b->level : 0;

    if (missing == 0 || (per_second > 0 && elapsed > missing / per_second))
        b->level = full;
    else
        b->level += elapsed * per_second;
    b->at = now;
}

static int reply(graft_call *call, int allowed, int64_t left, int64_t retry_after_ms)
{
    graft_reply_array(call, 3);
    graft_reply_i64(call, allowed);
    graft_reply_i64(call, left);
    return graft_reply_i64(call, retry_after_ms);
}

/* Replies [1, tokens left, 0], or [0, tokens left, milliseconds until it is worth asking again], where -1 is never. */
GRAFT_FUNCTION(take, "bucket capacity per_second [cost]")
{
    graft_bytes key = graft_format(call, "rate:%s", graft_text(call, graft_arg(call, 0))), value;
    int64_t capacity, per_second, cost = 1, missing;
    struct bucket b;
    int err;

    if ((err = read_number(call, 1, "capacity", 1, &capacity)) != GRAFT_OK)
        return err;
    if ((err = read_number(call, 2, "per_second", 0, &per_second)) != GRAFT_OK)
        return err;
    if (graft_arg_count(call) > 3 && (err = read_number(call, 3, "cost", 0, &cost)) != GRAFT_OK)
        return err;

    err = graft_kv_get(call, key, &value);
    if (err == GRAFT_NOT_FOUND)
        b = (struct bucket){ capacity * TOKEN, graft_now(call) };
    else if (err != GRAFT_OK || (err = read_bucket(value, &b)) != GRAFT_OK)
        return err;
    refill(&b, capacity, per_second, graft_now(call));

    missing = cost * TOKEN - b.level;
    if (missing > 0)
        return reply(call, 0, b.level / TOKEN,
                     per_second == 0 || cost > capacity ? -1 : (missing + per_second * 1000 - 1) / (per_second * 1000));
    b.level -= cost * TOKEN;
    value = graft_format(call, "%lld %lld", (long long)b.level, (long long)b.at);
    if ((err = graft_kv_put(call, key, value)) != GRAFT_OK)
        return err;
    return reply(call, 1, b.level / TOKEN, 0);
}
