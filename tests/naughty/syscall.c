/*
 * Asks the kernel past the host: open (the default), socket, exec, kill, ptrace, x32 (a number of the other ABI) or
 * int80 (the 32-bit door). CRASHED by SIGSYS, each of them; undone. If the call returns, the wall is down, and
 * the reply says so.
 */
#include "naughty.h"

GRAFT_MODULE("syscall", "1.0.0", "asks the kernel itself");

static long int80(long number)
{
    long result;

    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(0), "c"(0), "d"(0) : "memory");
    return result;
}

static long reach(graft_call *call)
{
    static const char path[] = "/etc/passwd";

    if (arg_is(call, 1, "socket"))
        return system_call(SYS_SOCKET, 1, 1, 0);
    if (arg_is(call, 1, "exec"))
        return system_call(SYS_EXECVE, (long)path, 0, 0);
    if (arg_is(call, 1, "kill"))
        return system_call(SYS_KILL, 1, 0, 0);
    if (arg_is(call, 1, "ptrace"))
        return system_call(SYS_PTRACE, 0, 0, 0);
    if (arg_is(call, 1, "x32"))
        return system_call(0x40000000 | SYS_OPEN, (long)path, 0, 0);
    if (arg_is(call, 1, "int80"))
        return int80(20 /* getpid */);
    return system_call(SYS_OPEN, (long)path, 0, 0);
}

GRAFT_FUNCTION(run, "[write] [open|socket|exec|kill|ptrace|x32|int80]")
{
    write_if_asked(call, "syscall");
    return graft_reply_format(call, "the wall is down: %ld", reach(call));
}
