#include "lib/buf.h"

#include "lib/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bytes bytes_str(const char *s) { return bytes_of(s, strlen(s)); }

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n == 0 ? 0 : memcmp(a.data, b.data, n);

    if (c != 0)
        return c;
    return a.len < b.len ? -1 : a.len > b.len;
}

bool bytes_start_with(struct bytes s, struct bytes prefix)
{
    return s.len >= prefix.len && bytes_equal(bytes_of(s.data, prefix.len), prefix);
}

char *bytes_dup(struct bytes b)
{
    char *copy = malloc(b.len + 1);

    if (copy == NULL)
        return NULL;
    if (b.len > 0)
        memcpy(copy, b.data, b.len);
    copy[b.len] = '\0';
    return copy;
}

bool bytes_to_u64(struct bytes b, uint64_t *value)
{
    const char *p = b.data;
    uint64_t v = 0;

    if (b.len == 0)
        return false;
    for (size_t i = 0; i < b.len; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(p[i] - '0'), &v))
            return false;
    }
    *value = v;
    return true;
}

bool bytes_to_i64(struct bytes b, int64_t *value)
{
    const char *p = b.data;
    bool negative = b.len > 0 && p[0] == '-';
    uint64_t v;

    if (!bytes_to_u64(negative ? bytes_of(p + 1, b.len - 1) : b, &v))
        return false;
    if (v > (uint64_t)INT64_MAX + negative)
        return false;
    *value = (int64_t)(negative ? 0 - v : v);
    return true;
}

const char *bytes_show(struct bytes b, char *out, size_t size)
{
    static const char cut[] = "…";
    const uint8_t *p = b.data;
    size_t n = 0;

    CHECK(size >= sizeof cut + 4);
    for (size_t i = 0; i < b.len; i++) {
        bool plain = p[i] >= 0x20 && p[i] < 0x7f;
        if (n + (plain ? 1 : 4) + sizeof cut > size) {
            memcpy(out + n, cut, sizeof cut);
            return out;
        }
        if (plain)
            out[n++] = (char)p[i];
        else
            n += (size_t)snprintf(out + n, size - n, "\\x%02x", p[i]);
    }
    out[n] = '\0';
    return out;
}

void buf_init(struct buf *b, size_t max) { *b = (struct buf){ .max = max }; }

void buf_fini(struct buf *b)
{
    free(b->data);
    buf_init(b, b->max);
}

void buf_clear(struct buf *b)
{
    b->off = b->len = 0;
    b->failed = OK;
}

enum err buf_reserve(struct buf *b, size_t n, uint8_t **room)
{
    size_t used = buf_len(b), cap;
    uint8_t *data;

    if (b->failed != OK)
        return b->failed;
    if (n > b->max || used > b->max - n)
        return ERR_LIMIT;
    if (b->cap - b->len < n && b->off > 0 && (b->off >= used || b->cap - used < n)) {
        memmove(b->data, b->data + b->off, used);
        b->off = 0;
        b->len = used;
    }
    if (b->cap - b->len < n) {
        cap = b->cap < 64 ? 64 : b->cap;
        while (cap - b->len < n)
            cap *= 2;
        data = realloc(b->data, cap);
        if (data == NULL)
            return ERR_NOMEM;
        b->data = data;
        b->cap = cap;
    }
    *room = b->data + b->len;
    return OK;
}

void buf_wrote(struct buf *b, size_t n)
{
    CHECK(n <= b->cap - b->len);
    b->len += n;
}

void buf_consume(struct buf *b, size_t n)
{
    CHECK(n <= buf_len(b));
    b->off += n;
    if (b->off == b->len)
        b->off = b->len = 0;
}

enum err buf_add(struct buf *b, const void *data, size_t len)
{
    uint8_t *room;
    enum err err;

    if (len == 0)
        return OK;
    err = buf_reserve(b, len, &room);
    if (err != OK)
        return err;
    memcpy(room, data, len);
    buf_wrote(b, len);
    return OK;
}

enum err buf_add_str(struct buf *b, const char *s) { return buf_add(b, s, strlen(s)); }

enum err buf_addf(struct buf *b, const char *format, ...)
{
    va_list ap;
    uint8_t *room;
    enum err err;
    int n;

    va_start(ap, format);
    n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    CHECK(n >= 0);
    err = buf_reserve(b, (size_t)n + 1, &room);
    if (err != OK)
        return err;
    va_start(ap, format);
    vsnprintf((char *)room, (size_t)n + 1, format, ap);
    va_end(ap);
    buf_wrote(b, (size_t)n);
    return OK;
}

static enum err add_number(struct buf *b, uint64_t v, size_t width)
{
    uint8_t *room;
    enum err err = buf_reserve(b, width, &room);

    if (err != OK)
        return err;
    for (size_t i = 0; i < width; i++)
        room[i] = (uint8_t)(v >> (8 * i));
    buf_wrote(b, width);
    return OK;
}

enum err buf_add_u8(struct buf *b, uint8_t v) { return add_number(b, v, 1); }
enum err buf_add_u16(struct buf *b, uint16_t v) { return add_number(b, v, 2); }
enum err buf_add_u32(struct buf *b, uint32_t v) { return add_number(b, v, 4); }
enum err buf_add_u64(struct buf *b, uint64_t v) { return add_number(b, v, 8); }

enum err buf_add_bytes(struct buf *b, struct bytes v)
{
    enum err err;

    if (v.len > UINT32_MAX)
        return ERR_LIMIT;
    err = buf_add_u32(b, (uint32_t)v.len);
    return err != OK ? err : buf_add(b, v.data, v.len);
}

static const uint8_t *take(struct reader *r, size_t n)
{
    const uint8_t *p = r->p;

    if (r->bad || r->left < n) {
        r->bad = true;
        return NULL;
    }
    if (n > 0)
        r->p += n;
    r->left -= n;
    return p;
}

static uint64_t read_number(struct reader *r, size_t width)
{
    const uint8_t *p = take(r, width);
    uint64_t v = 0;

    if (p == NULL)
        return 0;
    for (size_t i = width; i > 0; i--)
        v = v << 8 | p[i - 1];
    return v;
}

uint8_t read_u8(struct reader *r) { return (uint8_t)read_number(r, 1); }
uint16_t read_u16(struct reader *r) { return (uint16_t)read_number(r, 2); }
uint32_t read_u32(struct reader *r) { return (uint32_t)read_number(r, 4); }
uint64_t read_u64(struct reader *r) { return read_number(r, 8); }

struct bytes read_bytes(struct reader *r)
{
    size_t n = read_u32(r);
    const uint8_t *p = take(r, n);

    return p == NULL ? bytes_of(NULL, 0) : bytes_of(p, n);
}
