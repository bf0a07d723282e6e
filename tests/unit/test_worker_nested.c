/*
 * Calls of one graft by another, as the real graft-worker makes them, with this test as the daemon: the reply arrives whole,
 * a failure is told and survived (T8), nothing known of keys outlives it, and an answer that cannot be right ends the
 * worker.
 */
#include "tests/worker_zoo.h"

enum { SECONDS_MAX = 120 };

/* A RESULT as the daemon sends it: failed if there is an error. */
static void answer_call(const struct worker *w, const char *error, struct bytes reply)
{
    struct buf b;

    buf_init(&b, FRAME_ROOM);
    wire_add_RESULT(&b, &(struct wire_RESULT){ .ok = error[0] == '\0', .error = bytes_str(error), .reply = reply });
    tell(w->channel, &b);
}

static struct bytes nil(void) { return bytes_of(NULL, 0); }

/* The worker asks for a nested call of that function with these arguments, space-separated. */
static void assert_calls(const struct worker *w, const char *function, const char *args)
{
    struct wire_GRAFT_CALL m;
    struct reader r;
    struct bytes body;
    uint32_t count;
    char text[256] = "";
    size_t n = 0;

    assert_int_equal(hear(w->channel, &body), WIRE_GRAFT_CALL);
    assert_true(wire_read_GRAFT_CALL(body, &m));
    assert_text(m.function, function);
    r = reader_of(m.args);
    count = read_u32(&r);
    while (count-- > 0) {
        struct bytes b = read_bytes(&r);

        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s", n > 0 ? " " : "", (int)b.len, (const char *)b.data);
        assert_true(n < sizeof text);
    }
    assert_true(reader_done(&r));
    assert_string_equal(text, args);
}

static void add_text(struct buf *b, enum value kind, const char *text)
{
    buf_add_u8(b, (uint8_t)kind);
    buf_add_bytes(b, bytes_str(text));
}

static void add_number(struct buf *b, enum value kind, uint64_t bits)
{
    buf_add_u8(b, (uint8_t)kind);
    buf_add_u64(b, bits);
}

static void add_group(struct buf *b, enum value kind, uint32_t count)
{
    buf_add_u8(b, (uint8_t)kind);
    buf_add_u32(b, count);
}

/* One value of each kind, groups inside each other to the greatest depth that a reply may have. */
static void add_each_kind(struct buf *b)
{
    enum { DEPTH = VALUE_DEPTH_MAX - 2 };

    add_group(b, VALUE_ARRAY, 10);
    buf_add_u8(b, VALUE_NIL);
    add_number(b, VALUE_I64, (uint64_t)INT64_MIN);
    add_number(b, VALUE_DOUBLE, 0x3ff8000000000000);
    add_text(b, VALUE_BYTES, "b");
    add_text(b, VALUE_BYTES, "");
    add_text(b, VALUE_STATUS, "OK");
    add_text(b, VALUE_ERROR, "SAD but only a value");
    add_group(b, VALUE_ARRAY, 0);
    add_group(b, VALUE_MAP, 2);
    add_text(b, VALUE_BYTES, "key");
    add_group(b, VALUE_ARRAY, 2);
    add_number(b, VALUE_I64, 1);
    add_group(b, VALUE_MAP, 0);
    add_number(b, VALUE_I64, 2);
    buf_add_u8(b, VALUE_NIL);
    for (int i = 0; i < DEPTH; i++)
        add_group(b, VALUE_ARRAY, 1);
    add_number(b, VALUE_I64, 7);
}

static void a_nested_reply_of_each_kind_arrives(void **state)
{
    struct worker w = ready_worker(*state);
    struct wire_DONE m;
    struct buf b;

    buf_init(&b, 1000);
    add_each_kind(&b);
    call(&w, RELAY, NULL, "bank.transfer ada bob 30", false);
    assert_calls(&w, "bank.transfer", "ada bob 30");
    answer_call(&w, "", buf_bytes(&b));
    m = done(&w);
    assert_int_equal(m.how, 0);
    assert_int_equal(m.reply.len, buf_len(&b));
    assert_memory_equal(m.reply.data, b.data, m.reply.len);
    buf_clear(&b);
    add_number(&b, VALUE_I64, 5);
    call(&w, RELAY, NULL, "a.b x", true);
    assert_calls(&w, "a.b", "x");
    answer_call(&w, "", buf_bytes(&b));
    assert_replied(done(&w), VALUE_I64, NULL, 5);
    call(&w, RELAY, NULL, "a.b x", false);
    assert_calls(&w, "a.b", "x");
    answer_call(&w, "", nil());
    assert_replied(done(&w), VALUE_NIL, NULL, 0);
    buf_fini(&b);
    dismiss(*state, &w);
}

/* T8: the caller sees the error and may go on, or fail with it. */
static void a_nested_failure_is_told_and_survived(void **state)
{
    struct worker w = ready_worker(*state);
    struct wire_DONE m;
    struct reader r;

    call(&w, RELAY, NULL, "a.b x", false);
    assert_calls(&w, "a.b", "x");
    answer_call(&w, "ABORTED a.b: no", nil());
    m = done(&w);
    assert_int_equal(m.how, 0);
    r = reader_of(m.reply);
    assert_int_equal(read_u8(&r), VALUE_ARRAY);
    assert_int_equal(read_u32(&r), 2);
    assert_int_equal(read_u8(&r), VALUE_I64);
    assert_int_equal(read_u64(&r), 9);
    assert_int_equal(read_u8(&r), VALUE_ERROR);
    assert_text(read_bytes(&r), "ABORTED a.b: no");
    call(&w, THROUGH, NULL, "", false);
    assert_calls(&w, "a.b", "");
    answer_call(&w, "ABORTED a.b: no", nil());
    m = done(&w);
    assert_int_equal(m.how, 2);
    assert_int_equal(m.code, 9);
    assert_text(m.text, "GRAFT_CALL_FAILED: ABORTED a.b: no");
    dismiss(*state, &w);
}

static void nothing_known_of_keys_outlives_a_nested_call(void **state)
{
    static const char *const keys[] = { "n", "1", NULL }, *const errors[] = { "", "ABORTED no" };
    struct worker w = ready_worker(*state);

    for (int i = 0; i < 2; i++) {
        call(&w, STALE, keys, "", false);
        assert_reads(&w, "other", "2");
        assert_calls(&w, "a.b", "");
        answer_call(&w, errors[i], nil());
        assert_reads(&w, "n", "3");
        assert_reads(&w, "other", "4");
        assert_replied(done(&w), VALUE_BYTES, "1 2 3 4", 0);
    }
    dismiss(*state, &w);
}

static void a_scan_looks_again_after_a_nested_call(void **state)
{
    static const char *const first[] = { "k0", "k1", "k7", NULL }, *const rest[] = { "k3", NULL };
    struct worker w = ready_worker(*state);
    struct wire_KV_SCAN scan;
    struct bytes body;

    call(&w, WALK, NULL, "", false);
    assert_int_equal(hear(w.channel, &body), WIRE_KV_SCAN);
    page(&w, first, false);
    assert_calls(&w, "a.b", "");
    answer_call(&w, "", nil());
    assert_int_equal(hear(w.channel, &body), WIRE_KV_SCAN);
    assert_true(wire_read_KV_SCAN(body, &scan));
    assert_int_equal(scan.from.len, 3);
    assert_memory_equal(scan.from.data, "k1\0", 3);
    page(&w, rest, false);
    assert_replied(done(&w), VALUE_I64, NULL, 3);
    dismiss(*state, &w);
}

static void too_large_a_nested_call_is_not_sent(void **state)
{
    struct worker w = ready_worker(*state);
    struct wire_GRAFT_CALL m;
    struct reader r;
    struct bytes body;

    call(&w, BOUNDS, NULL, "", false);
    assert_int_equal(hear(w.channel, &body), WIRE_MEMORY);
    assert_int_equal(hear(w.channel, &body), WIRE_GRAFT_CALL);
    assert_true(wire_read_GRAFT_CALL(body, &m));
    assert_int_equal(m.function.len, 127);
    r = reader_of(m.args);
    assert_int_equal(read_u32(&r), 4096);
    assert_int_equal(r.left, 4096 * sizeof(uint32_t));
    answer_call(&w, "", nil());
    assert_replied(done(&w), VALUE_NIL, NULL, 0);
    dismiss(*state, &w);
}

/* First the table of its items does not fit, then not even its bytes. */
static void a_nested_reply_too_large_for_the_memory_is_refused(void **state)
{
    enum { ITEMS = 100 * 1000 };
    struct wire_DONE m;
    struct bytes body;
    struct buf b, text;
    uint8_t *room;

    buf_init(&b, FRAME_ROOM);
    add_group(&b, VALUE_ARRAY, ITEMS);
    buf_reserve(&b, ITEMS, &room);
    memset(room, VALUE_NIL, ITEMS);
    buf_wrote(&b, ITEMS);
    buf_init(&text, 2 * MEMORY_MAX);
    buf_reserve(&text, MEMORY_MAX, &room);
    memset(room, 'x', MEMORY_MAX);
    buf_wrote(&text, MEMORY_MAX);
    for (int i = 0; i < 2; i++) {
        struct worker w = ready_worker(*state);
        struct buf result;

        call(&w, RELAY, NULL, "a.b x", false);
        assert_calls(&w, "a.b", "x");
        buf_init(&result, 2 * MEMORY_MAX);
        wire_add_RESULT(&result, &(struct wire_RESULT){ .ok = i == 0, .error = i == 0 ? nil() : buf_bytes(&text),
                                                        .reply = i == 0 ? buf_bytes(&b) : nil() });
        tell(w.channel, &result);
        assert_int_equal(hear(w.channel, &body), WIRE_MEMORY);
        m = done(&w);
        assert_int_equal(m.how, 2);
        assert_int_equal(m.code, 6);
        dismiss(*state, &w);
    }
    buf_fini(&b);
    buf_fini(&text);
}

/* Each is what follows a frame's length: u8 number; u8 ok, bytes error, bytes reply, or what should have been that. */
static void a_result_that_cannot_be_right_ends_the_worker(void **state)
{
    static const struct { uint32_t size; const char *body; } cases[] = {
        { 1, "\x1d" }, /* empty */
        { 4, "\x1d\1\0\0" }, /* cut in the error's length */
        { 8, "\x1d\0\5\0\0\0no" }, /* cut in the error */
        { 6, "\x1d\1\0\0\0\0" }, /* cut before the reply */
        { 11, "\x1d\1\0\0\0\0\0\0\0\0\0" }, /* a byte too long */
        { 10, "\x1d\2\0\0\0\0\0\0\0\0" }, /* neither ok nor failed */
        { 10, "\x1d\0\0\0\0\0\0\0\0\0" }, /* failed without an error */
        { 13, "\x1d\0\2\0\0\0no\1\0\0\0\0" }, /* failed with a reply */
        { 12, "\x1d\1\2\0\0\0no\0\0\0\0" }, /* ok with an error */
        { 11, "\x1d\1\0\0\0\0\1\0\0\0\x08" }, /* a reply of no known kind */
        { 15, "\x1d\1\0\0\0\0\5\0\0\0\6\xff\xff\xff\xff" }, /* an array of 4294967295 items */
        { 16, "\x1d\1\0\0\0\0\6\0\0\0\7\1\0\0\0\0" }, /* a map with half a pair */
        { 12, "\x1d\1\0\0\0\0\2\0\0\0\0\0" }, /* two replies */
        { 6, "\x1a\0\0\0\0\0" }, /* the answer to another question */
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct worker w = ready_worker(*state);
        struct buf b;

        call(&w, RELAY, NULL, "a.b x", false);
        assert_calls(&w, "a.b", "x");
        buf_init(&b, 1000);
        buf_add_u32(&b, cases[i].size);
        buf_add(&b, cases[i].body, cases[i].size);
        tell(w.channel, &b);
        assert_dies(*state, &w, NULL, 0);
    }
}

/* grafts/market, with this test as its bank: the first account cannot pay; the second one can, then cannot either. */
static void the_market_asks_a_second_account(void **state)
{
    struct guest g = load_guest(*state, "market", "#include <grafts/market/market.c>\n");
    size_t count;
    uint16_t buy = find_function(g.manifest, "buy", &count);
    struct worker w = ready_worker(&g.tree);
    struct wire_DONE m;
    struct buf b;

    buf_init(&b, 100);
    add_number(&b, VALUE_I64, 50);
    for (int i = 0; i < 2; i++) {
        call_index(&w, buy, NULL, "lamp ada acct:ada acct:joint", false);
        assert_reads(&w, "price:lamp", "250");
        assert_reads(&w, "stock:lamp", "3");
        assert_puts(&w, "stock:lamp", "2");
        assert_reads(&w, "owned:ada:lamp", "0");
        assert_puts(&w, "owned:ada:lamp", "1");
        assert_calls(&w, "bank.transfer", "acct:ada acct:market 250");
        answer_call(&w, "ABORTED bank.transfer: insufficient funds", nil());
        assert_calls(&w, "bank.transfer", "acct:joint acct:market 250");
        answer_call(&w, i == 0 ? "" : "ABORTED bank.transfer: empty", i == 0 ? buf_bytes(&b) : nil());
        m = done(&w);
        assert_int_equal(m.how, i);
    }
    assert_text(m.text, "nobody paid: ABORTED bank.transfer: empty");
    buf_fini(&b);
    dismiss(&g.tree, &w);
    unload_guest(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_nested_reply_of_each_kind_arrives, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(a_nested_failure_is_told_and_survived, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(nothing_known_of_keys_outlives_a_nested_call, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(a_scan_looks_again_after_a_nested_call, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(too_large_a_nested_call_is_not_sent, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(a_nested_reply_too_large_for_the_memory_is_refused, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(a_result_that_cannot_be_right_ends_the_worker, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(the_market_asks_a_second_account, zoo_set_up, zoo_tear_down),
    };

    worker_kit_open(SECONDS_MAX);
    return worker_kit_close(cmocka_run_group_tests(tests, NULL, NULL));
}
