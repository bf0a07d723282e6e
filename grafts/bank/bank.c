/*
 * Moves money between accounts. An account is a key, acct:NAME by custom, that holds whole cents.
 *
 *     graftctl call bank.deposit acct:ada 100
 *     graftctl call bank.transfer acct:ada acct:bob 30
 *     graftctl call bank.transfer --key acct:ada --key acct:bob 30     the same, its accounts fetched ahead
 *     graftctl call bank.audit
 *
 * Money is neither made nor lost by a transfer: whatever fails, both accounts stay as they were.
 */
#include <graft.h>

#include <stdlib.h>
#include <string.h>

GRAFT_MODULE("bank", "1.0.0", "moves money between accounts");

/* An account may be a declared key or an argument: parameter i counts through the keys, then the arguments. */
static graft_bytes parameter(graft_call *call, size_t i)
{
    size_t keys = graft_key_count(call);

    return i < keys ? graft_key(call, i) : graft_arg(call, i - keys);
}

/* The amount is the last parameter, number i, and never a key. */
static int read_amount(graft_call *call, size_t i, int64_t *amount)
{
    size_t keys = graft_key_count(call), args = graft_arg_count(call);

    if (keys + args != i + 1 || args == 0)
        return graft_abort(call, "needs %zu parameters, the last of them the amount; got %zu", i + 1, keys + args);
    if (graft_arg_i64(call, args - 1, amount) != GRAFT_OK || *amount <= 0)
        return graft_abort(call, "amount must be a positive whole number");
    return GRAFT_OK;
}

static int is_same(graft_bytes a, graft_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Replies what is left on the paying account. */
GRAFT_FUNCTION(transfer, "from to amount")
{
    graft_bytes from = parameter(call, 0), to = parameter(call, 1);
    int64_t amount, have;
    int err;

    if ((err = read_amount(call, 2, &amount)) != GRAFT_OK)
        return err;
    if (is_same(from, to))
        return graft_abort(call, "an account cannot pay itself");
    if (graft_kv_get_i64(call, from, &have) != GRAFT_OK || have < amount)
        return graft_abort(call, "insufficient funds");
    if ((err = graft_kv_add_i64(call, from, -amount, NULL)) != GRAFT_OK)
        return err;
    if ((err = graft_kv_add_i64(call, to, amount, NULL)) != GRAFT_OK)
        return err;
    return graft_reply_i64(call, have - amount);
}

/* Replies what is on the account now. */
GRAFT_FUNCTION(deposit, "account amount")
{
    int64_t amount, now;
    int err;

    if ((err = read_amount(call, 1, &amount)) != GRAFT_OK)
        return err;
    if ((err = graft_kv_add_i64(call, parameter(call, 0), amount, &now)) != GRAFT_OK)
        return err;
    return graft_reply_i64(call, now);
}

struct audit {
    int64_t accounts, total; /* how many, and their sum */
};

static int audit_account(graft_call *call, graft_bytes key, graft_bytes value, void *user)
{
    struct audit *audit = user;
    const char *text = graft_text(call, value);
    char *end;
    int64_t balance = strtoll(text, &end, 10);

    if (end == text || *end != '\0')
        return graft_abort(call, "%s is no account: its value is not a whole number", graft_text(call, key));
    if (__builtin_add_overflow(audit->total, balance, &audit->total))
        return GRAFT_OVERFLOW;
    audit->accounts++;
    return GRAFT_OK;
}

/* How many accounts there are, and what they hold together: a transfer changes neither. */
GRAFT_FUNCTION_RO(audit, "")
{
    struct audit audit = { 0, 0 };
    int err = graft_kv_scan(call, graft_str("acct:"), audit_account, &audit);

    if (err != GRAFT_OK)
        return err;
    graft_reply_map(call, 2);
    graft_reply_bytes(call, graft_str("accounts"));
    graft_reply_i64(call, audit.accounts);
    graft_reply_bytes(call, graft_str("total"));
    return graft_reply_i64(call, audit.total);
}
