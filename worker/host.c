#include "worker/host.h"

#include "worker/channel.h"
#include "worker/draw.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct graft_call host_call;

/* ---- memory ---- */

void host_memory_refused(const struct heap *heap, size_t wanted)
{
    if (host_call.quiet || host_call.memory_told)
        return;
    host_call.memory_told = true;
    (void)CHANNEL_SEND(MEMORY, .wanted = wanted, .used = heap->used, .allowed = heap_size(heap));
}

void *host_alloc(size_t n) { return malloc(n); }

void *host_alloc_quiet(size_t n)
{
    void *p;

    host_call.quiet = true;
    p = malloc(n);
    host_call.quiet = false;
    return p;
}

/* ---- answers ---- */

int host_receive(uint8_t expected, struct bytes *body)
{
    uint8_t number;
    enum err err = channel_receive(&number, body);

    if (number != expected)
        _exit(1);
    return err == OK ? GRAFT_OK : GRAFT_NO_MEMORY;
}

/* ---- a call's beginning and end ---- */

void host_init(const struct wire_SPAWN *order, void *reply_memory)
{
    host_call = (struct graft_call){ .key_max = order->key_max, .value_max = order->value_max, .memory_told = true };
    host_call.reply.bytes = (struct buf){ .data = reply_memory, .cap = VALUE_SIZE_MAX, .max = VALUE_SIZE_MAX };
}

void host_ready(void) { host_call.memory_told = false; }

static enum err begin_args(struct graft_call *call, struct reader *r)
{
    size_t count = read_u32(r);

    if (r->bad || count > r->left / sizeof(uint32_t))
        return ERR_PROTOCOL;
    call->args = host_alloc(count * sizeof *call->args);
    if (call->args == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        struct bytes b = read_bytes(r);

        call->args[i] = graft_bytes_of(b.data, b.len);
    }
    call->arg_count = count;
    return reader_done(r) ? OK : ERR_PROTOCOL;
}

enum err host_begin(const struct wire_CALL *m)
{
    struct graft_call *call = &host_call;
    struct reader keys = reader_of(m->keys), args = reader_of(m->args);
    enum err err;

    if (m->seed.len != sizeof call->random)
        return ERR_PROTOCOL;
    call->message = *m;
    memcpy(call->random, m->seed.data, sizeof call->random);
    call->aborted = false;
    call->scan = NULL;
    call->file_changes = 0;
    call->nested_error = bytes_of("", 0);
    call->known = NULL;
    call->known_places = call->known_spare = call->key_count = call->arg_count = 0;
    host_reply_begin(&call->reply);
    err = host_kv_begin(call, &keys);
    if (err == OK)
        err = begin_args(call, &args);
    call->running = err == OK;
    return err;
}

enum { REPLIED = 0, ABORTED = 1, RETURNED = 2 }; /* DONE's how */

static const char *code_text(int code)
{
    switch (code) {
    case GRAFT_NOT_FOUND: return "GRAFT_NOT_FOUND";
    case GRAFT_BAD_ARG: return "GRAFT_BAD_ARG";
    case GRAFT_BAD_VALUE: return "GRAFT_BAD_VALUE";
    case GRAFT_OVERFLOW: return "GRAFT_OVERFLOW";
    case GRAFT_TOO_LARGE: return "GRAFT_TOO_LARGE";
    case GRAFT_NO_MEMORY: return "GRAFT_NO_MEMORY";
    case GRAFT_BAD_REPLY: return "GRAFT_BAD_REPLY";
    case GRAFT_ABORTED: return "GRAFT_ABORTED";
    case GRAFT_CALL_FAILED: return "GRAFT_CALL_FAILED";
    default: return "";
    }
}

/* A function that gives a nested call's failure back passes its reason on. */
static void send_returned(int code)
{
    struct bytes nested = host_call.nested_error;
    char text[HOST_ABORT_MAX + 1];
    int shown = nested.len < sizeof text ? (int)nested.len : (int)sizeof text;

    if (code == GRAFT_CALL_FAILED && nested.len > 0)
        snprintf(text, sizeof text, "%s: %.*s", code_text(code), shown, (const char *)nested.data);
    else
        snprintf(text, sizeof text, "%s", code_text(code));
    (void)CHANNEL_SEND(DONE, .txn = host_call.message.txn, .how = RETURNED, .code = (uint32_t)code, .text = bytes_str(text));
}

bool host_end(int code)
{
    struct graft_call *call = &host_call;
    struct bytes reply = { NULL, 0 };

    call->running = false;
    call->memory_told = false;
    if (call->aborted) {
        (void)CHANNEL_SEND(DONE, .txn = host_call.message.txn, .how = ABORTED, .code = (uint32_t)code, .text = bytes_str(call->abort_text));
        return false;
    }
    if (code == GRAFT_OK && !host_reply_end(&call->reply, &reply)) {
        (void)CHANNEL_SEND(DONE, .txn = host_call.message.txn, .how = RETURNED, .code = GRAFT_BAD_REPLY,
                           .text = bytes_str("the reply's array or map was opened with more values than it got"));
        return false;
    }
    if (code != GRAFT_OK) {
        send_returned(code);
        return false;
    }
    (void)CHANNEL_SEND(DONE, .txn = host_call.message.txn, .how = REPLIED, .reply = reply); /* fits: CHANNEL_FRAME_MAX is made for it */
    return true;
}

bool host_no_room(uint64_t txn)
{
    host_call.message.txn = txn;
    return host_end(GRAFT_NO_MEMORY);
}

/* ---- the call ---- */

size_t graft_key_count(graft_call *call) { (void)call; return host_call.running ? host_call.key_count : 0; }
size_t graft_arg_count(graft_call *call) { (void)call; return host_call.running ? host_call.arg_count : 0; }

graft_bytes graft_key(graft_call *call, size_t i)
{
    return i < graft_key_count(call) ? host_call.keys[i] : graft_bytes_of("", 0);
}

graft_bytes graft_arg(graft_call *call, size_t i)
{
    return i < graft_arg_count(call) ? host_call.args[i] : graft_bytes_of("", 0);
}

int graft_arg_i64(graft_call *call, size_t i, int64_t *value)
{
    graft_bytes b = graft_arg(call, i);

    return bytes_to_i64(bytes_of(b.data, b.len), value) ? GRAFT_OK : GRAFT_BAD_ARG;
}

int64_t graft_now(graft_call *call) { (void)call; return host_call.running ? (int64_t)host_call.message.now_us : 0; }

uint32_t graft_principal(graft_call *call)
{
    (void)call;
    return host_call.running ? host_call.message.uid : UINT32_MAX;
}

int graft_random(graft_call *call, void *out, size_t len)
{
    (void)call;
    if (!host_call.running)
        return GRAFT_BAD_ARG;
    if (len > HOST_RANDOM_MAX)
        return GRAFT_TOO_LARGE;
    draw(host_call.random, out, len);
    return GRAFT_OK;
}

/* What vsnprintf() really wrote. */
static size_t written(int n, size_t size) { return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1; }

void graft_log(graft_call *call, int level, const char *format, ...)
{
    char text[HOST_LOG_MAX + 1];
    va_list ap;
    int n;

    (void)call;
    va_start(ap, format);
    n = vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (level < GRAFT_DEBUG || level > GRAFT_ERROR)
        level = GRAFT_ERROR;
    (void)CHANNEL_SEND(LOG, .level = (uint8_t)level, .text = bytes_of(text, written(n, sizeof text)));
}

int graft_abort(graft_call *call, const char *format, ...)
{
    va_list ap;

    (void)call;
    va_start(ap, format);
    vsnprintf(host_call.abort_text, sizeof host_call.abort_text, format, ap);
    va_end(ap);
    host_call.aborted = true;
    return GRAFT_ABORTED;
}

/* ---- bytes and text ---- */

graft_bytes graft_str(const char *text) { return graft_bytes_of(text, strlen(text)); }

const char *graft_text(graft_call *call, graft_bytes b)
{
    size_t n = b.len == 0 ? 0 : strnlen(b.data, b.len);
    char *copy = host_alloc(n + 1);

    (void)call;
    if (copy == NULL)
        return "";
    if (n > 0)
        memcpy(copy, b.data, n);
    copy[n] = '\0';
    return copy;
}

graft_bytes graft_format(graft_call *call, const char *format, ...)
{
    va_list ap, again;
    char *text = NULL;
    int n;

    (void)call;
    va_start(ap, format);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    if (n >= 0)
        text = host_alloc((size_t)n + 1);
    if (text != NULL)
        vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return text == NULL ? graft_bytes_of("", 0) : graft_bytes_of(text, (size_t)n);
}
