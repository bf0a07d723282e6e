/*
 * Control groups against a tree of directories that answers as the kernel does, in both versions: who is where, what is
 * refused, what stays. The real ones are in tests/e2e/w00070-cgroup.sh.
 */
#include "policy/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATH_SIZE = 1024 };

static char top[] = "/tmp/graft-cgroup-XXXXXX";
static char own[PATH_SIZE];   /* OWN, as it is in the tree */
static char where[PATH_SIZE]; /* the group that this process is in */
static int version;
static int denied; /* errno of make */

/* ---- the tree ---- */

static const char *in(const char *directory, const char *name)
{
    static char path[8][PATH_SIZE];
    static size_t next;
    char whole[PATH_SIZE];

    assert_true(snprintf(whole, PATH_SIZE, "%s/%s", directory, name) < PATH_SIZE); /* directory may be one of path */
    return strcpy(path[next++ % 8], whole);
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static const char *get(const char *path)
{
    static char text[4][256];
    static size_t next;
    char *out = text[next++ % 4];
    FILE *f = fopen(path, "r");
    size_t n;

    if (f == NULL)
        return "(none)";
    n = fread(out, 1, sizeof text[0] - 1, f);
    out[n] = '\0';
    fclose(f);
    return out;
}

static bool is_there(const char *path) { return access(path, F_OK) == 0; }

static const char *const files[2][5] = {
    { "cgroup.procs", "cpu.shares" },
    { "cgroup.procs", "cpu.weight", "cgroup.controllers", "cgroup.subtree_control" },
};

static void furnish(const char *group)
{
    for (size_t i = 0; files[version - 1][i] != NULL; i++)
        put(in(group, files[version - 1][i]), "");
    if (version == 2)
        put(in(group, "cgroup.controllers"), "cpuset cpu io\n");
}

static const char *path_of(int fd, const char *name)
{
    char link[64], at[PATH_SIZE / 2];
    ssize_t n;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, at, sizeof at - 1);
    assert_true(n > 0);
    at[n] = '\0';
    return name == NULL ? in("", at + 1) : in(at, name);
}

static int fake_make(int directory, const char *name)
{
    const char *path = path_of(directory, name);

    if (denied != 0) {
        errno = denied;
        return -1;
    }
    if (mkdir(path, 0755) != 0)
        return -1;
    furnish(path);
    return 0;
}

static int fake_remove(int directory, const char *name)
{
    const char *path = path_of(directory, name);
    struct stat st;

    if (stat(path, &st) != 0)
        return -1;
    if (st.st_nlink > 2 || get(in(path, "cgroup.procs"))[0] != '\0') {
        errno = EBUSY;
        return -1;
    }
    for (size_t i = 0; files[version - 1][i] != NULL; i++)
        assert_int_equal(unlink(in(path, files[version - 1][i])), 0);
    return rmdir(path);
}

static const char *group_of(const char *file)
{
    static char group[PATH_SIZE];

    snprintf(group, sizeof group, "%s", file);
    *strrchr(group, '/') = '\0';
    return group;
}

/* Version 2: no process in a group that shares out to others. */
static int fake_write(int file, const char *text)
{
    const char *path = path_of(file, NULL), *group = group_of(path);

    if (version == 2 && strstr(path, "cgroup.subtree_control") != NULL && text[0] == '+' &&
        get(in(group, "cgroup.procs"))[0] != '\0') {
        errno = EBUSY;
        return -1;
    }
    if (strstr(path, "cgroup.procs") != NULL && strcmp(text, "0") == 0) {
        if (version == 2 && strcmp(get(in(group, "cgroup.subtree_control")), "+cpu") == 0) {
            errno = EBUSY;
            return -1;
        }
        if (strcmp(get(in(where, "cgroup.procs")), "self") == 0)
            put(in(where, "cgroup.procs"), "");
        snprintf(where, sizeof where, "%s", group);
        text = "self";
    }
    put(path, text);
    return 0;
}

static struct cgroup_world world = { .root = top, .make = fake_make, .remove = fake_remove, .write = fake_write };

/* Files as in /proc, and OWN with this process in it. */
static void machine(int v, const char *self, const char *mounts, const char *path)
{
    char part[PATH_SIZE];
    static char self_path[PATH_SIZE], mounts_path[PATH_SIZE];

    version = v;
    denied = 0;
    snprintf(self_path, sizeof self_path, "%s/self", top);
    snprintf(mounts_path, sizeof mounts_path, "%s/mounts", top);
    world.self = self_path;
    world.mounts = mounts_path;
    put(self_path, self);
    put(mounts_path, mounts);
    snprintf(own, sizeof own, "%s%s", top, path);
    for (const char *p = path; *p != '\0'; p++)
        if (p[1] == '/' || p[1] == '\0') {
            snprintf(part, sizeof part, "%s%.*s", top, (int)(p - path + 1), path);
            assert_true(mkdir(part, 0755) == 0 || errno == EEXIST);
        }
    furnish(own);
    put(in(own, "cgroup.procs"), "self");
    snprintf(where, sizeof where, "%s", own);
}

static void machine_1(void)
{
    machine(1, "9:name=systemd:/\n4:memory:/deep\n3:cpuacct,cpu:/a/b\n0::/x\n",
            "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
            "33 31 0:30 / /c/acct rw - cgroup cgroup rw,cpuacct\n"
            "32 31 0:29 /other /c/other rw - cgroup cgroup rw,cpuacct,cpu\n"
            "32 31 0:29 /a /c/cpu rw,relatime shared:4 - cgroup cgroup rw,cpuacct,cpu\n",
            "/c/cpu/b");
}

static void machine_2(void)
{
    machine(2, "0::/system.slice/graftd.service\n",
            "41 31 0:38 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n",
            "/sys/fs/cgroup/system.slice/graftd.service");
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    return ftw->level == 0 ? 0 : remove(path);
}

static int clear(void **state)
{
    (void)state;
    return nftw(top, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static int count(const char *directory) /* of the groups in it */
{
    struct stat st;

    assert_int_equal(stat(directory, &st), 0);
    return (int)st.st_nlink - 2;
}

static struct cgroup *opened(void)
{
    struct failure why = { 0 };
    struct cgroup *c = NULL;

    if (cgroup_open(&world, "1-2", &c, &why) != OK)
        fail_msg("not opened: %s", why.text);
    return c;
}

static void refused(const char *because)
{
    struct failure why = { 0 };
    struct cgroup *c = NULL;

    assert_int_equal(cgroup_open(&world, "1-2", &c, &why), ERR_UNKNOWN);
    assert_null(c);
    if (strstr(why.text, because) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why.text, because);
}

static enum err graft_open(const struct cgroup *c, const char *name, unsigned number, uint32_t weight)
{
    struct failure why = { 0 };
    int pidfd = pidfd_open(getpid(), 0);
    struct cgroup_member template = { name, number, getpid(), pidfd };
    enum err err = cgroup_graft_open(c, &template, weight, &why);

    close(pidfd);
    return err;
}

/* ---- claims ---- */

static void stands_in_version_1(void **state)
{
    struct cgroup *c;

    (void)state;
    machine_1();
    c = opened();
    assert_int_equal(cgroup_version(c), 1);
    assert_string_equal(cgroup_own(c), own);
    assert_string_equal(cgroup_grafts(c), in(own, "graftd-1-2.grafts"));
    assert_string_equal(where, in(own, "graftd-1-2.daemon"));
    assert_int_equal(atoi(get(in(where, "cpu.shares"))), 4 * atoi(get(in(cgroup_grafts(c), "cpu.shares"))));
    assert_true(atoi(get(in(cgroup_grafts(c), "cpu.shares"))) >= 1024);
    cgroup_close(&c);
    assert_null(c);
    assert_string_equal(where, own);
    assert_int_equal(count(own), 0);
}

static void stands_in_version_2(void **state)
{
    struct cgroup *c;

    (void)state;
    machine_2();
    c = opened();
    assert_int_equal(cgroup_version(c), 2);
    assert_string_equal(where, in(own, "graftd-1-2.daemon"));
    assert_string_equal(get(in(own, "cgroup.subtree_control")), "+cpu");
    assert_int_equal(atoi(get(in(where, "cpu.weight"))), 4 * atoi(get(in(cgroup_grafts(c), "cpu.weight"))));
    assert_true(atoi(get(in(where, "cpu.weight"))) <= CGROUP_WEIGHT_MAX);
    assert_string_equal(get(in(cgroup_grafts(c), "cgroup.subtree_control")), "+cpu");
    cgroup_close(&c);
    assert_string_equal(get(in(own, "cgroup.subtree_control")), "-cpu");
    assert_string_equal(where, own);
    assert_int_equal(count(own), 0);
}

static void what_was_shared_out_before_stays_so(void **state)
{
    struct cgroup *c;

    (void)state;
    machine_2();
    put(in(own, "cgroup.subtree_control"), "cpu io\n");
    c = opened();
    cgroup_close(&c);
    assert_string_equal(get(in(own, "cgroup.subtree_control")), "cpu io\n");
}

static void weights_are_those_of_the_version(void **state)
{
    static const struct {
        uint32_t weight;
        const char *shares, *weight_text, *slow_shares, *slow;
    } rows[] = {
        { 1, "10", "1", "10", "1" },
        { 9, "92", "9", "10", "1" },
        { 100, "1024", "100", "102", "10" },
        { 250, "2560", "250", "256", "25" },
        { 10000, "102400", "10000", "10240", "1000" },
    };

    (void)state;
    for (int v = 1; v <= 2; v++) {
        struct cgroup *c;

        v == 1 ? machine_1() : machine_2();
        c = opened();
        for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            char name[64];
            snprintf(name, sizeof name, "graft-bank-%u/%s", i, v == 1 ? "cpu.shares" : "cpu.weight");
            assert_int_equal(graft_open(c, "bank", i, rows[i].weight), OK);
            assert_string_equal(get(in(cgroup_grafts(c), name)), v == 1 ? rows[i].shares : rows[i].weight_text);
            put(in(cgroup_grafts(c), (snprintf(name, sizeof name, "graft-bank-%u/cgroup.procs", i), name)), "");
            snprintf(name, sizeof name, "graft-bank-%u-slow/%s", i, v == 1 ? "cpu.shares" : "cpu.weight");
            assert_string_equal(get(in(cgroup_grafts(c), name)), v == 1 ? rows[i].slow_shares : rows[i].slow);
        }
        cgroup_close(&c);
        assert_int_equal(count(own), 0);
        clear(NULL);
    }
}

static void a_group_goes_when_nobody_is_in_it(void **state)
{
    struct cgroup *c;
    char pid[16];

    (void)state;
    machine_2();
    c = opened();
    assert_int_equal(graft_open(c, "bank", 7, 100), OK);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    assert_string_equal(get(in(cgroup_grafts(c), "graft-bank-7/cgroup.procs")), pid);
    assert_false(cgroup_graft_close(c, "bank", 7));
    put(in(cgroup_grafts(c), "graft-bank-7/cgroup.procs"), "");
    assert_true(cgroup_graft_close(c, "bank", 7));
    assert_int_equal(count(cgroup_grafts(c)), 0);
    assert_true(cgroup_graft_close(c, "bank", 7)); /* it is gone */
    cgroup_close(&c);
}

static void a_slow_worker_is_moved_aside(void **state)
{
    struct cgroup_member worker = { "bank", 7, getpid(), pidfd_open(getpid(), 0) };
    struct failure why = { 0 };
    struct cgroup *c;

    (void)state;
    machine_1();
    c = opened();
    assert_int_equal(graft_open(c, "bank", 7, 100), OK);
    put(in(cgroup_grafts(c), "graft-bank-7/cgroup.procs"), "");
    assert_int_equal(cgroup_graft_slow(c, &worker, &why), OK);
    assert_int_equal(atoi(get(in(cgroup_grafts(c), "graft-bank-7-slow/cgroup.procs"))), getpid());
    assert_false(cgroup_graft_close(c, "bank", 7));
    worker.number = 8;
    assert_int_equal(cgroup_graft_slow(c, &worker, &why), ERR_UNKNOWN); /* it has no groups */
    close(worker.pidfd);
    cgroup_close(&c);
}

/* Names come from grafts: none leads out of the directory, is a file of the kernel's, or collides with another. */
static void hostile_names_stay_below(void **state)
{
    static const char *const names[] = {
        "..",
        ".",
        "",
        "../../daemon",
        "/etc",
        "cgroup.procs",
        "cpu.weight",
        "a\nb",
        "a b",
        "\xff\xfe",
        "BANK",
        "bank-1",
        "averyveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryverylongname",
    };
    enum { NAMES = sizeof names / sizeof names[0] };
    struct cgroup *c;

    (void)state;
    machine_1();
    c = opened();
    for (unsigned i = 0; i < NAMES; i++)
        assert_int_equal(graft_open(c, names[i], i, 100), OK);
    assert_int_equal(count(cgroup_grafts(c)), 2 * NAMES);
    assert_int_equal(count(own), 2);
    assert_true(is_there(in(cgroup_grafts(c), "graft-______daemon-3")));
    assert_true(is_there(in(cgroup_grafts(c), "graft-cgroup_procs-5")));
    for (unsigned i = 0; i < NAMES; i++)
        assert_false(cgroup_graft_close(c, names[i], i));
    cgroup_close(&c);
}

static void a_process_that_has_ended_is_not_moved(void **state)
{
    struct cgroup_member template;
    struct failure why = { 0 };
    struct cgroup *c;
    pid_t pid;
    int pidfd;

    (void)state;
    machine_1();
    c = opened();
    pid = fork();
    if (pid == 0)
        _exit(0);
    pidfd = pidfd_open(pid, 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    template = (struct cgroup_member){ "bank", 1, pid, pidfd };
    assert_int_equal(cgroup_graft_open(c, &template, 100, &why), ERR_UNKNOWN);
    assert_non_null(strstr(why.text, "graft-bank-1: No such process"));
    assert_int_equal(count(cgroup_grafts(c)), 0);
    close(pidfd);
    cgroup_close(&c);
}

static void without_rights_nothing_changes(void **state)
{
    (void)state;
    machine_1();
    denied = EACCES;
    refused("it cannot make groups in ");
    denied = EROFS;
    refused(strerror(EROFS));
    assert_int_equal(count(own), 0);
    assert_string_equal(where, own);
    machine_2();
    put(in(own, "cgroup.controllers"), "cpuset io memory\n");
    refused("was not given the cpu controller");
    assert_int_equal(count(own), 0);
}

/* Version 2, and a shell in OWN beside us. */
static void not_alone_in_its_group_it_goes_back(void **state)
{
    (void)state;
    machine_2();
    put(in(own, "cgroup.procs"), "4711\n");
    refused("other processes are in it");
    assert_string_equal(where, own);
    assert_int_equal(count(own), 0);
}

static void machines_without_groups_say_so(void **state)
{
    (void)state;
    machine(1, "", "", "/c");
    refused("there are no control groups here");
    machine(1, "3:cpu:/a\n", "32 31 0:29 / /c rw - cgroup cgroup rw,memory\n", "/c");
    refused("mounted nowhere");
    machine(2, "0::/../outside\n", "32 31 0:29 / /c rw - cgroup2 cgroup2 rw\n", "/c");
    refused("mounted nowhere");
    machine(2, "0::/ab\n", "32 31 0:29 /a /c rw - cgroup2 cgroup2 rw\n", "/c"); /* /a is not above /ab */
    refused("mounted nowhere");
    machine(2, "0::/gone\n", "32 31 0:29 / /nowhere rw - cgroup2 cgroup2 rw\n", "/c");
    refused("cannot be opened");
    put(world.mounts, "x\n - \n1 2 3\n1 2 3 / /c - cgroup2\n1 2 3 / /c - \n");
    refused("mounted nowhere");
    world.self = "/nowhere";
    refused("there are no control groups here");
}

/* Where version 1 has no cpu, version 2 is asked. */
static void a_hybrid_machine_is_either(void **state)
{
    struct cgroup *c;

    (void)state;
    machine(2, "4:memory:/m\n0::/u\n",
            "32 31 0:29 / /c/memory rw - cgroup cgroup rw,memory\n38 31 0:38 / /c/unified rw - cgroup2 cgroup2 rw\n",
            "/c/unified/u");
    c = opened();
    assert_int_equal(cgroup_version(c), 2);
    cgroup_close(&c);
}

static void leave(const char *name, const char *procs)
{
    assert_int_equal(mkdir(in(own, name), 0755), 0);
    furnish(in(own, name));
    put(in(in(own, name), "cgroup.procs"), procs);
}

static void what_the_dead_left_is_removed(void **state)
{
    struct cgroup *c;

    (void)state;
    for (int v = 1; v <= 2; v++) {
        v == 1 ? machine_1() : machine_2();
        leave("graftd-1-2.daemon", "");
        leave("graftd-1-2.grafts", "");
        leave("graftd-1-2.grafts/graft-bank-1", "");
        leave("graftd-9-9.daemon", "");
        leave("graftd-9-9.grafts", "");
        leave("graftd-9-9.grafts/graft-shop-12", "");
        leave("graftd-8-8.grafts", "");
        c = opened();
        assert_int_equal(count(own), 2);
        assert_int_equal(count(cgroup_grafts(c)), 0);
        cgroup_close(&c);
        assert_int_equal(count(own), 0);
        clear(NULL);
    }
}

static void what_is_not_certainly_ours_stays(void **state)
{
    static const char *const foreign[] = {
        "graftd-7-7.daemon",
        "graftd-7-7.grafts",
        "graftd-7-7.grafts/graft-bank-1", /* somebody is in the first */
        "other",
        "graftd",
        "graftd-x",
        "mygraftd-1-2.daemon",
        "graftd-6-6.daemon.d",
        "graftd-5-5.grafts",
        "graftd-5-5.grafts/other", /* it holds what is not ours */
    };
    struct cgroup *c;

    (void)state;
    machine_1();
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        leave(foreign[i], i == 0 ? "4711\n" : "");
    c = opened();
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        if (!is_there(in(own, foreign[i])))
            fail_msg("%s is gone", foreign[i]);
    cgroup_close(&c);
}

static void a_group_of_the_same_data_that_is_in_use_is_not_shared(void **state)
{
    (void)state;
    machine_1();
    leave("graftd-1-2.daemon", "4711\n");
    leave("graftd-1-2.grafts", "");
    leave("graftd-1-2.grafts/graft-bank-1", "");
    refused("another graftd is in those of this name");
    assert_true(is_there(in(own, "graftd-1-2.grafts/graft-bank-1")));
    assert_string_equal(get(in(own, "graftd-1-2.daemon/cgroup.procs")), "4711\n");
    assert_string_equal(where, own);
}

static int begin(void **state)
{
    (void)state;
    return mkdtemp(top) == NULL ? -1 : 0;
}

static int end(void **state)
{
    clear(state);
    return rmdir(top);
}

#define CLAIM(name) cmocka_unit_test_teardown(name, clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(stands_in_version_1),
        CLAIM(stands_in_version_2),
        CLAIM(what_was_shared_out_before_stays_so),
        CLAIM(weights_are_those_of_the_version),
        CLAIM(a_group_goes_when_nobody_is_in_it),
        CLAIM(a_slow_worker_is_moved_aside),
        CLAIM(hostile_names_stay_below),
        CLAIM(a_process_that_has_ended_is_not_moved),
        CLAIM(without_rights_nothing_changes),
        CLAIM(not_alone_in_its_group_it_goes_back),
        CLAIM(machines_without_groups_say_so),
        CLAIM(a_hybrid_machine_is_either),
        CLAIM(what_the_dead_left_is_removed),
        CLAIM(what_is_not_certainly_ours_stays),
        CLAIM(a_group_of_the_same_data_that_is_in_use_is_not_shared),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
