/*
 * Events and timers: what happens once the call has committed, as messages of the same kind as a write.
 */
#include "worker/channel.h"
#include "worker/host.h"

#include <string.h>
#include <unistd.h>

static struct bytes of(graft_bytes b) { return bytes_of(b.data, b.len); }

static bool is_small(char c) { return c >= 'a' && c <= 'z'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* ---- events ---- */

static bool topic_valid(struct bytes topic)
{
    const char *p = topic.data;

    for (size_t i = 0; i < topic.len; i++)
        if (!is_small(p[i]) && !(p[i] >= 'A' && p[i] <= 'Z') && !is_digit(p[i]) &&
            (p[i] == '\0' || strchr("._-:/", p[i]) == NULL))
            return false;
    return topic.len > 0 && topic.len <= HOST_TOPIC_MAX;
}

int graft_emit(graft_call *call, graft_bytes topic, graft_bytes data)
{
    (void)call;
    if (!host_call.running || !topic_valid(of(topic)))
        return GRAFT_BAD_ARG;
    if (data.len > host_call.value_max || CHANNEL_SEND(EMIT, .topic = of(topic), .data = of(data)) != OK)
        return GRAFT_TOO_LARGE;
    if (host_call.message.readonly != 0)
        channel_await_end(); /* the daemon ends this call */
    return GRAFT_OK;
}

/* ---- timers ---- */

/* A graft's name, or a function's: [a-z][a-z0-9_]*, at most 63 bytes. */
static bool name_valid(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_small(name[i]) && (i == 0 || (!is_digit(name[i]) && name[i] != '_')))
            return false;
    return len > 0 && len <= HOST_FUNCTION_MAX / 2;
}

static bool function_valid(struct bytes function)
{
    const char *p = function.data, *dot = memchr(p, '.', function.len);
    size_t head = dot == NULL ? 0 : (size_t)(dot - p);

    return dot != NULL && name_valid(p, head) && name_valid(dot + 1, function.len - head - 1);
}

static struct wire_VALUE take_value(struct bytes body)
{
    struct wire_VALUE m;

    if (!wire_read_VALUE(body, &m))
        _exit(1);
    return m;
}

int graft_after(graft_call *call, uint64_t ms, const char *function, const graft_bytes *args, size_t arg_count,
                graft_bytes *id)
{
    struct bytes name = bytes_of(function, strnlen(function, HOST_FUNCTION_MAX + 1)), body;
    struct wire_VALUE m;
    struct buf list;
    int rc;

    (void)call;
    if (!host_call.running || ms > HOST_AFTER_MS_MAX || !function_valid(name))
        return GRAFT_BAD_ARG;
    rc = host_list(args, arg_count, HOST_TIMER_ARGS_SIZE, &list);
    if (rc != GRAFT_OK)
        return rc;
    (void)CHANNEL_SEND(AFTER, .ms = ms, .function = name, .args = buf_bytes(&list));
    buf_fini(&list);
    rc = host_receive(WIRE_VALUE, &body);
    if (rc != GRAFT_OK)
        return rc;
    m = take_value(body);
    if (id != NULL)
        *id = graft_bytes_of(m.value.data, m.value.len);
    return GRAFT_OK;
}

int graft_cancel(graft_call *call, graft_bytes id)
{
    struct bytes body;
    int rc;

    (void)call;
    if (!host_call.running)
        return GRAFT_BAD_ARG;
    if (id.len == 0 || id.len > HOST_TIMER_ID_MAX)
        return GRAFT_NOT_FOUND;
    (void)CHANNEL_SEND(CANCEL, .id = of(id));
    rc = host_receive(WIRE_VALUE, &body);
    if (rc != GRAFT_OK)
        return rc;
    return take_value(body).present != 0 ? GRAFT_OK : GRAFT_NOT_FOUND;
}
