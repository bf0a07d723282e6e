/*
 * RESP2 and RESP3, the client's side: a bounded incremental parser of replies.
 *
 * A first pass, which remembers where it is, finds out whether the reply is whole and checks all of it; then one block
 * is allocated that holds the tree and its own copy of the bytes. Work is linear in the bytes received, however they
 * arrive.
 */
#ifndef GRAFTD_LIB_RESP_REPLY_H
#define GRAFTD_LIB_RESP_REPLY_H

#include "lib/buf.h"

enum {
    RESP_REPLY_DEPTH_MAX = 32,          /* arrays, maps, sets and pushes inside each other */
    RESP_REPLY_LINE_MAX = 64 * 1024,    /* bytes of a status, an error or a number */
};

enum resp_kind {
    RESP_NIL,       /* _  $-1  *-1 */
    RESP_STATUS,    /* +  text */
    RESP_ERROR,     /* -  and !  text, the first word says which */
    RESP_INTEGER,   /* :  integer, and text as it was sent */
    RESP_DOUBLE,    /* ,  number, and text */
    RESP_BOOL,      /* #  integer 0 or 1 */
    RESP_BIG,       /* (  text: an optional '-' and digits */
    RESP_STRING,    /* $  text */
    RESP_VERBATIM,  /* =  text, without its three letters of format and the colon */
    RESP_ARRAY,     /* *  items */
    RESP_SET,       /* ~  items */
    RESP_PUSH,      /* >  items; not an answer but news */
    RESP_MAP,       /* %  items: key, value, key, …; count is twice the number of pairs */
};

struct resp_node {
    enum resp_kind kind;
    int64_t integer;
    double number;
    struct bytes text; /* into the tree's block, with a NUL behind it that is not counted */
    size_t count;      /* of items */
    const struct resp_node *items;
};

struct resp_reply_limits {
    size_t size_max;  /* bytes of one reply on the wire */
    size_t nodes_max; /* of one reply */
};

/* One per connection. Private; all zero is "at the start of a reply". Holds no memory. */
struct resp_reply_parser {
    size_t at;      /* bytes of this reply understood so far */
    size_t scanned; /* bytes behind `at` that are known to hold no line end */
    size_t nodes;   /* announced so far */
    size_t depth;
    size_t left[RESP_REPLY_DEPTH_MAX]; /* items still to come, by depth */
};

/* Takes the reply at the front of `in`, which begins at the same byte until a reply was taken. why is clear, or NULL.
 *   OK            *root is owned by the caller (resp_reply_free), needs nothing of in; *used bytes of in were the reply
 *   ERR_AGAIN     not whole yet
 *   ERR_PROTOCOL  not RESP, or past a limit; *why says what. Close the connection
 *   ERR_NOMEM     may be tried again with the same bytes */
enum err resp_reply_next(struct resp_reply_parser *p, struct bytes in, const struct resp_reply_limits *limits,
                         struct resp_node **root, size_t *used, struct failure *why);
void resp_reply_free(struct resp_node **root); /* the whole tree; *root becomes NULL, and may be NULL */

#endif
