/*
 * Escapes: escape [attacks|sweep|canaries|pairs]… (default: all but pairs). Hostile code in the whole jail of a worker,
 * put up by the functions that graft-worker uses, once whole and once with each single layer left out.
 *
 *     attacks  each attack of attack.c; prints what became of it, layer by layer
 *     sweep    every system call number by the kernel's three doors
 *     canaries the self-test of each start: it must be content with the whole jail, and must not without the filters
 *     pairs    as attacks, with the filters and one more layer left out: what each of the other layers is good for
 *
 * What must hold: nothing gets through the whole jail, nor through the jail less one layer other than the filters; and
 * without the filters much does get through, or the attacks would prove nothing.
 *
 *     S killed by the filter   k killed by another signal   e refused with an error   ! it had its effect   x no worker
 */
#include "lib/check.h"
#include "policy/jail.h"
#include "tests/escape/attack.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SECONDS_MAX = 240,
    NOT_JAILED = 201, /* exit status */
    ERRNO_MAX = 133,
    NUMBER_MAX = 600, /* of a system call, in the sweep */
    DOORS = 3,
    PATTERNS = 2, /* of arguments */
    SWEEP = (NUMBER_MAX + 1) * DOORS * PATTERNS,
    THROUGH_MIN = 60, /* attacks that have their effect without the filters */
    URETPROBE = 335,
    UPROBE = 336,
    ATTACK_MAX = 1024,
};

layer_set jail_skip; /* what policy/jail.c leaves out, in this program alone */

struct outcome {
    int code, status; /* as of waitid */
};

/* What each child runs, by its index; the same in all of these processes. */
typedef long trial(size_t i);

/* ---- in the worker ---- */

static long try_attack(size_t i)
{
    const struct attack *a = &attacks[i];

    return a->run != NULL ? a->run() : door_64(a->number, a->args);
}

static long try_number(size_t i)
{
    static char room[4096];
    const long patterns[PATTERNS][6] = { { 0 }, { JAIL_CHANNEL, (long)room, 1, 0, 0, 0 } };
    const long *args = patterns[i % PATTERNS];
    long number = (long)(i / PATTERNS / DOORS);

    switch (i / PATTERNS % DOORS) {
    case 0:
        return door_64(number, args);
    case 1:
        return door_64(number | X32_BIT, args);
    default:
        return door_int80(number, args);
    }
}

static _Noreturn void leave(long status)
{
    door_64(SYS_exit_group, (long[6]){ status });
    __builtin_trap();
}

static _Noreturn void leave_with(long result)
{
    leave(result >= 0 || result < -4095 ? ATTACK_EFFECT : -result <= ERRNO_MAX ? -result : ERRNO_MAX);
}

static _Noreturn void be_worker(trial *run, size_t i)
{
    static const struct jail_limits limits = { .address_space = 1 << 28, .stack = 1 << 20, .cpu_s = 2 };
    struct failure f = { .err = OK };
    int ends[2];

    /* What a worker's channel is here: the way out to nobody. */
    if (pipe2(ends, 0) != 0 || dup2(ends[1], JAIL_CHANNEL) < 0 || close_range(JAIL_CHANNEL + 1, ~0u, 0) != 0 ||
        close_range(0, 2, 0) != 0 || jail_worker(&limits, &f) != OK)
        leave(NOT_JAILED);
    leave_with(run(i));
}

/* ---- above it ---- */

/* One at a time, in order; a record for each goes out on the channel. */
static _Noreturn void be_template(trial *run, size_t count)
{
    bool nested = jail_has_nested_pids();
    struct failure f = { .err = OK };

    if (jail_template(&f) != OK)
        _exit(1);
    for (size_t i = 0; i < count; i++) {
        pid_t pid = jail_fork(nested, NULL);
        struct outcome o;
        siginfo_t si = { .si_pid = 0 };

        if (pid == 0)
            be_worker(run, i);
        while (pid > 0 && si.si_pid != pid)
            if (waitid(P_ALL, 0, &si, WEXITED) != 0)
                _exit(1);
        o = (struct outcome){ pid > 0 ? si.si_code : CLD_EXITED, pid > 0 ? si.si_status : NOT_JAILED };
        if (write(JAIL_CHANNEL, &o, sizeof o) != sizeof o)
            _exit(1);
    }
    _exit(0);
}

static _Noreturn void wait_for(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) != pid)
        if (errno != EINTR)
            _exit(1);
    _exit(status == 0 ? 0 : 1);
}

static _Noreturn void be_zygote(trial *run, size_t count)
{
    struct failure f = { .err = OK };
    pid_t pid;

    if (jail_zygote(&f) != OK) {
        dprintf(2, "escape: %s\n", f.text);
        _exit(1);
    }
    if (run == NULL) {
        (void)jail_self_test(&f);
        _exit(write(JAIL_CHANNEL, f.text, strlen(f.text) + 1) < 0);
    }
    pid = fork();
    if (pid == 0)
        be_template(run, count);
    wait_for(pid);
}

static _Noreturn void be_keeper(trial *run, size_t count)
{
    static const struct layer_rules rules = { .degraded = true };
    struct failure f = { .err = OK };
    int life[2];
    pid_t pid;

    if (jail_keeper(&rules, false, &f) != OK || pipe2(life, 0) != 0) {
        dprintf(2, "escape: %s\n", f.text);
        _exit(1);
    }
    pid = fork();
    if (pid == 0) {
        close(life[1]);
        jail_tie(life[0]);
        be_zygote(run, count);
    }
    wait_for(pid);
}

/* A jail of its own for all trials; run NULL: for the self-test. What it says comes out of *channel. */
static pid_t start_jail(layer_set skip, trial *run, size_t count, int *channel)
{
    int pair[2];
    pid_t pid;

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
    fflush(stdout);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        jail_skip = skip;
        if (dup2(pair[1], JAIL_CHANNEL) < 0)
            _exit(1);
        be_keeper(run, count);
    }
    close(pair[1]);
    *channel = pair[0];
    return pid;
}

/* False: fewer than all came to an end. */
static bool run_jail(layer_set skip, trial *run, size_t count, struct outcome outcomes[])
{
    int channel, status;
    pid_t pid = start_jail(skip, run, count, &channel);
    size_t got = 0;

    while (got < count && read(channel, &outcomes[got], sizeof outcomes[got]) == sizeof outcomes[got])
        got++;
    close(channel);
    CHECK(waitpid(pid, &status, 0) == pid);
    return got == count;
}

static char show(const struct outcome *o)
{
    if (o->code == CLD_KILLED || o->code == CLD_DUMPED)
        return o->status == SIGSYS ? 'S' : 'k';
    return o->status == ATTACK_EFFECT ? '!' : o->status == NOT_JAILED ? 'x' : 'e';
}

/* ---- attacks, layer by layer ---- */

struct column {
    char title[64];
    layer_set skip;
    bool ran;
    size_t through;
    struct outcome outcomes[ATTACK_MAX];
};

static struct column columns[LAYER_COUNT + 1];
static size_t column_count;

static void add_column(const char *title, layer_set skip)
{
    struct column *c = &columns[column_count++];

    snprintf(c->title, sizeof c->title, "%s", title);
    c->skip = skip;
    c->through = 0;
    c->ran = run_jail(skip, try_attack, attack_count, c->outcomes);
    for (size_t i = 0; c->ran && i < attack_count; i++)
        c->through += show(&c->outcomes[i]) == '!';
}

static void print_table(void)
{
    const char *group = "";

    for (size_t k = 0; k < column_count; k++)
        printf("  %c  %-24s %s%zu of %zu attacks had their effect\n", (int)('a' + k), columns[k].title,
               columns[k].ran ? "" : "no jail without it: ", columns[k].through, attack_count);
    printf("\n%30s", "");
    for (size_t k = 0; k < column_count; k++)
        printf(" %c", (int)('a' + k));
    for (size_t i = 0; i < attack_count; i++) {
        if (strcmp(group, attacks[i].group) != 0)
            printf("\n%s", attacks[i].group);
        group = attacks[i].group;
        printf("\n  %-28s", attacks[i].name);
        for (size_t k = 0; k < column_count; k++)
            printf(" %c", columns[k].ran ? show(&columns[k].outcomes[i]) : 'x');
    }
    printf("\n\n");
}

static int run_attacks(void)
{
    int failed = 0;

    column_count = 0;
    add_column("the whole jail", 0);
    for (int l = 0; l < LAYER_COUNT; l++)
        if (l != LAYER_SELF_TEST) {
            char title[64];

            snprintf(title, sizeof title, "without %s", layer_rows[l].name);
            add_column(title, layer_bit((enum layer)l));
        }
    print_table();
    for (size_t k = 0; k < column_count; k++)
        if (columns[k].skip != layer_bit(LAYER_SECCOMP) && columns[k].through > 0) {
            printf("FAILED: %s lets %zu attacks through\n", columns[k].title, columns[k].through);
            failed = 1;
        } else if (columns[k].skip == layer_bit(LAYER_SECCOMP) && columns[k].through < THROUGH_MIN) {
            printf("FAILED: without the filters %zu attacks have their effect; they should prove more\n",
                   columns[k].through);
            failed = 1;
        }
    if (!columns[0].ran) {
        printf("FAILED: the whole jail cannot be put up here\n");
        failed = 1;
    }
    return failed;
}

static int run_pairs(void)
{
    column_count = 0;
    add_column("without the filters", layer_bit(LAYER_SECCOMP));
    for (int l = LAYER_SECCOMP + 1; l < LAYER_COUNT; l++)
        if (l != LAYER_SELF_TEST) {
            char title[64];

            snprintf(title, sizeof title, "… and without %s", layer_rows[l].name);
            add_column(title, layer_bit(LAYER_SECCOMP) | layer_bit((enum layer)l));
        }
    print_table();
    return 0;
}

/* ---- the sweep ---- */

/* The few numbers that a worker has by the first door, and the two that pass any filter by the kernel's design. */
static bool sweep_allows(long number, size_t pattern, const struct outcome *o)
{
    char c = show(o);

    switch (number) {
    case SYS_read:
    case SYS_write:
        return pattern == 0 ? c == 'S' : c == '!' || c == 'e';
    case SYS_exit_group:
        return o->code == CLD_EXITED && o->status == (pattern == 0 ? 0 : JAIL_CHANNEL);
    case SYS_rt_sigreturn:
        return c == 'k' && o->status == SIGSEGV;
    case URETPROBE: /* who is not a probe dies of it; an older kernel lets the filter have it */
        return c == 'S' || (c == 'k' && o->status == SIGILL);
    case UPROBE:
        return c == 'S' || (c == 'e' && o->status == ENXIO);
    default:
        return c == 'S';
    }
}

static int run_sweep(void)
{
    static const char *const doors[DOORS] = { "x86-64", "x32", "int 0x80" };
    static struct outcome outcomes[SWEEP];
    size_t count[DOORS][128] = { { 0 } };
    int failed = 0;

    if (!run_jail(0, try_number, SWEEP, outcomes)) {
        printf("FAILED: the sweep came to no end\n");
        return 1;
    }
    for (size_t i = 0; i < SWEEP; i++) {
        long number = (long)(i / PATTERNS / DOORS);
        size_t door = i / PATTERNS % DOORS;
        char c = show(&outcomes[i]);
        bool good = door == 0 ? sweep_allows(number, i % PATTERNS, &outcomes[i])
                              : c == 'S' || (door == 2 && c == 'k' && outcomes[i].status == SIGSEGV);

        count[door][(int)c]++;
        if (door == 0 && (number == URETPROBE || number == UPROBE))
            printf("  %ld with arguments %zu: %c %d\n", number, i % PATTERNS, c, outcomes[i].status);
        if (!good) {
            printf("FAILED: %s number %ld with arguments %zu: %c %d\n", doors[door], number, i % PATTERNS, c,
                   outcomes[i].status);
            failed = 1;
        }
    }
    for (size_t d = 0; d < DOORS; d++)
        printf("  %-9s %d trials: %zu killed by the filter, %zu by another signal, %zu errors, %zu done\n", doors[d],
               SWEEP / DOORS, count[d]['S'], count[d]['k'], count[d]['e'], count[d]['!']);
    return failed;
}

/* ---- the self-test ---- */

/* What the self-test says; empty when it is content. */
static void ask_self_test(layer_set skip, char out[FAILURE_TEXT_MAX])
{
    int channel, status;
    pid_t pid = start_jail(skip, NULL, 0, &channel);
    ssize_t n = read(channel, out, FAILURE_TEXT_MAX - 1);

    snprintf(out + (n > 0 ? n : 0), FAILURE_TEXT_MAX - (size_t)(n > 0 ? n : 0), "%s", n > 0 ? "" : "no word");
    close(channel);
    CHECK(waitpid(pid, &status, 0) == pid);
}

static int run_canaries(void)
{
    char whole[FAILURE_TEXT_MAX], open[FAILURE_TEXT_MAX], limitless[FAILURE_TEXT_MAX];

    ask_self_test(0, whole);
    ask_self_test(layer_bit(LAYER_SECCOMP), open);
    ask_self_test(layer_bit(LAYER_NO_NEW_PRIVS), limitless);
    printf("  the whole jail: %s\n  without seccomp: %s\n  without no-new-privs: %s\n",
           whole[0] == '\0' ? "content" : whole, open, limitless);
    if (whole[0] == '\0' && strstr(open, "self-test failed") != NULL && strstr(open, "was not stopped") != NULL &&
        strstr(limitless, "cannot be entered") != NULL)
        return 0;
    printf("FAILED: the self-test does not see what it must\n");
    return 1;
}

int main(int argc, char **argv)
{
    static char *standard[] = { "escape", "attacks", "sweep", "canaries" };
    int failed = 0;

    alarm(SECONDS_MAX);
    signal(SIGPIPE, SIG_IGN);
    CHECK(attack_count <= ATTACK_MAX);
    if (argc == 1) {
        argc = sizeof standard / sizeof standard[0];
        argv = standard;
    }
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "attacks") == 0)
            failed |= run_attacks();
        else if (strcmp(argv[i], "canaries") == 0)
            failed |= run_canaries();
        else if (strcmp(argv[i], "pairs") == 0)
            failed |= run_pairs();
        else if (strcmp(argv[i], "sweep") == 0)
            failed |= run_sweep();
        else
            return 2;
    printf("%s\n", failed ? "FAILED" : "nothing got through");
    return failed;
}
