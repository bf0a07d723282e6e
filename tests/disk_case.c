#include "tests/disk_case.h"

struct disk_kit kit;
struct failure why;

int setup(void **state)
{
    (void)state;
    disk_kit_init(&kit);
    memset(&why, 0, sizeof why);
    disk_kit_put(&kit, "a", "first file", 0640);
    disk_kit_put(&kit, "b", "second", 0600);
    disk_kit_dir(&kit, "d");
    disk_kit_put(&kit, "d/x", "in a directory", 0644);
    disk_kit_put(&kit, "r/z", "in the other root", 0644);
    return 0;
}

int teardown(void **state)
{
    (void)state;
    disk_kit_fini(&kit);
    return 0;
}

enum err look(const char *path, struct file_image *i)
{
    memset(&why, 0, sizeof why);
    return files_stat(kit.disk, bytes_str(path), i, &why);
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

enum err list_slice(const char *directory, const char *from, size_t max, bool *more)
{
    enum err err;

    listed[0] = '\0';
    err = files_list(kit.disk, bytes_str(directory), bytes_str(from), max, visit, NULL, more, &why);
    assert_true(err != ERR_WAIT || listed[0] == '\0');
    return err;
}

const char *list(const char *directory, const char *from, size_t max, bool *more)
{
    enum err err;

    memset(&why, 0, sizeof why);
    do
        err = list_slice(directory, from, max, more);
    while (err == ERR_WAIT);
    return err == OK ? listed : NULL;
}

enum err read_all(const char *path, const struct file_image *i, uint64_t offset, size_t len, char out[512])
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

enum err stage_error(const char *path)
{
    uint64_t inode;

    memset(&why, 0, sizeof why);
    return files_stage(kit.disk, 7, bytes_str(path), 1, 0, bytes_str("x"), &inode, &why);
}

enum err apply(void)
{
    memset(&why, 0, sizeof why);
    disk_kit_end(&kit);
    return disk_kit_apply(&kit, &why);
}

enum err undo(void)
{
    memset(&why, 0, sizeof why);
    return disk_kit_undo(&kit, &why);
}

void assert_applied(void)
{
    if (apply() != OK)
        print_error("%s\n", why.text);
    assert_int_equal(why.err, OK);
    assert_true(disk_kit_is_after(&kit));
}

void assert_text(const char *path, const char *text)
{
    char found[DISK_KIT_TEXT] = "";
    int fd = open(disk_kit_real(&kit, path), O_RDONLY);

    assert_true(fd >= 0 && read(fd, found, sizeof found - 1) >= 0);
    close(fd);
    assert_string_equal(found, text);
}

void assert_says(const char *word)
{
    if (strstr(why.text, word) == NULL)
        print_error("\"%s\" is not in \"%s\"\n", word, why.text);
    assert_non_null(strstr(why.text, word));
}

bool exists(const char *path)
{
    struct stat s;

    return lstat(disk_kit_real(&kit, path), &s) == 0;
}

ino_t inode_of(const char *path)
{
    struct stat s;

    assert_int_equal(lstat(disk_kit_real(&kit, path), &s), 0);
    return s.st_ino;
}

void link_to(const char *target, const char *path) { assert_int_equal(symlink(target, disk_kit_real(&kit, path)), 0); }
