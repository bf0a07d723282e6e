/*
 * scfg: files of words. A directive is a line of words, the first of them its name, and may have a
 * block of further directives:
 *
 *     # a comment, up to the end of the line
 *     name word "two words" 'no \escapes here' back\ slash {
 *         name word; name word
 *     }
 *
 * A word ends at white space, at { } or ;. In quotes these, and #, are plain characters; a quote begins
 * and ends a word, on one line. A backslash makes the next character plain, except inside '…'. A # begins
 * a comment where a word could begin. A line end, ; or } ends a directive, { opens its block.
 * (After scfg by Simon Ser; the ; , the comments behind words and the one-line blocks are ours.)
 *
 * Reading goes on behind an error, from the next line end, so that all errors are found at once; whoever
 * gives the words a meaning adds its errors with scfg_error(), and all come out in the order of the file.
 * Everything in a file is hostile: each size has a bound, below.
 */
#ifndef GRAFTD_LIB_SCFG_H
#define GRAFTD_LIB_SCFG_H

#include "lib/buf.h"

enum {
    SCFG_FILE_MAX = 1024 * 1024, /* bytes */
    SCFG_DEPTH_MAX = 8,          /* blocks inside each other */
    SCFG_DIRECTIVE_MAX = 65536,  /* of one file */
    SCFG_WORD_MAX = 64,          /* words of one directive, its name included */
    SCFG_WORD_SIZE_MAX = 4096,   /* bytes of one word */
    SCFG_ERROR_MAX = 100,        /* errors listed of one file; the rest is counted */
};

struct scfg_word {
    const char *text; /* ends with NUL, has none inside and no control byte but tab */
    size_t len;
    unsigned line, column; /* of its first byte, or quote, from 1; column in bytes */
    size_t offset, width;  /* bytes in the file, quotes and backslashes included */
    bool quoted;
};

struct scfg_directive {
    struct scfg_directive *next;  /* behind it in the same block, NULL at the end */
    struct scfg_directive *child; /* first of its block */
    bool block;                   /* has one, maybe empty */
    struct scfg_directive *older; /* private: the chain by which all are freed */
    size_t word_count;            /* at least 1 */
    struct scfg_word words[];     /* [0] is the name */
};

struct scfg; /* one file as read; owns its directives and words */

/* Reads text as the file called name (both are copied). OK also when the text has errors, see scfg_error_count(): the
 * directives are then those that could be read. A directive with an error is left out, with its block. ERR_NOMEM. */
enum err scfg_parse(const char *name, struct bytes text, struct scfg **s);
/* The same from a path. What is not a regular file, or larger than SCFG_FILE_MAX, or writable by everybody, or cannot
 * be read, is an error of the file. */
enum err scfg_load(const char *path, struct scfg **s);
void scfg_free(struct scfg **s);

const struct scfg_directive *scfg_first(const struct scfg *s); /* NULL when there is none */

/* Adds an error at a word of s, or of the whole file when at is NULL. Memory that runs short is reported by
 * scfg_errors(). */
void scfg_error(struct scfg *s, const struct scfg_word *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
size_t scfg_error_count(const struct scfg *s);
/* Adds all errors in the order of the file, each with its line and a caret. What does not fit into out is left out.
 * ERR_NOMEM also when an error was lost before. */
enum err scfg_errors(const struct scfg *s, struct buf *out);

/* Adds a word in double quotes such that reading gives the same bytes. It must have no NUL, line end or control byte.
 */
enum err scfg_add_word(struct buf *out, struct bytes word);
/* The one of words that was most likely meant, or NULL if none is near. */
const char *scfg_nearest(const struct scfg_word *w, const char *const *words, size_t count);

#endif
