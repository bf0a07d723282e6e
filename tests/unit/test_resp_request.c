/*
 * Requests are read: the same commands wherever the input is split, every length checked against its limit before memory is
 * taken for it. Input is fed into memory that fits exactly and moves each time, so that a sanitizer sees every byte read too
 * many and every pointer left behind.
 */
#include "lib/resp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { TEST_SECONDS_MAX = 60, BUF_MAX = 64 * 1024 * 1024 };

static const struct resp_limits wide = { 1024, 1024 * 1024, 4 * 1024 * 1024, 1024 };

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
    };

    alarm(TEST_SECONDS_MAX);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
