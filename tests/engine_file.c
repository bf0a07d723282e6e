#include "tests/engine_file.h"

#include <fcntl.h>
#include <sys/stat.h>

struct bytes encoded(const struct file_image *i)
{
    static char out[64][FILE_IMAGE_MAX];
    static int turn;
    struct buf b;
    struct bytes all;

    turn = (turn + 1) % 64;
    buf_init(&b, FILE_IMAGE_MAX);
    assert_true(file_image_add(&b, i));
    memcpy(out[turn], buf_bytes(&b).data, buf_len(&b));
    all = bytes_of(out[turn], buf_len(&b));
    buf_fini(&b);
    return all;
}

struct image standing(struct world *w, const char *path, struct file_image *image)
{
    static char out[64][FILE_IMAGE_MAX];
    static int turn;
    struct bytes key = bytes_str(path);
    struct store_request r = { .kind = STORE_GET, .resource = RESOURCE_FILE, .keys = &key, .key_count = 1 };
    struct image i;

    ask_ok(w, &r);
    i = r.pairs[0].value;
    if (i.present) {
        turn = (turn + 1) % 64;
        memcpy(out[turn], i.value.data, i.value.len);
        i.value.data = out[turn];
        assert_true(file_image_read(i.value, image));
    }
    store_request_fini(&r);
    return i;
}

uint64_t stage(struct world *w, uint64_t txn, const char *path, uint64_t number, uint64_t offset, const char *text)
{
    struct store_request r = { .kind = STORE_FILE_STAGE,
                               .txn = txn,
                               .key = bytes_str(path),
                               .stage = number,
                               .offset = offset,
                               .data = bytes_str(text) };
    uint64_t inode;

    ask_ok(w, &r);
    inode = r.inode;
    store_request_fini(&r);
    return inode;
}

struct store_effect wrote(struct world *w, uint64_t txn, const char *path, uint64_t number, const char *text)
{
    struct store_effect e = { .resource = RESOURCE_FILE, .key = bytes_str(path) };
    struct file_image was, i = { .kind = FILE_NEW, .mode = 0644, .stage = number, .stage_len = strlen(text) };

    e.before = standing(w, path, &was);
    i.inode = stage(w, txn, path, number, 0, text);
    e.after = (struct image){ true, encoded(&i) };
    return e;
}

struct store_effect appended(struct world *w, uint64_t txn, const char *path, uint64_t number, const char *text)
{
    struct store_effect e = { .resource = RESOURCE_FILE, .key = bytes_str(path) };
    struct file_image i;

    e.before = standing(w, path, &i);
    i.stage = number;
    i.stage_len = strlen(text);
    stage(w, txn, path, number, 0, text);
    e.after = (struct image){ true, encoded(&i) };
    return e;
}

struct store_effect removed(struct world *w, const char *path)
{
    struct store_effect e = { .resource = RESOURCE_FILE, .key = bytes_str(path) };
    struct file_image was;

    e.before = standing(w, path, &was);
    return e;
}

struct store_effect made_directory(const char *path)
{
    struct file_image i = { .kind = FILE_DIRECTORY, .mode = 0755 };

    return (struct store_effect){ .resource = RESOURCE_FILE, .key = bytes_str(path), .after = { true, encoded(&i) } };
}

enum err apply(struct world *w, uint64_t txn)
{
    struct store_request r = { .kind = STORE_APPLY, .txn = txn };
    enum err err = ask(w, &r);

    if (err != OK)
        print_message("%s\n", r.why.text);
    return err;
}

void commit_files(struct world *w, uint64_t txn, const struct store_effect *e, size_t count)
{
    store(w, txn, NULL, 0, e, count);
    assert_int_equal(apply(w, txn), OK);
    store(w, txn, "committed", count, NULL, 0);
}

const char *under_files(struct world *w, const char *path)
{
    static char out[512];

    snprintf(out, sizeof out, "%s/files/%s", w->kit.directory, path);
    return out;
}

bool file_holds(struct world *w, const char *path, const char *text)
{
    struct image i = disk_file(w->disk, bytes_str(path));
    char content[4096];
    ssize_t n;
    int fd;

    if (!w->real)
        return i.present == (text != NULL) && (text == NULL || bytes_equal(i.value, bytes_str(text)));
    fd = open(under_files(w, path), O_RDONLY);
    n = fd < 0 ? -1 : read(fd, content, sizeof content);
    if (fd >= 0)
        close(fd);
    return (n < 0) == (text == NULL) && (text == NULL || bytes_equal(bytes_of(content, (size_t)n), bytes_str(text)));
}

bool has_directory(struct world *w, const char *path)
{
    struct stat st;

    if (!w->real)
        return file_mem_has_directory(disk_files(w->disk), bytes_str(path));
    return stat(under_files(w, path), &st) == 0 && S_ISDIR(st.st_mode);
}

void put_outside(struct world *w, const char *path, const char *text)
{
    int fd;

    if (!w->real) {
        file_mem_put(disk_files(w->disk), bytes_str(path), bytes_str(text));
        return;
    }
    unlink(under_files(w, path));
    fd = open(under_files(w, path), O_WRONLY | O_CREAT | O_EXCL, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static size_t hidden_found;

static int hidden_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)path;
    (void)st;
    hidden_found += type == FTW_F && where->level > 0;
    return 0;
}

size_t hidden(struct world *w)
{
    if (!w->real)
        return file_mem_stage_count(disk_files(w->disk)) + file_mem_kept_count(disk_files(w->disk));
    hidden_found = 0;
    nftw(under_files(w, ".graftd"), hidden_one, 16, FTW_PHYS);
    return hidden_found;
}
