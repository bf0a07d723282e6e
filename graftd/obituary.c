#include "graftd/obituary.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static const char *signal_reason(int signum)
{
    switch (signum) {
    case SIGSYS:
        return "made a forbidden system call (SIGSYS)";
    case SIGXCPU:
        return "was out of CPU time (RLIMIT_CPU)";
    case SIGSEGV:
        return "touched memory that is not its own (SIGSEGV)";
    case SIGBUS:
        return "touched memory that is not there (SIGBUS)";
    case SIGFPE:
        return "divided by zero or overflowed (SIGFPE)";
    case SIGILL:
        return "ran an illegal instruction (SIGILL)";
    case SIGABRT:
        return "called abort() (SIGABRT)";
    case SIGKILL:
        return "was killed (SIGKILL)";
    default:
        return NULL;
    }
}

void obituary_explain(const struct obituary *o, const char *words, char *out, size_t size)
{
    const char *reason = NULL;

    if (words[0] != '\0')
        snprintf(out, size, "%s", words);
    else if (!o->born && o->errnum != 0)
        snprintf(out, size, "could not be started: %s", strerror(o->errnum));
    else if (o->code == CLD_EXITED)
        snprintf(out, size, "exited with status %d", o->status);
    else if (o->code == CLD_KILLED || o->code == CLD_DUMPED)
        (reason = signal_reason(o->status)) != NULL ? snprintf(out, size, "%s", reason)
                                                    : snprintf(out, size, "was ended by signal %d", o->status);
    else
        snprintf(out, size, "went down with its template");
}

bool obituary_outside(const struct obituary *o, const char *words)
{
    return words[0] == '\0' && o->code == CLD_KILLED && o->status == SIGKILL;
}
