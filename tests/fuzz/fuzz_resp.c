/*
 * Mutated requests, replies and values: fuzz_resp [seed [count]].
 *
 * Holds: nothing crashes or reads out of bounds; input that arrives in random pieces gives the same commands, the same
 * error and the same sentence as input that arrives whole; a command written as an array reads back as itself; a value
 * that is valid can be written in both protocols, and what was written reads back as one reply.
 */
#include "lib/check.h"
#include "lib/resp.h"
#include "lib/resp_reply.h"
#include "lib/value.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNT_DEFAULT = 20000, INPUT_MAX = 512, BUF_MAX = 1024 * 1024 };

#define LITERAL(s) { s, sizeof(s) - 1 }

static const struct bytes requests[] = {
    LITERAL("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*0\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10\r\n0123456789\r\nPING\r\n"),
    LITERAL("SET \"a b\\n\\x41\\\\\\\"\" 'c\\'d' e\"f g\" \"\"\r\n\r\nECHO ''\nPING\r\n*1\r\n$4\r\nPING\r\n"),
    LITERAL("*1\r\n$20\r\n*1\r\n$4\r\nPING\r\n0123456\r\n*2\r\n$0\r\n\r\n$2\r\n\r\n\r\n*1\r\n$1\r\na\r\n"),
    LITERAL("\r\n  \n\n\t a b c d e f g h i j k l\r\n*5\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\n5\r\n"),
};

static const struct bytes replies[] = {
    LITERAL("*6\r\n+OK\r\n-ERR no\r\n:12\r\n$3\r\nabc\r\n$-1\r\n*2\r\n*-1\r\n$0\r\n\r\n:5\r\n+more\r\n"),
    LITERAL("%2\r\n+a\r\n#t\r\n+b\r\n~2\r\n,1.5\r\n,inf\r\n>2\r\n=8\r\ntxt:abcd\r\n"
            "!3\r\nERR\r\n(-123456789\r\n_\r\n#f\r\n"),
    LITERAL("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*2\r\n%1\r\n_\r\n_\r\n*0\r\n*3\r\n_\r\n_\r\n_\r\n"),
};

static const struct bytes values[] = {
    LITERAL("\6\4\0\0\0" "\0" "\1" "12345678" "\2" "12345678" "\3\3\0\0\0" "abc"),
    LITERAL("\7\2\0\0\0" "\4\2\0\0\0" "OK" "\5\2\0\0\0" "NO" "\0" "\6\1\0\0\0" "\7\0\0\0\0"),
    LITERAL("\6\1\0\0\0\6\1\0\0\0\6\1\0\0\0\6\1\0\0\0\6\1\0\0\0\6\3\0\0\0\0\0\6\0\0\0\0"),
};

/* Bytes that mean something to one of the parsers. */
static const char tokens[] = "*$+-:_,#%~>=!(\r\n\"'\\x0129 \0\1\2\3\4\5\6\7\377";

static struct corpus kept_requests, kept_replies, kept_values;

/* An input in the making. */
struct input {
    uint8_t data[INPUT_MAX];
    size_t len;
};

static void splice(struct input *in, size_t at, const void *data, size_t len)
{
    if (len > INPUT_MAX - in->len)
        len = INPUT_MAX - in->len;
    memmove(in->data + at + len, in->data + at, in->len - at);
    memcpy(in->data + at, data, len);
    in->len += len;
}

static void cut(struct input *in, size_t at, size_t len)
{
    if (len > in->len - at)
        len = in->len - at;
    memmove(in->data + at, in->data + at + len, in->len - at - len);
    in->len -= len;
}

static void mutate_once(struct input *in)
{
    uint8_t copy[INPUT_MAX];
    size_t at = random_below(in->len + 1), n = random_below(12);

    switch (random_below(6)) {
    case 0:
        if (at < in->len)
            in->data[at] ^= (uint8_t)(1 << random_below(8));
        break;
    case 1:
        if (at < in->len)
            in->data[at] = (uint8_t)tokens[random_below(sizeof tokens - 1)];
        break;
    case 2:
        splice(in, at, &tokens[random_below(sizeof tokens - 1)], 1);
        break;
    case 3:
        cut(in, at, n);
        break;
    case 4:
        in->len = random_below(8) == 0 ? at : in->len;
        break;
    case 5:
        n = n < in->len - at ? n : in->len - at;
        memcpy(copy, in->data + at, n);
        splice(in, random_below(in->len + 1), copy, n);
        break;
    }
}

static void make_input(struct input *in, const struct bytes *seeds, size_t count, const struct corpus *kept)
{
    size_t pick = random_below(count + kept->count);
    struct bytes seed = pick < count ? seeds[pick] : kept->list[pick - count];

    in->len = 0;
    splice(in, 0, seed.data, seed.len);
    for (size_t n = random_below(6); n > 0; n--)
        mutate_once(in);
}

static void add(struct buf *b, struct bytes v)
{
    enum err err = buf_add_bytes(b, v);

    CHECK(err == OK);
}

/* More bytes, in memory that fits exactly and moved. */
static void feed(struct buf *in, const uint8_t *data, size_t n)
{
    size_t have = buf_len(in);
    uint8_t *moved = malloc(have + n);

    CHECK(moved != NULL);
    if (have > 0)
        memcpy(moved, buf_bytes(in).data, have);
    if (n > 0)
        memcpy(moved + have, data, n);
    free(in->data);
    *in = (struct buf){ .data = moved, .len = have + n, .cap = have + n, .max = BUF_MAX };
}

/* ---- requests ---- */

static const struct resp_limits limits = { 12, 24, 64, 48 };

/* The command as an array reads back as itself. */
static void check_round_trip(const struct resp_command *command)
{
    static const struct resp_limits any = { INPUT_MAX, INPUT_MAX, BUF_MAX, 0 };
    struct resp_command back = { 0 };
    struct resp_parser p;
    struct buf b;
    enum err err;

    resp_init(&p);
    buf_init(&b, BUF_MAX);
    err = resp_add_array(&b, command->argc);
    for (size_t i = 0; i < command->argc && err == OK; i++)
        err = resp_add_bulk(&b, command->argv[i]);
    CHECK(err == OK);
    err = resp_next(&p, &b, &any, &back, NULL);
    CHECK(err == OK);
    CHECK(back.size == buf_len(&b));
    CHECK(back.argc == command->argc);
    for (size_t i = 0; i < back.argc; i++)
        CHECK(bytes_equal(back.argv[i], command->argv[i]));
    resp_fini(&p);
    buf_fini(&b);
}

/* Everything that was understood, then the result, as bytes in seen. */
static void read_requests(const struct input *input, bool whole, struct buf *seen)
{
    struct resp_command command;
    struct failure why = { 0 };
    struct resp_parser p;
    struct buf in;
    enum err err = ERR_AGAIN;
    size_t n;

    resp_init(&p);
    buf_init(&in, BUF_MAX);
    for (size_t at = 0; at < input->len && err == ERR_AGAIN; at += n) {
        n = whole ? input->len : 1 + random_below(input->len - at);
        feed(&in, input->data + at, n);
        while ((err = resp_next(&p, &in, &limits, &command, &why)) == OK) {
            CHECK(command.argc > 0);
            CHECK(command.argc <= limits.args_max);
            for (size_t i = 0; i < command.argc; i++)
                add(seen, command.argv[i]);
            add(seen, bytes_str("end"));
            if (whole)
                check_round_trip(&command);
            resp_done(&p, &in);
        }
        CHECK(err == ERR_AGAIN || err == ERR_PROTOCOL);
        CHECK(err == ERR_PROTOCOL || (resp_want(&p, &in) > 0 && resp_want(&p, &in) <= limits.request_max));
    }
    add(seen, bytes_str(err_name(err)));
    add(seen, bytes_str(why.text));
    resp_fini(&p);
    buf_fini(&in);
}

/* ---- replies ---- */

static const struct resp_reply_limits reply_limits = { 72, 16 };

static void show_tree(const struct resp_node *node, struct buf *seen)
{
    enum err err = buf_addf(seen, "%d %lld %zu ", (int)node->kind, (long long)node->integer, node->count);

    CHECK(err == OK);
    add(seen, node->text);
    if (node->text.data != NULL)
        CHECK(((const char *)node->text.data)[node->text.len] == '\0');
    for (size_t i = 0; i < node->count; i++)
        show_tree(&node->items[i], seen);
}

static void read_replies(const struct input *input, bool whole, struct buf *seen)
{
    struct resp_reply_parser p = { 0 };
    struct resp_node *root = NULL;
    struct buf in;
    enum err err = ERR_AGAIN;
    size_t n, used;

    buf_init(&in, BUF_MAX);
    for (size_t at = 0; at < input->len && err == ERR_AGAIN; at += n) {
        n = whole ? input->len : 1 + random_below(input->len - at);
        feed(&in, input->data + at, n);
        while ((err = resp_reply_next(&p, buf_bytes(&in), &reply_limits, &root, &used, NULL)) == OK) {
            CHECK(used <= reply_limits.size_max);
            show_tree(root, seen);
            resp_reply_free(&root);
            buf_consume(&in, used);
        }
        CHECK(err == ERR_AGAIN || err == ERR_PROTOCOL);
    }
    add(seen, bytes_str(err_name(err)));
    buf_fini(&in);
}

typedef void read_fn(const struct input *input, bool whole, struct buf *seen);

static void check_split(const struct input *input, read_fn *read)
{
    struct buf whole, split;

    buf_init(&whole, BUF_MAX);
    buf_init(&split, BUF_MAX);
    read(input, true, &whole);
    read(input, false, &split);
    CHECK(bytes_equal(buf_bytes(&whole), buf_bytes(&split)));
    buf_fini(&whole);
    buf_fini(&split);
}

/* ---- values ---- */

static void check_value(const struct input *input)
{
    static const struct resp_reply_limits any = { BUF_MAX, BUF_MAX };
    struct buf exact, out;

    buf_init(&exact, BUF_MAX);
    feed(&exact, input->data, input->len);
    for (int proto = 2; proto <= 3 && value_valid(buf_bytes(&exact)); proto++) {
        struct resp_reply_parser p = { 0 };
        struct resp_node *root = NULL;
        size_t used = 0;
        enum err err;

        buf_init(&out, BUF_MAX);
        err = resp_add_value(&out, buf_bytes(&exact), proto);
        CHECK(err == OK);
        err = resp_reply_next(&p, buf_bytes(&out), &any, &root, &used, NULL);
        CHECK(err == OK);
        CHECK(used == buf_len(&out));
        resp_reply_free(&root);
        buf_fini(&out);
    }
    buf_fini(&exact);
}

/* What is kept is good: none of it is refused. */
static void check_kept(const struct corpus *kept, read_fn *read)
{
    for (size_t i = 0; i < kept->count; i++) {
        struct input in = { .len = 0 };
        struct buf seen;

        splice(&in, 0, kept->list[i].data, kept->list[i].len);
        CHECK(in.len == kept->list[i].len);
        if (read == NULL) {
            CHECK(value_valid(kept->list[i]));
            check_value(&in);
            continue;
        }
        check_split(&in, read);
        buf_init(&seen, BUF_MAX);
        read(&in, true, &seen);
        CHECK(memmem(seen.data + seen.off, buf_len(&seen), err_name(ERR_PROTOCOL), strlen(err_name(ERR_PROTOCOL))) == NULL);
        buf_fini(&seen);
    }
}

static void open_kept(void)
{
    corpus_open(&kept_requests, "resp", "request");
    corpus_open(&kept_replies, "resp", "reply");
    corpus_open(&kept_values, "resp", "value");
    check_kept(&kept_requests, read_requests);
    check_kept(&kept_replies, read_replies);
    check_kept(&kept_values, NULL);
}

int main(int argc, char **argv)
{
    uint64_t count = fuzz_begin("fuzz_resp", argc, argv, COUNT_DEFAULT);
    struct input input;

    open_kept();
    for (uint64_t i = 0; corpus_goes_on(i, count); i++) {
        make_input(&input, requests, sizeof requests / sizeof requests[0], &kept_requests);
        check_split(&input, read_requests);
        make_input(&input, replies, sizeof replies / sizeof replies[0], &kept_replies);
        check_split(&input, read_replies);
        make_input(&input, values, sizeof values / sizeof values[0], &kept_values);
        check_value(&input);
    }
    corpus_close(&kept_requests);
    corpus_close(&kept_replies);
    corpus_close(&kept_values);
    return 0;
}
