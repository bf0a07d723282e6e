/*
 * The worker's one way to the world: frames on descriptor 3, read and written whole. Nothing here allocates but the
 * bodies of received frames, which come from malloc(), that is from the graft's heap, and so end with the call.
 *
 * The daemon's bytes are believed but decoded with care: nonsense ends the process, and so does a daemon that is gone.
 */
#ifndef GRAFTD_WORKER_CHANNEL_H
#define GRAFTD_WORKER_CHANNEL_H

#include "lib/value.h"
#include "lib/wire.h"

enum {
    CHANNEL_FRAME_MAX = VALUE_SIZE_MAX + 64 * 1024, /* bytes of one sent frame: the largest reply and its head */
    CHANNEL_READ = 16 * 1024,                       /* bytes asked of the socket at a time; what is kept fits */
    CHANNEL_KEPT_MAX = 64 * 1024,                   /* bytes of calls that are kept until they are run */
    CHANNEL_BEGINNING = 8,                          /* bytes of a frame that are kept when it did not fit */
    CHANNEL_WORDS_MAX = 256,                        /* bytes of last words */
};

/* memory: CHANNEL_FRAME_MAX bytes, borrowed for good. */
void channel_init(void *memory);

/* CHANNEL_SEND(KV_PUT, .key = key, .value = value): builds the frame and writes it. ERR_LIMIT: too long, nothing was
 * sent. */
#define CHANNEL_SEND(NAME, ...) channel_sent(wire_add_##NAME(channel_frame(), &(struct wire_##NAME){ __VA_ARGS__ }))
struct buf *channel_frame(void);
enum err channel_sent(enum err err);

/* Waits for the answer to what was asked. Calls that come before it are kept. ERR_NOMEM: it did not fit the heap and was
 * read over; *number is set all the same, and *body is its first CHANNEL_BEGINNING bytes or less, borrowed. */
enum err channel_receive(uint8_t *number, struct bytes *body);
/* The next call: one that was kept, or the next frame. */
enum err channel_receive_call(uint8_t *number, struct bytes *body);

/* DYING, from wherever we are, a signal handler too: allocates nothing. Only the first text is sent. */
void channel_last_words(const char *text);

/* The daemon is going to kill this process. */
_Noreturn void channel_await_end(void);

#endif
