/*
 * Replies are written whole or not at all, and read back the same, wherever they are split and within their limits. What is
 * read lies in memory that fits exactly, so that a sanitizer sees every byte read too many.
 */
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

static const struct resp_reply_limits reply_wide = { 4 * 1024 * 1024, 100000 };

#define LITERAL(s) bytes_of(s, sizeof(s) - 1)

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
