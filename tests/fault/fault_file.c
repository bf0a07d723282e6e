/*
 * Changes of files, interrupted everywhere. files_apply() runs in a child that is traced: at its nth system call,
 * n = 1, 2, … until it ends first, it is killed, or that call fails (input/output error, disk full) without being done.
 * Then the tree must be taken back to what it was: bytes, names, inodes, modes, times of files and directories, and
 * nothing left in .graftd (T5, T7); and the undo is itself killed and failed in the same way. An apply that said OK must
 * have done all. Then power is cut: all was done, and any part of its renames is not on disk.
 * Mixtures of changes come from a seed, which is printed; GRAFTD_SEED=n repeats it, GRAFTD_MIXTURES=n tries more of them.
 */
#include "tests/disk_kit.h"
#include "tests/sim/chance.h"
#include "tests/trace.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <time.h>

enum { CALLS_MAX = 20000, MIXTURES = 2, SAMPLE = 23 };

static struct disk_kit kit;
static unsigned crashes, failures, losses;

/* ---- running under trace ---- */

typedef enum err body(struct disk_kit *k, struct failure *why);

static int traced(body *run, unsigned nth, int error, bool *hit)
{
    struct failure why = { 0 };
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        CHECK(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
        raise(SIGSTOP);
        _exit((int)run(&kit, &why));
    }
    if (error == 0)
        crashes++;
    else
        failures++;
    return follow(child, nth, error, hit);
}

/* ---- scenes: a tree, and a transaction ---- */

struct scene {
    const char *name;
    void (*tree)(void);
    void (*change)(void);
    uint64_t seed;
};

static const struct scene *scene;

static void tree_some(void)
{
    disk_kit_put(&kit, "a", "first file", 0644);
    disk_kit_put(&kit, "b", "second", 0600);
    disk_kit_put(&kit, "c", "", 0640);
    disk_kit_dir(&kit, "d");
    disk_kit_put(&kit, "d/x", "in a directory", 0664);
    disk_kit_put(&kit, "d/y", "in it too", 0444);
    disk_kit_put(&kit, "r/z", "in the other root", 0644);
    disk_kit_dir(&kit, "empty");
}

static void tree_linked(void)
{
    tree_some();
    CHECK(link(disk_kit_real(&kit, "a"), disk_kit_real(&kit, "d/a-too")) == 0);
}

/* Transaction 3 has overwritten a, and keeps what it was. */
static void tree_kept(void)
{
    struct failure why = { 0 };

    tree_some();
    disk_kit_begin(&kit, 3);
    disk_kit_write(&kit, "a", "what came later, and is longer");
    disk_kit_end(&kit);
    CHECK(disk_kit_apply(&kit, &why) == OK);
    files_end(kit.disk, 3);
}

static void change_new(void) { disk_kit_write(&kit, "new", "all new"); }
static void change_overwrite(void) { disk_kit_write(&kit, "b", "another content, longer"); }
static void change_append(void) { disk_kit_append(&kit, "a", " and more"); }
static void change_remove(void) { disk_kit_remove(&kit, "d/x"); }
static void change_rename(void) { disk_kit_rename(&kit, "a", "z"); }
static void change_rename_over(void) { disk_kit_rename(&kit, "a", "d/x"); }

static void change_swap(void)
{
    disk_kit_rename(&kit, "a", "t");
    disk_kit_rename(&kit, "b", "a");
    disk_kit_rename(&kit, "t", "b");
}

static void change_chain(void)
{
    disk_kit_remove(&kit, "c");
    disk_kit_rename(&kit, "b", "c");
    disk_kit_rename(&kit, "a", "b");
    disk_kit_write(&kit, "a", "new at the end of the chain");
}

static void change_nested(void)
{
    disk_kit_write(&kit, "n/e/s/t", "deep");
    disk_kit_write(&kit, "n/e/s/u", "deep too");
    disk_kit_append(&kit, "n/other", "made by an append");
    disk_kit_mkdir(&kit, "n/bare/");
}

static void change_keep(void)
{
    struct file_image of = kit.paths[0].before; /* of transaction 3 */
    uint64_t seq = kit.paths[0].seq;

    disk_kit_begin(&kit, 7);
    disk_kit_keep(&kit, "a", "a", 3, seq, &of, "first file");
    disk_kit_keep(&kit, "k/again", "a", 3, seq, &of, "first file");
}

static void change_cut(void) { disk_kit_cut(&kit, "a", 5); }

static void change_rename_append(void)
{
    disk_kit_rename(&kit, "b", "d/moved");
    disk_kit_append(&kit, "d/moved", " and appended");
}

static void change_directories_go(void)
{
    disk_kit_remove(&kit, "d/x");
    disk_kit_remove(&kit, "d/y");
    disk_kit_remove(&kit, "d/");
    disk_kit_remove(&kit, "empty/");
}

/* What was a file is a directory then, and the other way round. */
static void change_kinds(void)
{
    disk_kit_remove(&kit, "a");
    disk_kit_write(&kit, "a/below", "where a file was");
    disk_kit_remove(&kit, "d/y");
    disk_kit_rename(&kit, "d/x", "b");
    disk_kit_remove(&kit, "d/");
    disk_kit_write(&kit, "d", "where a directory was");
}

static void change_two_roots(void)
{
    disk_kit_append(&kit, "r/z", " more");
    disk_kit_write(&kit, "r/m/n", "new");
    disk_kit_write(&kit, "a", "short");
    disk_kit_remove(&kit, "b");
}

/* Anything, as often as it comes. */
static void change_mixture(void)
{
    static const char *const paths[] = { "a", "b", "c", "d/x", "d/y", "d/z", "e/f/g", "e/h", "r/z", "r/y/x" };
    struct chance chance = { scene->seed };

    for (unsigned i = 0, n = 1 + chance_below(&chance, 9); i < n; i++) {
        const char *one = paths[chance_below(&chance, 10)], *two = paths[chance_below(&chance, 10)];
        bool there = disk_kit_at(&kit, one)->has;
        char text[64];
        snprintf(text, sizeof text, "text %u of seed %llu", i, (unsigned long long)scene->seed);
        switch (chance_below(&chance, 5)) {
        case 0:
        case 1:
            disk_kit_append(&kit, one, text + chance_below(&chance, 8));
            break;
        case 2:
            if (there) {
                disk_kit_remove(&kit, one);
                break;
            } /* fall through */
        case 3:
            disk_kit_write(&kit, one, text);
            break;
        default:
            if (there && one != two && (one[0] == 'r') == (two[0] == 'r'))
                disk_kit_rename(&kit, one, two);
        }
    }
}

static const struct scene scenes[] = {
    { "a new file", tree_some, change_new, 0 },
    { "overwrite", tree_some, change_overwrite, 0 },
    { "append", tree_some, change_append, 0 },
    { "append to a file with two links", tree_linked, change_append, 0 },
    { "remove", tree_some, change_remove, 0 },
    { "rename", tree_some, change_rename, 0 },
    { "rename over another", tree_some, change_rename_over, 0 },
    { "rename to another link", tree_linked, change_rename_over, 0 },
    { "swap", tree_some, change_swap, 0 },
    { "a chain of renames", tree_some, change_chain, 0 },
    { "nested new directories", tree_some, change_nested, 0 },
    { "put back what is kept", tree_kept, change_keep, 0 },
    { "cut", tree_some, change_cut, 0 },
    { "rename and append", tree_some, change_rename_append, 0 },
    { "directories go", tree_some, change_directories_go, 0 },
    { "file to directory and back", tree_some, change_kinds, 0 },
    { "two roots", tree_some, change_two_roots, 0 },
};

/* Makes the tree and the transaction's stage files; the tree as it was before those, owned. */
static char *begin(void)
{
    char *before;

    disk_kit_init(&kit);
    scene->tree();
    disk_kit_age_all(&kit);
    before = disk_kit_tree(&kit);
    if (scene->tree != tree_kept)
        disk_kit_begin(&kit, 7);
    scene->change();
    disk_kit_end(&kit);
    return before;
}

static void end(char *before)
{
    free(before);
    disk_kit_fini(&kit);
}

static void expect(bool right, const char *before, const char *what, unsigned n, unsigned m)
{
    char *now;

    if (right)
        return;
    now = disk_kit_tree(&kit);
    fprintf(stderr, "%s (seed %llu), call %u, then %u: %s\n--- before\n%s--- now\n%s", scene->name,
            (unsigned long long)scene->seed, n, m, what, before, now);
    abort();
}

static bool is_as_before(const char *before)
{
    char *now = disk_kit_tree(&kit);
    bool same = strcmp(now, before) == 0;

    free(now);
    return same;
}

/* As a new process would. */
static void undo_whole(const char *before, unsigned n, unsigned m)
{
    struct failure why = { 0 };
    enum err err;

    disk_kit_reopen(&kit);
    err = disk_kit_undo(&kit, &why);
    expect(err == OK, before, why.text, n, m);
    expect(is_as_before(before), before, "the tree is not what it was", n, m);
    err = disk_kit_undo(&kit, &why);
    expect(err == OK && is_as_before(before), before, "twice is not the same as once", n, m);
}

/* ---- crashes ---- */

/* False: apply ended before its nth call. */
static bool crash_apply(unsigned n)
{
    char *before = begin();
    bool hit;
    int result = traced(disk_kit_apply, n, 0, &hit);

    expect(result == KILLED || result == OK, before, err_name(result == KILLED ? OK : (enum err)result), n, 0);
    if (!hit)
        expect(disk_kit_is_after(&kit), before, "not all was done", n, 0);
    undo_whole(before, n, 0);
    end(before);
    return hit;
}

/* Apply is killed at its nth call, the undo at its mth. False: the undo ended before. */
static bool crash_undo(unsigned n, unsigned m)
{
    char *before = begin();
    bool hit;

    traced(disk_kit_apply, n, 0, &hit);
    disk_kit_reopen(&kit);
    traced(disk_kit_undo, m, 0, &hit);
    undo_whole(before, n, m);
    end(before);
    return hit;
}

/* ---- failures ---- */

static bool fail_apply(unsigned n, int error)
{
    char *before = begin();
    bool hit;
    int result = traced(disk_kit_apply, n, error, &hit);

    if (result == OK) {
        expect(disk_kit_is_after(&kit), before, "not all was done", n, 0);
    } else {
        expect(result == ERR_STORAGE || result == ERR_CONFLICT, before, "another error", n, (unsigned)result);
        expect(is_as_before(before), before, "an apply that failed left something", n, 0);
    }
    undo_whole(before, n, 0);
    end(before);
    return hit;
}

static bool fail_undo(unsigned n, unsigned m, int error)
{
    char *before = begin();
    bool hit;
    int result;

    traced(disk_kit_apply, n, 0, &hit);
    disk_kit_reopen(&kit);
    result = traced(disk_kit_undo, m, error, &hit);
    expect(result == OK || result == ERR_UNKNOWN, before, "another error", n, m);
    undo_whole(before, n, m);
    end(before);
    return hit;
}

/* ---- cuts of power: all was done, and of that only a part is on disk ---- */

static bool is_there(const char *path)
{
    struct stat s;

    return lstat(path, &s) == 0;
}

/* The rename that did this is lost, if it can be lost: what a lost directory held is lost with it. */
static void lose(const struct file_change *c)
{
    char path[FILE_PATH_MAX + 128], put[128], old[128];
    const char *top = c->path.len > 2 && memcmp(c->path.data, "r/", 2) == 0 ? "r" : "files";
    struct stat s;

    snprintf(path, sizeof path, "%s", disk_kit_real(&kit, c->path.data));
    path[strlen(path) - (path[strlen(path) - 1] == '/')] = '\0';
    snprintf(put, sizeof put, "%s/%s/.graftd/7/put.%llu", kit.top, top, (unsigned long long)c->seq);
    snprintf(old, sizeof old, "%s/%s/.graftd/7/old.%llu", kit.top, top, (unsigned long long)c->seq);
    if (c->after == NULL) {
        if (is_there(old) && !is_there(path))
            rename(old, path); /* fails where its directory is gone: then it was not lost */
    } else if (lstat(path, &s) != 0 || is_there(put)) {
        return;
    } else if (c->before == NULL) {
        if (!S_ISDIR(s.st_mode) || rmdir(path) == 0)
            CHECK(S_ISDIR(s.st_mode) ? mkdir(put, 0755) == 0 : rename(path, put) == 0);
    } else if (is_there(old)) {
        CHECK(rename(path, put) == 0);
        CHECK(link(old, path) == 0);
    } else if (S_ISREG(s.st_mode) && s.st_size > (off_t)c->before->size) {
        CHECK(truncate(path, (off_t)c->before->size + 1) == 0);
    }
}

static void lose_some(unsigned mask)
{
    char *before = begin();
    struct failure why = { 0 };

    expect(disk_kit_apply(&kit, &why) == OK, before, why.text, mask, 0);
    for (size_t i = kit.change_count; i-- > 0;)
        if ((mask >> i & 1) != 0)
            lose(&kit.changes[i]);
    losses++;
    undo_whole(before, mask, 0);
    end(before);
}

static void scene_lose(void)
{
    struct chance chance = { scene->seed };
    size_t count;

    end(begin());
    count = kit.change_count;
    for (unsigned i = 1; count <= 6 ? i < 1u << count : i <= 64; i++)
        lose_some(count <= 6 ? i : (unsigned)chance_next(&chance));
}

static void scene_run(const struct scene *s)
{
    unsigned calls, undo_calls, n;

    scene = s;
    scene_lose();
    for (n = 1; crash_apply(n); n++)
        CHECK(n < CALLS_MAX);
    calls = n;
    for (n = 1; crash_undo(calls, n); n++)
        CHECK(n < CALLS_MAX);
    undo_calls = n;
    for (n = 1; n < calls; n += SAMPLE)
        for (unsigned m = 1 + n % SAMPLE; m < undo_calls; m += SAMPLE)
            if (!crash_undo(n, m))
                break;
    for (n = 1; fail_apply(n, n % 2 == 0 ? EIO : ENOSPC); n++)
        CHECK(n < CALLS_MAX);
    for (n = 1; fail_undo(calls, n, EIO); n++)
        CHECK(n < CALLS_MAX);
    for (n = 1; n < calls; n += 3 * SAMPLE)
        for (unsigned m = 1 + n % SAMPLE; m < undo_calls; m += SAMPLE)
            if (!fail_undo(n, m, ENOSPC))
                break;
    printf("%s: %u system calls, %u to take them back\n", s->name, calls - 1, undo_calls - 1);
}

int main(void)
{
    const char *given = getenv("GRAFTD_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    const char *more = getenv("GRAFTD_MIXTURES");
    unsigned mixtures = more != NULL ? (unsigned)atoi(more) : MIXTURES;
    struct chance chance = { seed };

    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("seed %llu\n", (unsigned long long)seed);
    for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++)
        scene_run(&scenes[i]);
    for (unsigned i = 0; i < mixtures; i++) {
        struct scene mixture = { "a mixture", tree_linked, change_mixture, chance_next(&chance) };
        scene_run(&mixture);
    }
    printf("%u crashes, %u failures, %u cuts of power: nothing was left over, nothing was lost\n", crashes, failures,
           losses);
    return 0;
}
