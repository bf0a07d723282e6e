/*
 * RESP2 and RESP3, the daemon's side: a bounded incremental parser of requests, and a writer of replies.
 *
 * A request is an array of bulk strings, or an inline command: one line of words, quoted as Redis does ("…" with
 * \n \r \t \b \a \xHH and \ before any other byte, '…' with \'). Arguments are borrowed from the receive buffer, never
 * copied; inline words are unquoted in place. Every length is checked against a limit when its digits were read, before
 * memory is taken for it. Work is linear in the bytes received, however they arrive. (After Redis's networking.c, but
 * strict: lengths are plain decimal without sign or leading zero, and line ends of arrays are exactly CR LF.)
 *
 * What the words of a request mean is not known here.
 */
#ifndef GRAFTD_LIB_RESP_H
#define GRAFTD_LIB_RESP_H

#include "lib/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a peer may send; tighter for one that is not known yet. */
struct resp_limits {
    size_t args_max;    /* arguments of one request, the command's name among them */
    size_t bulk_max;    /* bytes of one argument of an array */
    size_t request_max; /* bytes of one array on the wire, all of it */
    size_t inline_max;  /* bytes of an inline command before its '\n' */
};

/* One request. Borrowed from parser and buffer until resp_done(), or until room is reserved in the buffer, which may
 * move it: then ask resp_next() again. */
struct resp_command {
    const struct bytes *argv;
    size_t argc; /* at least 1; an inline argument may be empty, as may a bulk */
    size_t size; /* bytes on the wire */
};

enum resp_state {
    RESP_START,  /* no byte of a request was understood */
    RESP_LENGTH, /* the next bytes are "$n\r\n" */
    RESP_BULK,   /* the next bytes are bulk bytes and "\r\n" */
    RESP_INLINE, /* `at` bytes hold no line end */
    RESP_EMPTY,  /* a request without words, to be skipped */
    RESP_READY,  /* whole; waits for resp_done() */
    RESP_BROKEN, /* nothing more can be understood */
};

/* One per connection. Private; while it lives nobody else consumes from its buffer. */
struct resp_parser {
    enum resp_state state;
    struct bytes *argv; /* owned, argv_cap places */
    size_t argv_cap;
    size_t argc;    /* arguments that are whole */
    size_t left;    /* arguments of an array still to come */
    size_t at;      /* bytes of this request understood so far */
    size_t bulk;    /* RESP_BULK: bytes of the argument that is arriving */
    uintptr_t base; /* where the request lay in memory when argv was filled in */
};

void resp_init(struct resp_parser *p);
void resp_fini(struct resp_parser *p); /* frees; the parser is as after resp_init() */

/* Takes the next request out of what `in` holds. why is clear, or NULL.
 *   OK            *out is set; the same again until resp_done()
 *   ERR_AGAIN     more bytes are needed (resp_want())
 *   ERR_PROTOCOL  *why has a sentence as Redis has it: answer with it and close; every further call is refused too
 *   ERR_NOMEM     may be tried again
 * Empty lines and empty arrays are skipped. Limits may differ from call to call; what they let through stays. */
enum err resp_next(struct resp_parser *p, struct buf *in, const struct resp_limits *limits, struct resp_command *out,
                   struct failure *why);
/* Consumes the command that resp_next() gave: its arguments are gone. */
void resp_done(struct resp_parser *p, struct buf *in);
/* After ERR_AGAIN: at least so many bytes beyond those in `in` are needed to get further; 1 when that is not known. */
size_t resp_want(const struct resp_parser *p, const struct buf *in);

/*
 * The writer. Each function adds one whole element to the buffer, or nothing: ERR_LIMIT, ERR_NOMEM. proto is 2 or 3.
 * Arrays, maps and pushes are headers: the elements follow by further calls. A failure is remembered in b->failed, and all
 * that follows fails, too: so who writes many elements looks once, at the end, and no reply is sent with a part left out.
 */
enum err resp_add_status(struct buf *b, const char *text); /* control bytes become spaces */
/* "-WORD text"; control bytes become spaces. */
enum err resp_add_error(struct buf *b, const char *word, const char *text);
enum err resp_add_failure(struct buf *b, const struct failure *why); /* something failed */
enum err resp_add_i64(struct buf *b, int64_t v);
enum err resp_add_double(struct buf *b, double v, int proto); /* reads back the same; inf, -inf, nan. RESP2: bulk */
enum err resp_add_bool(struct buf *b, bool v, int proto);     /* RESP2: 1 or 0 */
enum err resp_add_nil(struct buf *b, int proto);
enum err resp_add_bulk(struct buf *b, struct bytes v);
enum err resp_add_bulk_str(struct buf *b, const char *s);
enum err resp_add_verbatim(struct buf *b, struct bytes text, int proto); /* text for people; RESP2: bulk */
enum err resp_add_array(struct buf *b, size_t n);
enum err resp_add_map(struct buf *b, size_t n, int proto);  /* n pairs; RESP2: an array of 2n */
enum err resp_add_push(struct buf *b, size_t n, int proto); /* RESP2: an array */
/* A value of lib/value.h with all that is inside it. value_valid() said yes to it. */
enum err resp_add_value(struct buf *b, struct bytes value, int proto);

#endif
