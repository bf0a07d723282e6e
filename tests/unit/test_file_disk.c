/*
 * Files on disk: what is looked at and read, what is refused, what a change leaves and what its undo brings back (T5).
 * That all holds at every system call is for tests/fault/fault_file.c. Links --wrap=renameat, fsync, renameat2: the first
 * says when was is written, so that others can meddle at the worst moment; all three tell the order of syncs.
 */
#include "tests/disk_kit.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

static struct disk_kit kit;
static struct failure why;

/* ---- what is called on the way ---- */

enum { EVENTS_MAX = 64, EVENT_MAX = 128 };
static char events[EVENTS_MAX][EVENT_MAX];
static size_t event_count;
static void (*meddle)(void); /* called once, when the notes for an undo are written and nothing is touched yet */

static void (*meddle_late)(void); /* called once, when something is about to go: it was looked at */

int __real_renameat(int from, const char *name, int to, const char *new_name);
int __real_renameat2(int from, const char *name, int to, const char *new_name, unsigned flags);
int __real_fsync(int fd);
int __wrap_renameat(int from, const char *name, int to, const char *new_name);
int __wrap_renameat2(int from, const char *name, int to, const char *new_name, unsigned flags);
int __wrap_fsync(int fd);

/* "sync files/.graftd/7" */
static void event(const char *what, int fd, const char *name)
{
    char link[64], path[256] = "";
    const char *rest = path + strlen(kit.top);

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof path - 1) > 0 && event_count < EVENTS_MAX)
        snprintf(events[event_count++], EVENT_MAX, "%s %.80s%s%.30s", what, rest + 1, *name == '\0' ? "" : "/", name);
}

int __wrap_renameat(int from, const char *name, int to, const char *new_name)
{
    int done = __real_renameat(from, name, to, new_name);
    void (*now)(void) = meddle;

    event("rename", to, new_name);
    if (strcmp(new_name, "was") == 0 && now != NULL) {
        meddle = NULL;
        now();
    }
    return done;
}

int __wrap_renameat2(int from, const char *name, int to, const char *new_name, unsigned flags)
{
    void (*now)(void) = meddle_late;

    event("rename", to, new_name);
    if (strncmp(new_name, "old.", 4) == 0 && now != NULL) {
        meddle_late = NULL;
        now();
    }
    return __real_renameat2(from, name, to, new_name, flags);
}

int __wrap_fsync(int fd)
{
    event("sync", fd, "");
    return __real_fsync(fd);
}

/* ---- short ways ---- */

static int setup(void **state)
{
    (void)state;
    disk_kit_init(&kit);
    memset(&why, 0, sizeof why);
    meddle = meddle_late = NULL;
    event_count = 0;
    disk_kit_put(&kit, "a", "first file", 0640);
    disk_kit_put(&kit, "b", "second", 0600);
    disk_kit_dir(&kit, "d");
    disk_kit_put(&kit, "d/x", "in a directory", 0644);
    disk_kit_put(&kit, "r/z", "in the other root", 0644);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    disk_kit_fini(&kit);
    return 0;
}

static enum err look(const char *path, struct file_image *i)
{
    memset(&why, 0, sizeof why);
    return files_stat(kit.disk, bytes_str(path), i, &why);
}

static enum err apply(void)
{
    memset(&why, 0, sizeof why);
    disk_kit_end(&kit);
    return disk_kit_apply(&kit, &why);
}

static enum err undo(void)
{
    memset(&why, 0, sizeof why);
    return disk_kit_undo(&kit, &why);
}

static void assert_applied(void)
{
    if (apply() != OK)
        print_error("%s\n", why.text);
    assert_int_equal(why.err, OK);
    assert_true(disk_kit_is_after(&kit));
}

static void assert_text(const char *path, const char *text)
{
    char found[DISK_KIT_TEXT] = "";
    int fd = open(disk_kit_real(&kit, path), O_RDONLY);

    assert_true(fd >= 0 && read(fd, found, sizeof found - 1) >= 0);
    close(fd);
    assert_string_equal(found, text);
}

static void assert_says(const char *word)
{
    if (strstr(why.text, word) == NULL)
        print_error("\"%s\" is not in \"%s\"\n", word, why.text);
    assert_non_null(strstr(why.text, word));
}

static bool exists(const char *path)
{
    struct stat s;

    return lstat(disk_kit_real(&kit, path), &s) == 0;
}

static ino_t inode_of(const char *path)
{
    struct stat s;

    assert_int_equal(lstat(disk_kit_real(&kit, path), &s), 0);
    return s.st_ino;
}

static char listed[4096];

static enum err visit(struct bytes path, const struct file_image *i, void *user)
{
    size_t len = strlen(listed);

    (void)user;
    assert_int_equal(i->kind, ((const char *)path.data)[path.len - 1] == '/' ? FILE_DIRECTORY : FILE_STANDING);
    snprintf(listed + len, sizeof listed - len, "%.*s ", (int)path.len, (const char *)path.data);
    return OK;
}

static const char *list(const char *directory, const char *from, size_t max, bool *more)
{
    listed[0] = '\0';
    memset(&why, 0, sizeof why);
    return files_list(kit.disk, bytes_str(directory), bytes_str(from), max, visit, NULL, more, &why) == OK ? listed
                                                                                                           : NULL;
}

static enum err read_all(const char *path, const struct file_image *i, uint64_t offset, size_t len, char out[512])
{
    struct buf b;
    enum err err;

    buf_init(&b, 511);
    memset(&why, 0, sizeof why);
    err = files_read(kit.disk, kit.txn, bytes_str(path), i, offset, len, &b, &why);
    snprintf(out, 512, "%.*s", (int)buf_len(&b), buf_len(&b) == 0 ? "" : (const char *)b.data);
    buf_fini(&b);
    return err;
}

static enum err stage_error(const char *path)
{
    uint64_t inode;

    memset(&why, 0, sizeof why);
    return files_stage(kit.disk, 7, bytes_str(path), 1, 0, bytes_str("x"), &inode, &why);
}

/* ---- looking ---- */

static void says_what_stands(void **state)
{
    struct file_image i;

    (void)state;
    assert_int_equal(look("a", &i), OK);
    assert_true(i.kind == FILE_STANDING && i.size == 10 && i.mode == 0640 && i.inode == inode_of("a"));
    assert_true(i.mtime_ns == 1000000001123456789 && bytes_equal(i.origin, bytes_str("a")));
    assert_int_equal(look("d", &i), OK);
    assert_int_equal(i.kind, FILE_DIRECTORY);
    assert_int_equal(look("d/", &i), OK);
    assert_int_equal(look("r/", &i), OK);
    assert_int_equal(look("r", &i), OK);
    assert_int_equal(i.kind, FILE_DIRECTORY);
    assert_int_equal(look("none", &i), ERR_ABSENT);
    assert_int_equal(look("none/below", &i), ERR_ABSENT);
    assert_int_equal(look("a/", &i), ERR_BADARG);
    assert_int_equal(look("a/below", &i), ERR_BADARG);
    assert_int_equal(look("z", &i), ERR_ABSENT); /* it is in the root r */
}

static void lists_in_byte_order(void **state)
{
    bool more;

    (void)state;
    disk_kit_put(&kit, "d.x", "", 0600); /* before "d/" in byte order, as "." is before "/" */
    disk_kit_put(&kit, "\xff\n odd", "", 0600);
    assert_string_equal(list("", "", 100, &more), "a b d.x d/ r/ \xff\n odd ");
    assert_false(more);
    assert_string_equal(list("", "b", 2, &more), "b d.x ");
    assert_true(more);
    assert_string_equal(list("", "d.x\x01", 3, &more), "d/ r/ \xff\n odd ");
    assert_false(more);
    assert_string_equal(list("", "", 0, &more), "");
    assert_true(more);
    assert_string_equal(list("d/", "", 9, &more), "d/x ");
    assert_string_equal(list("r/", "", 9, &more), "r/z ");
    assert_null(list("none/", "", 9, &more));
    assert_int_equal(why.err, ERR_ABSENT);
    assert_null(list("a/", "", 9, &more));
    assert_int_equal(why.err, ERR_BADARG);
    assert_null(list("d", "", 9, &more));
    assert_null(list("../", "", 9, &more));
}

static void a_directory_too_large_is_not_listed(void **state)
{
    char path[128];
    bool more;

    (void)state;
    disk_kit_dir(&kit, "many");
    for (int i = 0; i <= FILE_LIST_MAX; i++) {
        snprintf(path, sizeof path, "%s/files/many/%d", kit.top, i);
        assert_int_equal(mknod(path, S_IFREG | 0600, 0), 0);
    }
    assert_null(list("many/", "", 1, &more));
    assert_int_equal(why.err, ERR_LIMIT);
    assert_int_equal(unlink(path), 0);
    assert_string_equal(list("many/", "", 1, &more), "many/0 ");
    assert_true(more);
}

static void reads_what_an_image_says(void **state)
{
    struct file_image i;
    char out[512];

    (void)state;
    assert_int_equal(look("a", &i), OK);
    assert_int_equal(read_all("a", &i, 0, 100, out), OK);
    assert_string_equal(out, "first file");
    assert_int_equal(read_all("a", &i, 6, 2, out), OK);
    assert_string_equal(out, "fi");
    assert_int_equal(read_all("a", &i, 10, 5, out), OK);
    assert_string_equal(out, "");
    assert_int_equal(read_all("a", &i, UINT64_MAX, 5, out), OK);
    i.stage = 3;
    i.stage_len = 5;
    disk_kit_stage(&kit, "a", 3, 0, " more, of which five");
    assert_int_equal(read_all("a", &i, 8, 100, out), OK);
    assert_string_equal(out, "le more");
    assert_int_equal(read_all("a", &i, 12, 2, out), OK);
    assert_string_equal(out, "or");
    i.cut = true;
    i.size = 5;
    assert_int_equal(read_all("a", &i, 0, 100, out), OK);
    assert_string_equal(out, "first more");
    disk_kit_put(&kit, "a", "tiny", 0640);
    assert_int_equal(read_all("a", &i, 0, 100, out), ERR_CONFLICT);
}

static void a_file_that_changed_is_not_read(void **state)
{
    struct file_image i;
    char out[512];

    (void)state;
    assert_int_equal(look("a", &i), OK);
    disk_kit_put(&kit, "a", "other file", 0640);
    disk_kit_age(disk_kit_real(&kit, "a"), 5);
    assert_int_equal(read_all("a", &i, 0, 100, out), ERR_CONFLICT);
    assert_int_equal(unlink(disk_kit_real(&kit, "a")), 0);
    assert_int_equal(read_all("a", &i, 0, 100, out), ERR_CONFLICT);
    assert_int_equal(look("b", &i), OK);
    assert_int_equal(unlink(disk_kit_real(&kit, "b")), 0);
    assert_int_equal(mkfifo(disk_kit_real(&kit, "b"), 0600), 0);
    assert_int_equal(read_all("b", &i, 0, 100, out), ERR_CONFLICT); /* and does not wait for a writer */
}

/* ---- hostile trees ---- */

static void link_to(const char *target, const char *path)
{
    assert_int_equal(symlink(target, disk_kit_real(&kit, path)), 0);
}

static void symbolic_links_are_refused(void **state)
{
    static const char *const paths[] = { "in",         "out",   "dangling",        "proc",
                                         "self",       "dir/x", "d/up/b",          "d/up/d/x",
                                         "etc/passwd", "fd/0",  "root/etc/passwd", "loop",
                                         "loop/x" };
    struct file_image i;
    bool more;

    (void)state;
    link_to("a", "in");
    link_to("/etc/passwd", "out");
    link_to("nowhere", "dangling");
    link_to("/proc/self/exe", "proc");
    link_to(".", "self");
    link_to("d", "dir");
    link_to("..", "d/up");
    link_to("/etc", "etc");
    link_to("/proc/self/fd", "fd");
    link_to("/proc/self/root", "root");
    link_to("loop", "loop");
    for (size_t p = 0; p < sizeof paths / sizeof paths[0]; p++) {
        assert_int_equal(look(paths[p], &i), ERR_BADARG);
        assert_says("symbolic link");
        disk_kit_begin(&kit, 7);
        disk_kit_stage(&kit, paths[p], 1, 0, "evil");
        disk_kit_write(&kit, paths[p], "evil");
        assert_int_equal(apply(), ERR_CONFLICT);
    }
    assert_string_equal(list("", "", 100, &more), "a b d/ r/ ");
    assert_null(list("dir/", "", 100, &more));
    assert_text("a", "first file");
    assert_text("d/x", "in a directory");
    assert_false(exists("nowhere"));
}

static void only_files_and_directories_are_touched(void **state)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    int sock = socket(AF_UNIX, SOCK_STREAM, 0);
    struct file_image i;
    bool more;

    (void)state;
    snprintf(name.sun_path, sizeof name.sun_path, "%s", disk_kit_real(&kit, "socket"));
    assert_int_equal(bind(sock, (struct sockaddr *)&name, sizeof name), 0);
    close(sock);
    assert_int_equal(mkfifo(disk_kit_real(&kit, "fifo"), 0666), 0);
    assert_int_equal(look("socket", &i), ERR_BADARG);
    assert_says("socket");
    assert_int_equal(look("fifo", &i), ERR_BADARG);
    assert_says("FIFO");
    if (mknod(disk_kit_real(&kit, "null"), S_IFCHR | 0666, 1 << 8 | 3) == 0) {
        assert_int_equal(look("null", &i), ERR_BADARG);
        assert_says("device");
    }
    assert_string_equal(list("", "", 100, &more), "a b d/ r/ ");
    disk_kit_write(&kit, "fifo", "x");
    assert_int_equal(apply(), ERR_CONFLICT);
}

static void paths_out_of_the_root_are_refused(void **state)
{
    static const char *const paths[] = { "../r/z", "d/../a", "/etc/passwd",   "",
                                         "d//x",   "./a",    ".graftd/7/was", ".graftd" };
    struct file_image i;

    (void)state;
    for (size_t p = 0; p < sizeof paths / sizeof paths[0]; p++) {
        assert_int_equal(look(paths[p], &i), ERR_BADARG);
        assert_int_equal(stage_error(paths[p]), ERR_BADARG);
    }
}

/* In a mount namespace of its own; what it finds is its exit status. */
static int mount_child(void)
{
    struct file_image i;
    bool more;

    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", disk_kit_real(&kit, "d"), "tmpfs", 0, NULL) != 0 ||
        mount(disk_kit_real(&kit, "r/z"), disk_kit_real(&kit, "b"), NULL, MS_BIND, NULL) != 0)
        return 77;
    disk_kit_reopen(&kit);
    if (look("d", &i) != ERR_BADARG || look("d/x", &i) != ERR_BADARG || look("b", &i) != ERR_BADARG)
        return 1;
    return strcmp(list("", "", 9, &more), "a r/ ") == 0 ? 0 : 2;
}

static void other_file_systems_are_refused(void **state)
{
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0) {
        _exit(mount_child());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip(); /* who may not mount cannot be shown a mount */
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void another_name_outside_is_never_written_to(void **state)
{
    char outside[128], text[64] = "";
    ino_t before = inode_of("a");
    struct stat s;
    int fd;

    (void)state;
    snprintf(outside, sizeof outside, "%s/outside", kit.top);
    assert_int_equal(link(disk_kit_real(&kit, "a"), outside), 0);
    disk_kit_append(&kit, "a", " and more");
    assert_applied();
    assert_true(inode_of("a") != before);
    fd = open(outside, O_RDONLY);
    assert_true(read(fd, text, sizeof text - 1) > 0 && fstat(fd, &s) == 0);
    close(fd);
    assert_string_equal(text, "first file");
    assert_int_equal(undo(), OK);
    assert_true(inode_of("a") == before);
    assert_text("a", "first file");
}

static void a_root_that_vanished_is_told(void **state)
{
    struct file_image i;
    char r[128];
    bool more;

    (void)state;
    snprintf(r, sizeof r, "%s/r", kit.top);
    nftw(r, disk_kit_rm, 16, FTW_DEPTH | FTW_PHYS);
    assert_int_equal(look("r/z", &i), ERR_ABSENT);
    assert_int_equal(stage_error("r/z"), ERR_STORAGE);
    list("r/", "", 9, &more);
    disk_kit_write(&kit, "b", "still good");
    assert_applied();
    assert_int_equal(undo(), OK);
    assert_text("b", "second");
}

/* ---- changes ---- */

static void what_a_change_leaves_and_keeps(void **state)
{
    ino_t a = inode_of("a"), b = inode_of("b"), x = inode_of("d/x");
    struct stat s;

    (void)state;
    disk_kit_write(&kit, "a", "new content"); /* replaced: mode stays */
    disk_kit_append(&kit, "b", " and more");  /* in place: inode stays */
    disk_kit_rename(&kit, "d/x", "n/moved");  /* inode, mode, time stay */
    disk_kit_write(&kit, "n/new", "");
    assert_applied();
    assert_true(inode_of("a") != a && inode_of("b") == b && inode_of("n/moved") == x);
    assert_int_equal(lstat(disk_kit_real(&kit, "n/moved"), &s), 0);
    assert_true(s.st_mtim.tv_sec == 1000000003 && (s.st_mode & 07777) == 0644);
    assert_int_equal(lstat(disk_kit_real(&kit, "n"), &s), 0);
    assert_int_equal(s.st_mode & 07777, 0755);
    files_end(kit.disk, 7);
    assert_true(exists(".graftd/7/old.0"));
    assert_false(exists(".graftd/7/was"));
    assert_false(exists(".graftd/7/new.2"));
}

static void what_nothing_is_kept_of_leaves_nothing(void **state)
{
    (void)state;
    disk_kit_write(&kit, "new", "content");
    disk_kit_append(&kit, "b", " and more");
    assert_applied();
    files_end(kit.disk, 7);
    assert_false(exists(".graftd/7"));
    files_end(kit.disk, 7);
    files_end(kit.disk, 8);
    files_forget(kit.disk, 8);
}

static void kept_files_come_back_as_they_were(void **state)
{
    ino_t a = inode_of("a");
    struct file_image of;
    struct stat s;
    char out[512];

    (void)state;
    disk_kit_write(&kit, "a", "new content");
    assert_applied();
    files_end(kit.disk, 7);
    of = kit.paths[0].before;
    disk_kit_begin(&kit, 8);
    disk_kit_keep(&kit, "a", "a", 7, 0, &of, "first file");
    disk_kit_end(&kit);
    assert_int_equal(read_all("a", &kit.paths[0].after, 0, 99, out), OK);
    assert_string_equal(out, "first file");
    assert_applied();
    files_end(kit.disk, 8);
    assert_true(inode_of("a") == a);
    assert_int_equal(lstat(disk_kit_real(&kit, "a"), &s), 0);
    assert_true((s.st_mode & 07777) == 0640 && s.st_mtim.tv_sec == 1000000001);
    /* It has two links now, so an append leaves the kept one alone. */
    disk_kit_begin(&kit, 9);
    disk_kit_append(&kit, "a", "!");
    assert_applied();
    assert_true(inode_of("a") != a);
    assert_text(".graftd/7/old.0", "first file");
    files_forget(kit.disk, 7);
    assert_false(exists(".graftd/7"));
    assert_int_equal(undo(), OK);
    assert_text("a", "first file");
}

static void a_kept_file_that_somebody_changed_is_a_conflict(void **state)
{
    struct file_image of;

    (void)state;
    disk_kit_write(&kit, "a", "new content");
    assert_applied();
    of = kit.paths[0].before;
    disk_kit_put(&kit, ".graftd/7/old.0", "meddled", 0640);
    disk_kit_begin(&kit, 8);
    disk_kit_keep(&kit, "a", "a", 7, 0, &of, "first file");
    assert_int_equal(apply(), ERR_CONFLICT);
    assert_text("a", "new content");
}

/* As an undo of two transactions does it, newest first: what the first puts there, the second finds. */
static void parts_follow_each_other(void **state)
{
    struct file_image written_over, appended_to;

    (void)state;
    disk_kit_write(&kit, "a", "new content");
    assert_applied();
    written_over = kit.paths[0].before;
    files_end(kit.disk, 7);
    disk_kit_begin(&kit, 8);
    disk_kit_append(&kit, "a", " appended");
    assert_applied();
    appended_to = kit.paths[0].before;
    files_end(kit.disk, 8);

    disk_kit_begin(&kit, 9);
    disk_kit_cut(&kit, "a", appended_to.size);
    assert_applied();
    appended_to = kit.paths[0].after; /* the second part speaks of it so */
    disk_kit_begin(&kit, 10);
    disk_kit_keep(&kit, "a", "a", 7, 0, &written_over, "first file");
    kit.paths[0].before = appended_to;
    assert_applied();
    assert_int_equal(undo(), OK);
    assert_text("a", "new content");
    kit.txn = 9;
    assert_int_equal(undo(), OK);
    assert_text("a", "new content appended");
}

static void owner_and_mode_stay(void **state)
{
    struct stat s;

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(disk_kit_real(&kit, "a"), 1234, 2345), 0);
    assert_int_equal(chown(disk_kit_real(&kit, "b"), 1234, 2345), 0);
    assert_int_equal(chmod(disk_kit_real(&kit, "b"), 06755), 0);
    disk_kit_write(&kit, "a", "new content");
    disk_kit_append(&kit, "b", " and more");
    disk_kit_at(&kit, "b")->after.mode = 0755; /* what ran as its owner for all does so no more */
    disk_kit_end(&kit);
    kit.paths[1].after.mode = 06755;
    assert_int_equal(disk_kit_apply(&kit, &why), OK);
    assert_int_equal(lstat(disk_kit_real(&kit, "a"), &s), 0);
    assert_true(s.st_uid == 1234 && s.st_gid == 2345 && (s.st_mode & 07777) == 0640);
    assert_int_equal(lstat(disk_kit_real(&kit, "b"), &s), 0);
    assert_true(s.st_uid == 1234 && s.st_gid == 2345 && (s.st_mode & 07777) == 0755);
    assert_int_equal(undo(), OK);
    assert_int_equal(lstat(disk_kit_real(&kit, "b"), &s), 0);
    assert_true(s.st_uid == 1234 && (s.st_mode & 07777) == 06755);
}

static void assert_refused(const char *path, void (*change)(struct disk_kit *, const char *, const char *),
                           const char *word)
{
    char *before = disk_kit_tree(&kit), *after;

    disk_kit_begin(&kit, 7);
    change(&kit, path, "not ours to write");
    assert_int_equal(apply(), ERR_STORAGE);
    assert_says(word);
    after = disk_kit_tree(&kit);
    assert_string_equal(before, after);
    free(before);
    free(after);
}

/* graftd as a plain user in a tree that root has a part in: refused with a reason, and never half done. */
static void what_the_user_may_not_is_refused_whole(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    disk_kit_fini(&kit);
    assert_int_equal(seteuid(65534), 0);
    disk_kit_init(&kit);
    assert_int_equal(seteuid(0), 0);
    disk_kit_put(&kit, "roots", "of root, for all to write", 0666);
    assert_int_equal(seteuid(65534), 0);
    disk_kit_dir(&kit, "shut");
    assert_int_equal(chmod(disk_kit_real(&kit, "shut"), 0500), 0);
    assert_refused("roots", disk_kit_write, "belongs to user 0");
    assert_refused("roots", disk_kit_append, "belongs to user 0");
    assert_refused("shut/new", disk_kit_write, "has not the right");
    assert_int_equal(seteuid(0), 0);
}

static void an_unreadable_directory_is_refused_before_it_is_touched(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    disk_kit_fini(&kit);
    assert_int_equal(seteuid(65534), 0);
    disk_kit_init(&kit);
    disk_kit_dir(&kit, "blind");
    assert_int_equal(chmod(disk_kit_real(&kit, "blind"), 0300), 0);
    disk_kit_write(&kit, "blind/new", "x");
    assert_int_equal(apply(), ERR_STORAGE);
    assert_says("has not the right");
    assert_false(exists("blind/new") || exists(".graftd/7"));
    assert_int_equal(seteuid(0), 0);
}

static void a_directory_passes_its_group_on(void **state)
{
    struct stat s;

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(disk_kit_real(&kit, "d"), 0, 2345), 0);
    assert_int_equal(chmod(disk_kit_real(&kit, "d"), 02775), 0);
    disk_kit_write(&kit, "d/n/new", "new content");
    assert_applied();
    assert_int_equal(lstat(disk_kit_real(&kit, "d/n"), &s), 0);
    assert_true(s.st_gid == 2345 && (s.st_mode & 07777) == 02755);
    assert_int_equal(lstat(disk_kit_real(&kit, "d/n/new"), &s), 0);
    assert_true(s.st_gid == 2345 && (s.st_mode & 07777) == 0644);
}

/* Of a time before 1970, too. */
static void an_undo_puts_times_back(void **state)
{
    struct timespec t[2] = { { .tv_sec = -3, .tv_nsec = 999999999 }, { .tv_sec = -7, .tv_nsec = 1 } };
    char *before;
    char *after;

    (void)state;
    assert_int_equal(utimensat(AT_FDCWD, disk_kit_real(&kit, "a"), t, 0), 0);
    assert_int_equal(utimensat(AT_FDCWD, disk_kit_real(&kit, "d"), t, 0), 0);
    before = disk_kit_tree(&kit);
    disk_kit_append(&kit, "a", " more");
    disk_kit_write(&kit, "d/new", "new content");
    assert_applied();
    assert_int_equal(undo(), OK);
    after = disk_kit_tree(&kit);
    assert_string_equal(after, before);
    free(before);
    free(after);
}

static void stage_files_are_continued_and_cut(void **state)
{
    struct file_image i = { .kind = FILE_NEW, .stage = 4 };
    uint64_t inode = disk_kit_stage(&kit, "q", 4, 0, "one two three"), other = 0;
    char out[512];

    (void)state;
    assert_true(disk_kit_stage(&kit, "q", 4, 4, "2") == inode);
    i.stage_len = 5;
    i.inode = inode;
    assert_int_equal(read_all("q", &i, 0, 99, out), OK);
    assert_string_equal(out, "one 2");
    i.stage_len = 6;
    assert_int_equal(read_all("q", &i, 0, 99, out), ERR_STORAGE);
    assert_int_equal(files_stage(kit.disk, 7, bytes_str("q"), 4, 99, bytes_str("x"), &other, &why), ERR_STORAGE);
    files_end(kit.disk, 7); /* it is dropped */
    assert_false(exists(".graftd/7"));
}

static bool knows_7(uint64_t txn, void *user)
{
    (*(unsigned *)user)++;
    return txn == 7;
}

static void a_sweep_drops_the_rest(void **state)
{
    unsigned asked = 0;

    (void)state;
    disk_kit_write(&kit, "a", "new content");
    disk_kit_write(&kit, "r/z", "new content");
    assert_applied();
    disk_kit_begin(&kit, 8);
    disk_kit_write(&kit, "b", "new content");
    assert_applied();
    disk_kit_begin(&kit, 9);
    disk_kit_stage(&kit, "d/x", 1, 0, "left by a crash");
    disk_kit_put(&kit, ".graftd/stray", "not ours to judge", 0600);
    files_sweep(kit.disk, knows_7, &asked);
    assert_int_equal(asked, 4); /* 7 in both roots, 8 and 9 in one */
    assert_true(exists(".graftd/7/old.0") && exists("r/.graftd/7/old.1") && exists(".graftd/stray"));
    assert_false(exists(".graftd/7/was") || exists(".graftd/8") || exists(".graftd/9"));
    assert_text("b", "new content");
}

/* ---- others at work ---- */

static void meddle_with_a(void)
{
    assert_int_equal(unlink(disk_kit_real(&kit, "a")), 0);
    disk_kit_put(&kit, "a", "by somebody else", 0666);
}

static void meddle_with_new(void) { disk_kit_put(&kit, "new", "by somebody else", 0666); }
static void meddle_with_directory(void)
{
    nftw(disk_kit_real(&kit, "d"), disk_kit_rm, 16, FTW_DEPTH | FTW_PHYS);
    disk_kit_put(&kit, "d", "a file now", 0666);
}

static void meddle_with_link(void)
{
    nftw(disk_kit_real(&kit, "d"), disk_kit_rm, 16, FTW_DEPTH | FTW_PHYS);
    disk_kit_put(&kit, "elsewhere/new", "by somebody else", 0666);
    assert_int_equal(symlink("elsewhere", disk_kit_real(&kit, "d")), 0);
}

static void assert_conflict(void (*change)(void), void (*by)(void), const char *path, const char *text)
{
    disk_kit_begin(&kit, 7);
    change();
    disk_kit_write(&kit, "A", "goes first");
    disk_kit_append(&kit, "b", "grows");
    meddle = by;
    assert_int_equal(apply(), ERR_CONFLICT);
    assert_text(path, text);
    assert_false(exists("A"));
    assert_text("b", "second");
    assert_false(exists(".graftd/7"));
    assert_int_equal(undo(), OK);
    assert_text(path, text);
}

static void change_write(void) { disk_kit_write(&kit, "a", "ours"); }
static void change_append(void) { disk_kit_append(&kit, "a", "ours"); }
static void change_remove(void) { disk_kit_remove(&kit, "a"); }
static void change_new(void) { disk_kit_write(&kit, "new", "ours"); }
static void change_below(void) { disk_kit_write(&kit, "d/new", "ours"); }

static void what_changes_in_the_last_moment_is_a_conflict(void **state)
{
    (void)state;
    assert_conflict(change_write, meddle_with_a, "a", "by somebody else");
    assert_conflict(change_append, meddle_with_a, "a", "by somebody else");
    assert_conflict(change_remove, meddle_with_a, "a", "by somebody else");
    assert_conflict(change_new, meddle_with_new, "new", "by somebody else");
    assert_conflict(change_below, meddle_with_directory, "d", "a file now");
}

/* A link in the place of a directory is no directory that could not be opened: what was there has gone. */
static void a_directory_that_becomes_a_link_is_a_conflict(void **state)
{
    (void)state;
    disk_kit_dir(&kit, "elsewhere");
    assert_conflict(change_below, meddle_with_link, "elsewhere/new", "by somebody else");
}

static void what_changed_before_is_a_conflict(void **state)
{
    char *before;

    (void)state;
    disk_kit_append(&kit, "a", " ours");
    disk_kit_write(&kit, "new", "ours");
    disk_kit_put(&kit, "a", "changed in place", 0640);
    before = disk_kit_tree(&kit);
    assert_int_equal(apply(), ERR_CONFLICT);
    assert_says("a is not what it was");
    assert_text("a", "changed in place");
    assert_false(exists("new") || exists(".graftd/7"));
    free(before);
}

/* T10: it says so, touches nothing, and goes on when the way is free. */
static void an_undo_never_touches_what_is_not_ours(void **state)
{
    (void)state;
    disk_kit_write(&kit, "a", "new content");
    disk_kit_write(&kit, "b", "new content");
    disk_kit_write(&kit, "n/new", "new content");
    assert_applied();
    disk_kit_put(&kit, "a", "by somebody else", 0640);
    assert_int_equal(undo(), ERR_UNKNOWN);
    assert_says("a in ");
    assert_says(".graftd/7");
    assert_text("a", "by somebody else");
    assert_text("b", "new content");
    assert_int_equal(rename(disk_kit_real(&kit, "a"), disk_kit_real(&kit, "mine")), 0);
    assert_int_equal(undo(), OK);
    assert_text("a", "first file");
    assert_text("b", "second");
    assert_text("mine", "by somebody else");
    assert_false(exists("n") || exists(".graftd/7"));
}

static void an_undo_cuts_only_what_was_appended(void **state)
{
    (void)state;
    disk_kit_append(&kit, "a", " ours");
    assert_applied();
    disk_kit_put(&kit, "a", "first file ours and theirs", 0640);
    assert_int_equal(undo(), ERR_UNKNOWN);
    assert_text("a", "first file ours and theirs");
    assert_int_equal(truncate(disk_kit_real(&kit, "a"), 12), 0);
    assert_int_equal(undo(), OK);
    assert_text("a", "first file");
}

static void a_directory_that_somebody_uses_stays(void **state)
{
    (void)state;
    disk_kit_write(&kit, "n/m/new", "new content");
    assert_applied();
    disk_kit_put(&kit, "n/theirs", "by somebody else", 0644);
    assert_int_equal(undo(), OK);
    assert_text("n/theirs", "by somebody else");
    assert_false(exists("n/m") || exists(".graftd/7"));
    disk_kit_begin(&kit, 8);
    disk_kit_remove(&kit, "n/");
    assert_int_equal(apply(), ERR_CONFLICT);
    assert_says("not empty");
    assert_text("n/theirs", "by somebody else");
    files_end(kit.disk, 8);
    assert_false(exists(".graftd/8"));
}

/* What no listing tells of. */
static void fill_with_links_and_devices(void)
{
    link_to("/etc/passwd", "n/link");
    assert_int_equal(mkfifo(disk_kit_real(&kit, "n/fifo"), 0600), 0);
    if (mknod(disk_kit_real(&kit, "n/device"), S_IFCHR | 0666, 0) != 0) /* 0:0 is anybody's to make */
        print_message("no device: %s\n", strerror(errno));
}

static void assert_filled(void)
{
    struct stat st;

    assert_int_equal(lstat(disk_kit_real(&kit, "n/link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(lstat(disk_kit_real(&kit, "n/fifo"), &st), 0);
    assert_false(exists(".graftd/8"));
    unlink(disk_kit_real(&kit, "n/link"));
    unlink(disk_kit_real(&kit, "n/fifo"));
    unlink(disk_kit_real(&kit, "n/device"));
}

static void a_directory_with_links_and_devices_is_never_carried_away(void **state)
{
    void (*const when[])(void) = { NULL, fill_with_links_and_devices };

    (void)state;
    disk_kit_write(&kit, "n/new", "new content");
    assert_applied();
    fill_with_links_and_devices();
    assert_int_equal(undo(), OK);
    assert_filled();
    for (size_t i = 0; i < 3; i++) { /* before it begins, when it is planned, when it was looked at */
        disk_kit_begin(&kit, 8);
        disk_kit_remove(&kit, "n/");
        if (i == 0)
            fill_with_links_and_devices();
        meddle = when[i == 1];
        meddle_late = when[i == 2];
        assert_int_equal(apply(), ERR_CONFLICT);
        assert_says("not empty");
        assert_true(meddle == NULL && meddle_late == NULL);
        files_end(kit.disk, 8);
        assert_filled();
    }
}

static void damaged_notes_are_told(void **state)
{
    (void)state;
    disk_kit_write(&kit, "a", "new content");
    assert_applied();
    disk_kit_put(&kit, ".graftd/7/was", "was1 but not really", 0600);
    assert_int_equal(undo(), ERR_UNKNOWN);
    assert_says("was");
    assert_text("a", "new content");
}

static void an_undo_of_what_never_began_drops_its_stage_files(void **state)
{
    (void)state;
    disk_kit_write(&kit, "a", "new content");
    disk_kit_end(&kit);
    assert_true(exists(".graftd/7/new.1"));
    assert_int_equal(undo(), OK);
    assert_false(exists(".graftd/7"));
    assert_text("a", "first file");
}

/* After its end a transaction cannot be undone so; what it keeps stays. */
static void an_undo_of_what_ended_changes_nothing(void **state)
{
    (void)state;
    disk_kit_write(&kit, "a", "new content");
    disk_kit_remove(&kit, "b");
    assert_applied();
    files_end(kit.disk, 7);
    assert_int_equal(undo(), OK);
    assert_text("a", "new content");
    assert_false(exists("b"));
    assert_text(".graftd/7/old.0", "first file");
    assert_text(".graftd/7/old.1", "second");
}

/* ---- order of syncs ---- */

static size_t event_at(const char *what)
{
    for (size_t i = 0; i < event_count; i++)
        if (strcmp(events[i], what) == 0)
            return i;
    for (size_t i = 0; i < event_count; i++)
        print_error("%s\n", events[i]);
    print_error("there is no \"%s\" among these\n", what);
    fail_msg("no such event");
    return 0;
}

static size_t last_event(const char *what)
{
    size_t found = event_at(what);

    for (size_t i = found; i < event_count; i++)
        if (strcmp(events[i], what) == 0)
            found = i;
    return found;
}

/* Content, then notes, then .graftd, and only then the tree; in the end every directory that was touched. */
static void syncs_before_it_leans_on_it(void **state)
{
    size_t was, first;

    (void)state;
    disk_kit_write(&kit, "d/x", "new content");
    disk_kit_write(&kit, "n/new", "new content");
    disk_kit_append(&kit, "a", " more");
    disk_kit_remove(&kit, "b");
    event_count = 0;
    assert_applied();
    was = event_at("rename files/.graftd/7/was");
    assert_true(event_at("sync files/.graftd/7/new.1") < was);
    assert_true(event_at("sync files/.graftd/7/new.2") < was);
    assert_true(event_at("sync files/.graftd/7/was.new") < was);
    first = event_at("rename files/.graftd/7/old.5");
    assert_true(first < event_at("rename files/n") && first < event_at("rename files/d/x"));
    assert_true(event_at("rename files/n") < event_at("rename files/n/new"));
    assert_true(was < event_at("sync files/.graftd/7") && event_at("sync files/.graftd/7") < first);
    assert_true(was < event_at("sync files/.graftd") && event_at("sync files/.graftd") < first);
    first = event_at("rename files/n/new");
    assert_true(event_at("sync files") > event_at("rename files/n") && event_at("sync files") < first);
    assert_true(event_at("sync files/a") > event_at("rename files/d/x"));
    assert_true(last_event("sync files") > first && last_event("sync files/d") > first);
    assert_true(last_event("sync files/n") > first && last_event("sync files/.graftd/7") > first);
}

static void without_sync_there_is_none(void **state)
{
    char standard[128];

    (void)state;
    file_disk_close(&kit.disk);
    snprintf(standard, sizeof standard, "%s/files", kit.top);
    assert_int_equal(file_disk_open(standard, NULL, 0, false, &kit.disk, &why), OK);
    event_count = 0;
    disk_kit_write(&kit, "d/x", "new content");
    disk_kit_append(&kit, "a", " more");
    assert_applied();
    assert_int_equal(undo(), OK);
    for (size_t i = 0; i < event_count; i++)
        assert_true(strncmp(events[i], "sync", 4) != 0);
}

/* ---- opening ---- */

static enum err open_with(const char *first, const char *second)
{
    struct file_root roots[2] = { { "p", first }, { "q", second } };
    struct file_disk *d = NULL;
    char standard[128];
    enum err err;

    snprintf(standard, sizeof standard, "%s/files", kit.top);
    memset(&why, 0, sizeof why);
    err = file_disk_open(standard, roots, second == NULL ? 1 : 2, true, &d, &why);
    assert_true((err == OK) == (d != NULL));
    file_disk_close(&d);
    file_disk_close(&d);
    return err;
}

static void roots_that_cannot_be_are_refused(void **state)
{
    char r[128], other[128], inside[160], file[160];

    (void)state;
    snprintf(r, sizeof r, "%s/r", kit.top);
    snprintf(other, sizeof other, "%s/other", kit.top);
    snprintf(inside, sizeof inside, "%s/deep/deeper", r);
    snprintf(file, sizeof file, "%s/z", r);
    assert_int_equal(open_with(r, NULL), OK);
    assert_int_equal(open_with(other, NULL), ERR_STORAGE);
    assert_int_equal(open_with(file, NULL), ERR_STORAGE);
    assert_int_equal(symlink(r, other), 0);
    assert_int_equal(open_with(r, other), ERR_STORAGE); /* by another name */
    assert_says("two names");
    disk_kit_dir(&kit, "r/deep");
    disk_kit_dir(&kit, "r/deep/deeper");
    assert_int_equal(open_with(r, inside), ERR_STORAGE);
    assert_int_equal(open_with(kit.top, NULL), ERR_STORAGE); /* the standard root lies in it */
    assert_int_equal(open_with(inside, NULL), OK);
}

static void a_graftd_directory_that_is_not_ours_is_refused(void **state)
{
    char r[128];

    (void)state;
    snprintf(r, sizeof r, "%s/r", kit.top);
    assert_int_equal(chmod(disk_kit_real(&kit, "r/.graftd"), 0770), 0);
    assert_int_equal(open_with(r, NULL), ERR_STORAGE);
    assert_says("0700");
    assert_int_equal(rmdir(disk_kit_real(&kit, "r/.graftd")), 0);
    link_to("../files/.graftd", "r/.graftd");
    assert_int_equal(open_with(r, NULL), ERR_STORAGE);
    assert_int_equal(unlink(disk_kit_real(&kit, "r/.graftd")), 0);
    disk_kit_put(&kit, "r/.graftd", "", 0600);
    assert_int_equal(open_with(r, NULL), ERR_STORAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(says_what_stands, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_in_byte_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_directory_too_large_is_not_listed, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_what_an_image_says, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_changed_is_not_read, setup, teardown),
        cmocka_unit_test_setup_teardown(symbolic_links_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(only_files_and_directories_are_touched, setup, teardown),
        cmocka_unit_test_setup_teardown(paths_out_of_the_root_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(other_file_systems_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(another_name_outside_is_never_written_to, setup, teardown),
        cmocka_unit_test_setup_teardown(a_root_that_vanished_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_change_leaves_and_keeps, setup, teardown),
        cmocka_unit_test_setup_teardown(what_nothing_is_kept_of_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(kept_files_come_back_as_they_were, setup, teardown),
        cmocka_unit_test_setup_teardown(a_kept_file_that_somebody_changed_is_a_conflict, setup, teardown),
        cmocka_unit_test_setup_teardown(parts_follow_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(owner_and_mode_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_user_may_not_is_refused_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unreadable_directory_is_refused_before_it_is_touched, setup, teardown),
        cmocka_unit_test_setup_teardown(a_directory_passes_its_group_on, setup, teardown),
        cmocka_unit_test_setup_teardown(an_undo_puts_times_back, setup, teardown),
        cmocka_unit_test_setup_teardown(stage_files_are_continued_and_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sweep_drops_the_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(what_changes_in_the_last_moment_is_a_conflict, setup, teardown),
        cmocka_unit_test_setup_teardown(a_directory_that_becomes_a_link_is_a_conflict, setup, teardown),
        cmocka_unit_test_setup_teardown(what_changed_before_is_a_conflict, setup, teardown),
        cmocka_unit_test_setup_teardown(an_undo_never_touches_what_is_not_ours, setup, teardown),
        cmocka_unit_test_setup_teardown(an_undo_cuts_only_what_was_appended, setup, teardown),
        cmocka_unit_test_setup_teardown(a_directory_that_somebody_uses_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(a_directory_with_links_and_devices_is_never_carried_away, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_notes_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(an_undo_of_what_never_began_drops_its_stage_files, setup, teardown),
        cmocka_unit_test_setup_teardown(an_undo_of_what_ended_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(syncs_before_it_leans_on_it, setup, teardown),
        cmocka_unit_test_setup_teardown(without_sync_there_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(roots_that_cannot_be_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_graftd_directory_that_is_not_ours_is_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
