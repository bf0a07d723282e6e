/*
 * Says DONE in a form that is right, with a reply that is none. count (the default): an array of more values than
 * there are. kind: a value of no kind. depth: arrays nested past the limit. trailing: a value and a byte. how: an
 * end that is none. line: a status with a line end in it, to smuggle a reply of its own to the client. other: the end
 * of another call. CRASHED, and undone; the client sees one error and no byte of the lie. truth: nil, a success.
 */
#include "naughty.h"

GRAFT_MODULE("lie", "1.0.0", "replies what is no reply");

enum { DONE = 18, NIL = 0, STATUS = 4, ARRAY = 6, DEPTH = 40 };

/* Frame: u32 length, u8 number, u64 txn, u8 how, u32 code, text (u32 0), reply (u32 length and bytes). */
static void say_done(const unsigned char *txn, unsigned char how, const unsigned char *reply, unsigned char len)
{
    unsigned char frame[256 + 26] = { (unsigned char)(22 + len), 0, 0, 0, DONE };

    memcpy(frame + 5, txn, TXN_SIZE);
    frame[13] = how;
    frame[22] = len;
    memcpy(frame + 26, reply, len);
    system_call(SYS_WRITE, CHANNEL, (long)frame, 26 + len);
}

static void say_deep(const unsigned char *txn)
{
    unsigned char reply[5 * DEPTH + 1] = { 0 };

    for (int i = 0; i < DEPTH; i++) {
        reply[5 * i] = ARRAY;
        reply[5 * i + 1] = 1;
    }
    reply[5 * DEPTH] = NIL;
    say_done(txn, 0, reply, sizeof reply);
}

GRAFT_FUNCTION(run, "[write] [count|kind|depth|trailing|how|line|other|truth]")
{
    static const unsigned char count[] = { ARRAY, 0xff, 0xff, 0xff, 0x7f }, kind[] = { 99 }, trailing[] = { NIL, NIL },
                               nil[] = { NIL }, line[] = { STATUS, 7, 0, 0, 0, 'a', '\r', '\n', '+', 'O', 'K', 'b' };

    static const unsigned char nobody[TXN_SIZE] = { 0 };
    unsigned char txn[TXN_SIZE];

    copy_txn(call, txn);
    write_if_asked(call, "lie");
    if (arg_is(call, 1, "kind"))
        say_done(txn, 0, kind, sizeof kind);
    else if (arg_is(call, 1, "depth"))
        say_deep(txn);
    else if (arg_is(call, 1, "trailing"))
        say_done(txn, 0, trailing, sizeof trailing);
    else if (arg_is(call, 1, "how"))
        say_done(txn, 9, nil, sizeof nil);
    else if (arg_is(call, 1, "line"))
        say_done(txn, 0, line, sizeof line);
    else if (arg_is(call, 1, "truth"))
        say_done(txn, 0, nil, sizeof nil);
    else if (arg_is(call, 1, "other"))
        say_done(nobody, 0, nil, sizeof nil);
    else
        say_done(txn, 0, count, sizeof count);
    while (!arg_is(call, 1, "truth"))
        __asm__ volatile("");
    return GRAFT_OK;
}
