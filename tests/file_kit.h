/*
 * What the tests of files in transactions share, beside txn_kit.h: operations that poll until they are done, and what
 * the disk holds.
 */
#ifndef GRAFTD_TESTS_FILE_KIT_H
#define GRAFTD_TESTS_FILE_KIT_H

#include "tests/sim/file_mem.h"
#include "tests/txn_kit.h"
#include "txn/file.h"

static inline enum err try_write(struct actor *a, const char *path, const char *text)
{
    return txn_file_write(a->t, bytes_str(path), bytes_str(text), NULL);
}

static inline enum err do_write(struct actor *a, const char *path, const char *text)
{
    enum err err;

    UNTIL_DONE(a, err, err = try_write(a, path, text));
    return err;
}

static inline enum err do_append(struct actor *a, const char *path, const char *text)
{
    enum err err;

    UNTIL_DONE(a, err, err = txn_file_append(a->t, bytes_str(path), bytes_str(text), NULL));
    return err;
}

static inline enum err do_remove(struct actor *a, const char *path)
{
    enum err err;

    UNTIL_DONE(a, err, err = txn_file_remove(a->t, bytes_str(path), NULL));
    return err;
}

static inline enum err do_rename(struct actor *a, const char *from, const char *to)
{
    enum err err;

    UNTIL_DONE(a, err, err = txn_file_rename(a->t, bytes_str(from), bytes_str(to), NULL));
    return err;
}

static inline enum err do_stat(struct actor *a, const char *path, struct txn_file *f)
{
    enum err err;

    UNTIL_DONE(a, err, err = txn_file_stat(a->t, bytes_str(path), LOCK_SHARED, f, NULL));
    return err;
}

/* The content as text, borrowed until the next one; or how it failed. */
static inline const char *do_read_part(struct actor *a, const char *path, uint64_t offset, size_t len)
{
    static char text[4096];
    struct bytes data = { 0 };
    uint64_t size = 0;
    enum err err;

    UNTIL_DONE(a, err, err = txn_file_read(a->t, bytes_str(path), offset, len, &data, &size, NULL));
    if (err != OK)
        return err_name(err);
    snprintf(text, sizeof text, "%.*s", (int)data.len, (const char *)data.data);
    return text;
}

static inline const char *do_read(struct actor *a, const char *path) { return do_read_part(a, path, 0, 4000); }

/* "a b/ c +", the plus: there may be more. */
static inline const char *do_list_from(struct actor *a, const char *directory, const char *from, size_t count)
{
    static char text[4096];
    struct txn_page page = { 0 };
    size_t n = 0;
    enum err err;

    UNTIL_DONE(a, err, err = txn_file_list(a->t, bytes_str(directory), bytes_str(from), count, &page, NULL));
    if (err != OK)
        return err_name(err);
    text[0] = '\0';
    for (size_t i = 0; i < page.count; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s", i == 0 ? "" : " ", (int)page.items[i].key.len,
                              (const char *)page.items[i].key.data);
    if (page.more)
        snprintf(text + n, sizeof text - n, " +");
    return text;
}

static inline const char *do_list(struct actor *a, const char *directory)
{
    return do_list_from(a, directory, "", 100);
}

/* What stands on the disk. */
static inline const char *world_file(const struct world *w, const char *path)
{
    static char text[4096];
    struct image i = disk_file(w->disk, bytes_str(path));

    if (!i.present)
        return "ABSENT";
    snprintf(text, sizeof text, "%.*s", (int)i.value.len, (const char *)i.value.data);
    return text;
}

/* Somebody else than graftd. */
static inline void world_put_file(struct world *w, const char *path, const char *text)
{
    file_mem_put(disk_files(w->disk), bytes_str(path), bytes_str(text));
}

static inline void world_remove_file(struct world *w, const char *path)
{
    file_mem_remove(disk_files(w->disk), bytes_str(path));
}

/* One transaction that writes one file, to its end. */
static inline enum err world_write(struct world *w, const char *path, const char *text)
{
    struct actor a;

    CHECK(actor_begin(&a, w) == OK);
    CHECK(do_write(&a, path, text) == OK);
    return actor_commit_end(&a);
}

/* Nothing is on its way, nothing is staged. */
static inline void world_check_clean(struct world *w)
{
    world_settle(w);
    CHECK(file_mem_stage_count(disk_files(w->disk)) == 0);
}

#endif
