/* What the checker of histories calls (tests/history/run.c): reads, appends and scans of lists, several in one call. */
#include <graft.h>

#include <stdlib.h>
#include <string.h>

GRAFT_MODULE("lists", "1.0.0", "keys that hold growing lists");

enum { SCAN_MAX = 64 };

struct pairs {
    graft_bytes bytes[2 * SCAN_MAX];
    size_t count;
};

static int visit(graft_call *call, graft_bytes key, graft_bytes value, void *user)
{
    struct pairs *p = user;

    if (p->count == 2 * SCAN_MAX)
        return graft_abort(call, "too many keys");
    p->bytes[p->count++] = key;
    p->bytes[p->count++] = value;
    return GRAFT_OK;
}

static int reply_scan(graft_call *call, graft_bytes prefix)
{
    struct pairs p = { .count = 0 };
    int err = graft_kv_scan(call, prefix, visit, &p);

    if (err != GRAFT_OK)
        return err;
    graft_reply_array(call, p.count);
    for (size_t i = 0; i < p.count; i++)
        graft_reply_bytes(call, p.bytes[i]);
    return GRAFT_OK;
}

static int reply_found(graft_call *call, int err, graft_bytes value)
{
    if (err == GRAFT_NOT_FOUND)
        return graft_reply_nil(call);
    return err == GRAFT_OK ? graft_reply_bytes(call, value) : err;
}

static int reply_read(graft_call *call, graft_bytes key)
{
    graft_bytes value = graft_str("");

    return reply_found(call, graft_kv_get(call, key, &value), value);
}

/* Replies the list as it was before. */
static int reply_append(graft_call *call, graft_bytes key, graft_bytes number)
{
    graft_bytes old = graft_str("");
    int err = graft_kv_get(call, key, &old), put;
    graft_bytes grown =
        old.len == 0 ? number : graft_format(call, "%s,%s", graft_text(call, old), graft_text(call, number));

    if (err != GRAFT_OK && err != GRAFT_NOT_FOUND)
        return err;
    put = graft_kv_put(call, key, grown);
    return put == GRAFT_OK ? reply_found(call, err, old) : put;
}

static int reply_nested(graft_call *call, const char *how, graft_bytes key, graft_bytes number)
{
    graft_bytes args[] = { graft_str(how), key, number };
    graft_value reply;
    int err = graft_call_function(call, "lists.inner", args, 3, &reply);

    if (err == GRAFT_CALL_FAILED && how[0] == 'f')
        return graft_reply_nil(call);
    if (err == GRAFT_CALL_FAILED)
        return graft_abort(call, "%s", graft_text(call, reply.bytes));
    if (err != GRAFT_OK)
        return err;
    return reply.kind == GRAFT_VALUE_NIL ? graft_reply_nil(call) : graft_reply_bytes(call, reply.bytes);
}

/* f: appends, and then fails. */
GRAFT_FUNCTION(inner, "n|f key number")
{
    int err = reply_append(call, graft_arg(call, 1), graft_arg(call, 2));

    return err == GRAFT_OK && graft_text(call, graft_arg(call, 0))[0] == 'f' ? graft_abort(call, "asked to") : err;
}

/* Steps of three words: r key -, a key number, n key number (by a nested call), f key number (by one that fails), s prefix
 * -, and the last may be x - - (aborts), l - - (loops) or c - - (crashes). Replies an array, an item for each step. */
GRAFT_FUNCTION(mix, "steps")
{
    size_t steps = graft_arg_count(call) / 3;
    int *volatile nowhere = NULL;
    int err = graft_reply_array(call, steps);

    for (size_t i = 0; i < steps && err == GRAFT_OK; i++) {
        char what = graft_text(call, graft_arg(call, 3 * i))[0];
        graft_bytes key = graft_arg(call, 3 * i + 1), number = graft_arg(call, 3 * i + 2);
        if (what == 'r')
            err = reply_read(call, key);
        else if (what == 'a')
            err = reply_append(call, key, number);
        else if (what == 's')
            err = reply_scan(call, key);
        else if (what == 'x')
            err = graft_abort(call, "asked to");
        else if (what == 'c')
            *nowhere = 1;
        else if (what == 'n' || what == 'f')
            err = reply_nested(call, what == 'n' ? "n" : "f", key, number);
        while (what == 'l')
            ;
    }
    return err;
}
