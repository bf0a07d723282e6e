/*
 * Every failure that graftd knows, from lib/err.def: 0 is success, the rest small positive numbers.
 *
 * A function that can fail returns enum err; results leave by the last pointer argument and are
 * untouched on failure. Detail for people goes to a struct failure that lives on the call, the
 * transaction or the command: a fixed buffer, the first failure wins.
 */
#ifndef GRAFTD_LIB_ERR_H
#define GRAFTD_LIB_ERR_H

#include <stdbool.h>

enum err {
    OK = 0,
#define ERR(name, number, word, fault, sentence) ERR_##name = number,
#include "lib/err.def"
#undef ERR
};

/* "ERR_TIMEOUT"'s name is "TIMEOUT"; "OK" for 0. Static strings, never NULL. */
const char *err_name(enum err err);
/* First word of the RESP error. */
const char *err_word(enum err err);
const char *err_sentence(enum err err);

enum { FAILURE_TEXT_MAX = 512 }; /* bytes with the final NUL; longer text is cut */

/* One failure and its sentence. Zero-initialised is "nothing failed". */
struct failure {
    enum err err;
    char text[FAILURE_TEXT_MAX]; /* printable: control bytes are replaced when it is set */
};

/* Records the failure unless one is there already (the first wins). Returns f->err. f may be NULL:
 * then nothing is recorded and err is returned. err must not be OK. */
enum err fail(struct failure *f, enum err err, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Puts "prefix: " before the text, as a failure rises. */
void fail_prefix(struct failure *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
void failure_clear(struct failure *f);

#endif
