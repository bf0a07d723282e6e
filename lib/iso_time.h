/* Time for people and programs. */
#ifndef GRAFTD_LIB_ISO_TIME_H
#define GRAFTD_LIB_ISO_TIME_H

#include "lib/buf.h"

#include <stdbool.h>

/* us since 1970 as 2026-11-23T10:00:00.123Z. Returns out. */
const char *iso_time(int64_t us, char out[32]);
/* The other way round, in us: 2026-11-23T10:00:00.5Z, which is UTC with or without its Z, and of which all behind the day
 * may be missing, from anywhere on; or whole seconds since 1970. False: it is neither. */
bool iso_time_read(struct bytes text, int64_t *us);

#endif
