#include "policy/layer.h"

#include <stdio.h>
#include <string.h>

#define HINT_NS \
    "allow namespaces: sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces above 0; in a container, \
a seccomp profile that allows unshare"
#define HINT_KERNEL(version) "use Linux " version " or later"

const struct layer_row layer_rows[LAYER_COUNT] = {
    [LAYER_SECCOMP] = { "seccomp", NEED_ALWAYS, "a worker makes four system calls; any other kills it",
                        "build the kernel with CONFIG_SECCOMP_FILTER; in a container, allow seccomp()" },
    [LAYER_NO_NEW_PRIVS] = { "no-new-privs", NEED_ALWAYS, "nothing that a worker could run gives it more rights",
                             HINT_KERNEL("5.10") },
    [LAYER_PIDFD] = { "pidfd", NEED_ALWAYS, "a process is killed for what it is, not for its number",
                      HINT_KERNEL("5.10") },
    [LAYER_SELF_TEST] = { "self-test", NEED_ALWAYS, "each start tries what is forbidden, and sees it stopped",
                          "see the sentence: something on this machine lets a forbidden system call through" },
    [LAYER_CAPABILITIES] = { "capabilities", NEED_ALWAYS, "no right of root's is left to a worker",
                             HINT_KERNEL("5.10") },
    [LAYER_LIMITS] = { "limits", NEED_ALWAYS, "memory, CPU time, descriptors and processes have an end",
                       "raise the hard limits of whoever starts graftd (ulimit -H -a)" },
    [LAYER_UNDUMPABLE] = { "not-dumpable", NEED_ALWAYS, "no core file, and no debugger from outside",
                           HINT_KERNEL("5.10") },
    [LAYER_USER] = { "user", NEED_STANDARD, "a worker of root's graftd is not root",
                     "give graftd CAP_SETUID and CAP_SETGID, or start it as a user of its own" },
    [LAYER_USERNS] = { "userns", NEED_STANDARD, "a world of its own, in which the others can be made", HINT_NS },
    [LAYER_MNTNS] = { "mntns", NEED_STANDARD, "mounts of its own, for an empty root", HINT_NS },
    [LAYER_PIDNS] = { "pidns", NEED_STANDARD, "no other process can be seen or signalled", HINT_NS },
    [LAYER_NETNS] = { "netns", NEED_STANDARD, "no network", HINT_NS },
    [LAYER_IPCNS] = { "ipcns", NEED_STANDARD, "no shared memory or queues of others", HINT_NS },
    [LAYER_UTSNS] = { "utsns", NEED_STANDARD, "no name of the machine", HINT_NS },
    [LAYER_CGROUPNS] = { "cgroupns", NEED_STANDARD, "no view of control groups", HINT_NS },
    [LAYER_ROOT] = { "root", NEED_STANDARD, "no file at all: the root directory is empty and read-only",
                     "allow mount() and pivot_root() in a user namespace (AppArmor, container profile)" },
    [LAYER_LANDLOCK] = { "landlock", NEED_IF_THERE, "no file, port or peer, also where a path or socket leaked in",
                         HINT_KERNEL("5.13") ", and landlock among the kernel's lsm=" },
    [LAYER_MDWE] = { "mdwe", NEED_IF_THERE, "no memory is written and then run", HINT_KERNEL("6.3") },
    [LAYER_MSEAL] = { "mseal", NEED_IF_THERE, "code and constants cannot be mapped away or over", HINT_KERNEL("6.10") },
    [LAYER_CGROUP] = { "cgroup", NEED_IF_THERE, "each graft has a share of the CPU of its own",
                       "only a `limit cpu-weight` needs it: under systemd Delegate=cpu; else give graftd's user the "
                       "control group that it is started in" },
};

bool layer_may_lack(const struct layer_rules *rules, enum layer l, layer_set stands)
{
    if (layer_rows[l].need == NEED_ALWAYS)
        return false;
    if ((rules->may_lack & layer_bit(l)) != 0)
        return true;
    if ((rules->required & layer_bit(l)) != 0)
        return false;
    if (rules->degraded)
        return true;
    return layer_rows[l].need == NEED_IF_THERE && (l != LAYER_LANDLOCK || (stands & layer_bit(LAYER_ROOT)) != 0);
}

const char *layer_list(layer_set set, char *out, size_t size)
{
    size_t n = 0;

    out[0] = '\0';
    for (int l = 0; l < LAYER_COUNT && n < size; l++)
        if ((set & layer_bit((enum layer)l)) != 0)
            n += (size_t)snprintf(out + n, size - n, "%s%s", n == 0 ? "" : ",", layer_rows[l].name);
    return out;
}

static bool read_one(const char *word, size_t n, layer_set *set)
{
    for (int l = 0; l < LAYER_COUNT; l++)
        if (strlen(layer_rows[l].name) == n && memcmp(layer_rows[l].name, word, n) == 0) {
            *set |= layer_bit((enum layer)l);
            return true;
        }
    return false;
}

bool layer_list_read(const char *text, layer_set *set)
{
    layer_set read = 0;

    while (*text != '\0') {
        size_t n = strcspn(text, ",");

        if (!read_one(text, n, &read))
            return false;
        text += n;
        text += *text == ',';
    }
    *set = read;
    return true;
}
