/*
 * Every message between the daemon and its zygote, templates and workers: encode, decode (W2).
 *
 * The table is lib/wire.def; each line becomes a struct wire_x, wire_add_x() and wire_read_x().
 * Decoding reads to the last byte: too short and too long are both refused. When a message is
 * allowed is not known here (graftd/hostcall.h).
 */
#ifndef GRAFTD_LIB_WIRE_H
#define GRAFTD_LIB_WIRE_H

#include "lib/buf.h"

enum {
    WIRE_HEAD = 5,                      /* bytes: u32 length of number and fields, u8 number */
    WIRE_FRAME_MAX = 64 * 1024 * 1024,  /* bytes of one frame after its length; larger is an attack or a bug */
    WIRE_ORDER_MAX = 64 * 1024,         /* bytes of one nursery message */
    WIRE_SEED = 32,                     /* bytes */
};

enum wire {
#define MESSAGE(name, number, ...) WIRE_##name = number,
#include "lib/wire.def"
#undef MESSAGE
};

typedef uint8_t wire_u8;
typedef uint16_t wire_u16;
typedef uint32_t wire_u32;
typedef uint64_t wire_u64;
typedef struct bytes wire_bytes;

/* struct wire_CALL { uint64_t txn; … }: bytes are borrowed. */
#define FIELD(type, name) wire_##type name;
#define MESSAGE(name, number, ...) \
    struct wire_##name { \
        __VA_ARGS__ \
    };
#include "lib/wire.def"
#undef MESSAGE
#undef FIELD

/* wire_add_CALL(buf, &message): one whole frame at the end of buf, or nothing. ERR_LIMIT, ERR_NOMEM.
 * wire_read_CALL(body, &message): body is what wire_next() gave; false unless whole and exact. */
#define MESSAGE(name, number, ...) \
    enum err wire_add_##name(struct buf *b, const struct wire_##name *m); \
    bool wire_read_##name(struct bytes body, struct wire_##name *m);
#include "lib/wire.def"
#undef MESSAGE

/* "KV_PUT", or NULL for a number that is not in the table. */
const char *wire_name(uint8_t number);

/* Takes the next whole frame out of received bytes. OK: *number and *body are set (body borrowed from in) and *used says
 * how many bytes of in it took. ERR_AGAIN: not whole yet, *used is then the bytes that the whole frame takes, or 0 when
 * that is not known. ERR_PROTOCOL: the length is 0 or passes WIRE_FRAME_MAX. */
enum err wire_next(struct bytes in, uint8_t *number, struct bytes *body, size_t *used);

#endif
