/*
 * Calls through the real graft-worker, with this test as the daemon: each comes back as the one reply or failure that it is,
 * those that stand behind each other run in order, and what a graft reads, writes and scans is asked of the daemon (W1).
 */
#include "tests/worker_zoo.h"

enum { SECONDS_MAX = 120 };

static void serves_calls_in_a_row(void **state)
{
    struct worker w = ready_worker(*state);

    for (int i = 0; i < 100; i++) {
        call(&w, HELLO, NULL, "ada", false);
        assert_replied(done(&w), VALUE_BYTES, "hello, adatwo", 0);
    }
    call(&w, SORT, NULL, "", false);
    assert_replied(done(&w), VALUE_NIL, NULL, 0);
    close(w.channel); /* a worker whose daemon is gone goes too */
    w.channel = open("/dev/null", O_RDONLY);
    assert_dies(*state, &w, NULL, 0);
}

static void large_frames_pass_whole(void **state)
{
    enum { LENGTH = 400000 };
    static char name[LENGTH + 1];
    struct worker w = ready_worker(*state);
    struct wire_DONE m;

    memset(name, 'x', LENGTH);
    for (int i = 0; i < 3; i++) {
        call(&w, HELLO, NULL, name, false);
        m = done(&w);
        assert_int_equal(m.how, 0);
        assert_true(value_valid(m.reply));
        assert_int_equal(m.reply.len, 1 + 4 + 7 + LENGTH + 3);
    }
    dismiss(*state, &w);
}

static void calls_behind_each_other_run_in_order(void **state)
{
    enum { MANY = 40 };
    static char name[4096]; /* together they are more than is read at a time */
    struct worker w = ready_worker(*state);
    uint64_t before = last_txn;
    char text[sizeof name + 16];

    for (int i = 0; i < MANY; i++) {
        memset(name, 'a' + i % 26, (size_t)(100 * i));
        call(&w, HELLO, NULL, name, false);
    }
    memset(name, 0, sizeof name);
    for (int i = 0; i < MANY; i++) {
        struct wire_DONE m = done(&w);

        memset(name, 'a' + i % 26, (size_t)(100 * i));
        snprintf(text, sizeof text, "hello, %stwo", name);
        assert_int_equal(m.txn, before + (uint64_t)i + 1);
        assert_replied(m, VALUE_BYTES, text, 0);
    }
    dismiss(*state, &w);
}

/* The head waits for its answers while others arrive; each is run afterwards, in order, with answers of its own. */
static void calls_that_come_before_an_answer_are_kept(void **state)
{
    enum { ROUNDS = 50, BEHIND = 3 };
    static char large[3001];
    struct worker w = ready_worker(*state);
    struct wire_KV_GET get;
    struct bytes body;
    struct wire_DONE m;
    uint64_t first;
    struct buf b;

    memset(large, 'x', sizeof large - 1);
    for (int round = 0; round < ROUNDS; round++) {
        first = last_txn + 1;
        call(&w, OTHER, NULL, "", false);
        assert_int_equal(hear(w.channel, &body), WIRE_KV_GET);
        assert_true(wire_read_KV_GET(body, &get));
        for (int i = 0; i < BEHIND; i++)
            call(&w, i == 1 ? OTHER : HELLO, NULL, i == 1 ? "" : large, false);
        buf_init(&b, 1000);
        wire_add_VALUE(&b, &(struct wire_VALUE){ .present = 1, .value = bytes_str("first") });
        tell(w.channel, &b);
        assert_puts(&w, "new", "first");
        m = done(&w);
        assert_int_equal(m.txn, first);
        assert_replied(m, VALUE_BYTES, "first", 0);
        m = done(&w);
        assert_int_equal(m.txn, first + 1);
        assert_int_equal(m.reply.len, 1 + 4 + 7 + 3000 + 3);
        assert_reads(&w, "other", "second");
        assert_puts(&w, "new", "second");
        m = done(&w);
        assert_int_equal(m.txn, first + 2);
        assert_replied(m, VALUE_BYTES, "second", 0);
        assert_int_equal(done(&w).txn, first + 3);
    }
    dismiss(*state, &w);
}

/* The daemon keeps a bound; a worker that is told more than that ends. */
static void more_than_may_be_kept_ends_the_worker(void **state)
{
    static char large[4001];
    struct worker w = ready_worker(*state);
    struct bytes body;

    memset(large, 'x', sizeof large - 1);
    call(&w, OTHER, NULL, "", false);
    assert_int_equal(hear(w.channel, &body), WIRE_KV_GET);
    for (int i = 0; i < 17; i++)
        call(&w, HELLO, NULL, large, false);
    assert_dies(*state, &w, NULL, 0);
}

static void reads_declared_keys_without_asking(void **state)
{
    static const char *const keys[] = { "n", "41", NULL }, *const absent[] = { "n", NULL, NULL };
    static const char *const text[] = { "n", "x", NULL };
    struct worker w = ready_worker(*state);
    struct wire_KV_PUT put;
    struct wire_DONE m;
    struct bytes body;

    call(&w, COUNT, keys, "1", false);
    assert_int_equal(hear(w.channel, &body), WIRE_KV_PUT);
    assert_true(wire_read_KV_PUT(body, &put));
    assert_text(put.key, "n");
    assert_text(put.value, "42");
    assert_replied(done(&w), VALUE_I64, NULL, 42);
    call(&w, COUNT, absent, "-5", false);
    assert_int_equal(hear(w.channel, &body), WIRE_KV_PUT);
    assert_replied(done(&w), VALUE_I64, NULL, -5);
    call(&w, COUNT, text, "1", false);
    m = done(&w);
    assert_int_equal(m.how, 2);
    assert_int_equal(m.code, 3);
    assert_text(m.text, "GRAFT_BAD_VALUE");
    dismiss(*state, &w);
}

static void asks_once_for_an_undeclared_key(void **state)
{
    struct worker w = ready_worker(*state);
    struct wire_KV_GET get;
    struct bytes body;
    struct buf b;

    call(&w, OTHER, NULL, "", false);
    assert_int_equal(hear(w.channel, &body), WIRE_KV_GET);
    assert_true(wire_read_KV_GET(body, &get));
    assert_text(get.key, "other");
    assert_int_equal(get.exclusive, 0);
    buf_init(&b, 1000);
    wire_add_VALUE(&b, &(struct wire_VALUE){ .present = 1, .value = bytes_str("there") });
    tell(w.channel, &b);
    assert_int_equal(hear(w.channel, &body), WIRE_KV_PUT);
    assert_replied(done(&w), VALUE_BYTES, "there", 0);
    dismiss(*state, &w);
}

static void scans_in_pages_and_sees_what_a_visit_wrote(void **state)
{
    static const char *const first[] = { "k0", "k1", "k7", NULL }, *const rest[] = { "k5", "k7", NULL };
    static const char *const none[] = { NULL };
    struct worker w = ready_worker(*state);
    struct wire_KV_SCAN scan;
    struct bytes body;

    call(&w, SCAN, NULL, "", false);
    assert_int_equal(hear(w.channel, &body), WIRE_KV_SCAN);
    page(&w, first, false);
    assert_int_equal(hear(w.channel, &body), WIRE_KV_PUT);  /* k5, at k1 */
    assert_int_equal(hear(w.channel, &body), WIRE_KV_SCAN); /* so k7 is not visited from the old page */
    assert_true(wire_read_KV_SCAN(body, &scan));
    assert_int_equal(scan.from.len, 3);
    assert_memory_equal(scan.from.data, "k1\0", 3);
    page(&w, rest, true);
    assert_int_equal(hear(w.channel, &body), WIRE_KV_SCAN);
    page(&w, none, false);
    assert_replied(done(&w), VALUE_I64, NULL, 4);
    dismiss(*state, &w);
}

static void a_write_in_a_readonly_call_does_not_return(void **state)
{
    static const char *const keys[] = { "n", "41", NULL };
    struct worker w = ready_worker(*state);
    struct bytes body;

    call(&w, COUNT, keys, "1", true);
    assert_int_equal(hear(w.channel, &body), WIRE_KV_PUT);
    dismiss(*state, &w);
}

static void failures_are_told_apart(void **state)
{
    static const struct { int function, how; uint32_t code; const char *text; } cases[] = {
        { COUNT, 1, 8, "by what, 7?" },
        { SEVEN, 2, 77, "" },
        { UNFINISHED, 2, 7, "the reply's array or map was opened with more values than it got" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct worker w = ready_worker(*state);
        struct wire_DONE m;

        call(&w, cases[i].function, NULL, "", false);
        m = done(&w);
        assert_int_equal(m.how, cases[i].how);
        assert_int_equal(m.code, cases[i].code);
        assert_text(m.text, cases[i].text);
        dismiss(*state, &w);
    }
}

static void nested_replies_are_whole_values(void **state)
{
    struct worker w = ready_worker(*state);

    call(&w, NEST, NULL, "", false);
    assert_replied(done(&w), VALUE_ARRAY, NULL, 0);
    dismiss(*state, &w);
}

static void a_graft_built_for_the_first_abi_loads(void **state)
{
    struct guest g = load_guest(*state, "first", "#include <graft.h>\n#undef GRAFT_ABI\n#define GRAFT_ABI 1\n"
                                                 "GRAFT_MODULE(\"first\", \"1\", \"\");\n"
                                                 "GRAFT_FUNCTION(f, \"\") { return graft_reply_i64(call, 1); }\n");
    struct worker w;

    assert_non_null(memmem(g.manifest.data, g.manifest.len, "module\t1\tfirst", 14));
    w = ready_worker(&g.tree);
    call_index(&w, 0, NULL, "", false);
    assert_replied(done(&w), VALUE_I64, NULL, 1);
    dismiss(&g.tree, &w);
    unload_guest(&g);
}

static void the_same_seed_draws_the_same_bytes(void **state)
{
    struct worker w = ready_worker(*state);
    uint8_t first[64];
    struct wire_DONE m;
    size_t n;

    call(&w, DRAW, NULL, "", false);
    m = done(&w);
    n = m.reply.len;
    assert_int_equal(n, 13);
    memcpy(first, m.reply.data, n);
    call(&w, DRAW, NULL, "", false);
    m = done(&w);
    assert_int_equal(m.reply.len, n);
    assert_memory_equal(m.reply.data, first, n);
    dismiss(*state, &w);
}

static void a_failing_init_says_so(void **state)
{
    struct tree *t = *state, own = { .zygote = t->zygote };
    int file = build("bad", "#include <graft.h>\nGRAFT_MODULE(\"bad\", \"1\", \"\");\nGRAFT_INIT { return 7; }\n");
    int pidfd;
    struct worker w;
    struct bytes body;

    own.template = spawn_template(t->zygote, file, &pidfd);
    assert_int_equal(take(own.template, &body, NULL), WIRE_MANIFEST);
    w = spawn_worker(&own);
    assert_dies(&own, &w, "graft_init returned 7", 0);
    close(own.template);
    assert_int_equal(take(t->zygote, &body, NULL), WIRE_OBITUARY);
    close(pidfd);
    close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(serves_calls_in_a_row, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(large_frames_pass_whole, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(calls_behind_each_other_run_in_order, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(calls_that_come_before_an_answer_are_kept, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(more_than_may_be_kept_ends_the_worker, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(reads_declared_keys_without_asking, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(asks_once_for_an_undeclared_key, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(scans_in_pages_and_sees_what_a_visit_wrote, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(a_write_in_a_readonly_call_does_not_return, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(failures_are_told_apart, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(nested_replies_are_whole_values, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(a_graft_built_for_the_first_abi_loads, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(the_same_seed_draws_the_same_bytes, zoo_set_up, zoo_tear_down),
        cmocka_unit_test_setup_teardown(a_failing_init_says_so, zoo_set_up, zoo_tear_down),
    };

    worker_kit_open(SECONDS_MAX);
    return worker_kit_close(cmocka_run_group_tests(tests, NULL, NULL));
}
