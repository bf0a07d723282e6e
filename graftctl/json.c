#include "graftctl/json.h"

#include "lib/check.h"
#include "lib/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DOUBLE_DIGITS = 17 }; /* tell any two doubles apart */

/* ---- base64 (RFC 4648, padded) ---- */

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void base64_encode(const uint8_t *p, size_t n, char *out)
{
    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)p[i] << 16 | (i + 1 < n ? (unsigned)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        *out++ = base64[v >> 18];
        *out++ = base64[v >> 12 & 63];
        *out++ = i + 1 < n ? base64[v >> 6 & 63] : '=';
        *out++ = i + 2 < n ? base64[v & 63] : '=';
    }
}

/* In place; false unless text is exactly what base64_encode() makes. */
static bool base64_decode(char *text, size_t n, size_t *len)
{
    size_t pad = n > 0 && text[n - 1] == '=' ? (n > 1 && text[n - 2] == '=' ? 2 : 1) : 0, used = 0;
    unsigned v = 0;

    if (n % 4 != 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *digit = text[i] == '\0' ? NULL : strchr(base64, text[i]);
        if (digit == NULL && !(i >= n - pad && text[i] == '='))
            return false;
        v = v << 6 | (digit == NULL ? 0 : (unsigned)(digit - base64));
        if (i % 4 != 3)
            continue;
        for (int shift = 16; shift >= 0; shift -= 8)
            text[used++] = (char)(v >> shift & 0xff);
        v = 0;
    }
    for (size_t i = 0; i < pad; i++)
        if (text[--used] != '\0')
            return false; /* bits that nobody will see */
    *len = used;
    return true;
}

/* ---- the writer ---- */

static bool is_utf8(struct bytes b)
{
    uint32_t code;

    for (size_t n; b.len > 0; b = bytes_of((const char *)b.data + n, b.len - n))
        if ((n = utf8_next(b, &code)) == 0)
            return false;
    return true;
}

static enum err add_base64(struct buf *out, struct bytes b)
{
    static const char head[] = "{\"base64\":\"", tail[] = "\"}";
    size_t digits = (b.len + 2) / 3 * 4;
    uint8_t *room;
    enum err err = buf_reserve(out, sizeof head - 1 + digits + sizeof tail - 1, &room);

    if (err != OK)
        return err;
    memcpy(room, head, sizeof head - 1);
    base64_encode(b.data, b.len, (char *)room + sizeof head - 1);
    memcpy(room + sizeof head - 1 + digits, tail, sizeof tail - 1);
    buf_wrote(out, sizeof head - 1 + digits + sizeof tail - 1);
    return OK;
}

static size_t escape(uint8_t byte, char out[6])
{
    static const char short_for[] = "\"\"\\\\\bb\ff\nn\rr\tt", hex[] = "0123456789abcdef";

    for (size_t i = 0; i + 1 < sizeof short_for; i += 2)
        if ((uint8_t)short_for[i] == byte) {
            memcpy(out, (const char[]){ '\\', short_for[i + 1] }, 2);
            return 2;
        }
    if (byte >= 0x20 && byte != 0x7f) {
        out[0] = (char)byte;
        return 1;
    }
    memcpy(out, (const char[]){ '\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15] }, 6);
    return 6;
}

enum err json_add_bytes(struct buf *out, struct bytes b)
{
    const uint8_t *p = b.data;
    char text[6];
    uint8_t *room;
    size_t size = 2;
    enum err err;

    if (!is_utf8(b))
        return add_base64(out, b);
    for (size_t i = 0; i < b.len; i++)
        size += escape(p[i], text);
    err = buf_reserve(out, size, &room);
    if (err != OK)
        return err;
    *room++ = '"';
    for (size_t i = 0; i < b.len; i++) {
        size_t n = escape(p[i], text);
        memcpy(room, text, n);
        room += n;
    }
    *room = '"';
    buf_wrote(out, size);
    return OK;
}

enum err json_add_str(struct buf *out, const char *s) { return json_add_bytes(out, bytes_str(s)); }

enum err json_add_double(struct buf *out, double v)
{
    char text[32];

    if (isnan(v))
        return buf_add_str(out, "\"nan\"");
    if (isinf(v))
        return buf_add_str(out, v > 0 ? "\"inf\"" : "\"-inf\"");
    for (int digits = 15; digits < DOUBLE_DIGITS; digits++) { /* as few as read back the same */
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            return buf_add_str(out, text);
    }
    return buf_addf(out, "%.*g", DOUBLE_DIGITS, v);
}

/* ---- the list ---- */

void json_list_init(struct json_list *list)
{
    *list = (struct json_list){ 0 };
    buf_init(&list->text, JSON_LINE_MAX);
}

void json_list_fini(struct json_list *list)
{
    buf_fini(&list->text);
    free(list->ends);
    json_list_init(list);
}

void json_list_clear(struct json_list *list)
{
    buf_clear(&list->text);
    list->count = 0;
}

/* What was added to the text since the last item is an item. */
static enum err end_item(struct json_list *list)
{
    size_t cap = list->cap == 0 ? 16 : list->cap * 2, *ends;

    if (list->count == JSON_ITEM_MAX)
        return ERR_LIMIT;
    if (list->count == list->cap) {
        ends = reallocarray(list->ends, cap, sizeof *ends);
        if (ends == NULL)
            return ERR_NOMEM;
        list->ends = ends;
        list->cap = cap;
    }
    list->ends[list->count++] = buf_len(&list->text);
    return OK;
}

enum err json_list_add(struct json_list *list, struct bytes item)
{
    enum err err = buf_add(&list->text, item.data, item.len);

    return err != OK ? err : end_item(list);
}

static size_t item_start(const struct json_list *list, size_t i) { return i == 0 ? 0 : list->ends[i - 1]; }

struct bytes json_list_item(const struct json_list *list, size_t i)
{
    size_t start = item_start(list, i);

    CHECK(i < list->count);
    return bytes_of(list->text.data + list->text.off + start, list->ends[i] - start);
}

/* ---- the reader ---- */

struct json_reader {
    const char *start, *p, *end;
    struct json_list *list;
    struct failure *why;
};

static enum err refuse(struct json_reader *r, const char *what)
{
    return fail(r->why, ERR_BADARG, "byte %zu: %s", (size_t)(r->p - r->start) + 1, what);
}

static enum err refuse_size(struct json_reader *r, enum err err)
{
    if (err == ERR_LIMIT)
        return fail(r->why, err, "an array has at most %d items and %d bytes", JSON_ITEM_MAX, JSON_LINE_MAX);
    return fail(r->why, err, "out of memory for an array");
}

static void skip_blanks(struct json_reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
        r->p++;
}

/* Steps over the character if it is next, blanks before it too. */
static bool take(struct json_reader *r, char c)
{
    skip_blanks(r);
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

static bool read_hex4(struct json_reader *r, uint32_t *code)
{
    uint32_t v = 0;

    if (r->end - r->p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        int c = r->p[i], digit = c >= '0' && c <= '9'                 ? c - '0'
                                 : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                                      : -1;
        if (digit < 0)
            return false;
        v = v << 4 | (uint32_t)digit;
    }
    r->p += 4;
    *code = v;
    return true;
}

static enum err add_code(struct json_reader *r, uint32_t c)
{
    uint8_t out[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    enum err err;

    for (size_t i = n; i > 1; i--, c >>= 6)
        out[i - 1] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)(n == 1 ? c : (0xf00u >> n & 0xff) | c);
    err = buf_add(&r->list->text, out, n);
    return err != OK ? refuse_size(r, err) : OK;
}

/* Behind \u. Half of a pair stands for nothing, so it is refused. */
static enum err read_unicode(struct json_reader *r)
{
    uint32_t code, low;

    if (!read_hex4(r, &code))
        return refuse(r, "\\u wants four hexadecimal digits");
    if (code >= 0xd800 && code < 0xdc00) {
        if (r->end - r->p < 2 || r->p[0] != '\\' || r->p[1] != 'u')
            return refuse(r, "half of a surrogate pair");
        r->p += 2;
        if (!read_hex4(r, &low) || low < 0xdc00 || low > 0xdfff)
            return refuse(r, "half of a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code <= 0xdfff) {
        return refuse(r, "half of a surrogate pair");
    }
    return add_code(r, code);
}

static enum err read_escape(struct json_reader *r)
{
    static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    const char *name;

    if (r->p == r->end)
        return refuse(r, "a string does not end");
    if (*r->p == 'u') {
        r->p++;
        return read_unicode(r);
    }
    name = *r->p == '\0' ? NULL : strchr(names, *r->p);
    if (name == NULL)
        return refuse(r, "an unknown escape in a string");
    r->p++;
    return add_code(r, (uint32_t)meanings[name - names]);
}

/* Behind the opening quote; what it says is added to the list's text. */
static enum err read_string(struct json_reader *r)
{
    uint32_t code;
    size_t n;
    enum err err = OK;

    while (err == OK) {
        if (r->p == r->end)
            return refuse(r, "a string does not end");
        if (*r->p == '"') {
            r->p++;
            return OK;
        }
        if (*r->p == '\\') {
            r->p++;
            err = read_escape(r);
            continue;
        }
        n = utf8_next(bytes_of(r->p, (size_t)(r->end - r->p)), &code);
        if (n == 0)
            return refuse(r, "not UTF-8; write such bytes as {\"base64\": \"…\"}");
        if (code < 0x20)
            return refuse(r, "a control character in a string; write it as \\u00XX");
        err = buf_add(&r->list->text, r->p, n);
        if (err != OK)
            return refuse_size(r, err);
        r->p += n;
    }
    return err;
}

static size_t skip_digits(struct json_reader *r)
{
    const char *start = r->p;

    while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
        r->p++;
    return (size_t)(r->p - start);
}

static enum err read_number(struct json_reader *r)
{
    const char *start = r->p;
    bool good, zero;
    enum err err;

    r->p += *r->p == '-';
    zero = r->p < r->end && *r->p == '0';
    good = zero ? (r->p++, true) : skip_digits(r) > 0;
    if (good && r->p < r->end && *r->p == '.') {
        r->p++;
        good = skip_digits(r) > 0;
    }
    if (good && r->p < r->end && (*r->p | 32) == 'e') {
        r->p++;
        r->p += r->p < r->end && (*r->p == '+' || *r->p == '-');
        good = skip_digits(r) > 0;
    }
    if (!good || (r->p < r->end && *r->p >= '0' && *r->p <= '9'))
        return refuse(r, "not a number as JSON has it");
    err = buf_add(&r->list->text, start, (size_t)(r->p - start));
    return err != OK ? refuse_size(r, err) : OK;
}

/* Behind the brace. */
static enum err read_base64(struct json_reader *r, size_t start)
{
    struct buf *text = &r->list->text;
    size_t len = 0;
    enum err err;

    if (!take(r, '"') || r->end - r->p < 7 || memcmp(r->p, "base64\"", 7) != 0)
        return refuse(r, "the only object here is {\"base64\": \"…\"}");
    r->p += 7;
    if (!take(r, ':') || !take(r, '"'))
        return refuse(r, "the only object here is {\"base64\": \"…\"}");
    err = read_string(r);
    if (err != OK)
        return err;
    if (!take(r, '}'))
        return refuse(r, "the only object here is {\"base64\": \"…\"}");
    if (buf_len(text) > start && !base64_decode((char *)text->data + text->off + start, buf_len(text) - start, &len))
        return refuse(r, "not base64 as RFC 4648 has it, with padding");
    text->len = text->off + start + len;
    return OK;
}

static enum err read_item(struct json_reader *r)
{
    enum err err;

    skip_blanks(r);
    if (r->p == r->end)
        return refuse(r, "the array does not end");
    if (take(r, '"'))
        err = read_string(r);
    else if (take(r, '{'))
        err = read_base64(r, buf_len(&r->list->text));
    else if (*r->p == '-' || (*r->p >= '0' && *r->p <= '9'))
        err = read_number(r);
    else
        err = refuse(r, "an item is a string, a number, or {\"base64\": \"…\"}");
    if (err != OK)
        return err;
    err = end_item(r->list);
    return err != OK ? refuse_size(r, err) : OK;
}

enum err json_read_list(struct bytes text, struct json_list *list, struct failure *why)
{
    const char *start = text.len == 0 ? "" : text.data;
    struct json_reader r = { start, start, start + text.len, list, why };
    enum err err = OK;

    json_list_clear(list);
    if (!take(&r, '['))
        return refuse(&r, "an array begins with [");
    if (!take(&r, ']')) {
        do
            err = read_item(&r);
        while (err == OK && take(&r, ','));
        if (err != OK)
            return err;
        if (!take(&r, ']'))
            return refuse(&r, "an item is followed by , or ]");
    }
    skip_blanks(&r);
    return r.p == r.end ? OK : refuse(&r, "something follows the array");
}
