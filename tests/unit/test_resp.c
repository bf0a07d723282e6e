/* Requests are read, replies written, and replies read back. Input is fed into memory that fits exactly and moves each
 * time, so that a sanitizer sees every byte read too many and every pointer left behind. */
#include "lib/resp.h"
#include "lib/resp_reply.h"
#include "lib/value.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { TEST_SECONDS_MAX = 60, BUF_MAX = 64 * 1024 * 1024 };

static const struct resp_limits wide = { 1024, 1024 * 1024, 4 * 1024 * 1024, 1024 };
static const struct resp_reply_limits reply_wide = { 4 * 1024 * 1024, 100000 };

#define LITERAL(s) bytes_of(s, sizeof(s) - 1)

static void feed(struct buf *in, const void *data, size_t n)
{
    size_t have = buf_len(in);
    uint8_t *moved = malloc(have + n);

    assert_non_null(moved);
    if (have > 0)
        memcpy(moved, buf_bytes(in).data, have);
    if (n > 0)
        memcpy(moved + have, data, n);
    free(in->data);
    *in = (struct buf){ .data = moved, .len = have + n, .cap = have + n, .max = BUF_MAX };
}

/* All commands so far as "a|b;c;", an error as its sentence. */
static enum err read_commands(struct resp_parser *p, struct buf *in, const struct resp_limits *limits, struct buf *seen)
{
    struct resp_command command;
    struct failure why = { 0 };
    enum err err;

    while ((err = resp_next(p, in, limits, &command, &why)) == OK) {
        for (size_t i = 0; i < command.argc; i++) {
            assert_int_equal(buf_add(seen, command.argv[i].data, command.argv[i].len), OK);
            assert_int_equal(buf_add_str(seen, i + 1 == command.argc ? ";" : "|"), OK);
        }
        resp_done(p, in);
    }
    if (err == ERR_PROTOCOL)
        assert_int_equal(buf_add_str(seen, why.text), OK);
    return err;
}

/* Fed in steps of `step` bytes, the first one of `first`. */
static enum err read_in_steps(struct bytes input, size_t first, size_t step, const struct resp_limits *limits,
                              struct buf *seen)
{
    struct resp_parser p;
    struct buf in;
    enum err err = ERR_AGAIN;
    size_t n;

    resp_init(&p);
    buf_init(&in, BUF_MAX);
    for (size_t at = 0; at < input.len && err == ERR_AGAIN; at += n) {
        n = at == 0 && first > 0 ? first : step;
        if (n > input.len - at)
            n = input.len - at;
        feed(&in, (const char *)input.data + at, n);
        err = read_commands(&p, &in, limits, seen);
    }
    resp_fini(&p);
    buf_fini(&in);
    return err;
}

static void assert_reads_limited(struct bytes input, const struct resp_limits *limits, const char *want)
{
    struct buf seen;

    buf_init(&seen, BUF_MAX);
    read_in_steps(input, 0, input.len, limits, &seen);
    assert_int_equal(buf_add_u8(&seen, 0), OK);
    assert_string_equal(buf_bytes(&seen).data, want);
    buf_fini(&seen);
}

static void assert_reads(const char *input, const char *want) { assert_reads_limited(bytes_str(input), &wide, want); }

static void reads_arrays_and_lines(void **state)
{
    (void)state;
    assert_reads("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "GET|k;");
    assert_reads("*1\r\n$0\r\n\r\n", ";");
    assert_reads("*3\r\n$3\r\nSET\r\n$4\r\n\r\n*1\r\n$0\r\n\r\nPING\r\n", "SET|\r\n*1|;PING;");
    assert_reads("PING\n", "PING;");
    assert_reads("  set  k\t v \r\n", "set|k|v;");
    assert_reads("PING\r\n*1\r\n$4\r\nPING\r\nECHO a\r\n*1", "PING;PING;ECHO|a;");
}

static void skips_what_has_no_words(void **state)
{
    (void)state;
    assert_reads("\r\n\n   \r\n*0\r\n*0\r\nPING\r\n*0\r\n\r\n", "PING;");
}

static void quotes_as_redis_does(void **state)
{
    static const char *const rows[][2] = {
        { "a \"b c\" d\r\n", "a|b c|d;" },
        { "a \"\" ''\r\n", "a||;" },
        { "\"\\n\\r\\t\\b\\a\"\r\n", "\n\r\t\b\a;" },
        { "\"\\x41\\x4a\\x4Ab\"\r\n", "AJJb;" },
        { "\"\\x4\" \"\\xg1\" \"\\x\"\r\n", "x4|xg1|x;" },
        { "\"\\\\\\\"\\q\"\r\n", "\\\"q;" },
        { "'it\\'s' '\\n' '\"'\r\n", "it's|\\n|\";" },
        { "a\"b c\" d'e'\r\n", "ab c|de;" },
        { "a \\n\r\n", "a|\\n;" },
        { "\"a\"b\r\n", "Protocol error: unbalanced quotes in request" },
        { "'a'\"b\"\r\n", "Protocol error: unbalanced quotes in request" },
        { "a \"b\r\n", "Protocol error: unbalanced quotes in request" },
        { "a '\r\n", "Protocol error: unbalanced quotes in request" },
        { "a 'b\\'\r\n", "Protocol error: unbalanced quotes in request" },
        { "a \"b\\\"\r\n", "Protocol error: unbalanced quotes in request" },
        { "a \"\\\n", "Protocol error: unbalanced quotes in request" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_reads(rows[i][0], rows[i][1]);
}

static void refuses_hostile_lengths(void **state)
{
    static const char *const counts[] = { "-1\r\n", "+1\r\n",  " 1\r\n", "\r\n", "01\r\n", "00\r\n", "1x\r\n", "1 \r\n",
                                          "1\n",    "1\r\r\n", "0x1\r\n", "18446744073709551617\r\n", "-", "1\rx", "a",
                                          "9999999999999999999" };
    char input[64], want[64];

    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        snprintf(input, sizeof input, "*%s", counts[i]);
        assert_reads(input, "Protocol error: invalid multibulk length");
        snprintf(input, sizeof input, "*1\r\n$%s", counts[i]);
        assert_reads(input, "Protocol error: invalid bulk length");
    }
    for (const char *c = "*+:0 \n"; *c != '\0'; c++) {
        snprintf(input, sizeof input, "*1\r\n%c1\r\na\r\n", *c);
        snprintf(want, sizeof want, *c == '\n' ? "Protocol error: expected '$', got '\\x0a'"
                                               : "Protocol error: expected '$', got '%c'", *c);
        assert_reads(input, want);
    }
    assert_reads("*1\r\n$1\r\nab\r\n", "Protocol error: expected CR LF behind 1 bytes of bulk");
    assert_reads("*1\r\n$1\r\na\n\n", "Protocol error: expected CR LF behind 1 bytes of bulk");
    assert_reads("*1\r\n$1\r\na\r\r", "Protocol error: expected CR LF behind 1 bytes of bulk");
}

static void limits_hold_at_the_exact_edge(void **state)
{
    static const struct bytes two = { "*2\r\n$2\r\nab\r\n$3\r\ncde\r\n", 21 };
    struct resp_limits tight = { 2, 3, 21, 4 };

    (void)state;
    assert_reads_limited(two, &tight, "ab|cde;");
    tight.args_max = 1;
    assert_reads_limited(LITERAL("*2\r\n"), &tight,
                         "Protocol error: invalid multibulk length: 2 arguments, and 1 are allowed");
    assert_reads_limited(LITERAL("a b\n"), &tight,
                         "Protocol error: too many arguments in inline request: 1 are allowed");
    tight.args_max = 2;
    tight.bulk_max = 2;
    assert_reads_limited(LITERAL("*2\r\n$2\r\nab\r\n$3\r\n"), &tight,
                         "Protocol error: invalid bulk length: 3 bytes, and 2 are allowed");
    tight.bulk_max = 3;
    tight.request_max = 20;
    assert_reads_limited(bytes_of(two.data, 16), &tight,
                         "Protocol error: request too large: at least 21 bytes, and 20 are allowed");
    tight.request_max = 18; /* the second argument takes 6 at least */
    assert_reads_limited(LITERAL("*2\r\n$3\r\n"), &tight,
                         "Protocol error: request too large: at least 19 bytes, and 18 are allowed");
    tight.request_max = 15; /* two empty arguments take 16 */
    assert_reads_limited(LITERAL("*2\r\n"), &tight,
                         "Protocol error: request too large: at least 16 bytes, and 15 are allowed");
    tight.request_max = 16;
    assert_reads_limited(LITERAL("*2\r\n$0\r\n\r\n$0\r\n\r\n"), &tight, "|;");
    assert_reads_limited(LITERAL("abcd\na b\r\n"), &tight, "abcd;a|b;");
    assert_reads_limited(LITERAL("abcd\r\n"), &tight, "Protocol error: too big inline request: 4 bytes are allowed");
    assert_reads_limited(LITERAL("abcde"), &tight, "Protocol error: too big inline request: 4 bytes are allowed");
    assert_reads_limited(LITERAL("abcd"), &tight, "");
}

static void same_commands_wherever_the_input_is_split(void **state)
{
    const struct bytes inputs[] = {
        LITERAL("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*0\r\nPING \"a\\x41 b\" 'c'\r\n\r\n"
                "*3\r\n$0\r\n\r\n$12\r\n*1\r\n$1\r\na\r\n\0\r\n"
                "$1\r\n\n\r\nECHO x\n"),
        LITERAL("*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPINGG\r\n"),
        LITERAL("PING\r\n*1\r\n$007\r\n"),
        LITERAL("*5000\r\n"),
        LITERAL("PING\r\nECHO \"a\r\n"),
        LITERAL("*2\r\n$1\r\na\r\n!1\r\n"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        struct buf whole, split;
        enum err err;

        buf_init(&whole, BUF_MAX);
        buf_init(&split, BUF_MAX);
        err = read_in_steps(inputs[i], 0, inputs[i].len, &wide, &whole);
        for (size_t first = 0; first < inputs[i].len; first++) { /* 0: one byte at a time */
            size_t step = first == 0 ? 1 : inputs[i].len;

            buf_clear(&split);
            assert_int_equal(read_in_steps(inputs[i], first, step, &wide, &split), err);
            assert_true(bytes_equal(buf_bytes(&whole), buf_bytes(&split)));
        }
        buf_fini(&whole);
        buf_fini(&split);
    }
}

static void wants_what_a_bulk_lacks(void **state)
{
    struct resp_parser p;
    struct resp_command command;
    struct buf in;

    (void)state;
    resp_init(&p);
    buf_init(&in, BUF_MAX);
    assert_int_equal(resp_next(&p, &in, &wide, &command, NULL), ERR_AGAIN);
    assert_int_equal(resp_want(&p, &in), 1);
    feed(&in, "*1\r\n$100000\r\n0123", 17);
    assert_int_equal(resp_next(&p, &in, &wide, &command, NULL), ERR_AGAIN);
    assert_int_equal(resp_want(&p, &in), 100002 - 4);
    resp_fini(&p);
    buf_fini(&in);
}

static void takes_no_memory_for_what_was_only_announced(void **state)
{
    static const struct resp_limits huge = { 1024 * 1024, 1024, BUF_MAX, 1024 };
    struct resp_parser p;
    struct resp_command command;
    struct buf in;

    (void)state;
    resp_init(&p);
    buf_init(&in, BUF_MAX);
    feed(&in, "*1048576\r\n$1\r\na\r\n", 17);
    assert_int_equal(resp_next(&p, &in, &huge, &command, NULL), ERR_AGAIN);
    assert_in_range(p.argv_cap, 1, 64);
    resp_fini(&p);
    buf_fini(&in);
}

static void gives_the_same_command_until_it_is_done(void **state)
{
    struct resp_parser p;
    struct resp_command command = { 0 };
    struct buf in;

    (void)state;
    resp_init(&p);
    buf_init(&in, BUF_MAX);
    feed(&in, "ECHO \"\\x22\"\r\n", 13);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(resp_next(&p, &in, &wide, &command, NULL), OK);
        assert_int_equal(command.argc, 2);
        assert_int_equal(command.size, 13);
        assert_true(bytes_equal(command.argv[0], bytes_str("ECHO")));
        assert_true(bytes_equal(command.argv[1], bytes_str("\"")));
        feed(&in, "more", 4); /* moves the buffer */
    }
    resp_done(&p, &in);
    assert_true(bytes_equal(buf_bytes(&in), bytes_str("moremoremore")));
    resp_fini(&p);
    buf_fini(&in);
}

static void stays_broken_after_a_protocol_error(void **state)
{
    static const struct resp_limits tight = { 0, 0, 0, 0 };
    struct resp_parser p;
    struct resp_command command = { 0 };
    struct failure why = { 0 };
    struct buf in;

    (void)state;
    resp_init(&p);
    buf_init(&in, BUF_MAX);
    feed(&in, "*1\r\n$4\r\nPING\r\n", 14);
    assert_int_equal(resp_next(&p, &in, &tight, &command, &why), ERR_PROTOCOL);
    failure_clear(&why);
    feed(&in, "PING\r\n", 6);
    assert_int_equal(resp_next(&p, &in, &wide, &command, &why), ERR_PROTOCOL); /* not even under other limits */
    assert_int_equal(command.argc, 0);
    resp_fini(&p);
    buf_fini(&in);
}

static void reads_a_large_bulk_and_many_arguments_in_small_pieces(void **state)
{
    enum { SIZE = 16 * 1024 * 1024, PIECE = 1000, ARGS = 100000 };
    static const struct resp_limits huge = { ARGS, SIZE, BUF_MAX, 1024 };
    static const uint8_t zeros[PIECE];
    struct resp_parser p;
    struct resp_command command = { 0 };
    struct buf in;

    (void)state;
    resp_init(&p);
    buf_init(&in, BUF_MAX);
    assert_int_equal(buf_addf(&in, "*2\r\n$1\r\na\r\n$%d\r\n", SIZE), OK);
    for (size_t left = SIZE; left > 0;) {
        size_t n = left < PIECE ? left : PIECE;

        assert_int_equal(resp_next(&p, &in, &huge, &command, NULL), ERR_AGAIN);
        assert_int_equal(resp_want(&p, &in), left + 2);
        assert_int_equal(buf_add(&in, zeros, n), OK);
        left -= n;
    }
    assert_int_equal(buf_add_str(&in, "\r\n"), OK);
    assert_int_equal(resp_next(&p, &in, &huge, &command, NULL), OK);
    assert_int_equal(command.argv[1].len, SIZE);
    resp_done(&p, &in);

    assert_int_equal(buf_addf(&in, "*%d\r\n", ARGS), OK);
    for (unsigned i = 0; i < ARGS; i++) {
        assert_int_equal(resp_next(&p, &in, &huge, &command, NULL), ERR_AGAIN);
        assert_int_equal(buf_addf(&in, "$6\r\n%06u\r\n", i), OK);
    }
    assert_int_equal(resp_next(&p, &in, &huge, &command, NULL), OK);
    assert_int_equal(command.argc, ARGS);
    assert_true(bytes_equal(command.argv[ARGS - 1], bytes_str("099999")));
    assert_true(bytes_equal(command.argv[0], bytes_str("000000")));
    resp_done(&p, &in);
    assert_in_range(p.argv_cap, 0, 1024); /* one large request does not keep its memory */
    assert_int_equal(buf_len(&in), 0);
    resp_fini(&p);
    buf_fini(&in);
}

/* ---- replies ---- */

/* A value with everything inside: both what the writer is given and what must come back. */
static void add_sample_value(struct buf *b)
{
    double half = -0.5;
    uint64_t bits;

    memcpy(&bits, &half, sizeof bits);
    assert_int_equal(buf_add_u8(b, VALUE_ARRAY), OK);
    assert_int_equal(buf_add_u32(b, 7), OK);
    assert_int_equal(buf_add_u8(b, VALUE_NIL), OK);
    assert_int_equal(buf_add_u8(b, VALUE_I64), OK);
    assert_int_equal(buf_add_u64(b, (uint64_t)INT64_MIN), OK);
    assert_int_equal(buf_add_u8(b, VALUE_DOUBLE), OK);
    assert_int_equal(buf_add_u64(b, bits), OK);
    assert_int_equal(buf_add_u8(b, VALUE_BYTES), OK);
    assert_int_equal(buf_add_bytes(b, LITERAL("a\r\n\0b")), OK);
    assert_int_equal(buf_add_u8(b, VALUE_STATUS), OK);
    assert_int_equal(buf_add_bytes(b, bytes_str("OK")), OK);
    assert_int_equal(buf_add_u8(b, VALUE_ERROR), OK);
    assert_int_equal(buf_add_bytes(b, bytes_str("ERR no")), OK);
    assert_int_equal(buf_add_u8(b, VALUE_MAP), OK);
    assert_int_equal(buf_add_u32(b, 1), OK);
    assert_int_equal(buf_add_u8(b, VALUE_BYTES), OK);
    assert_int_equal(buf_add_bytes(b, bytes_str("k")), OK);
    assert_int_equal(buf_add_u8(b, VALUE_ARRAY), OK);
    assert_int_equal(buf_add_u32(b, 0), OK);
}

/* One of each, in one protocol. */
static enum err add_all(struct buf *b, int proto)
{
    struct failure why = { .err = ERR_TIMEOUT, .text = "too slow" };
    struct buf value;
    enum err err;

    buf_init(&value, BUF_MAX);
    add_sample_value(&value);
    assert_true(value_valid(buf_bytes(&value)));
    err = resp_add_array(b, 15);
    err = err ? err : resp_add_status(b, "fine\r\n-ERR forged");
    err = err ? err : resp_add_error(b, "ERR", "no\nway");
    err = err ? err : resp_add_failure(b, &why);
    err = err ? err : resp_add_i64(b, -7);
    err = err ? err : resp_add_i64(b, INT64_MAX);
    err = err ? err : resp_add_double(b, 0.1, proto);
    err = err ? err : resp_add_bool(b, true, proto);
    err = err ? err : resp_add_bool(b, false, proto);
    err = err ? err : resp_add_nil(b, proto);
    err = err ? err : resp_add_bulk(b, bytes_of(NULL, 0));
    err = err ? err : resp_add_bulk_str(b, "bulk");
    err = err ? err : resp_add_verbatim(b, bytes_str("text"), proto);
    err = err ? err : resp_add_map(b, 1, proto);
    err = err ? err : resp_add_i64(b, 0);
    err = err ? err : resp_add_i64(b, 10);
    err = err ? err : resp_add_push(b, 0, proto);
    err = err ? err : resp_add_value(b, buf_bytes(&value), proto);
    buf_fini(&value);
    return err;
}

static const char all_resp2[] = "*15\r\n+fine  -ERR forged\r\n-ERR no way\r\n-TIMEOUT too slow\r\n:-7\r\n"
                                ":9223372036854775807\r\n$3\r\n0.1\r\n:1\r\n:0\r\n$-1\r\n$0\r\n\r\n$4\r\nbulk\r\n"
                                "$4\r\ntext\r\n*2\r\n:0\r\n:10\r\n*0\r\n*7\r\n$-1\r\n"
                                ":-9223372036854775808\r\n$4\r\n-0.5\r\n"
                                "$5\r\na\r\n\0b\r\n+OK\r\n-ERR no\r\n*2\r\n$1\r\nk\r\n*0\r\n";
static const char all_resp3[] = "*15\r\n+fine  -ERR forged\r\n-ERR no way\r\n-TIMEOUT too slow\r\n:-7\r\n"
                                ":9223372036854775807\r\n,0.1\r\n#t\r\n#f\r\n_\r\n$0\r\n\r\n$4\r\nbulk\r\n"
                                "=8\r\ntxt:text\r\n%1\r\n:0\r\n:10\r\n>0\r\n*7\r\n_\r\n"
                                ":-9223372036854775808\r\n,-0.5\r\n"
                                "$5\r\na\r\n\0b\r\n+OK\r\n-ERR no\r\n%1\r\n$1\r\nk\r\n*0\r\n";

static void writes_the_exact_bytes(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, BUF_MAX);
    assert_int_equal(add_all(&b, 2), OK);
    assert_true(bytes_equal(buf_bytes(&b), LITERAL(all_resp2)));
    buf_clear(&b);
    assert_int_equal(add_all(&b, 3), OK);
    assert_true(bytes_equal(buf_bytes(&b), LITERAL(all_resp3)));
    buf_fini(&b);
}

static void writes_whole_elements_or_nothing(void **state)
{
    struct buf value, b;
    size_t whole;

    (void)state;
    buf_init(&value, BUF_MAX);
    add_sample_value(&value);
    buf_init(&b, BUF_MAX);
    assert_int_equal(resp_add_value(&b, buf_bytes(&value), 3), OK);
    whole = buf_len(&b);
    buf_fini(&b);
    for (size_t max = 0; max <= whole; max++) {
        buf_init(&b, max + 2);
        assert_int_equal(buf_add_str(&b, "xy"), OK);
        assert_int_equal(resp_add_value(&b, buf_bytes(&value), 3), max == whole ? OK : ERR_LIMIT);
        assert_int_equal(buf_len(&b), max == whole ? whole + 2 : 2);
        assert_memory_equal(buf_bytes(&b).data, "xy", 2);
        buf_fini(&b);
    }
    buf_init(&b, 10);
    assert_int_equal(resp_add_bulk_str(&b, "abcde"), ERR_LIMIT);
    assert_int_equal(buf_len(&b), 0);
    buf_clear(&b);
    assert_int_equal(resp_add_bulk_str(&b, "abcd"), OK);
    buf_fini(&b);
    buf_fini(&value);
}

static enum err read_reply(struct bytes in, const struct resp_reply_limits *limits, struct resp_node **root)
{
    struct resp_reply_parser p = { 0 };
    char *exact = malloc(in.len);
    size_t used;
    enum err err;

    memcpy(exact, in.data, in.len);
    err = resp_reply_next(&p, bytes_of(exact, in.len), limits, root, &used, NULL);
    if (err == OK)
        assert_int_equal(used, in.len);
    free(exact);
    return err;
}

static void assert_text(const struct resp_node *node, enum resp_kind kind, struct bytes text)
{
    assert_int_equal(node->kind, kind);
    assert_true(bytes_equal(node->text, text));
    assert_int_equal(((const char *)node->text.data)[text.len], '\0');
}

static void reads_back_what_the_writer_wrote(void **state)
{
    (void)state;
    for (int proto = 2; proto <= 3; proto++) {
        bool is3 = proto == 3;
        struct bytes in = is3 ? LITERAL(all_resp3) : LITERAL(all_resp2);
        struct resp_node *root = NULL;
        const struct resp_node *i;

        assert_int_equal(read_reply(in, &reply_wide, &root), OK);
        assert_int_equal(root->kind, RESP_ARRAY);
        assert_int_equal(root->count, 15);
        i = root->items;
        assert_text(&i[0], RESP_STATUS, bytes_str("fine  -ERR forged"));
        assert_text(&i[1], RESP_ERROR, bytes_str("ERR no way"));
        assert_text(&i[2], RESP_ERROR, bytes_str("TIMEOUT too slow"));
        assert_int_equal(i[3].integer, -7);
        assert_true(i[4].integer == INT64_MAX);
        assert_text(&i[5], is3 ? RESP_DOUBLE : RESP_STRING, bytes_str("0.1"));
        assert_true(!is3 || (i[5].number > 0.09 && i[5].number < 0.11));
        assert_int_equal(i[6].kind, is3 ? RESP_BOOL : RESP_INTEGER);
        assert_int_equal(i[6].integer, 1);
        assert_int_equal(i[7].integer, 0);
        assert_int_equal(i[8].kind, RESP_NIL);
        assert_text(&i[9], RESP_STRING, bytes_str(""));
        assert_text(&i[10], RESP_STRING, bytes_str("bulk"));
        assert_text(&i[11], is3 ? RESP_VERBATIM : RESP_STRING, bytes_str("text"));
        assert_int_equal(i[12].kind, is3 ? RESP_MAP : RESP_ARRAY);
        assert_int_equal(i[12].count, 2);
        assert_int_equal(i[12].items[1].integer, 10);
        assert_int_equal(i[13].kind, is3 ? RESP_PUSH : RESP_ARRAY);
        assert_int_equal(i[13].count, 0);
        assert_int_equal(i[14].count, 7);
        assert_true(i[14].items[1].integer == INT64_MIN);
        assert_text(&i[14].items[3], RESP_STRING, LITERAL("a\r\n\0b"));
        assert_int_equal(i[14].items[6].items[1].kind, RESP_ARRAY);
        resp_reply_free(&root);
        assert_null(root);
    }
}

static void reads_replies_wherever_they_are_split(void **state)
{
    const struct bytes in = LITERAL(all_resp3);
    struct resp_reply_parser p = { 0 };
    struct resp_node *root = NULL;
    size_t used;

    (void)state;
    for (size_t n = 0; n <= in.len; n++) { /* one more byte each time, each time elsewhere in memory */
        char *exact = malloc(n);

        if (n > 0)
            memcpy(exact, in.data, n);
        assert_int_equal(resp_reply_next(&p, bytes_of(exact, n), &reply_wide, &root, &used, NULL),
                         n < in.len ? ERR_AGAIN : OK);
        free(exact);
    }
    assert_int_equal(used, in.len);
    assert_int_equal(root->items[14].items[6].count, 2);
    resp_reply_free(&root);
    assert_int_equal(resp_reply_next(&p, bytes_str("+a\r\n+b"), &reply_wide, &root, &used, NULL), OK);
    assert_int_equal(used, 4); /* what follows stays */
    resp_reply_free(&root);
}

static void doubles_read_back_the_same(void **state)
{
    static const double rows[] = { 0.0, 1.0, -1.5, 0.1, 1.0 / 3.0, 1e300, 5e-324, 1.7976931348623157e308,
                                   123456789012345680.0 };
    struct resp_node *root = NULL;
    struct buf b;

    (void)state;
    buf_init(&b, BUF_MAX);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        buf_clear(&b);
        assert_int_equal(resp_add_double(&b, rows[i], 3), OK);
        assert_int_equal(read_reply(buf_bytes(&b), &reply_wide, &root), OK);
        assert_memory_equal(&root->number, &rows[i], sizeof rows[i]);
        resp_reply_free(&root);
    }
    buf_clear(&b);
    assert_int_equal(resp_add_double(&b, INFINITY, 3), OK);
    assert_int_equal(resp_add_double(&b, -INFINITY, 3), OK);
    assert_int_equal(resp_add_double(&b, -NAN, 3), OK);
    assert_true(bytes_equal(buf_bytes(&b), bytes_str(",inf\r\n,-inf\r\n,nan\r\n")));
    buf_fini(&b);
}

static void reads_the_kinds_that_are_not_written(void **state)
{
    struct resp_node *root = NULL;

    (void)state;
    assert_int_equal(read_reply(bytes_str("*4\r\n!5\r\nERR x\r\n(-12345678901234567890123\r\n~1\r\n:5\r\n*-1\r\n"),
                                &reply_wide, &root), OK);
    assert_text(&root->items[0], RESP_ERROR, bytes_str("ERR x"));
    assert_text(&root->items[1], RESP_BIG, bytes_str("-12345678901234567890123"));
    assert_int_equal(root->items[2].kind, RESP_SET);
    assert_int_equal(root->items[2].items[0].integer, 5);
    assert_int_equal(root->items[3].kind, RESP_NIL);
    resp_reply_free(&root);
}

static void refuses_replies_that_are_not_resp(void **state)
{
    static const char *const rows[] = {
        "x\r\n", "\r\n", ":\r\n", ":1x\r\n", ":9223372036854775808\r\n", ",\r\n", ",x\r\n", ", 1\r\n", "#x\r\n",
        "#\r\n", "_x\r\n", "(1a\r\n", "(-\r\n", "(\r\n", "$-2\r\n", "$\r\n", "$x\r\n", "$1\r\nabc", "$1\r\na\rx",
        "!-1\r\nabc", "=-1\r\nabc", "=3\r\ntxt\r\n", "=4\r\ntxt_\r\n", "*-2\r\n", "%-1\r\n", "~-1\r\n", ">-1\r\n",
        "*99999999999\r\n", "%60000\r\n", "$99999999999\r\n", "$18446744073709551615\r\n", "%9223372036854775808\r\n",
        "+a\nb\r\n", "+a\rb\r\n", ",1.00000000000000000000000000000000000000000000000000000000000000000\r\n",
        "*1\r\nx", "*2\r\n:1\r\n!\r\n", "|1\r\n", "$?\r\n", "*?\r\n",
    };
    struct resp_node *root = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(read_reply(bytes_str(rows[i]), &reply_wide, &root), ERR_PROTOCOL);
        assert_null(root);
    }
}

static enum err read_nested(size_t depth)
{
    char in[5 * RESP_REPLY_DEPTH_MAX + 64] = "";
    struct resp_node *root = NULL;
    enum err err;

    for (size_t i = 0; i < depth; i++)
        strcat(in, "*1\r\n");
    strcat(in, "_\r\n");
    err = read_reply(bytes_str(in), &reply_wide, &root);
    resp_reply_free(&root);
    return err;
}

static enum err read_line_of(size_t n)
{
    struct resp_node *root = NULL;
    char *in = malloc(n + 3);
    enum err err;

    memset(in, '+', n + 1);
    memcpy(in + n + 1, "\r\n", 2);
    err = read_reply(bytes_of(in, n + 3), &reply_wide, &root);
    resp_reply_free(&root);
    free(in);
    return err;
}

static void what_does_not_fit_spoils_all_that_follows(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 20);
    assert_int_equal(resp_add_array(&b, 3), OK);
    assert_int_equal(resp_add_bulk_str(&b, "abc"), OK);
    assert_int_equal(resp_add_bulk_str(&b, "too long for it"), ERR_LIMIT);
    assert_int_equal(resp_add_i64(&b, 1), ERR_LIMIT); /* which would fit */
    assert_int_equal(resp_add_bool(&b, true, 3), ERR_LIMIT);
    assert_int_equal(resp_add_nil(&b, 2), ERR_LIMIT);
    assert_int_equal(b.failed, ERR_LIMIT);
    buf_clear(&b);
    assert_int_equal(resp_add_status(&b, "OK"), OK);
    assert_int_equal(b.failed, OK);
    assert_true(bytes_equal(buf_bytes(&b), bytes_str("+OK\r\n")));
    buf_fini(&b);
}

static void reply_limits_hold_at_the_exact_edge(void **state)
{
    const struct bytes in = LITERAL("*2\r\n%1\r\n:1\r\n:2\r\n$3\r\nabc\r\n"); /* 5 nodes, 25 bytes */
    struct resp_reply_limits limits = { in.len, 5 };
    struct resp_node *root = NULL;

    (void)state;
    assert_int_equal(read_reply(in, &limits, &root), OK);
    resp_reply_free(&root);
    limits.nodes_max = 4;
    assert_int_equal(read_reply(bytes_of(in.data, 8), &limits, &root), ERR_PROTOCOL);
    limits = (struct resp_reply_limits){ in.len - 1, 5 };
    assert_int_equal(read_reply(in, &limits, &root), ERR_PROTOCOL);
    limits.size_max = in.len - 2; /* passed before it is whole */
    assert_int_equal(read_reply(bytes_of(in.data, in.len - 2), &limits, &root), ERR_AGAIN);
    assert_int_equal(read_reply(bytes_of(in.data, in.len - 1), &limits, &root), ERR_PROTOCOL);
    assert_int_equal(read_nested(RESP_REPLY_DEPTH_MAX), OK);
    assert_int_equal(read_nested(RESP_REPLY_DEPTH_MAX + 1), ERR_PROTOCOL);
    assert_int_equal(read_line_of(RESP_REPLY_LINE_MAX), OK);
    assert_int_equal(read_line_of(RESP_REPLY_LINE_MAX + 1), ERR_PROTOCOL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_arrays_and_lines),
        cmocka_unit_test(skips_what_has_no_words),
        cmocka_unit_test(quotes_as_redis_does),
        cmocka_unit_test(refuses_hostile_lengths),
        cmocka_unit_test(limits_hold_at_the_exact_edge),
        cmocka_unit_test(same_commands_wherever_the_input_is_split),
        cmocka_unit_test(wants_what_a_bulk_lacks),
        cmocka_unit_test(takes_no_memory_for_what_was_only_announced),
        cmocka_unit_test(gives_the_same_command_until_it_is_done),
        cmocka_unit_test(stays_broken_after_a_protocol_error),
        cmocka_unit_test(reads_a_large_bulk_and_many_arguments_in_small_pieces),
        cmocka_unit_test(writes_the_exact_bytes),
        cmocka_unit_test(writes_whole_elements_or_nothing),
        cmocka_unit_test(reads_back_what_the_writer_wrote),
        cmocka_unit_test(reads_replies_wherever_they_are_split),
        cmocka_unit_test(doubles_read_back_the_same),
        cmocka_unit_test(reads_the_kinds_that_are_not_written),
        cmocka_unit_test(refuses_replies_that_are_not_resp),
        cmocka_unit_test(what_does_not_fit_spoils_all_that_follows),
        cmocka_unit_test(reply_limits_hold_at_the_exact_edge),
    };

    alarm(TEST_SECONDS_MAX);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
