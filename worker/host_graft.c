/*
 * Calling another graft (T8), and reading what it replied.
 *
 * The daemon runs the nested call in another worker while this one waits for RESULT. However it ended, it worked in the
 * same transaction: nothing that was known here of keys and files is believed afterwards. A reply is taken apart once, when it
 * comes, into a table in which the items of each array and map lie side by side, so that each is found at once.
 */
#include "worker/channel.h"
#include "worker/host.h"

#include <string.h>
#include <unistd.h>

_Static_assert((int)GRAFT_VALUE_NIL == VALUE_NIL, "kinds are those of lib/value.h");
_Static_assert((int)GRAFT_VALUE_I64 == VALUE_I64, "kinds are those of lib/value.h");
_Static_assert((int)GRAFT_VALUE_DOUBLE == VALUE_DOUBLE, "kinds are those of lib/value.h");
_Static_assert((int)GRAFT_VALUE_BYTES == VALUE_BYTES, "kinds are those of lib/value.h");
_Static_assert((int)GRAFT_VALUE_STATUS == VALUE_STATUS, "kinds are those of lib/value.h");
_Static_assert((int)GRAFT_VALUE_ERROR == VALUE_ERROR, "kinds are those of lib/value.h");
_Static_assert((int)GRAFT_VALUE_ARRAY == VALUE_ARRAY, "kinds are those of lib/value.h");
_Static_assert((int)GRAFT_VALUE_MAP == VALUE_MAP, "kinds are those of lib/value.h");

/* ---- reading a reply ---- */

/* How many values there are in one that is valid, itself included. */
static size_t count_values(struct bytes value)
{
    struct reader r = reader_of(value);
    size_t count = 0;

    for (size_t missing = 1; missing > 0; missing--, count++)
        switch (read_u8(&r)) {
        case VALUE_NIL:
            break;
        case VALUE_I64:
        case VALUE_DOUBLE:
            read_u64(&r);
            break;
        case VALUE_ARRAY:
            missing += read_u32(&r);
            break;
        case VALUE_MAP:
            missing += 2 * (size_t)read_u32(&r);
            break;
        default:
            read_bytes(&r);
        }
    return count;
}

static size_t item_count(const graft_value *value)
{
    switch (value->kind) {
    case GRAFT_VALUE_ARRAY: return value->count;
    case GRAFT_VALUE_MAP: return 2 * (size_t)value->count;
    default: return 0;
    }
}

static graft_value *take_apart(struct reader *r, graft_value *value, graft_value *spare);

static graft_value *take_items(struct reader *r, graft_value *value, graft_value *spare)
{
    graft_value *items = spare;
    size_t n;

    value->count = read_u32(r);
    value->items = items;
    n = item_count(value);
    spare += n;
    for (size_t i = 0; i < n; i++)
        spare = take_apart(r, &items[i], spare);
    return spare;
}

/* Reads one value; its items, and theirs, take their places from spare on. Gives the first place that is spare
 * still. Not deeper than VALUE_DEPTH_MAX: the value is valid. */
static graft_value *take_apart(struct reader *r, graft_value *value, graft_value *spare)
{
    struct bytes b;
    uint64_t bits;

    *value = (graft_value){ .kind = read_u8(r), .bytes = graft_bytes_of("", 0) };
    switch (value->kind) {
    case GRAFT_VALUE_NIL:
        return spare;
    case GRAFT_VALUE_I64:
        value->integer = (int64_t)read_u64(r);
        return spare;
    case GRAFT_VALUE_DOUBLE:
        bits = read_u64(r);
        memcpy(&value->number, &bits, sizeof bits);
        return spare;
    case GRAFT_VALUE_ARRAY:
    case GRAFT_VALUE_MAP:
        return take_items(r, value, spare);
    default:
        b = read_bytes(r);
        value->bytes = graft_bytes_of(b.data, b.len);
        return spare;
    }
}

static int read_value(struct bytes encoded, graft_value *value)
{
    struct reader r = reader_of(encoded);
    graft_value *items = host_alloc((count_values(encoded) - 1) * sizeof *items);

    if (items == NULL)
        return GRAFT_NO_MEMORY;
    take_apart(&r, value, items);
    return GRAFT_OK;
}

int graft_value_item(const graft_value *value, size_t i, graft_value *out)
{
    const graft_value *items = value->items;

    if (i >= item_count(value))
        return GRAFT_BAD_ARG;
    *out = items[i];
    return GRAFT_OK;
}

/* ---- calling ---- */

/* Bytes of the arguments as a list, or false: too many, or too long. */
static bool measure_args(const graft_bytes *args, size_t count, size_t size_max, size_t *size)
{
    if (count > GRAFT_CALL_ARGS_MAX || (count + 1) * sizeof(uint32_t) > size_max)
        return false;
    *size = (count + 1) * sizeof(uint32_t);
    for (size_t i = 0; i < count; i++) {
        if (args[i].len > size_max - *size)
            return false;
        *size += args[i].len;
    }
    return true;
}

int host_list(const graft_bytes *args, size_t count, size_t size_max, struct buf *list)
{
    size_t size;

    if (!measure_args(args, count, size_max, &size))
        return GRAFT_TOO_LARGE;
    *list = (struct buf){ .data = host_alloc(size), .cap = size, .max = size };
    if (list->data == NULL)
        return GRAFT_NO_MEMORY;
    (void)buf_add_u32(list, (uint32_t)count); /* all of it fits: it was measured */
    for (size_t i = 0; i < count; i++)
        (void)buf_add_bytes(list, bytes_of(args[i].data, args[i].len));
    return GRAFT_OK;
}

/* The list is copied into the heap and out of it again: it is freed at once. */
static int send_call(const char *function, const graft_bytes *args, size_t count)
{
    struct bytes name = bytes_of(function, strnlen(function, HOST_FUNCTION_MAX + 1));
    struct buf list;
    int rc;

    if (name.len > HOST_FUNCTION_MAX)
        return GRAFT_TOO_LARGE;
    rc = host_list(args, count, HOST_ARGS_SIZE, &list);
    if (rc != GRAFT_OK)
        return rc;
    (void)CHANNEL_SEND(GRAFT_CALL, .function = name, .args = buf_bytes(&list)); /* fits: CHANNEL_FRAME_MAX */
    buf_fini(&list);
    return GRAFT_OK;
}

/* A success has no error and may have a reply; a failure has an error and no reply. */
static bool result_valid(const struct wire_RESULT *m)
{
    if (m->ok == 0)
        return m->error.len > 0 && m->reply.len == 0;
    return m->ok == 1 && m->error.len == 0 && (m->reply.len == 0 || value_valid(m->reply));
}

static int read_result(struct bytes body, graft_value *value)
{
    struct wire_RESULT m;

    if (!wire_read_RESULT(body, &m) || !result_valid(&m))
        _exit(1);
    *value = (graft_value){ .kind = GRAFT_VALUE_NIL, .bytes = graft_bytes_of("", 0) };
    if (m.ok == 1)
        return m.reply.len == 0 ? GRAFT_OK : read_value(m.reply, value);
    host_call.nested_error = m.error;
    value->kind = GRAFT_VALUE_ERROR;
    value->bytes = graft_bytes_of(m.error.data, m.error.len);
    return GRAFT_CALL_FAILED;
}

int graft_call_function(graft_call *call, const char *function, const graft_bytes *args, size_t arg_count,
                        graft_value *reply)
{
    graft_value value;
    struct bytes body;
    int rc;

    (void)call;
    if (!host_call.running)
        return GRAFT_BAD_ARG;
    rc = send_call(function, args, arg_count);
    if (rc != GRAFT_OK)
        return rc;
    rc = host_receive(WIRE_RESULT, &body);
    host_kv_forget(&host_call);
    host_call.file_changes++;
    if (rc == GRAFT_OK)
        rc = read_result(body, &value);
    if (reply != NULL && (rc == GRAFT_OK || rc == GRAFT_CALL_FAILED))
        *reply = value;
    return rc;
}
