/*
 * Random bytes that a call can draw and a replay draws again: the same seed gives the same bytes.
 * What was drawn cannot be worked out from the state that is left (fast key erasure).
 */
#ifndef GRAFTD_WORKER_DRAW_H
#define GRAFTD_WORKER_DRAW_H

#include "lib/wire.h"

#include <stddef.h>
#include <stdint.h>

/* state begins as the call's seed and is replaced. n: bytes. */
void draw(uint8_t state[WIRE_SEED], void *out, size_t n);

#endif
