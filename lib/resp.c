/* RESP: requests. Replies are written in resp_add.c. */
#include "lib/resp.h"

#include "lib/check.h"

#include <stdlib.h>
#include <string.h>

enum {
    DIGITS_MAX = 18,     /* of a length: more cannot be meant, and fewer cannot overflow */
    ARG_SIZE_MIN = 6,    /* bytes: "$0\r\n\r\n" */
    ARGV_FIRST = 8,      /* places */
    ARGV_KEEP_MAX = 256, /* places that stay with an idle connection */
};

void resp_init(struct resp_parser *p) { *p = (struct resp_parser){ .state = RESP_START }; }

void resp_fini(struct resp_parser *p)
{
    free(p->argv);
    resp_init(p);
}

static void start_over(struct resp_parser *p)
{
    p->state = RESP_START;
    p->argc = p->left = p->at = p->bulk = 0;
}

/* Room for n arguments. Doubles, so that memory follows what has arrived and not what was announced. */
static enum err argv_reserve(struct resp_parser *p, size_t n)
{
    size_t cap = p->argv_cap == 0 ? ARGV_FIRST : p->argv_cap;
    struct bytes *argv;

    if (n <= p->argv_cap)
        return OK;
    while (cap < n)
        cap *= 2;
    argv = reallocarray(p->argv, cap, sizeof *argv);
    if (argv == NULL)
        return ERR_NOMEM;
    p->argv = argv;
    p->argv_cap = cap;
    return OK;
}

/* A growing buffer moves, and with it what the arguments point to. */
static void follow_buffer(struct resp_parser *p, uintptr_t base)
{
    if (base == p->base)
        return;
    for (size_t i = 0; i < p->argc; i++)
        p->argv[i].data = (const void *)(base + ((uintptr_t)p->argv[i].data - p->base));
    p->base = base;
}

/* "123\r\n" at the front of in. ERR_PROTOCOL as soon as it cannot become a length any more. */
static enum err read_length(struct bytes in, size_t *value, size_t *used)
{
    const uint8_t *p = in.data;
    size_t v = 0, i = 0;

    for (; i < in.len && p[i] >= '0' && p[i] <= '9'; i++) {
        if (i == DIGITS_MAX || (i == 1 && v == 0))
            return ERR_PROTOCOL;
        v = v * 10 + (size_t)(p[i] - '0');
    }
    if (i == in.len)
        return ERR_AGAIN;
    if (i == 0 || p[i] != '\r')
        return ERR_PROTOCOL;
    if (i + 1 == in.len)
        return ERR_AGAIN;
    if (p[i + 1] != '\n')
        return ERR_PROTOCOL;
    *value = v;
    *used = i + 2;
    return OK;
}

static struct bytes bytes_from(struct bytes in, size_t at)
{
    return bytes_of((const uint8_t *)in.data + at, in.len - at);
}

/* The request will take so many bytes at least. The sum did not overflow: a length has at most DIGITS_MAX digits. */
static enum err check_size(const struct resp_limits *limits, size_t size, struct failure *why)
{
    if (size <= limits->request_max)
        return OK;
    return fail(why, ERR_PROTOCOL, "Protocol error: request too large: at least %zu bytes, and %zu are allowed", size,
                limits->request_max);
}

static enum err step_start(struct resp_parser *p, struct bytes in, const struct resp_limits *limits,
                           struct failure *why)
{
    size_t count, used;
    enum err err;

    if (in.len == 0)
        return ERR_AGAIN;
    p->base = (uintptr_t)in.data;
    if (*(const uint8_t *)in.data != '*') {
        p->state = RESP_INLINE;
        return OK;
    }
    err = read_length(bytes_from(in, 1), &count, &used);
    if (err == ERR_PROTOCOL)
        return fail(why, err, "Protocol error: invalid multibulk length");
    if (err != OK)
        return err;
    if (count > limits->args_max)
        return fail(why, ERR_PROTOCOL, "Protocol error: invalid multibulk length: %zu arguments, and %zu are allowed",
                    count, limits->args_max);
    err = check_size(limits, 1 + used + count * ARG_SIZE_MIN, why);
    if (err != OK)
        return err;
    p->at = 1 + used;
    p->left = count;
    p->state = count == 0 ? RESP_EMPTY : RESP_LENGTH;
    return OK;
}

static enum err step_length(struct resp_parser *p, struct bytes in, const struct resp_limits *limits,
                            struct failure *why)
{
    struct bytes rest = bytes_from(in, p->at);
    size_t bulk, used, others;
    char shown[16];
    enum err err;

    if (rest.len == 0)
        return ERR_AGAIN;
    if (*(const uint8_t *)rest.data != '$')
        return fail(why, ERR_PROTOCOL, "Protocol error: expected '$', got '%s'",
                    bytes_show(bytes_of(rest.data, 1), shown, sizeof shown));
    err = read_length(bytes_from(rest, 1), &bulk, &used);
    if (err == ERR_PROTOCOL)
        return fail(why, err, "Protocol error: invalid bulk length");
    if (err != OK)
        return err;
    if (bulk > limits->bulk_max)
        return fail(why, ERR_PROTOCOL, "Protocol error: invalid bulk length: %zu bytes, and %zu are allowed", bulk,
                    limits->bulk_max);
    others = (p->left - 1) * ARG_SIZE_MIN;
    err = check_size(limits, p->at + 1 + used + bulk + 2 + others, why);
    if (err != OK)
        return err;
    p->at += 1 + used;
    p->bulk = bulk;
    p->state = RESP_BULK;
    return OK;
}

static enum err step_bulk(struct resp_parser *p, struct bytes in, struct failure *why)
{
    const uint8_t *data = (const uint8_t *)in.data + p->at;
    enum err err;

    if (in.len - p->at < p->bulk + 2)
        return ERR_AGAIN;
    if (data[p->bulk] != '\r' || data[p->bulk + 1] != '\n')
        return fail(why, ERR_PROTOCOL, "Protocol error: expected CR LF behind %zu bytes of bulk", p->bulk);
    err = argv_reserve(p, p->argc + 1);
    if (err != OK)
        return err;
    p->argv[p->argc++] = bytes_of(data, p->bulk);
    p->at += p->bulk + 2;
    p->state = --p->left == 0 ? RESP_READY : RESP_LENGTH;
    return OK;
}

/* ---- inline commands ---- */

static bool is_space(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What follows a backslash inside "…", at least one byte before end. Returns the byte that is meant. */
static uint8_t unescape(const uint8_t **p, const uint8_t *end)
{
    static const char names[] = "nrtba", bytes[] = "\n\r\t\b\a";
    uint8_t c = *(*p)++;
    const char *name = c == '\0' ? NULL : strchr(names, c);

    if (c == 'x' && end - *p >= 2 && hex_value((*p)[0]) >= 0 && hex_value((*p)[1]) >= 0) {
        c = (uint8_t)(hex_value((*p)[0]) << 4 | hex_value((*p)[1]));
        *p += 2;
        return c;
    }
    return name == NULL ? c : (uint8_t)bytes[name - names];
}

/* The rest of a quoted part, up to its closing quote, which ends the word. False if there is none such. */
static bool unquote(const uint8_t **p, const uint8_t *end, uint8_t **to)
{
    uint8_t quote = *(*p)++, c;

    while (*p < end) {
        c = *(*p)++;
        if (c == quote)
            return *p == end || is_space(**p);
        if (c == '\\' && *p < end) {
            if (quote == '"')
                c = unescape(p, end);
            else if (**p == '\'')
                c = *(*p)++;
        }
        *(*to)++ = c;
    }
    return false;
}

/* Words are unquoted in place, where they only get shorter. argv has room for all of them: nothing is done twice. */
static enum err split_line(struct resp_parser *p, uint8_t *line, size_t len, const struct resp_limits *limits,
                           struct failure *why)
{
    const uint8_t *from = line, *end = line + len;

    for (;;) {
        uint8_t *word, *to;

        while (from < end && is_space(*from))
            from++;
        if (from == end)
            return OK;
        if (p->argc == limits->args_max)
            return fail(why, ERR_PROTOCOL, "Protocol error: too many arguments in inline request: %zu are allowed",
                        limits->args_max);
        word = to = line + (from - line);
        while (from < end && !is_space(*from)) {
            if (*from != '"' && *from != '\'')
                *to++ = *from++;
            else if (!unquote(&from, end, &to))
                return fail(why, ERR_PROTOCOL, "Protocol error: unbalanced quotes in request");
        }
        p->argv[p->argc++] = bytes_of(word, (size_t)(to - word));
    }
}

static size_t size_min(size_t a, size_t b) { return a < b ? a : b; }

static enum err step_inline(struct resp_parser *p, struct buf *in, const struct resp_limits *limits,
                            struct failure *why)
{
    uint8_t *line = in->data + in->off, *end = NULL;
    size_t have = buf_len(in), len;
    enum err err;

    if (p->at <= limits->inline_max)
        end = memchr(line + p->at, '\n', size_min(have - 1, limits->inline_max) + 1 - p->at);
    if (end == NULL && have > limits->inline_max)
        return fail(why, ERR_PROTOCOL, "Protocol error: too big inline request: %zu bytes are allowed",
                    limits->inline_max);
    if (end == NULL) {
        p->at = have;
        return ERR_AGAIN;
    }
    len = (size_t)(end - line);
    err = argv_reserve(p, size_min(len / 2 + 1, limits->args_max)); /* words are at least one byte and a space */
    if (err != OK)
        return err;
    err = split_line(p, line, len, limits, why);
    if (err != OK)
        return err;
    p->at = len + 1;
    p->state = p->argc == 0 ? RESP_EMPTY : RESP_READY;
    return OK;
}

/* ---- one request after the other ---- */

static enum err step(struct resp_parser *p, struct buf *in, const struct resp_limits *limits, struct failure *why)
{
    switch (p->state) {
    case RESP_START:
        return step_start(p, buf_bytes(in), limits, why);
    case RESP_LENGTH:
        return step_length(p, buf_bytes(in), limits, why);
    case RESP_BULK:
        return step_bulk(p, buf_bytes(in), why);
    case RESP_INLINE:
        return step_inline(p, in, limits, why);
    case RESP_EMPTY:
        resp_done(p, in);
        return OK;
    case RESP_READY: /* not reached: resp_next() stops there */
    case RESP_BROKEN:
        break;
    }
    return fail(why, ERR_PROTOCOL, "Protocol error: nothing can be read after a protocol error; connect again");
}

enum err resp_next(struct resp_parser *p, struct buf *in, const struct resp_limits *limits, struct resp_command *out,
                   struct failure *why)
{
    enum err err = OK;

    follow_buffer(p, (uintptr_t)in->data + in->off);
    while (err == OK && p->state != RESP_READY)
        err = step(p, in, limits, why);
    if (err == OK)
        *out = (struct resp_command){ p->argv, p->argc, p->at };
    else if (err == ERR_PROTOCOL)
        p->state = RESP_BROKEN;
    return err;
}

void resp_done(struct resp_parser *p, struct buf *in)
{
    CHECK(p->state == RESP_READY || p->state == RESP_EMPTY);
    buf_consume(in, p->at);
    start_over(p);
    if (p->argv_cap > ARGV_KEEP_MAX) {
        free(p->argv);
        p->argv = NULL;
        p->argv_cap = 0;
    }
}

size_t resp_want(const struct resp_parser *p, const struct buf *in)
{
    size_t need = p->state == RESP_BULK ? p->at + p->bulk + 2 : 0;

    return need > buf_len(in) ? need - buf_len(in) : 1;
}
