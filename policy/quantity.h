/*
 * Amounts as policy files write them: a whole number and its unit.
 *
 *     durations  50ms 1s 5m 24h 30d     kept in milliseconds; the unit is required
 *     sizes      64M 4K 1G 4096         kept in bytes; K, M and G count in 1024
 *     counts     10000
 *     occasions  never call                 0 and 1: words, no number
 */
#ifndef GRAFTD_POLICY_QUANTITY_H
#define GRAFTD_POLICY_QUANTITY_H

#include "lib/buf.h"

enum unit { UNIT_COUNT, UNIT_SIZE, UNIT_DURATION, UNIT_OCCASION };

/* A setting that is an amount, written `directive word amount`. */
struct quantity {
    const char *directive, *word;
    enum unit unit;
    uint64_t min, max; /* allowed, both included */
    uint64_t standard; /* when the policy does not say; 0: found out when it is loaded */
};

enum { QUANTITY_TEXT_MAX = 24 }; /* bytes of an amount as text, with its NUL */

/* False unless text is a whole number and a unit that fits. What passes 64 bits becomes UINT64_MAX. */
bool quantity_parse(enum unit unit, struct bytes text, uint64_t *value);
/* In the largest unit that shows it exactly. Returns out. */
const char *quantity_show(enum unit unit, uint64_t value, char out[QUANTITY_TEXT_MAX]);
/* What an amount of that unit looks like, to end the sentence "… is not". */
const char *unit_advice(enum unit unit);

#endif
