/*
 * Writes to the daemon what no worker may write. The default is noise.
 *
 *     huge       a frame that says it is as large as can be
 *     phase      READY, which is said once, in the middle of a call
 *     wrong_way  a message that only the daemon sends
 *     unknown    a number that is none
 *     empty      a frame of no bytes
 *     truncated  a whole frame whose field is longer than the frame
 *     trailing   a message with a byte too many
 *     cut        a frame that never comes whole, and then silence: TIMEOUT
 *     twice      DONE, and then the DONE of the worker itself: a success, and the worker is not used again
 *
 * CRASHED unless it says otherwise here, and undone.
 */
#include "naughty.h"

GRAFT_MODULE("garbage", "1.0.0", "speaks nonsense");

/* Numbers of lib/wire.def, written out: a liar does not include our headers. */
#define READY 16
#define DONE 18
#define KV_DELETE 21
#define VALUE 26

static void say(const void *data, size_t len)
{
    system_call(SYS_WRITE, CHANNEL, (long)data, (long)len);
}

static void say_noise(graft_call *call)
{
    unsigned char noise[4096];

    for (int i = 0; i < 64; i++) {
        graft_random(call, noise, sizeof noise);
        noise[3] |= 0x40; /* a length that no frame has: the first one must not be waited for */
        say(noise, sizeof noise);
    }
}

GRAFT_FUNCTION(run, "[write] [noise|huge|phase|wrong_way|unknown|empty|truncated|trailing|cut|twice]")
{
    static const unsigned char huge[] = { 0xff, 0xff, 0xff, 0xff, DONE },
                               phase[] = { 1, 0, 0, 0, READY },
                               wrong_way[] = { 6, 0, 0, 0, VALUE, 1, 0, 0, 0, 0 },
                               unknown[] = { 1, 0, 0, 0, 200 },
                               empty[] = { 0, 0, 0, 0 },
                               truncated[] = { 6, 0, 0, 0, KV_DELETE, 100, 0, 0, 0, 'a' },
                               trailing[] = { 7, 0, 0, 0, KV_DELETE, 1, 0, 0, 0, 'a', 'b' },
                               cut[] = { 100, 0, 0, 0, KV_DELETE, 95, 0, 0, 0, 'a' };
    unsigned char done[27] = { 23, 0, 0, 0, DONE };
    char byte;

    done[22] = 1; /* bytes of the reply, a nil */
    copy_txn(call, done + 5);
    write_if_asked(call, "garbage");
    if (arg_is(call, 1, "huge"))
        say(huge, sizeof huge);
    else if (arg_is(call, 1, "phase"))
        say(phase, sizeof phase);
    else if (arg_is(call, 1, "wrong_way"))
        say(wrong_way, sizeof wrong_way);
    else if (arg_is(call, 1, "unknown"))
        say(unknown, sizeof unknown);
    else if (arg_is(call, 1, "empty"))
        say(empty, sizeof empty);
    else if (arg_is(call, 1, "truncated"))
        say(truncated, sizeof truncated);
    else if (arg_is(call, 1, "trailing"))
        say(trailing, sizeof trailing);
    else if (arg_is(call, 1, "twice"))
        say(done, sizeof done);
    else if (arg_is(call, 1, "cut"))
        say(cut, sizeof cut);
    else
        say_noise(call);
    while (arg_is(call, 1, "cut"))
        system_call(SYS_READ, CHANNEL, (long)&byte, 1);
    return graft_reply_status(call, "OK");
}
