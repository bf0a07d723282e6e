/*
 * Bounded bytes: a growable buffer that never passes its maximum, and a reader for input that we do
 * not trust. Numbers are little-endian. (After OpenSSH's sshbuf.h: the bound is part of the object,
 * and a short read is remembered, so that a decoder checks once, at its end.)
 */
#ifndef GRAFTD_LIB_BUF_H
#define GRAFTD_LIB_BUF_H

#include "lib/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes; data may be NULL when len is 0. */
struct bytes {
    const void *data;
    size_t len;
};

static inline struct bytes bytes_of(const void *data, size_t len) { return (struct bytes){ data, len }; }
struct bytes bytes_str(const char *s); /* without the NUL */
bool bytes_equal(struct bytes a, struct bytes b);
int bytes_compare(struct bytes a, struct bytes b); /* memcmp order, shorter first */
bool bytes_start_with(struct bytes s, struct bytes prefix);
/* Owned copy of the bytes with a NUL behind them (not counted); NULL when memory is short. */
char *bytes_dup(struct bytes b);
/* Decimal text to a number: optional '-', digits, nothing else, in range. *value untouched if false. */
bool bytes_to_i64(struct bytes b, int64_t *value);
bool bytes_to_u64(struct bytes b, uint64_t *value);
/* Printable form for messages: at most size-1 bytes, others as \xNN, "…" when cut. Returns out. */
const char *bytes_show(struct bytes b, char *out, size_t size);

/* Grows by doubling up to max. Bytes from off to len are the content. */
struct buf {
    uint8_t *data; /* owned */
    size_t off;    /* bytes at the front already consumed */
    size_t len;    /* end of the content, counted from data */
    size_t cap;
    size_t max;      /* bound on len - off, bytes */
    enum err failed; /* OK; else what a writer of many parts met (lib/resp.h): nothing is added before buf_clear() */
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b); /* frees; the buffer is empty and usable again */
static inline size_t buf_len(const struct buf *b) { return b->len - b->off; }
static inline struct bytes buf_bytes(const struct buf *b) { return bytes_of(b->data + b->off, b->len - b->off); }
void buf_clear(struct buf *b); /* keeps the memory; forgets a failure */

/* Room for n more bytes at the end, to be claimed with buf_wrote. ERR_LIMIT past max, ERR_NOMEM; b->failed. */
enum err buf_reserve(struct buf *b, size_t n, uint8_t **room);
void buf_wrote(struct buf *b, size_t n);   /* n of the reserved bytes were filled */
void buf_consume(struct buf *b, size_t n); /* drops n bytes from the front; n <= buf_len */

enum err buf_add(struct buf *b, const void *data, size_t len);
enum err buf_add_str(struct buf *b, const char *s);
enum err buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
enum err buf_add_u8(struct buf *b, uint8_t v);
enum err buf_add_u16(struct buf *b, uint16_t v);
enum err buf_add_u32(struct buf *b, uint32_t v);
enum err buf_add_u64(struct buf *b, uint64_t v);
enum err buf_add_bytes(struct buf *b, struct bytes v); /* u32 length, then the bytes; LIMIT past 4 GiB */

/* Reads what the buf_add_ functions wrote. A read past the end sets bad, returns zero or empty, and
 * every later read does the same: check reader_done() once, before acting on anything that was read. */
struct reader {
    const uint8_t *p;
    size_t left;
    bool bad;
};

static inline struct reader reader_of(struct bytes b) { return (struct reader){ b.data, b.len, false }; }
uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
struct bytes read_bytes(struct reader *r); /* borrowed from what is being read */
/* Whole and exact: nothing was missing and nothing is left over. */
static inline bool reader_done(const struct reader *r) { return !r->bad && r->left == 0; }

#endif
