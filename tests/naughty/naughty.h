/*
 * What the grafts built to misbehave share. One sin each; the comment at the top of a file says what
 * the daemon must do about it.
 *
 * A function whose first argument is "write" changes the key naughty:NAME before it sins, so that a
 * test can see the rollback: the key must not be there afterwards. Arguments of its own come behind that.
 */
#ifndef TESTS_NAUGHTY_H
#define TESTS_NAUGHTY_H

#include <graft.h>

#include <string.h>

#define CHANNEL 3 /* the worker's descriptor to the daemon */

static inline int arg_is(graft_call *call, size_t i, const char *text)
{
    graft_bytes arg = graft_arg(call, i);

    return arg.len == strlen(text) && (arg.len == 0 || memcmp(arg.data, text, arg.len) == 0);
}

static inline void write_always(graft_call *call, const char *name)
{
    graft_kv_put(call, graft_format(call, "naughty:%s", name), graft_str("was here"));
}

static inline void write_if_asked(graft_call *call, const char *name)
{
    if (arg_is(call, 0, "write"))
        write_always(call, name);
}

/* The id of its transaction, which no graft is told: it lies in the worker's memory, where all can be read. A liar knows
 * its way about there; lie.c says something true first of all, so that a test sees when this is not the place any more. */
enum { TXN_PLACE = 16, TXN_SIZE = 8 };

static inline void copy_txn(graft_call *call, unsigned char *to)
{
    memcpy(to, (const unsigned char *)call + TXN_PLACE, TXN_SIZE);
}

/* A system call past the host: what the jail is for. Its result is -errno, or the call never returns. */
static inline long system_call(long number, long a, long b, long c)
{
    long result;

    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

enum { SYS_READ = 0, SYS_WRITE = 1, SYS_OPEN = 2, SYS_SOCKET = 41, SYS_FORK = 57, SYS_EXECVE = 59, SYS_KILL = 62,
       SYS_PTRACE = 101, SYS_EXIT_GROUP = 231 };

#endif
