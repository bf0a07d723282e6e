/*
 * Files. Nothing of them is remembered here: every read asks. A write is always sent, at once, and not answered: if it
 * is refused the daemon ends the call. What can be known beforehand to be refused is answered by a code instead.
 */
#include "worker/channel.h"
#include "worker/host.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OFFSET_MAX (UINT64_C(1) << 62) /* no file is that long */

static struct bytes of(graft_bytes b) { return bytes_of(b.data, b.len); }

/* ---- paths ---- */

static bool name_valid(struct bytes name)
{
    if (name.len == 0 || name.len > HOST_PATH_NAME_MAX || memchr(name.data, '\0', name.len) != NULL)
        return false;
    return !bytes_equal(name, bytes_str(".")) && !bytes_equal(name, bytes_str("..")) &&
           !bytes_start_with(name, bytes_str(".graftd"));
}

/* The rules of graft.h; the daemon has the same and ends whoever breaks them. */
static bool path_valid(struct bytes path)
{
    const char *p = path.data;
    size_t left = path.len;

    if (left == 0 || left > HOST_PATH_MAX)
        return false;
    for (int depth = 1; depth <= HOST_PATH_DEPTH_MAX; depth++) {
        const char *slash = memchr(p, '/', left);
        size_t n = slash == NULL ? left : (size_t)(slash - p);

        if (!name_valid(bytes_of(p, n)))
            return false;
        if (slash == NULL)
            return true;
        p += n + 1;
        left -= n + 1;
    }
    return false;
}

static int check_path(graft_bytes path) { return host_call.running && path_valid(of(path)) ? GRAFT_OK : GRAFT_BAD_ARG; }

static bool ends_in_slash(graft_bytes path) { return path.len > 0 && ((const char *)path.data)[path.len - 1] == '/'; }

/* ---- looking ---- */

static int ask_info(struct bytes path, bool exclusive, struct wire_FILE_INFO *m)
{
    struct bytes body;
    int rc;

    (void)CHANNEL_SEND(FILE_STAT, .exclusive = exclusive, .path = path); /* a path fits */
    rc = host_receive(WIRE_FILE_INFO, &body);
    if (rc == GRAFT_OK && !wire_read_FILE_INFO(body, m))
        _exit(1);
    return rc;
}

int graft_file_stat(graft_call *call, graft_bytes path, graft_file_info *info)
{
    bool directory = ends_in_slash(path);
    struct wire_FILE_INFO m;
    int rc;

    (void)call;
    path.len -= directory;
    rc = check_path(path);
    if (rc == GRAFT_OK)
        rc = ask_info(of(path), false, &m);
    if (rc != GRAFT_OK)
        return rc;
    if (m.present == 0 || (directory && m.directory == 0))
        return GRAFT_NOT_FOUND;
    *info = (graft_file_info){ .directory = m.directory, .size = m.size, .mtime_us = (int64_t)m.mtime_us };
    return GRAFT_OK;
}

/* ---- reading ---- */

/* *body: what came, to be freed or kept; *part lies in it. */
static int ask_part(struct bytes path, uint64_t offset, size_t len, struct bytes *body, struct bytes *part)
{
    struct wire_VALUE m;
    int rc;

    (void)CHANNEL_SEND(FILE_READ, .path = path, .offset = offset, .len = (uint32_t)len);
    rc = host_receive(WIRE_VALUE, body);
    if (rc != GRAFT_OK)
        return rc;
    if (!wire_read_VALUE(*body, &m) || m.value.len > len)
        _exit(1);
    *part = m.value;
    return m.present != 0 ? GRAFT_OK : GRAFT_NOT_FOUND;
}

static size_t at_most(size_t n, size_t max) { return n < max ? n : max; }

/* Fills room from `have` on, until len or the file's end; no part is kept twice. */
static int read_on(struct bytes path, uint64_t offset, uint8_t *room, size_t have, size_t len, size_t *got)
{
    struct bytes body, part = bytes_of(NULL, 1);
    int rc = GRAFT_OK;

    for (*got = have; *got < len && part.len > 0; *got += part.len) {
        rc = ask_part(path, offset + *got, at_most(len - *got, HOST_FILE_PART), &body, &part);
        if (rc != GRAFT_OK)
            return rc;
        if (part.len > 0)
            memcpy(room + *got, part.data, part.len);
        free((void *)(uintptr_t)body.data);
    }
    return GRAFT_OK;
}

/* There is more than the first part: what there is in all decides how much memory it takes. whole: more than len is too
 * large. */
static int read_rest(struct bytes path, uint64_t offset, size_t len, bool whole, struct bytes first, graft_bytes *out)
{
    struct wire_FILE_INFO m;
    uint8_t *room;
    size_t got;
    int rc = ask_info(path, false, &m);

    if (rc != GRAFT_OK)
        return rc;
    if (whole && m.size > len)
        return GRAFT_TOO_LARGE;
    if (m.size < offset + first.len)
        _exit(1);
    len = (size_t)(m.size - offset < len ? m.size - offset : len);
    room = host_alloc(len);
    if (room == NULL)
        return GRAFT_NO_MEMORY;
    memcpy(room, first.data, first.len);
    rc = read_on(path, offset, room, first.len, len, &got);
    if (rc == GRAFT_OK)
        *out = graft_bytes_of(room, got);
    return rc;
}

/* Most files come whole with their first part. */
static int read_range(struct bytes path, uint64_t offset, size_t len, bool whole, graft_bytes *out)
{
    struct bytes body, first;
    size_t want = at_most(len, HOST_FILE_PART);
    int rc = ask_part(path, offset, want, &body, &first);

    if (rc != GRAFT_OK)
        return rc;
    if (first.len == want && (whole || want < len)) {
        rc = read_rest(path, offset, len, whole, first, out);
        free((void *)(uintptr_t)body.data);
        return rc;
    }
    *out = graft_bytes_of(first.data, first.len);
    return GRAFT_OK;
}

int graft_file_read(graft_call *call, graft_bytes path, graft_bytes *content)
{
    int rc = check_path(path);

    (void)call;
    return rc != GRAFT_OK ? rc : read_range(of(path), 0, host_call.value_max, true, content);
}

int graft_file_read_part(graft_call *call, graft_bytes path, uint64_t offset, size_t len, graft_bytes *part)
{
    struct wire_FILE_INFO m;
    int rc = check_path(path);

    (void)call;
    if (rc != GRAFT_OK)
        return rc;
    if (len > host_call.value_max)
        return GRAFT_TOO_LARGE;
    if (len == 0) {
        rc = ask_info(of(path), false, &m);
        if (rc == GRAFT_OK && m.present != 0)
            *part = graft_bytes_of("", 0);
        return rc == GRAFT_OK && m.present == 0 ? GRAFT_NOT_FOUND : rc;
    }
    return read_range(of(path), offset < OFFSET_MAX ? offset : OFFSET_MAX, len, false, part);
}

/* ---- writing ---- */

/* After a change: a listing under way looks again. In a read-only call the change ends the call, so that nothing more
 * is to be done. */
static int changed(void)
{
    host_call.file_changes++;
    if (host_call.message.readonly != 0)
        channel_await_end();
    return GRAFT_OK;
}

int graft_file_write(graft_call *call, graft_bytes path, graft_bytes content)
{
    int rc = check_path(path);

    (void)call;
    if (rc != GRAFT_OK)
        return rc;
    if (content.len > host_call.value_max || CHANNEL_SEND(FILE_WRITE, .path = of(path), .data = of(content)) != OK)
        return GRAFT_TOO_LARGE;
    return changed();
}

int graft_file_append(graft_call *call, graft_bytes path, graft_bytes more)
{
    int rc = check_path(path);

    (void)call;
    if (rc != GRAFT_OK)
        return rc;
    if (more.len > host_call.value_max || CHANNEL_SEND(FILE_APPEND, .path = of(path), .data = of(more)) != OK)
        return GRAFT_TOO_LARGE;
    return changed();
}

/* That there is something to be changed. A read-only call goes on in any case: the change will end it. */
static int check_there(graft_bytes path)
{
    struct wire_FILE_INFO m;
    int rc = check_path(path);

    if (rc == GRAFT_OK)
        rc = ask_info(of(path), true, &m);
    if (rc != GRAFT_OK)
        return rc;
    return m.present != 0 || host_call.message.readonly != 0 ? GRAFT_OK : GRAFT_NOT_FOUND;
}

int graft_file_remove(graft_call *call, graft_bytes path)
{
    int rc = check_there(path);

    (void)call;
    if (rc != GRAFT_OK)
        return rc;
    (void)CHANNEL_SEND(FILE_REMOVE, .path = of(path));
    return changed();
}

int graft_file_rename(graft_call *call, graft_bytes from, graft_bytes to)
{
    int rc = check_path(to);

    (void)call;
    if (rc == GRAFT_OK)
        rc = check_there(from);
    if (rc != GRAFT_OK)
        return rc;
    (void)CHANNEL_SEND(FILE_RENAME, .from = of(from), .to = of(to));
    return changed();
}

/* ---- listing ---- */

/* "" as it is, "a/b" and "a/b/" as "a/b/". */
static int directory_path(graft_bytes given, struct bytes *path)
{
    size_t n = given.len - ends_in_slash(given);
    char *copy;

    if (!host_call.running || (given.len > 0 && (n == HOST_PATH_MAX || !path_valid(bytes_of(given.data, n)))))
        return GRAFT_BAD_ARG;
    copy = host_alloc(n + 1);
    if (copy == NULL)
        return GRAFT_NO_MEMORY;
    if (n > 0) {
        memcpy(copy, given.data, n);
        copy[n++] = '/';
    }
    *path = bytes_of(copy, n);
    return GRAFT_OK;
}

static int ask_list(struct bytes directory, struct bytes from, bool *more, struct reader *items)
{
    struct wire_PAGE m;
    struct bytes body;
    int rc;

    (void)CHANNEL_SEND(FILE_LIST, .directory = directory, .from = from, .count_max = HOST_PAGE);
    rc = host_receive(WIRE_PAGE, &body);
    if (rc != GRAFT_OK)
        return rc;
    if (!wire_read_PAGE(body, &m))
        _exit(1);
    *more = m.more != 0;
    *items = reader_of(m.items);
    return GRAFT_OK;
}

static graft_file_info read_info(struct bytes b)
{
    struct reader r = reader_of(b);
    graft_file_info info = { 0 };

    info.directory = read_u8(&r);
    info.size = read_u64(&r);
    info.mtime_us = (int64_t)read_u64(&r);
    if (!reader_done(&r))
        _exit(1);
    return info;
}

/* Visits a page's items until a change makes the rest stale. *at: the last one that was visited. */
static int visit_list(struct reader *items, graft_file_visit *visit, void *user, struct bytes *at, bool *stale)
{
    uint64_t before = host_call.file_changes;
    size_t count = read_u32(items);
    int rc = GRAFT_OK;

    for (size_t i = 0; i < count && rc == GRAFT_OK && host_call.file_changes == before; i++) {
        struct bytes path = read_bytes(items);
        graft_file_info info = read_info(read_bytes(items));

        *at = path;
        rc = visit(&host_call, graft_bytes_of(path.data, path.len), &info, user);
    }
    *stale = host_call.file_changes != before;
    return rc;
}

/* The least bytes after these: with a zero byte behind them. No path is them, and none lies between. */
static int after(struct bytes path, struct bytes *next)
{
    char *copy = host_alloc(path.len + 1);

    if (copy == NULL)
        return GRAFT_NO_MEMORY;
    memcpy(copy, path.data, path.len);
    copy[path.len] = '\0';
    *next = bytes_of(copy, path.len + 1);
    return GRAFT_OK;
}

int graft_file_list(graft_call *call, graft_bytes directory, graft_file_visit *visit, void *user)
{
    struct bytes path = { 0 }, from, at;
    struct reader items;
    bool more = true, stale;
    int rc = directory_path(directory, &path);

    (void)call;
    for (from = path; rc == GRAFT_OK && more;) {
        at = bytes_of(NULL, 0);
        rc = ask_list(path, from, &more, &items);
        if (rc == GRAFT_OK)
            rc = visit_list(&items, visit, user, &at, &stale);
        if (rc != GRAFT_OK || at.data == NULL)
            return rc;
        more = more || stale;
        rc = more ? after(at, &from) : GRAFT_OK;
    }
    return rc;
}
