#include "worker/channel.h"

#include "policy/jail.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct buf out; /* lent memory, as large as it may get: it is never reallocated */
static uint8_t in[CHANNEL_READ];
static size_t in_off, in_len;          /* received and not consumed: in_off up to in_len */
static uint8_t kept[CHANNEL_KEPT_MAX]; /* whole CALL frames that came while the call before them waited for an answer */
static size_t kept_off, kept_len;      /* not served: kept_off up to kept_len */
static uint8_t beginning[CHANNEL_BEGINNING]; /* of a body that did not fit */
static bool said_last_words;

static struct buf lend(void *memory, size_t size) { return (struct buf){ .data = memory, .cap = size, .max = size }; }

void channel_init(void *memory) { out = lend(memory, CHANNEL_FRAME_MAX); }

/* ---- sending ---- */

static void write_all(struct bytes b)
{
    const uint8_t *p = b.data;

    while (b.len > 0) {
        ssize_t n = write(JAIL_CHANNEL, p, b.len);

        if (n < 0 && errno != EINTR)
            _exit(0); /* the daemon is gone */
        if (n > 0) {
            p += n;
            b.len -= (size_t)n;
        }
    }
}

struct buf *channel_frame(void)
{
    buf_clear(&out);
    return &out;
}

enum err channel_sent(enum err err)
{
    if (err == OK)
        write_all(buf_bytes(&out));
    return err;
}

void channel_last_words(const char *text)
{
    uint8_t memory[WIRE_HEAD + sizeof(uint32_t) + CHANNEL_WORDS_MAX];
    struct buf frame = lend(memory, sizeof memory);
    size_t n = strnlen(text, CHANNEL_WORDS_MAX);

    if (said_last_words)
        return;
    said_last_words = true;
    if (wire_add_DYING(&frame, &(struct wire_DYING){ .text = bytes_of(text, n) }) == OK)
        write_all(buf_bytes(&frame));
}

/* ---- receiving ---- */

static size_t read_some(void *room, size_t size)
{
    ssize_t n;

    do
        n = read(JAIL_CHANNEL, room, size);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        _exit(0); /* the daemon is gone */
    return (size_t)n;
}

static void read_more(void)
{
    if (in_off > 0) {
        memmove(in, in + in_off, in_len - in_off);
        in_len -= in_off;
        in_off = 0;
    }
    in_len += read_some(in + in_len, sizeof in - in_len);
}

static enum err no_room(const uint8_t *p, size_t n, struct bytes *body)
{
    *body = bytes_of(beginning, n < sizeof beginning ? n : sizeof beginning);
    if (body->len > 0)
        memcpy(beginning, p, body->len);
    return ERR_NOMEM;
}

/* The body of a frame of `size` bytes that does not fit `in`: its beginning is there, the rest is read to where it
 * belongs. */
static enum err receive_large(size_t size, uint8_t *number, struct bytes *body)
{
    size_t length = size - WIRE_HEAD, have = in_len - in_off - WIRE_HEAD;
    uint8_t *room = malloc(length);

    *number = in[in_off + WIRE_HEAD - 1];
    if (room != NULL)
        memcpy(room, in + in_off + WIRE_HEAD, have);
    else
        (void)no_room(in + in_off + WIRE_HEAD, have, body);
    in_off = in_len = 0;
    while (have < length) {
        size_t left = length - have;

        have += room != NULL ? read_some(room + have, left) : read_some(in, left < sizeof in ? left : sizeof in);
    }
    if (room == NULL)
        return ERR_NOMEM;
    *body = bytes_of(room, length);
    return OK;
}

static enum err take_body(struct bytes seen, struct bytes *body)
{
    void *room = malloc(seen.len);

    if (room == NULL)
        return no_room(seen.data, seen.len, body);
    if (seen.len > 0)
        memcpy(room, seen.data, seen.len);
    *body = bytes_of(room, seen.len);
    return OK;
}

/* Until the next frame is whole in `in`, at in_off, or known to be too large for it (ERR_LIMIT). */
static enum err await_frame(uint8_t *number, struct bytes *seen, size_t *size)
{
    enum err err;

    while ((err = wire_next(bytes_of(in + in_off, in_len - in_off), number, seen, size)) == ERR_AGAIN) {
        if (*size > sizeof in && in_len - in_off >= WIRE_HEAD + CHANNEL_BEGINNING) {
            *number = in[in_off + WIRE_HEAD - 1];
            return ERR_LIMIT;
        }
        read_more();
    }
    if (err != OK)
        _exit(1);
    return OK;
}

static enum err receive(uint8_t *number, struct bytes *body)
{
    struct bytes seen;
    size_t size;

    if (await_frame(number, &seen, &size) != OK)
        return receive_large(size, number, body);
    in_off += size;
    return take_body(seen, body);
}

static void keep(size_t size)
{
    if (kept_off > 0) {
        memmove(kept, kept + kept_off, kept_len - kept_off);
        kept_len -= kept_off;
        kept_off = 0;
    }
    if (size > sizeof kept - kept_len)
        _exit(1);
    memcpy(kept + kept_len, in + in_off, size);
    kept_len += size;
    in_off += size;
}

enum err channel_receive(uint8_t *number, struct bytes *body)
{
    struct bytes seen;
    size_t size;

    while (await_frame(number, &seen, &size) == OK && *number == WIRE_CALL)
        keep(size);
    return receive(number, body);
}

enum err channel_receive_call(uint8_t *number, struct bytes *body)
{
    struct bytes seen;
    size_t size;

    if (kept_off == kept_len)
        return receive(number, body);
    if (wire_next(bytes_of(kept + kept_off, kept_len - kept_off), number, &seen, &size) != OK)
        _exit(1);
    kept_off += size;
    return take_body(seen, body);
}

_Noreturn void channel_await_end(void)
{
    for (;;)
        read_some(in, sizeof in);
}
