/* Load for what speaks RESP: graftd and Redis, by the very same code. The words are the request. */
#include "bench/load.h"

#include <string.h>

static void open_resp(struct client *c, const char *address, const struct bytes *words, size_t count)
{
    (void)words;
    (void)count;
    c->fd = stream_connect(address);
}

/* printf would take longer than a server takes to answer. */
static void add_number(struct buf *b, char kind, size_t n)
{
    char text[24], *p = text + sizeof text;

    *--p = '\n';
    *--p = '\r';
    do
        *--p = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    *--p = kind;
    load_want(buf_add(b, p, (size_t)(text + sizeof text - p)));
}

static void ask(struct client *c, const struct bytes *words, size_t count)
{
    add_number(&c->out, '*', count);
    for (size_t i = 0; i < count; i++) {
        add_number(&c->out, '$', words[i].len);
        load_want(buf_add(&c->out, words[i].data, words[i].len));
        load_want(buf_add(&c->out, "\r\n", 2));
    }
}

/* The bytes of the reply at p, or 0: it is not there as a whole. */
static size_t reply_size(const char *p, size_t len)
{
    const char *end = memchr(p, '\n', len);
    size_t size = end == NULL ? 0 : (size_t)(end - p) + 1, part;
    int64_t n;

    if (size < 3 || (*p != '$' && *p != '*'))
        return size;
    if (!bytes_to_i64(bytes_of(p + 1, size - 3), &n))
        load_die("the server sent no RESP");
    if (*p == '$')
        return n < 0 ? size : size + (size_t)n + 2 <= len ? size + (size_t)n + 2 : 0;
    for (; n > 0; n--, size += part)
        if (size >= len || (part = reply_size(p + size, len - size)) == 0)
            return 0;
    return size;
}

static bool next(struct client *c, struct answer *answer)
{
    struct bytes in = buf_bytes(&c->in);
    size_t size = in.len == 0 ? 0 : reply_size(in.data, in.len);

    if (size == 0)
        return false;
    answer->is_error = *(const char *)in.data == '-';
    answer->text = bytes_of(in.data, size - 2);
    buf_consume(&c->in, size); /* what is consumed stays until more is received */
    return true;
}

int main(int argc, char **argv)
{
    static const struct protocol resp = { open_resp, ask, stream_send, stream_receive, next };

    return load_main(argc, argv, &resp);
}
