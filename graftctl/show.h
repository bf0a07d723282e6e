/*
 * Replies on stdout: as JSON, as rows and fields with titles, or by their own shape.
 */
#ifndef GRAFTD_GRAFTCTL_SHOW_H
#define GRAFTD_GRAFTCTL_SHOW_H

#include "graftctl/command.h"
#include "lib/buf.h"

enum { FIELD_MAX = 16 }; /* fields of one row */

/* A field of a reply: the title is for people; key may name several, "outcome|state", of which the first that is there
 * counts. */
struct field {
    const char *title, *key;
};

/* Each prints, and gives OUTCOME_DONE, or OUTCOME_FAILED with the reason on stderr (memory, a reply of another shape).
 */

/* One line of JSON. Bytes that are not UTF-8 are {"base64": "…"}; a map with keys that are not text is an array of
 * [key, value]; an error inside is {"error": "…"}; inf, -inf and nan are strings. */
enum outcome show_json(const graft_reply *reply);
enum outcome show_json_value(const graft_reply *reply); /* the same without the line end */
/* An array of maps: a row each, a column per field. nil: what stands for a value that is nil or missing. */
enum outcome show_rows(const graft_reply *reply, const struct field *fields, size_t count, const char *nil);
/* A map: a line per field that is there and not nil. */
enum outcome show_fields(const graft_reply *reply, const struct field *fields, size_t count);
/* By its shape: a value; an array of values, or a map of values, one a line; an array of flat arrays, a row each; else
 * JSON. */
enum outcome show_reply(const graft_reply *reply);
/* What was changed, a line each: "+ key: value", "- key: value", "~ key: before → after"; long values are cut. The
 * items are maps with key, before and after. */
enum outcome show_effects(const graft_reply *effects);
/* One line. */
enum outcome show_text(struct bytes text);

/* The value of the field in the map, NULL when there is none. */
const graft_reply *show_find(const graft_reply *map, const char *key);
struct bytes reply_bytes(const graft_reply *reply);

#endif
