#include "lib/wire.h"

/* Frames are built in place: the length is filled in at the end, and a failure takes back what was added. */
static enum err frame_begin(struct buf *b, uint8_t number)
{
    enum err err = buf_add_u32(b, 0);

    return err != OK ? err : buf_add_u8(b, number);
}

static enum err frame_end(struct buf *b, size_t before, enum err err)
{
    size_t length = buf_len(b) - before;
    uint8_t *head = b->data + b->off + before;

    if (err == OK && length - sizeof(uint32_t) > WIRE_FRAME_MAX)
        err = ERR_LIMIT;
    if (err != OK) {
        b->len = b->off + before;
        return err;
    }
    length -= sizeof(uint32_t);
    for (size_t i = 0; i < sizeof(uint32_t); i++)
        head[i] = (uint8_t)(length >> (8 * i));
    return OK;
}

#define FIELD(type, name) \
    if (err == OK) \
        err = buf_add_##type(b, m->name);
#define MESSAGE(name, number, ...) \
    enum err wire_add_##name(struct buf *b, const struct wire_##name *m) \
    { \
        size_t before = buf_len(b); \
        enum err err = frame_begin(b, number); \
        (void)m; \
        __VA_ARGS__ \
        return frame_end(b, before, err); \
    }
#include "lib/wire.def"
#undef MESSAGE
#undef FIELD

#define FIELD(type, name) m->name = read_##type(&r);
#define MESSAGE(name, number, ...) \
    bool wire_read_##name(struct bytes body, struct wire_##name *m) \
    { \
        struct reader r = reader_of(body); \
        (void)m; \
        __VA_ARGS__ \
        return reader_done(&r); \
    }
#include "lib/wire.def"
#undef MESSAGE
#undef FIELD

const char *wire_name(uint8_t number)
{
    switch (number) {
#define MESSAGE(name, number, ...) \
    case number: \
        return #name;
#include "lib/wire.def"
#undef MESSAGE
    }
    return NULL;
}

enum err wire_next(struct bytes in, uint8_t *number, struct bytes *body, size_t *used)
{
    struct reader r = reader_of(in);
    size_t length = read_u32(&r);

    *used = 0;
    if (r.bad)
        return ERR_AGAIN;
    if (length == 0 || length > WIRE_FRAME_MAX)
        return ERR_PROTOCOL;
    *used = sizeof(uint32_t) + length;
    if (r.left < length)
        return ERR_AGAIN;
    *number = read_u8(&r);
    *body = bytes_of(r.p, length - 1);
    return OK;
}
