/*
 * JSON as graftctl needs it: a writer, and a strict reader of flat arrays.
 *
 * Bytes and JSON strings: bytes that are UTF-8 are a string; other bytes are {"base64": "…"}. The reader takes both.
 */
#ifndef GRAFTD_GRAFTCTL_JSON_H
#define GRAFTD_GRAFTCTL_JSON_H

#include "lib/buf.h"

enum {
    JSON_LINE_MAX = 32 * 1024 * 1024, /* bytes of one array */
    JSON_ITEM_MAX = 64 * 1024,        /* items in it */
};

/* The writer adds one whole value, or nothing: ERR_LIMIT, ERR_NOMEM. */
enum err json_add_bytes(struct buf *out, struct bytes b);
enum err json_add_str(struct buf *out, const char *s);
enum err json_add_double(struct buf *out, double v); /* reads back the same; "inf", "-inf" and "nan" as strings */

/* Items, one behind the other in one buffer; used again from array to array. */
struct json_list {
    struct buf text;
    size_t *ends; /* owned; where each item ends in text */
    size_t count, cap;
};

void json_list_init(struct json_list *list);
void json_list_fini(struct json_list *list);
void json_list_clear(struct json_list *list);
enum err json_list_add(struct json_list *list, struct bytes item);   /* ERR_LIMIT, ERR_NOMEM */
struct bytes json_list_item(const struct json_list *list, size_t i); /* borrowed until the list changes */

/* Reads one array of strings, numbers and {"base64": "…"}, and nothing behind it, into list, which is cleared first. A
 * number is kept as its text. ERR_BADARG says what is wrong and at which byte, from 1; ERR_LIMIT, ERR_NOMEM. */
enum err json_read_list(struct bytes text, struct json_list *list, struct failure *why);

#endif
