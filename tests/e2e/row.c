/* One row for each client, to which its calls add in the order in which they take place: each a number, unless its mood is
 * against it. The key is not declared, so nothing but that order keeps two calls of a client apart. */
#include <graft.h>

#include <stdio.h>
#include <string.h>

GRAFT_MODULE("row", "1.0.0", "rows that show an order");

enum { ROW_MAX = 4096, SPIN_ROUNDS = 3000000 }; /* bytes; some milliseconds */

static int add(graft_call *call, graft_bytes key, graft_bytes number)
{
    char row[ROW_MAX];
    graft_bytes before = { NULL, 0 };
    int err = graft_kv_get(call, key, &before);

    if (err != GRAFT_OK && err != GRAFT_NOT_FOUND)
        return err;
    if (before.len + number.len + 1 > sizeof row)
        return graft_abort(call, "the row is full");
    if (before.len > 0)
        memcpy(row, before.data, before.len);
    memcpy(row + before.len, number.data, number.len);
    row[before.len + number.len] = ' ';
    return graft_kv_put(call, key, graft_bytes_of(row, before.len + number.len + 1));
}

static void spin(void)
{
    for (volatile int i = 0; i < SPIN_ROUNDS; i = i + 1)
        ;
}

GRAFT_FUNCTION(add, "row number mood")
{
    graft_bytes mood = graft_arg(call, 2);
    char first = mood.len > 0 ? *(const char *)mood.data : 'q';
    int err;

    if (first == 'h' && (err = graft_kv_add_i64(call, graft_str("hot"), 1, NULL)) != GRAFT_OK)
        return err;
    if (first == 's')
        spin();
    err = add(call, graft_arg(call, 0), graft_arg(call, 1));
    if (err != GRAFT_OK)
        return err;
    if (first == 'n')
        return graft_abort(call, "is in no mood");
    if (first == 'c')
        *(volatile int *)NULL = 1;
    return graft_reply_bytes(call, graft_arg(call, 1));
}
