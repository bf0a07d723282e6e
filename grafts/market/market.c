/*
 * Sells things, and leaves the money to the bank (grafts/bank, which must be loaded as well).
 *
 *     graftctl call market.offer lamp 3 250                     three lamps more, at 250 cents each from now on
 *     graftctl call market.buy lamp ada acct:ada                ada buys one, and her account pays
 *     graftctl call market.buy lamp ada acct:ada acct:joint     if the first account cannot pay, the second one does
 *
 * stock:ITEM is how many there are, price:ITEM what one costs in whole cents, owned:WHO:ITEM how many somebody bought;
 * the money goes to acct:market.
 *
 * The payment is a nested call. If it fails, what it did is undone and nothing else: the item that was already moved
 * stays moved, and the next account is asked. If no account pays, the sale fails as a whole. So an item is never
 * sold without its price, nor paid without the item, and neither items nor money are made or lost by a sale.
 */
#include <graft.h>

GRAFT_MODULE("market", "1.0.0", "sells things for money in the bank");

#define TILL "acct:market"

static int read_positive(graft_call *call, size_t i, const char *what, int64_t *number)
{
    if (graft_arg_i64(call, i, number) != GRAFT_OK || *number <= 0)
        return graft_abort(call, "%s must be a positive whole number", what);
    return GRAFT_OK;
}

/* Replies how many there are now. */
GRAFT_FUNCTION(offer, "item count price")
{
    const char *item = graft_text(call, graft_arg(call, 0));
    int64_t count, price, now;
    int err;

    if (graft_arg_count(call) != 3)
        return graft_abort(call, "needs 3 parameters: item, count and price; got %zu", graft_arg_count(call));
    if ((err = read_positive(call, 1, "count", &count)) != GRAFT_OK)
        return err;
    if ((err = read_positive(call, 2, "price", &price)) != GRAFT_OK)
        return err;
    if ((err = graft_kv_put_i64(call, graft_format(call, "price:%s", item), price)) != GRAFT_OK)
        return err;
    if ((err = graft_kv_add_i64(call, graft_format(call, "stock:%s", item), count, &now)) != GRAFT_OK)
        return err;
    return graft_reply_i64(call, now);
}

/* One item leaves the stock and is the buyer's. */
static int move_item(graft_call *call, const char *item, const char *buyer)
{
    graft_bytes stock = graft_format(call, "stock:%s", item);
    int64_t left;
    int err = graft_kv_get_i64(call, stock, &left);

    if (err == GRAFT_NOT_FOUND || (err == GRAFT_OK && left <= 0))
        return graft_abort(call, "%s is sold out", item);
    if (err != GRAFT_OK)
        return err;
    if ((err = graft_kv_put_i64(call, stock, left - 1)) != GRAFT_OK)
        return err;
    return graft_kv_add_i64(call, graft_format(call, "owned:%s:%s", buyer, item), 1, NULL);
}

/* On GRAFT_CALL_FAILED nothing was paid, and *answer says why. */
static int pay(graft_call *call, graft_bytes account, int64_t price, graft_value *answer)
{
    graft_bytes args[] = { account, graft_str(TILL), graft_format(call, "%lld", (long long)price) };

    return graft_call_function(call, "bank.transfer", args, 3, answer);
}

/* Asks the first account, then the second if there is one. *payer: the one that paid. */
static int collect(graft_call *call, int64_t price, graft_bytes *payer, graft_value *answer)
{
    int err;

    *payer = graft_arg(call, 2);
    err = pay(call, *payer, price, answer);
    if (err == GRAFT_CALL_FAILED && graft_arg_count(call) > 3) {
        *payer = graft_arg(call, 3);
        err = pay(call, *payer, price, answer);
    }
    if (err == GRAFT_CALL_FAILED)
        return graft_abort(call, "nobody paid: %s", graft_text(call, answer->bytes));
    return err;
}

/* Replies the account that paid, and what is left on it. */
GRAFT_FUNCTION(buy, "item buyer account [account]")
{
    const char *item = graft_text(call, graft_arg(call, 0)), *buyer = graft_text(call, graft_arg(call, 1));
    size_t count = graft_arg_count(call);
    graft_bytes payer;
    graft_value answer;
    int64_t price;
    int err;

    if (count != 3 && count != 4)
        return graft_abort(call, "needs an item, a buyer, and one or two accounts; got %zu parameters", count);
    if (graft_kv_get_i64(call, graft_format(call, "price:%s", item), &price) != GRAFT_OK)
        return graft_abort(call, "%s is not for sale", item);
    if ((err = move_item(call, item, buyer)) != GRAFT_OK)
        return err;
    if ((err = collect(call, price, &payer, &answer)) != GRAFT_OK)
        return err;
    graft_reply_map(call, 2);
    graft_reply_bytes(call, graft_str("paid_by"));
    graft_reply_bytes(call, payer);
    graft_reply_bytes(call, graft_str("left"));
    return graft_reply_i64(call, answer.integer);
}
