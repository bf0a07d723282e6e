/*
 * Makes the system call with the number of its second argument, by the door of its third: 64 (the usual), x32 or int80.
 * All arguments of the call are 0. CRASHED, undone, by SIGSYS for every number but a few (tests/e2e/w00040-doors.sh). If
 * the call returns, the reply is what it returned.
 */
#include "naughty.h"

GRAFT_MODULE("door", "1.0.0", "makes any system call");

static long int80(long number)
{
    long result;

    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(0), "c"(0), "d"(0)
                     : "memory", "r8", "r9", "r10", "r11");
    return result;
}

GRAFT_FUNCTION(run, "[write] number 64|x32|int80")
{
    int64_t number;

    if (graft_arg_i64(call, 1, &number) != GRAFT_OK)
        return graft_abort(call, "which number?");
    write_if_asked(call, "door");
    if (arg_is(call, 2, "x32"))
        number |= 0x40000000;
    return graft_reply_i64(call, arg_is(call, 2, "int80") ? int80(number) : system_call(number, 0, 0, 0));
}
