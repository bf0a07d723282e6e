/*
 * Files, as a worker asks for them. Paths, sizes and offsets are checked here as if no worker had; whether a path leads
 * anywhere is the transaction manager's to find out. What stands in the way of one (a directory where a file must be, a
 * symbolic link) ends the call.
 */
#include "graftd/hostcall_impl.h"

#include "lib/check.h"
#include "txn/file.h"

#include <inttypes.h>
#include <stdio.h>

#define OFFSET_MAX (UINT64_C(1) << 62)

static bool is_path(struct bytes path)
{
    const char *why;

    return file_path_valid(path, false, &why);
}

static bool is_directory_path(struct bytes path)
{
    const char *why;

    return path.len == 0 || file_path_valid(path, true, &why);
}

/* What the manager says of the world is told with what was asked of it. */
static enum err explain(const char *what, struct bytes path, enum err err, struct failure *why)
{
    char shown[HOSTCALL_SHOWN];

    if (err != ERR_BADARG && err != ERR_STORAGE)
        return err;
    fail(why, err, "%s", err_sentence(err));
    fail_prefix(why, "could not %s \"%s\"", what, bytes_show(path, shown, sizeof shown));
    return err;
}

/* ---- reading ---- */

static uint64_t whole_us(int64_t ns) { return (uint64_t)(ns / 1000); }

/* Before a change it is asked for with the right to make that; without the right to read, no more is told than that
 * something is there. */
static enum err may_look(struct hostcall_context *h, bool exclusive, struct bytes path, bool *all, struct failure *why)
{
    struct place place;

    *all = grant_may(h->grant, GRANT_FILE_READ, path, &place);
    if (*all)
        return OK;
    return hostcall_may(h, exclusive ? GRANT_FILE_WRITE : GRANT_FILE_READ, path, why);
}

enum err hostcall_file_stat(struct hostcall_context *h, struct bytes body, struct failure *why)
{
    struct wire_FILE_STAT m;
    struct wire_FILE_INFO reply = { 0 };
    struct txn_file file;
    struct buf b;
    bool all;
    enum err err;

    if (!wire_read_FILE_STAT(body, &m) || m.exclusive > 1 || !is_path(m.path))
        return hostcall_malformed("FILE_STAT", why);
    if ((err = may_look(h, m.exclusive, m.path, &all, why)) != OK)
        return err;
    err = txn_file_stat(h->txn, m.path, m.exclusive && !h->readonly ? LOCK_EXCLUSIVE : LOCK_SHARED, &file, why);
    if (err != OK && err != ERR_ABSENT)
        return explain("look at file", m.path, err, why);
    reply.present = err == OK;
    if (err == OK && all)
        reply = (struct wire_FILE_INFO){ 1, file.directory, file.size, whole_us(file.mtime_ns) };
    buf_init(&b, WIRE_FRAME_MAX);
    return hostcall_answer(h, &b, wire_add_FILE_INFO(&b, &reply), why);
}

enum err hostcall_file_read(struct hostcall_context *h, struct bytes body, struct failure *why)
{
    struct wire_FILE_READ m;
    struct bytes data = { NULL, 0 };
    uint64_t size;
    enum err err;

    if (!wire_read_FILE_READ(body, &m) || !is_path(m.path) || m.offset > OFFSET_MAX || m.len == 0 ||
        m.len > h->bounds->value_max)
        return hostcall_malformed("FILE_READ", why);
    if ((err = hostcall_may(h, GRANT_FILE_READ, m.path, why)) != OK)
        return err;
    err = txn_file_read(h->txn, m.path, m.offset, m.len, &data, &size, why);
    if (err != OK && err != ERR_ABSENT)
        return explain("read file", m.path, err, why);
    return hostcall_answer_value(h, err == OK, data, why);
}

/* ---- writing ---- */

static enum err may_change(struct hostcall_context *h, uint64_t effects, struct bytes path, struct failure *why)
{
    enum err err = hostcall_may_change(h, effects, why);

    return err == OK ? hostcall_may(h, GRANT_FILE_WRITE, path, why) : err;
}

/* `limit disk`: all that one call writes to files. */
static enum err may_write(struct hostcall_context *h, struct bytes path, size_t len, struct failure *why)
{
    const struct grant_limits *limits = grant_limits(h->grant);
    enum err err = may_change(h, 1, path, why);
    char where[256] = "built in";

    if (err == OK)
        err = hostcall_fits(h, "wrote file content", len, why);
    if (err != OK || h->disk_used + len <= limits->disk)
        return err;
    snprintf(h->facts, sizeof h->facts, "limit=disk allowed=%" PRIu64 " used=%" PRIu64, limits->disk,
             h->disk_used + len);
    if (limits->disk_place.line != 0)
        place_show(limits->disk_place, where, sizeof where);
    return fail(why, ERR_LIMIT, "wrote more than its %" PRIu64 " bytes to files (%s)", limits->disk, where);
}

static enum err wrote(struct hostcall_context *h, size_t len, enum err err)
{
    if (err == OK)
        h->disk_used += len;
    return err;
}

enum err hostcall_file_write(struct hostcall_context *h, struct bytes body, struct failure *why)
{
    struct wire_FILE_WRITE m;
    enum err err;

    if (!wire_read_FILE_WRITE(body, &m) || !is_path(m.path))
        return hostcall_malformed("FILE_WRITE", why);
    if ((err = may_write(h, m.path, m.data.len, why)) != OK)
        return err;
    err = explain("write file", m.path, txn_file_write(h->txn, m.path, m.data, why), why);
    return wrote(h, m.data.len, err);
}

enum err hostcall_file_append(struct hostcall_context *h, struct bytes body, struct failure *why)
{
    struct wire_FILE_APPEND m;
    enum err err;

    if (!wire_read_FILE_APPEND(body, &m) || !is_path(m.path))
        return hostcall_malformed("FILE_APPEND", why);
    if ((err = may_write(h, m.path, m.data.len, why)) != OK)
        return err;
    err = explain("append to file", m.path, txn_file_append(h->txn, m.path, m.data, why), why);
    return wrote(h, m.data.len, err);
}

enum err hostcall_file_remove(struct hostcall_context *h, struct bytes body, struct failure *why)
{
    struct wire_FILE_REMOVE m;
    enum err err;

    if (!wire_read_FILE_REMOVE(body, &m) || !is_path(m.path))
        return hostcall_malformed("FILE_REMOVE", why);
    if ((err = may_change(h, 1, m.path, why)) != OK)
        return err;
    err = txn_file_remove(h->txn, m.path, why);
    return err == ERR_ABSENT ? OK : explain("remove file", m.path, err, why);
}

/* Who may not read a file may not put it where he may. */
static enum err may_rename(struct hostcall_context *h, const struct wire_FILE_RENAME *m, struct failure *why)
{
    enum err err = may_change(h, 2, m->from, why);

    if (err == OK)
        err = hostcall_may(h, GRANT_FILE_READ, m->from, why);
    return err == OK ? hostcall_may(h, GRANT_FILE_WRITE, m->to, why) : err;
}

enum err hostcall_file_rename(struct hostcall_context *h, struct bytes body, struct failure *why)
{
    struct wire_FILE_RENAME m;
    enum err err;

    if (!wire_read_FILE_RENAME(body, &m) || !is_path(m.from) || !is_path(m.to))
        return hostcall_malformed("FILE_RENAME", why);
    if ((err = may_rename(h, &m, why)) != OK || bytes_equal(m.from, m.to))
        return err;
    err = txn_file_rename(h->txn, m.from, m.to, why);
    return err == ERR_ABSENT ? OK : explain("rename file", m.from, err, why);
}

/* ---- listing ---- */

static enum err add_item(struct hostcall_context *h, struct buf *items, const struct store_pair *pair)
{
    enum { INFO = 1 + 8 + 8 }; /* bytes: u8 directory, u64 size, u64 mtime_us */
    struct file_image i;
    enum err err;
    bool ours;

    CHECK(file_image_read(pair->value.value, &i));
    ours = i.kind == FILE_NEW || i.kind == FILE_KEPT || i.stage != 0 || i.cut;
    if ((err = buf_add_bytes(items, pair->key)) != OK || (err = buf_add_u32(items, INFO)) != OK ||
        (err = buf_add_u8(items, i.kind == FILE_DIRECTORY)) != OK ||
        (err = buf_add_u64(items, file_image_size(&i))) != OK)
        return err;
    return buf_add_u64(items, ours ? (uint64_t)h->now_us : whole_us(i.mtime_ns));
}

/* A page is small: TXN_PAGE_MAX paths. */
static enum err add_items(struct hostcall_context *h, struct buf *items, const struct txn_page *page,
                          struct failure *why)
{
    enum err err = buf_add_u32(items, (uint32_t)page->count);

    for (size_t i = 0; i < page->count && err == OK; i++)
        if ((err = hostcall_may(h, GRANT_FILE_READ, page->items[i].key, why)) == OK)
            err = add_item(h, items, &page->items[i]);
    return err;
}

enum err hostcall_file_list(struct hostcall_context *h, struct bytes body, struct failure *why)
{
    struct wire_FILE_LIST m;
    struct wire_PAGE reply = { 0 };
    struct txn_page page;
    struct buf items, b;
    enum err err;

    if (!wire_read_FILE_LIST(body, &m) || !is_directory_path(m.directory) || m.from.len > FILE_PATH_MAX + 1 ||
        m.count_max == 0 || m.count_max > TXN_PAGE_MAX)
        return hostcall_malformed("FILE_LIST", why);
    if ((err = hostcall_may(h, GRANT_FILE_READ, m.directory, why)) != OK)
        return err;
    err = txn_file_list(h->txn, m.directory, m.from, m.count_max, &page, why);
    if (err != OK)
        return explain("list directory", m.directory, err, why);
    buf_init(&items, WIRE_FRAME_MAX);
    buf_init(&b, WIRE_FRAME_MAX + WIRE_HEAD);
    err = add_items(h, &items, &page, why);
    reply.more = page.more;
    reply.items = buf_bytes(&items);
    if (err != ERR_DENIED)
        err = hostcall_answer(h, &b, err == OK ? wire_add_PAGE(&b, &reply) : err, why);
    buf_fini(&items);
    return err;
}
