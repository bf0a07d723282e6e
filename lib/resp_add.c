/* RESP: replies. Requests are parsed in resp.c. */
#include "lib/resp.h"

#include "lib/check.h"
#include "lib/value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MAX = 32 }; /* bytes of a number, or of a kind, a number and a line end, as text */

/* Decimal digits of v in text; returns how many. */
static size_t put_digits(char *text, uint64_t v)
{
    char reversed[NUMBER_MAX];
    size_t n = 0, i = 0;

    do
        reversed[n++] = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    while (n > 0)
        text[i++] = reversed[--n];
    return i;
}

/* "$123\r\n" in head; returns its length. */
static size_t put_head(char *head, char kind, uint64_t v)
{
    size_t n = 1;

    head[0] = kind;
    n += put_digits(head + n, v);
    head[n++] = '\r';
    head[n++] = '\n';
    return n;
}

static enum err noted(struct buf *b, enum err err)
{
    b->failed = err;
    return err;
}

static enum err add_text(struct buf *b, const char *text, size_t len) { return noted(b, buf_add(b, text, len)); }

static enum err add_head(struct buf *b, char kind, uint64_t v)
{
    char head[NUMBER_MAX];

    return add_text(b, head, put_head(head, kind, v));
}

static bool is_resp3(int proto)
{
    CHECK(proto == 2 || proto == 3);
    return proto == 3;
}

static uint8_t *put_bytes(uint8_t *p, struct bytes v)
{
    if (v.len > 0)
        memcpy(p, v.data, v.len);
    return p + v.len;
}

/* Head, prefix, content, line end: one reservation, whole or not at all. */
static enum err add_blob(struct buf *b, char kind, struct bytes prefix, struct bytes v)
{
    char head[NUMBER_MAX];
    size_t n = put_head(head, kind, prefix.len + v.len);
    uint8_t *p;
    enum err err = buf_reserve(b, n + prefix.len + v.len + 2, &p);

    if (err != OK)
        return noted(b, err);
    p = put_bytes(p, bytes_of(head, n));
    p = put_bytes(p, prefix);
    p = put_bytes(p, v);
    p[0] = '\r';
    p[1] = '\n';
    buf_wrote(b, n + prefix.len + v.len + 2);
    return OK;
}

/* One line: a line end inside it would let its author forge the next reply. */
static enum err add_line(struct buf *b, char kind, struct bytes word, struct bytes text)
{
    size_t gap = word.len > 0, n = 1 + word.len + gap + text.len;
    uint8_t *line, *p;
    enum err err = buf_reserve(b, n + 2, &line);

    if (err != OK)
        return noted(b, err);
    line[0] = (uint8_t)kind;
    p = put_bytes(line + 1, word);
    if (gap)
        *p++ = ' ';
    put_bytes(p, text);
    for (size_t i = 1; i < n; i++)
        if (line[i] < 0x20 || line[i] == 0x7f)
            line[i] = ' ';
    line[n] = '\r';
    line[n + 1] = '\n';
    buf_wrote(b, n + 2);
    return OK;
}

static const struct bytes nothing = { NULL, 0 };

enum err resp_add_status(struct buf *b, const char *text) { return add_line(b, '+', nothing, bytes_str(text)); }

enum err resp_add_error(struct buf *b, const char *word, const char *text)
{
    return add_line(b, '-', bytes_str(word), bytes_str(text));
}

enum err resp_add_failure(struct buf *b, const struct failure *why)
{
    return resp_add_error(b, err_word(why->err), why->text);
}

enum err resp_add_i64(struct buf *b, int64_t v)
{
    char text[NUMBER_MAX];
    size_t n = 1;

    if (v >= 0)
        return add_head(b, ':', (uint64_t)v);
    text[0] = ':';
    n += put_head(text + n, '-', 0 - (uint64_t)v);
    return add_text(b, text, n);
}

static size_t put_double(char *text, double v)
{
    int n = 0;

    if (isnan(v))
        return (size_t)snprintf(text, NUMBER_MAX, "nan");
    if (isinf(v))
        return (size_t)snprintf(text, NUMBER_MAX, v < 0 ? "-inf" : "inf");
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(text, NUMBER_MAX, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    return (size_t)n;
}

enum err resp_add_double(struct buf *b, double v, int proto)
{
    char text[NUMBER_MAX];
    struct bytes number = bytes_of(text, put_double(text, v));

    return is_resp3(proto) ? add_line(b, ',', nothing, number) : resp_add_bulk(b, number);
}

enum err resp_add_bool(struct buf *b, bool v, int proto)
{
    if (!is_resp3(proto))
        return add_text(b, v ? ":1\r\n" : ":0\r\n", 4);
    return add_text(b, v ? "#t\r\n" : "#f\r\n", 4);
}

enum err resp_add_nil(struct buf *b, int proto)
{
    const char *nil = is_resp3(proto) ? "_\r\n" : "$-1\r\n";

    return add_text(b, nil, strlen(nil));
}

enum err resp_add_bulk(struct buf *b, struct bytes v) { return add_blob(b, '$', nothing, v); }

enum err resp_add_bulk_str(struct buf *b, const char *s) { return resp_add_bulk(b, bytes_str(s)); }

enum err resp_add_verbatim(struct buf *b, struct bytes text, int proto)
{
    return is_resp3(proto) ? add_blob(b, '=', bytes_str("txt:"), text) : resp_add_bulk(b, text);
}

enum err resp_add_array(struct buf *b, size_t n) { return add_head(b, '*', n); }

enum err resp_add_map(struct buf *b, size_t n, int proto)
{
    CHECK(n <= SIZE_MAX / 2);
    return is_resp3(proto) ? add_head(b, '%', n) : add_head(b, '*', 2 * n);
}

enum err resp_add_push(struct buf *b, size_t n, int proto) { return add_head(b, is_resp3(proto) ? '>' : '*', n); }

static double double_of(uint64_t bits)
{
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

/* Recursion is bounded by VALUE_DEPTH_MAX, the loops by the value's own bytes: value_valid() counted both. */
static enum err add_value(struct buf *b, struct reader *r, int proto)
{
    uint8_t kind = read_u8(r);
    uint64_t count;
    enum err err;

    switch (kind) {
    case VALUE_NIL:
        return resp_add_nil(b, proto);
    case VALUE_I64:
        return resp_add_i64(b, (int64_t)read_u64(r));
    case VALUE_DOUBLE:
        return resp_add_double(b, double_of(read_u64(r)), proto);
    case VALUE_BYTES:
        return resp_add_bulk(b, read_bytes(r));
    case VALUE_STATUS:
        return add_line(b, '+', nothing, read_bytes(r));
    case VALUE_ERROR:
        return add_line(b, '-', nothing, read_bytes(r));
    }
    CHECK(kind == VALUE_ARRAY || kind == VALUE_MAP);
    count = read_u32(r);
    err = kind == VALUE_MAP ? resp_add_map(b, count, proto) : resp_add_array(b, count);
    if (kind == VALUE_MAP)
        count *= 2;
    for (; err == OK && count > 0; count--) {
        CHECK(!r->bad);
        err = add_value(b, r, proto);
    }
    return err;
}

enum err resp_add_value(struct buf *b, struct bytes value, int proto)
{
    struct reader r = reader_of(value);
    size_t before = buf_len(b);
    enum err err = add_value(b, &r, proto);

    if (err != OK) {
        b->len = b->off + before;
        return err;
    }
    CHECK(reader_done(&r));
    return OK;
}
