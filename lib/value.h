/*
 * A reply as a value: what a graft builds, what the worker sends in DONE, and what the daemon turns
 * into RESP2 or RESP3. One value is a u8 kind and its content:
 *
 *   VALUE_NIL                      nothing
 *   VALUE_I64     u64              two's complement
 *   VALUE_DOUBLE  u64              the bits of an IEEE double
 *   VALUE_BYTES   u32 n, bytes
 *   VALUE_STATUS  u32 n, bytes     a simple string such as OK: printable, no line ends
 *   VALUE_ERROR   u32 n, bytes     the same, as an error inside an array
 *   VALUE_ARRAY   u32 n, n values
 *   VALUE_MAP     u32 n, 2n values key, value, …
 */
#ifndef GRAFTD_LIB_VALUE_H
#define GRAFTD_LIB_VALUE_H

#include "lib/buf.h"

enum value {
    VALUE_NIL = 0,
    VALUE_I64 = 1,
    VALUE_DOUBLE = 2,
    VALUE_BYTES = 3,
    VALUE_STATUS = 4,
    VALUE_ERROR = 5,
    VALUE_ARRAY = 6,
    VALUE_MAP = 7,
};

enum {
    VALUE_DEPTH_MAX = 16,                  /* arrays and maps inside each other */
    VALUE_SIZE_MAX = 32 * 1024 * 1024,     /* bytes of one encoded reply */
};

/* True if b is exactly one well-formed value within the bounds. Nothing is believed before this said yes. */
bool value_valid(struct bytes b);

#endif
