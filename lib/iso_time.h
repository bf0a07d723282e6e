/* Time for people and programs. */
#ifndef GRAFTD_LIB_ISO_TIME_H
#define GRAFTD_LIB_ISO_TIME_H

#include <stdint.h>

/* us since 1970 as 2026-11-23T10:00:00.123Z. Returns out. */
const char *iso_time(int64_t us, char out[32]);

#endif
