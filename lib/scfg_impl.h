/*
 * What the files of scfg share, and nobody else sees: scfg.c has the file, scfg_parse.c makes words and directives of its
 * text, scfg_error.c says what is wrong with them, scfg_word.c is for those who use the words.
 */
#ifndef GRAFTD_LIB_SCFG_IMPL_H
#define GRAFTD_LIB_SCFG_IMPL_H

#include "lib/scfg.h"

struct scfg_fault {
    size_t offset; /* they are kept in this order */
    char *text;    /* owned; complete with source line and caret */
};

struct scfg {
    char *name; /* owned */
    char *text; /* owned: the file, for error messages */
    size_t len;
    char *words; /* owned: the words, each with its NUL; len + 2 bytes */
    struct scfg_directive *first;
    struct scfg_directive *newest; /* owned, by the chain of `older` */
    struct scfg_fault errors[SCFG_ERROR_MAX];
    size_t error_count, error_unlisted;
    bool error_lost; /* memory was short */
};

/* scfg_parse.c */
/* Directives and errors of the text that s has. ERR_NOMEM. */
enum err scfg_read(struct scfg *s);

#endif
