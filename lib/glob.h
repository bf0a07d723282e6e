/*
 * Patterns as Redis has them: * any bytes, ? one byte, [a-z] and [^a-z] one of them or none of them, \ before a byte that
 * stands for itself.
 */
#ifndef GRAFTD_LIB_GLOB_H
#define GRAFTD_LIB_GLOB_H

#include "lib/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Bytes of a pattern that a stranger may send: a match takes as many steps as pattern times text in the worst case. */
enum { GLOB_MAX = 1024 };

/* All of text meets the pattern. *steps: what it took is added, about the bytes of the pattern looked at. */
bool glob_matches(struct bytes pattern, struct bytes text, size_t *steps);
/* What each text that meets the pattern begins with. Borrowed from the pattern. */
struct bytes glob_prefix(struct bytes pattern);

#endif
