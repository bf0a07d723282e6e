#include "graftctl/show.h"

#include "graftctl/ask.h"
#include "graftctl/json.h"
#include "graftctl/table.h"
#include "lib/check.h"
#include "lib/utf8.h"

#include <stdio.h>
#include <string.h>

static const char nil_text[] = "(nil)";

enum { OUTPUT_MAX = 1024 * 1024 * 1024 }; /* bytes of one reply, written out */

static enum outcome outcome_of(enum err err)
{
    if (err == OK)
        return OUTCOME_DONE;
    return complain(err == ERR_LIMIT ? "the reply is too large to show" : "out of memory");
}

/* Prints what was put together, and frees it. */
static enum outcome print_and_free(struct buf *out, enum err err)
{
    if (err == OK)
        fwrite(buf_bytes(out).data, 1, buf_len(out), stdout);
    buf_fini(out);
    return outcome_of(err);
}

struct bytes reply_bytes(const graft_reply *reply)
{
    size_t len;
    const char *text = graft_client_text(reply, &len);

    return bytes_of(text, len);
}

const graft_reply *show_find(const graft_reply *map, const char *key)
{
    const graft_reply *found = NULL;
    char one[64];

    for (size_t n; found == NULL && *key != '\0'; key += n + (key[n] == '|')) {
        n = strcspn(key, "|");
        snprintf(one, sizeof one, "%.*s", (int)n, key);
        found = graft_client_find(map, one);
    }
    return found;
}

/* ---- JSON ---- */

static bool is_text(const graft_reply *reply)
{
    struct bytes text = reply_bytes(reply);
    uint32_t code;

    if (graft_client_kind(reply) != GRAFT_REPLY_BYTES && graft_client_kind(reply) != GRAFT_REPLY_STATUS)
        return false;
    for (size_t n; text.len > 0; text = bytes_of((const char *)text.data + n, text.len - n))
        if ((n = utf8_next(text, &code)) == 0)
            return false;
    return true;
}

static bool has_text_keys(const graft_reply *map)
{
    for (size_t i = 0; i < graft_client_count(map); i += 2)
        if (!is_text(graft_client_item(map, i)))
            return false;
    return true;
}

static enum err add_json(struct buf *out, const graft_reply *reply);

/* Items between brackets: a comma behind each, or, for the keys of an object, a colon. */
static enum err add_items(struct buf *out, const graft_reply *reply, const char *open, const char *even,
                          const char *odd, const char *close)
{
    enum err err = buf_add_str(out, open);
    size_t count = graft_client_count(reply);

    for (size_t i = 0; i < count && err == OK; i++) {
        err = add_json(out, graft_client_item(reply, i));
        if (err == OK && i + 1 < count)
            err = buf_add_str(out, i % 2 == 0 ? even : odd);
    }
    return err != OK ? err : buf_add_str(out, close);
}

static enum err add_map(struct buf *out, const graft_reply *reply)
{
    if (has_text_keys(reply))
        return add_items(out, reply, "{", ":", ",", "}");
    return add_items(out, reply, "[[", ",", "],[", "]]");
}

static enum err add_error(struct buf *out, struct bytes text)
{
    enum err err = buf_add_str(out, "{\"error\":");

    if (err == OK)
        err = json_add_bytes(out, text);
    return err != OK ? err : buf_add_str(out, "}");
}

/* Recursion is bounded by the depth of a reply. */
static enum err add_json(struct buf *out, const graft_reply *reply)
{
    struct bytes text = reply_bytes(reply);

    switch (graft_client_kind(reply)) {
    case GRAFT_REPLY_NIL:
        return buf_add_str(out, "null");
    case GRAFT_REPLY_ERROR:
        return add_error(out, text);
    case GRAFT_REPLY_INTEGER:
        return buf_addf(out, "%lld", (long long)graft_client_integer(reply));
    case GRAFT_REPLY_BIG:
        return buf_add(out, text.data, text.len);
    case GRAFT_REPLY_DOUBLE:
        return json_add_double(out, graft_client_number(reply));
    case GRAFT_REPLY_BOOL:
        return buf_add_str(out, graft_client_integer(reply) != 0 ? "true" : "false");
    case GRAFT_REPLY_ARRAY:
        return add_items(out, reply, "[", ",", ",", "]");
    case GRAFT_REPLY_MAP:
        return add_map(out, reply);
    default:
        return json_add_bytes(out, text);
    }
}

enum outcome show_json_value(const graft_reply *reply)
{
    struct buf out;

    buf_init(&out, OUTPUT_MAX);
    return print_and_free(&out, add_json(&out, reply));
}

enum outcome show_json(const graft_reply *reply)
{
    enum outcome outcome = show_json_value(reply);

    if (outcome == OUTCOME_DONE)
        putchar('\n');
    return outcome;
}

/* ---- rows and fields ---- */

static bool is_number(const graft_reply *reply)
{
    enum graft_reply_kind kind = graft_client_kind(reply);

    return kind == GRAFT_REPLY_INTEGER || kind == GRAFT_REPLY_DOUBLE || kind == GRAFT_REPLY_BIG;
}

static bool is_flat(const graft_reply *reply)
{
    return graft_client_kind(reply) != GRAFT_REPLY_ARRAY && graft_client_kind(reply) != GRAFT_REPLY_MAP;
}

static bool has_flat_items(const graft_reply *reply)
{
    for (size_t i = 0; i < graft_client_count(reply); i++)
        if (!is_flat(graft_client_item(reply, i)))
            return false;
    return true;
}

/* What a value is in a cell. A list of names is joined by blanks. */
static enum err add_cell(struct table *t, const graft_reply *reply, const char *nil)
{
    struct buf out;
    enum err err = OK;

    if (graft_client_kind(reply) == GRAFT_REPLY_NIL)
        return table_add(t, bytes_str(nil), false);
    if (graft_client_kind(reply) == GRAFT_REPLY_BOOL)
        return table_add(t, bytes_str(graft_client_integer(reply) != 0 ? "true" : "false"), false);
    if (is_flat(reply))
        return table_add(t, reply_bytes(reply), is_number(reply));
    buf_init(&out, OUTPUT_MAX);
    if (has_flat_items(reply)) {
        for (size_t i = 0; i < graft_client_count(reply) && err == OK; i++) {
            struct bytes text = reply_bytes(graft_client_item(reply, i));
            err = i == 0 ? OK : buf_add_str(&out, " ");
            if (err == OK)
                err = buf_add(&out, text.data, text.len);
        }
    } else {
        err = add_json(&out, reply);
    }
    if (err == OK)
        err = table_add(t, buf_bytes(&out), false);
    buf_fini(&out);
    return err;
}

enum outcome show_rows(const graft_reply *reply, const struct field *fields, size_t count, const char *nil)
{
    const char *titles[FIELD_MAX];
    struct table t;
    enum err err = OK;

    CHECK(count <= FIELD_MAX);
    table_init(&t, count);
    for (size_t c = 0; c < count; c++)
        titles[c] = fields[c].title;
    for (size_t i = 0; i < graft_client_count(reply) && err == OK; i++)
        for (size_t c = 0; c < count && err == OK; c++)
            err = add_cell(&t, show_find(graft_client_item(reply, i), fields[c].key), nil);
    if (err == OK)
        table_print(&t, titles);
    table_fini(&t);
    return outcome_of(err);
}

enum outcome show_fields(const graft_reply *reply, const struct field *fields, size_t count)
{
    struct table t;
    enum err err = OK;

    table_init(&t, 2);
    for (size_t i = 0; i < count && err == OK; i++) {
        const graft_reply *value = show_find(reply, fields[i].key);
        if (graft_client_kind(value) == GRAFT_REPLY_NIL)
            continue;
        err = table_add(&t, bytes_str(fields[i].title), false);
        if (err == OK)
            err = add_cell(&t, value, nil_text);
    }
    if (err == OK)
        table_print(&t, NULL);
    table_fini(&t);
    return outcome_of(err);
}

/* ---- by shape ---- */

/* Columns of the table that the reply is: items of a flat array, pairs of a flat map, rows of the same length. 0: it is
 * none. */
static size_t table_columns(const graft_reply *reply)
{
    size_t count = graft_client_count(reply), columns;

    if (has_flat_items(reply))
        return graft_client_kind(reply) == GRAFT_REPLY_MAP ? 2 : 1;
    columns = graft_client_count(graft_client_item(reply, 0));
    for (size_t i = 0; i < count; i++) {
        const graft_reply *row = graft_client_item(reply, i);
        if (graft_client_kind(row) != GRAFT_REPLY_ARRAY || graft_client_count(row) != columns || !has_flat_items(row))
            return 0;
    }
    return graft_client_kind(reply) == GRAFT_REPLY_MAP ? 0 : columns;
}

static enum outcome show_table(const graft_reply *reply, size_t columns)
{
    bool flat = has_flat_items(reply);
    struct table t;
    enum err err = OK;

    table_init(&t, columns);
    for (size_t i = 0; i < graft_client_count(reply) && err == OK; i++) {
        const graft_reply *item = graft_client_item(reply, i);
        if (flat)
            err = add_cell(&t, item, nil_text);
        for (size_t c = 0; !flat && c < columns && err == OK; c++)
            err = add_cell(&t, graft_client_item(item, c), nil_text);
    }
    if (err == OK)
        table_print(&t, NULL);
    table_fini(&t);
    return outcome_of(err);
}

/* A text of many lines, as it is but safe for a terminal when it goes there. */
static enum outcome show_lines(struct bytes text)
{
    bool people = table_for_people();
    const char *p = text.data, *end;
    enum outcome outcome = OUTCOME_DONE;
    size_t left = text.len, n;

    while (people && left > 0 && outcome == OUTCOME_DONE) {
        end = memchr(p, '\n', left);
        n = end == NULL ? left : (size_t)(end - p);
        outcome = show_text(bytes_of(p, n > 0 && p[n - 1] == '\r' ? n - 1 : n));
        p += n + (end != NULL);
        left -= n + (end != NULL);
    }
    if (!people && left > 0)
        fwrite(p, 1, left, stdout);
    if (text.len == 0 || (!people && p[left - 1] != '\n'))
        putchar('\n');
    return outcome;
}

enum outcome show_reply(const graft_reply *reply)
{
    size_t columns;

    if (graft_client_kind(reply) == GRAFT_REPLY_NIL)
        return show_text(bytes_str(nil_text));
    if (is_flat(reply))
        return show_lines(reply_bytes(reply));
    columns = table_columns(reply);
    return columns == 0 ? show_json(reply) : show_table(reply, columns);
}

enum outcome show_text(struct bytes text)
{
    struct buf out;
    enum err err;

    buf_init(&out, OUTPUT_MAX);
    err = cell_add(&out, text, table_for_people(), NULL);
    if (err == OK)
        err = buf_add_str(&out, "\n");
    return print_and_free(&out, err);
}
