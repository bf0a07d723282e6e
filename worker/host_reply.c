/*
 * A reply is built in the form of lib/value.h, whole or not at all: `left` counts what each open array or map still
 * lacks.
 */
#include "worker/host.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void host_reply_begin(struct reply *reply)
{
    buf_clear(&reply->bytes);
    reply->depth = 0;
    reply->done = false;
}

bool host_reply_end(struct reply *reply, struct bytes *value)
{
    static const uint8_t nil = VALUE_NIL;

    if (reply->depth > 0)
        return false;
    *value = reply->done ? buf_bytes(&reply->bytes) : bytes_of(&nil, sizeof nil);
    return true;
}

/* One value was added in full; so, perhaps, were the ones around it. */
static void value_added(struct reply *reply)
{
    while (reply->depth > 0 && --reply->left[reply->depth - 1] == 0)
        reply->depth--;
    reply->done = reply->depth == 0;
}

/* What does not fit is taken back whole. */
static int settle(struct reply *reply, size_t before, enum err err)
{
    if (err == OK) {
        value_added(reply);
        return GRAFT_OK;
    }
    reply->bytes.len = before;
    return GRAFT_TOO_LARGE;
}

static struct reply *open_reply(void) { return host_call.running && !host_call.reply.done ? &host_call.reply : NULL; }

static int add_number(enum value kind, uint64_t bits)
{
    struct reply *reply = open_reply();
    size_t before;
    enum err err;

    if (reply == NULL)
        return GRAFT_BAD_REPLY;
    before = reply->bytes.len;
    err = buf_add_u8(&reply->bytes, (uint8_t)kind);
    if (err == OK && kind != VALUE_NIL)
        err = buf_add_u64(&reply->bytes, bits);
    return settle(reply, before, err);
}

static int add_bytes(enum value kind, struct bytes value)
{
    struct reply *reply = open_reply();
    size_t before;
    enum err err;

    if (reply == NULL)
        return GRAFT_BAD_REPLY;
    before = reply->bytes.len;
    err = buf_add_u8(&reply->bytes, (uint8_t)kind);
    if (err == OK)
        err = buf_add_bytes(&reply->bytes, value);
    return settle(reply, before, err);
}

/* Status and error are lines: printable, no line ends. */
static int add_line(enum value kind, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++)
        if (*p < 0x20 || *p == 0x7f)
            return GRAFT_BAD_ARG;
    return add_bytes(kind, bytes_str(text));
}

static int add_group(enum value kind, size_t count, size_t each)
{
    struct reply *reply = open_reply();
    size_t before;
    enum err err;

    if (reply == NULL || reply->depth == HOST_DEPTH_MAX)
        return GRAFT_BAD_REPLY;
    if (count > VALUE_SIZE_MAX)
        return GRAFT_TOO_LARGE;
    before = reply->bytes.len;
    err = buf_add_u8(&reply->bytes, (uint8_t)kind);
    if (err == OK)
        err = buf_add_u32(&reply->bytes, (uint32_t)count);
    if (err != OK || count == 0)
        return settle(reply, before, err);
    reply->left[reply->depth++] = count * each;
    return GRAFT_OK;
}

int graft_reply_nil(graft_call *call) { (void)call; return add_number(VALUE_NIL, 0); }
int graft_reply_i64(graft_call *call, int64_t value) { (void)call; return add_number(VALUE_I64, (uint64_t)value); }

int graft_reply_double(graft_call *call, double value)
{
    uint64_t bits;

    (void)call;
    memcpy(&bits, &value, sizeof bits);
    return add_number(VALUE_DOUBLE, bits);
}

int graft_reply_bytes(graft_call *call, graft_bytes value)
{
    (void)call;
    return add_bytes(VALUE_BYTES, bytes_of(value.data, value.len));
}

int graft_reply_status(graft_call *call, const char *text) { (void)call; return add_line(VALUE_STATUS, text); }
int graft_reply_error(graft_call *call, const char *text) { (void)call; return add_line(VALUE_ERROR, text); }
int graft_reply_array(graft_call *call, size_t count) { (void)call; return add_group(VALUE_ARRAY, count, 1); }
int graft_reply_map(graft_call *call, size_t count) { (void)call; return add_group(VALUE_MAP, count, 2); }

/* Written straight to its place; the NUL behind it is not claimed. */
int graft_reply_format(graft_call *call, const char *format, ...)
{
    struct reply *reply = open_reply();
    va_list ap, again;
    uint8_t *room;
    size_t before;
    enum err err;
    int n;

    (void)call;
    if (reply == NULL)
        return GRAFT_BAD_REPLY;
    va_start(ap, format);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    before = reply->bytes.len;
    err = n < 0 ? ERR_LIMIT : buf_add_u8(&reply->bytes, VALUE_BYTES);
    if (err == OK)
        err = buf_add_u32(&reply->bytes, (uint32_t)n);
    if (err == OK)
        err = buf_reserve(&reply->bytes, (size_t)n + 1, &room);
    if (err == OK) {
        vsnprintf((char *)room, (size_t)n + 1, format, again);
        buf_wrote(&reply->bytes, (size_t)n);
    }
    va_end(again);
    return settle(reply, before, err);
}
