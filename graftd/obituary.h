/*
 * How a process ended, in words.
 */
#ifndef GRAFTD_OBITUARY_H
#define GRAFTD_OBITUARY_H

#include "graftd/port.h"

/* What happened, as the end of the sentence "the worker …". words: its own last ones, "" for none; they win. */
void obituary_explain(const struct obituary *o, const char *words, char *out, size_t size);

/* By SIGKILL, which no wall sends and no graft can: from outside. Only of one that graftd did not kill. */
bool obituary_outside(const struct obituary *o, const char *words);

#endif
