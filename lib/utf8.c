#include "lib/utf8.h"

size_t utf8_next(struct bytes s, uint32_t *code)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    const uint8_t *p = s.data;
    size_t n;
    uint32_t c;

    if (s.len == 0)
        return 0;
    n = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf8 ? 4 : 0;
    if (n == 0 || n > s.len)
        return 0;
    c = n == 1 ? p[0] : p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *code = c;
    return n;
}

bool utf8_visible(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } hidden[] = {
        { 0x00, 0x1f },     { 0x7f, 0x9f },     { 0xad, 0xad },       { 0x61c, 0x61c },
        { 0x180e, 0x180e }, { 0x200b, 0x200f }, { 0x2028, 0x202e },   { 0x2060, 0x206f },
        { 0xfeff, 0xfeff }, { 0xfff9, 0xfffb }, { 0xe0000, 0xe0fff },
    };

    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
        if (code >= hidden[i].first && code <= hidden[i].last)
            return false;
    return true;
}

bool utf8_text(struct bytes s)
{
    uint32_t code;

    while (s.len > 0) {
        size_t n = utf8_next(s, &code);
        if (n == 0 || !utf8_visible(code))
            return false;
        s = bytes_of((const uint8_t *)s.data + n, s.len - n);
    }
    return true;
}

enum err utf8_show(struct buf *out, struct bytes s, size_t *columns)
{
    size_t shown = 0;
    uint32_t code;

    while (s.len > 0) {
        const uint8_t *p = s.data;
        size_t n = utf8_next(s, &code);
        bool plain = n > 0 && utf8_visible(code);
        enum err err = plain          ? buf_add(out, p, n)
                       : p[0] == '\t' ? buf_add(out, " ", 1)
                                      : buf_addf(out, "\\x%02x", p[0]);

        if (err != OK)
            return err;
        shown += plain || p[0] == '\t' ? 1 : 4;
        n = plain ? n : 1;
        s = bytes_of(p + n, s.len - n);
    }
    if (columns != NULL)
        *columns = shown;
    return OK;
}
