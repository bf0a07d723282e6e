/*
 * Text that strangers wrote, made safe to show: what is UTF-8 and visible passes, all else becomes \xNN.
 * Control characters and those that hide or reorder text are not visible, so that no file, graft or
 * client can play with the terminal of the person who reads about it.
 */
#ifndef GRAFTD_LIB_UTF8_H
#define GRAFTD_LIB_UTF8_H

#include "lib/buf.h"

/* Length in bytes (1 to 4) of the character that s begins with, its number in *code; 0 if s is empty or not UTF-8. */
size_t utf8_next(struct bytes s, uint32_t *code);
/* Has a shape of its own: no control character, no mark of direction, no invisible space. */
bool utf8_visible(uint32_t code);
/* All of s is UTF-8 and visible. True for no bytes. */
bool utf8_text(struct bytes s);
/* Adds s as one line for people. *columns (may be NULL): characters that it takes on a terminal. ERR_LIMIT, ERR_NOMEM.
 */
enum err utf8_show(struct buf *out, struct bytes s, size_t *columns);

#endif
