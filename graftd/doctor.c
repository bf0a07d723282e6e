#include "graftd/doctor.h"

#include "policy/cgroup.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CONTROL_FD = 3, /* where the worker program has its control socket */
    LINE_SIZE = 1024,
    UNKNOWN = -1,
};

struct finding {
    int lack; /* errno; 0: stands; UNKNOWN: not heard of */
    char text[LINE_SIZE];
};

static pid_t start_probe(const char *worker, int *control)
{
    char *argv[] = { (char *)(uintptr_t)worker, (char *)(uintptr_t) "--probe", NULL };
    char *envp[] = { NULL };
    int pair[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        if (pair[1] == CONTROL_FD)
            pair[1] = dup(CONTROL_FD); /* so that dup2 makes one that outlives exec */
        if (dup2(pair[1], CONTROL_FD) >= 0)
            execve(worker, argv, envp);
        _exit(127);
    }
    close(pair[1]);
    *control = pair[0];
    return pid;
}

/* "name TAB errno TAB text" */
static void hear(char *line, struct finding findings[LAYER_COUNT])
{
    char *name = strtok_r(line, "\t", &line), *number = strtok_r(NULL, "\t", &line);

    for (int l = 0; l < LAYER_COUNT && number != NULL; l++)
        if (strcmp(layer_rows[l].name, name) == 0) {
            findings[l].lack = atoi(number);
            snprintf(findings[l].text, sizeof findings[l].text, "%.*s", (int)strcspn(line, "\n"), line);
        }
}

static void probe(const char *worker, struct finding findings[LAYER_COUNT])
{
    char line[LINE_SIZE];
    int control = -1, status;
    pid_t pid = start_probe(worker, &control);
    ssize_t n;

    for (int l = 0; l < LAYER_COUNT; l++)
        findings[l] = (struct finding){ .lack = UNKNOWN };
    if (pid < 0)
        return;
    while ((n = read(control, line, sizeof line - 1)) > 0) {
        line[n] = '\0';
        hear(line, findings);
    }
    close(control);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
}

/* Graftd's own: tried here, and taken back. */
static void probe_cgroup(struct finding *finding)
{
    struct failure why = { 0 };
    struct cgroup *c = NULL;
    char id[CGROUP_ID_MAX];

    snprintf(id, sizeof id, "doctor-%d", (int)getpid());
    *finding = (struct finding){ .lack = cgroup_open(NULL, id, &c, &why) == OK ? 0 : EPERM };
    snprintf(finding->text, sizeof finding->text, "%s", why.text);
    cgroup_close(&c);
}

static const char *reason(const struct finding *f)
{
    if (f->lack == UNKNOWN)
        return "the worker program did not say";
    return f->text[0] != '\0' ? f->text : strerror(f->lack);
}

static const char *state(const struct finding *f, bool asked, bool may)
{
    if (f->lack != 0)
        return may ? "missing, may" : "missing";
    return asked ? "stands" : "not asked for";
}

static void print_layer(enum layer l, const struct finding *f, bool asked, bool may)
{
    const char *why = asked ? "" : "this machine could have it";
    const char *hint = asked ? "" : "a `limit cpu-weight` in the policy turns it on";

    if (f->lack != 0) {
        why = reason(f);
        hint = layer_rows[l].hint;
    }
    printf("%s\t%s\t%s\t%s\t%s\n", layer_rows[l].name, state(f, asked, may), layer_rows[l].purpose, why, hint);
}

int doctor_run(const char *worker, const struct policy *policy)
{
    static struct finding findings[LAYER_COUNT];
    const struct layer_rules *rules = policy_layers(policy);
    layer_set stands = 0;
    bool starts = true;

    probe(worker, findings);
    probe_cgroup(&findings[LAYER_CGROUP]);
    for (int l = 0; l < LAYER_COUNT; l++)
        if (findings[l].lack == 0)
            stands |= layer_bit((enum layer)l);
    for (int l = 0; l < LAYER_COUNT; l++) {
        bool good = findings[l].lack == 0, may = layer_may_lack(rules, (enum layer)l, stands);

        print_layer((enum layer)l, &findings[l], l != LAYER_CGROUP || policy_shares_cpu(policy), may);
        starts = starts && (good || may);
    }
    fflush(stdout);
    fprintf(stderr, "graftd would%s start here as user %u, with this policy\n", starts ? "" : " not",
            (unsigned)geteuid());
    return starts ? EXIT_SUCCESS : EXIT_FAILURE;
}

int doctor_dump_filter(const char *worker)
{
    execl(worker, worker, "--dump-filter", (char *)NULL);
    fprintf(stderr, "graftd: cannot run %s: %s\n", worker, strerror(errno));
    return EXIT_FAILURE;
}
