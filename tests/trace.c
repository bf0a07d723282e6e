#include "tests/trace.h"

#include "lib/check.h"

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

/* Not a matter of files: memory, and what has no way to say that it failed. */
static bool spared(uint64_t call)
{
    static const int calls[] = { SYS_close,   SYS_exit,    SYS_exit_group, SYS_mmap,  SYS_munmap,
                                 SYS_brk,     SYS_madvise, SYS_mprotect,   SYS_futex, SYS_getuid,
                                 SYS_geteuid, SYS_mremap,  SYS_sigaltstack };

    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if ((uint64_t)calls[i] == call)
            return true;
    return false;
}

static void set_register(pid_t child, size_t offset, long value)
{
    CHECK(ptrace(PTRACE_POKEUSER, child, offset, value) == 0);
}

/* At a stop: 1 entering a call, 2 leaving one, 0 neither. */
static int stop_kind(pid_t child, uint64_t *call)
{
    struct __ptrace_syscall_info info = { 0 };

    CHECK(ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info) > 0);
    *call = info.op == PTRACE_SYSCALL_INFO_ENTRY ? info.entry.nr : 0;
    return info.op == PTRACE_SYSCALL_INFO_ENTRY ? 1 : info.op == PTRACE_SYSCALL_INFO_EXIT ? 2 : 0;
}

int follow(pid_t child, unsigned nth, int error, bool *hit)
{
    unsigned count = 0;
    bool failing = false;
    uint64_t call;
    int status;

    *hit = false;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSTOPPED(status));
    CHECK(ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) == 0);
    for (;;) {
        CHECK(ptrace(PTRACE_SYSCALL, child, 0, 0) == 0);
        CHECK(waitpid(child, &status, 0) == child);
        if (WIFEXITED(status))
            return WEXITSTATUS(status);
        CHECK(WIFSTOPPED(status));
        CHECK(WSTOPSIG(status) == (SIGTRAP | 0x80)); /* no signal: it has neither crashed nor aborted */
        switch (stop_kind(child, &call)) {
        case 1:
            if ((error != 0 && spared(call)) || ++count != nth)
                break;
            *hit = true;
            if (error == 0) {
                CHECK(kill(child, SIGKILL) == 0);
                CHECK(waitpid(child, &status, 0) == child);
                return KILLED;
            }
            set_register(child, offsetof(struct user_regs_struct, orig_rax), -1);
            failing = true;
            break;
        case 2:
            if (failing)
                set_register(child, offsetof(struct user_regs_struct, rax), -error);
            failing = false;
            break;
        default:
            break;
        }
    }
}
