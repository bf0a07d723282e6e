/*
 * An index of Debian packages by section, kept from stanzas of /var/lib/dpkg/status, one stanza a call.
 *
 * Three keys a section, each behind a prefix:
 *
 *     count:SECTION     how many stanzas came
 *     size:SECTION      the sum of their Installed-Size, KiB
 *     largest:SECTION   "SIZE NAME" of the largest; of two equal ones the name that is smaller in byte order
 *
 * Every stanza that is given counts, whatever its Status says. A field that comes twice counts as it first came; names
 * of fields know no case. A missing or empty Section is "(none)"; an Installed-Size that is missing or no whole number
 * is 0. A stanza without Package is refused, and so is text with a second stanza behind the first.
 */
#ifndef GRAFTS_PKGINDEX_INDEX_H
#define GRAFTS_PKGINDEX_INDEX_H

#include <graft.h>

#include <string.h>
#include <strings.h>

struct stanza {
    graft_bytes name, section;
    int64_t size; /* KiB */
};

static graft_bytes trim(const char *p, size_t n)
{
    while (n > 0 && (p[0] == ' ' || p[0] == '\t')) {
        p++;
        n--;
    }
    while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t' || p[n - 1] == '\r'))
        n--;
    return graft_bytes_of(p, n);
}

static int64_t read_size(graft_bytes text)
{
    const char *p = text.data;
    int64_t size = 0;

    for (size_t i = 0; i < text.len; i++)
        if (p[i] < '0' || p[i] > '9' || __builtin_mul_overflow(size, 10, &size)
            || __builtin_add_overflow(size, p[i] - '0', &size))
            return 0;
    return size;
}

/* If the line is "field: value", and *value is still empty, takes the value. */
static void take_field(const char *line, size_t len, const char *field, graft_bytes *value)
{
    size_t n = strlen(field);

    if (value->len == 0 && len > n && line[n] == ':' && strncasecmp(line, field, n) == 0)
        *value = trim(line + n + 1, len - n - 1);
}

static int read_stanza(graft_call *call, graft_bytes text, struct stanza *s)
{
    const char *line = text.data, *end = line + text.len;
    graft_bytes size = graft_bytes_of(NULL, 0);
    int ended = 0;

    *s = (struct stanza){ size, size, 0 };
    while (line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t len = (size_t)((stop == NULL ? end : stop) - line);

        if (ended && len > 0)
            return graft_abort(call, "more than one stanza: give one a call");
        ended = len == 0;
        take_field(line, len, "Package", &s->name);
        take_field(line, len, "Section", &s->section);
        take_field(line, len, "Installed-Size", &size);
        line += len + 1;
    }
    if (s->name.len == 0)
        return graft_abort(call, "the stanza has no Package");
    if (s->section.len == 0)
        s->section = graft_str("(none)");
    s->size = read_size(size);
    return GRAFT_OK;
}

/* PREFIX + kind + SECTION. */
static graft_bytes section_key(graft_call *call, graft_bytes prefix, const char *kind, graft_bytes section)
{
    return graft_format(call, "%.*s%s%.*s", (int)prefix.len, (const char *)prefix.data, kind, (int)section.len,
                        (const char *)section.data);
}

/* "SIZE NAME", as largest: keeps it. */
static void split_largest(graft_bytes value, int64_t *size, graft_bytes *name)
{
    const char *p = value.data, *space = value.len == 0 ? NULL : memchr(p, ' ', value.len);
    size_t n = space == NULL ? value.len : (size_t)(space - p);

    *size = read_size(graft_bytes_of(p, n));
    *name = space == NULL ? graft_bytes_of(NULL, 0) : graft_bytes_of(space + 1, value.len - n - 1);
}

static int is_larger(const struct stanza *s, graft_bytes largest)
{
    graft_bytes name;
    int64_t size;
    size_t n;
    int c;

    split_largest(largest, &size, &name);
    if (s->size != size)
        return s->size > size;
    n = s->name.len < name.len ? s->name.len : name.len;
    c = n == 0 ? 0 : memcmp(s->name.data, name.data, n);
    return c < 0 || (c == 0 && s->name.len < name.len);
}

static int index_stanza(graft_call *call, graft_bytes prefix, const struct stanza *s)
{
    graft_bytes largest, key = section_key(call, prefix, "largest:", s->section);
    int err;

    if ((err = graft_kv_add_i64(call, section_key(call, prefix, "count:", s->section), 1, NULL)) != GRAFT_OK)
        return err;
    if ((err = graft_kv_add_i64(call, section_key(call, prefix, "size:", s->section), s->size, NULL)) != GRAFT_OK)
        return err;
    err = graft_kv_get(call, key, &largest);
    if (err == GRAFT_OK && !is_larger(s, largest))
        return GRAFT_OK;
    if (err != GRAFT_OK && err != GRAFT_NOT_FOUND)
        return err;
    return graft_kv_put(call, key,
                        graft_format(call, "%lld %.*s", (long long)s->size, (int)s->name.len,
                                     (const char *)s->name.data));
}

/* Parameter i is the prefix; without one it is "pkg:". */
static graft_bytes prefix_parameter(graft_call *call, size_t i)
{
    return graft_arg_count(call) > i ? graft_arg(call, i) : graft_str("pkg:");
}

struct table {
    graft_bytes prefix;
    size_t rows;
};

static int count_row(graft_call *call, graft_bytes key, graft_bytes value, void *user)
{
    (void)call, (void)key, (void)value;
    ((struct table *)user)->rows++;
    return GRAFT_OK;
}

struct row {
    graft_bytes section, name; /* name: of the largest */
    int64_t count, total;
};

/* The row whose count is in key. */
static int read_row(graft_call *call, const struct table *table, graft_bytes key, struct row *row)
{
    size_t before = table->prefix.len + strlen("count:");
    graft_bytes largest;
    int64_t size;
    int err;

    row->section = graft_bytes_of((const char *)key.data + before, key.len - before);
    if ((err = graft_kv_get_i64(call, key, &row->count)) != GRAFT_OK)
        return err;
    if ((err = graft_kv_get_i64(call, section_key(call, table->prefix, "size:", row->section), &row->total)) !=
        GRAFT_OK)
        return err;
    err = graft_kv_get(call, section_key(call, table->prefix, "largest:", row->section), &largest);
    if (err == GRAFT_OK)
        split_largest(largest, &size, &row->name);
    return err;
}

static int reply_row(graft_call *call, graft_bytes key, graft_bytes value, void *user)
{
    struct row row;
    int err = read_row(call, user, key, &row);

    (void)value;
    if (err != GRAFT_OK)
        return err;
    graft_reply_array(call, 4);
    graft_reply_bytes(call, row.section);
    graft_reply_i64(call, row.count);
    graft_reply_i64(call, row.total);
    return graft_reply_bytes(call, row.name);
}

/* One row a section, in byte order: section, count, size, name of the largest. */
static int reply_table(graft_call *call, graft_bytes prefix)
{
    struct table table = { prefix, 0 };
    graft_bytes counts = section_key(call, prefix, "count:", graft_bytes_of("", 0));
    int err = graft_kv_scan(call, counts, count_row, &table);

    if (err == GRAFT_OK)
        err = graft_reply_array(call, table.rows);
    return err != GRAFT_OK ? err : graft_kv_scan(call, counts, reply_row, &table);
}

/* packages/SECTION.tsv: the row's other columns. */
static int write_row(graft_call *call, graft_bytes key, graft_bytes value, void *user)
{
    struct table *table = user;
    struct row row;
    int err = read_row(call, table, key, &row);

    (void)value;
    if (err != GRAFT_OK)
        return err;
    table->rows++;
    return graft_file_write(call,
                            graft_format(call, "packages/%.*s.tsv", (int)row.section.len,
                                         (const char *)row.section.data),
                            graft_format(call, "%lld\t%lld\t%.*s\n", (long long)row.count, (long long)row.total,
                                         (int)row.name.len, (const char *)row.name.data));
}

/* A file a section, and an event that tells how many: all of them, or nothing. */
static int write_table(graft_call *call, graft_bytes prefix)
{
    struct table table = { prefix, 0 };
    int err = graft_kv_scan(call, section_key(call, prefix, "count:", graft_bytes_of("", 0)), write_row, &table);

    if (err == GRAFT_OK)
        err = graft_emit(call, graft_str("pkgindex.files"), graft_format(call, "%zu files", table.rows));
    return err != GRAFT_OK ? err : graft_reply_i64(call, (int64_t)table.rows);
}

#endif
