#include "worker/fault.h"

#include "worker/channel.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

enum { HANDLER_STACK = 64 * 1024 }; /* bytes: a signal frame with every register of the CPU, and the handler */

static _Alignas(16) uint8_t handler_stack[HANDLER_STACK];
static struct fault_place watched;

struct words {
    char text[CHANNEL_WORDS_MAX + 1];
    size_t n;
};

static void say(struct words *w, const char *s)
{
    for (; *s != '\0' && w->n < CHANNEL_WORDS_MAX; s++)
        w->text[w->n++] = *s;
    w->text[w->n] = '\0';
}

static void say_hex(struct words *w, uintptr_t v)
{
    char digits[2 * sizeof v + 1];
    size_t i = sizeof digits - 1;

    digits[i] = '\0';
    do {
        digits[--i] = "0123456789abcdef"[v & 15];
        v >>= 4;
    } while (v != 0);
    say(w, "0x");
    say(w, digits + i);
}

static bool inside(uintptr_t p, const void *start, size_t size) { return p - (uintptr_t)start < size; }

static const char *signal_word(int number)
{
    switch (number) {
    case SIGSEGV: return "SIGSEGV";
    case SIGBUS: return "SIGBUS";
    case SIGFPE: return "SIGFPE";
    default: return "SIGILL";
    }
}

/* SA_RESETHAND: on return the instruction faults again and the kernel kills. */
static void on_fault(int number, siginfo_t *si, void *context)
{
    const ucontext_t *u = context;
    uintptr_t at = (uintptr_t)si->si_addr, code = (uintptr_t)u->uc_mcontext.gregs[REG_RIP];
    struct words w = { .n = 0 };

    say(&w, signal_word(number));
    if (number == SIGFPE && si->si_code == FPE_INTDIV) {
        say(&w, " (division by zero)");
    } else {
        say(&w, " at address ");
        say_hex(&w, at);
    }
    if (inside(at, watched.guard, watched.guard_size))
        say(&w, " (stack overflow)");
    if (inside(code, watched.image, watched.image_size)) {
        say(&w, ", by the graft's code at ");
        say_hex(&w, code - (uintptr_t)watched.image);
    }
    channel_last_words(w.text);
}

int fault_watch(const struct fault_place *place)
{
    static const int numbers[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL };
    stack_t stack = { .ss_sp = handler_stack, .ss_size = sizeof handler_stack };
    struct sigaction action;

    watched = *place;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND;
    sigfillset(&action.sa_mask);
    if (sigaltstack(&stack, NULL) != 0)
        return -1;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (sigaction(numbers[i], &action, NULL) != 0)
            return -1;
    return 0;
}

_Noreturn void fault_die(const char *text)
{
    channel_last_words(text);
    __builtin_trap();
}
