/*
 * Events and timers as the real worker asks for them, with this test as the daemon: what is refused before it is sent, what
 * is sent, and what comes of each answer.
 */
#include "tests/worker_filer.h"

enum { SECONDS_MAX = 60 };

static void a_topic_is_checked_before_it_is_sent(void **state)
{
    struct worker w = ready(state);
    struct wire_EMIT m;
    struct bytes body;
    char args[200] = "emit ";

    run(&w, "emit bank.a_Z-9:/ data");
    assert_int_equal(hear(w.channel, &body), WIRE_EMIT);
    assert_true(wire_read_EMIT(body, &m));
    assert_text(m.topic, "bank.a_Z-9:/");
    assert_text(m.data, "data");
    assert_code(&w, 0);
    run(&w, "emit  x");
    assert_code(&w, 2);
    run(&w, "emit a* x");
    assert_code(&w, 2);
    memset(args + 5, 't', 128);
    run(&w, args);
    assert_code(&w, 2);
    args[5 + 127] = '\0';
    run(&w, args);
    assert_int_equal(hear(w.channel, &body), WIRE_EMIT);
    assert_code(&w, 0);
    bye(state, &w);
}

static void a_timer_is_armed_and_named(void **state)
{
    struct worker w = ready(state);
    struct wire_AFTER m;
    struct bytes body;

    run(&w, "after bank.remind 1500 ada");
    assert_int_equal(hear(w.channel, &body), WIRE_AFTER);
    assert_true(wire_read_AFTER(body, &m));
    assert_text(m.function, "bank.remind");
    assert_int_equal(m.ms, 1500);
    assert_int_equal(m.args.len, 4 + 4 + 4);
    assert_memory_equal(m.args.data,
                        "\1\0\0\0\4\0\0\0"
                        "1500",
                        12);
    answer_value(&w, true, bytes_str("418.1"));
    assert_got(&w, "418.1");
    run(&w, "quiet");
    assert_int_equal(hear(w.channel, &body), WIRE_AFTER);
    assert_true(wire_read_AFTER(body, &m));
    assert_int_equal(m.args.len, 4);
    answer_value(&w, true, bytes_str("418.2"));
    assert_code(&w, 0);
    bye(state, &w);
}

static void a_timer_that_cannot_be_is_not_sent(void **state)
{
    static const char *const functions[] = { "",       "bank",         "bank.",         ".remind",    "Bank.remind",
                                             "bank.9", "bank.re-mind", "bank.remind.x", "bank,remind" };
    struct worker w = ready(state);
    struct bytes body;
    char args[300];

    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        snprintf(args, sizeof args, "after %s 5", functions[i]);
        run(&w, args);
        assert_code(&w, 2);
    }
    run(&w, "after a.b 2147483647001");
    assert_code(&w, 2);
    run(&w, "after a.b 2147483647000");
    assert_int_equal(hear(w.channel, &body), WIRE_AFTER);
    answer_value(&w, true, bytes_str("1.1"));
    assert_got(&w, "1.1");
    run(&w, "much");
    assert_int_equal(hear(w.channel, &body), WIRE_AFTER);
    answer_value(&w, true, bytes_str("1.2"));
    assert_code(&w, 0);
    bye(state, &w);
}

static void a_cancel_says_whether_there_was_one(void **state)
{
    struct worker w = ready(state);
    struct wire_CANCEL m;
    struct bytes body;

    for (int i = 0; i < 2; i++) {
        run(&w, "cancel 418.1");
        assert_int_equal(hear(w.channel, &body), WIRE_CANCEL);
        assert_true(wire_read_CANCEL(body, &m));
        assert_text(m.id, "418.1");
        answer_value(&w, i == 0, bytes_of("", 0));
        assert_code(&w, i);
    }
    run(&w, "cancel");
    assert_code(&w, 1);
    run(&w, "cancel 1234567890123456789012345678901234567890.1234567");
    assert_code(&w, 1);
    bye(state, &w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_is_checked_before_it_is_sent),
        cmocka_unit_test(a_timer_is_armed_and_named),
        cmocka_unit_test(a_timer_that_cannot_be_is_not_sent),
        cmocka_unit_test(a_cancel_says_whether_there_was_one),
    };

    worker_kit_open(SECONDS_MAX);
    return worker_kit_close(cmocka_run_group_tests(tests, filer_set_up, filer_tear_down));
}
