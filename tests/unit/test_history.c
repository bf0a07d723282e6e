/* The checker of histories (tests/history/): good ones pass, and of each anomaly a planted one is found, by its name. */
#include "tests/history/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { X, Y };

/* Histories are written by hand: the clock is a number. */

static struct history h;

static struct history_txn *from_to(int64_t begun, int64_t ended, enum history_status status)
{
    struct history_txn *t = history_begin(&h, begun);

    history_end(t, status, ended);
    return t;
}

/* One that overlaps all others of the test, so that the clock says nothing. */
static struct history_txn *ok(void) { return from_to(0, 1000, HISTORY_OK); }

static void reads(struct history_txn *t, uint32_t key, const char *digits)
{
    int64_t list[16];
    size_t n = 0;

    for (; digits[n] != '\0'; n++)
        list[n] = digits[n] - '0';
    history_read(t, key, list, n);
}

/* What the last reader saw. */
static void at_last(const char *x, const char *y)
{
    struct history_txn *t = from_to(2000, 2001, HISTORY_OK);

    reads(t, X, x);
    reads(t, Y, y);
}

/* It is found first; others that follow from it may stand behind it. */
static void expect(const char *name)
{
    struct history_findings f;

    history_check(&h, &f);
    history_free(&h);
    assert_true(f.count > 0);
    assert_string_equal(f.finding[0].name, name);
}

static void expect_nothing(void)
{
    struct history_findings f;

    history_check(&h, &f);
    if (f.count > 0)
        print_message("%s: %s\n", f.finding[0].name, f.finding[0].text);
    history_free(&h);
    assert_int_equal(f.count, 0);
}

static void a_serial_history_is_good(void **state)
{
    struct history_txn *t = from_to(1, 2, HISTORY_OK);

    (void)state;
    reads(t, X, "");
    history_append(t, X, 1);
    reads(t, X, "1");
    t = from_to(3, 4, HISTORY_OK);
    reads(t, X, "1");
    history_append(t, X, 2);
    history_append(t, X, 3);
    history_exists(t, X);
    reads(t, X, "123");
    from_to(5, 6, HISTORY_FAILED);
    at_last("123", "");
    expect_nothing();
}

static void what_overlaps_may_come_in_any_order(void **state)
{
    struct history_txn *a = from_to(1, 10, HISTORY_OK), *b = from_to(2, 9, HISTORY_OK);

    (void)state;
    history_append(a, X, 1);
    reads(b, X, ""); /* b before a, though a began first */
    history_append(b, Y, 2);
    reads(a, Y, "2");
    at_last("1", "2");
    expect_nothing();
}

static void failed_and_undone_work_is_nobodys(void **state)
{
    struct history_txn *a = ok(), *b = from_to(0, 1000, HISTORY_FAILED);

    (void)state;
    reads(a, X, "");
    history_append(a, X, 1);
    reads(a, X, "1");
    history_undo(a, 1);
    reads(a, X, "");
    history_append(a, X, 2);
    history_append(b, X, 3);
    at_last("2", "");
    expect_nothing();
}

static void an_unknown_one_may_have_taken_place_or_not(void **state)
{
    struct history_txn *a = from_to(1, 2, HISTORY_UNKNOWN), *b = from_to(3, 4, HISTORY_UNKNOWN);

    (void)state;
    history_append(a, X, 1);
    history_append(b, Y, 2);
    at_last("1", "");
    expect_nothing();
}

static void finds_a_lost_append(void **state)
{
    (void)state;
    history_append(ok(), X, 1);
    history_append(ok(), X, 2);
    at_last("1", "");
    expect("lost");
}

static void finds_a_duplicate(void **state)
{
    (void)state;
    history_append(ok(), X, 1);
    at_last("11", "");
    expect("duplicate");
}

static void finds_a_value_out_of_nowhere(void **state)
{
    (void)state;
    at_last("7", "");
    expect("phantom-value");
}

static void finds_lists_that_do_not_fit(void **state)
{
    (void)state;
    history_append(ok(), X, 1);
    history_append(ok(), X, 2);
    reads(ok(), X, "2");
    at_last("12", "");
    expect("incompatible");
}

static void finds_a_transaction_that_forgets_itself(void **state)
{
    struct history_txn *t = ok();

    (void)state;
    history_append(t, X, 1);
    reads(t, X, "");
    at_last("1", "");
    expect("internal");
}

static void finds_a_read_that_does_not_repeat(void **state)
{
    struct history_txn *t = ok();

    (void)state;
    history_append(ok(), X, 1);
    history_append(ok(), X, 2);
    reads(t, X, "1");
    reads(t, X, "12");
    at_last("12", "");
    expect("internal");
}

static void finds_an_aborted_read_G1a(void **state)
{
    (void)state;
    history_append(from_to(0, 1000, HISTORY_FAILED), X, 1);
    reads(ok(), X, "1");
    at_last("", "");
    expect("G1a");
}

static void finds_a_read_of_what_was_taken_back_G1a(void **state)
{
    struct history_txn *t = ok();

    (void)state;
    history_append(t, X, 1);
    history_undo(t, 0);
    at_last("1", "");
    expect("G1a");
}

static void finds_an_intermediate_read_G1b(void **state)
{
    struct history_txn *t = ok();

    (void)state;
    history_append(t, X, 1);
    history_append(t, X, 2);
    reads(ok(), X, "1");
    at_last("12", "");
    expect("G1b");
}

static void what_failed_may_have_seen_anything(void **state)
{
    struct history_txn *t = ok();

    (void)state;
    history_append(t, X, 1);
    history_append(t, X, 2);
    reads(from_to(0, 1000, HISTORY_FAILED), X, "1");
    at_last("12", "");
    expect_nothing();
}

static void finds_dirty_writes_G0(void **state)
{
    struct history_txn *a = ok(), *b = ok();

    (void)state;
    history_append(a, X, 1);
    history_append(b, X, 2);
    history_append(b, Y, 3);
    history_append(a, Y, 4);
    at_last("12", "34");
    expect("G0");
}

static void finds_circular_information_flow_G1c(void **state)
{
    struct history_txn *a = ok(), *b = ok();

    (void)state;
    history_append(a, X, 1);
    reads(a, Y, "2");
    history_append(b, Y, 2);
    reads(b, X, "1");
    at_last("1", "2");
    expect("G1c");
}

static void finds_a_lost_update_or_a_torn_read_G_single(void **state)
{
    struct history_txn *a = ok(), *b = ok();

    (void)state;
    history_append(a, X, 1);
    history_append(a, Y, 2);
    reads(b, X, "1");
    reads(b, Y, "");
    at_last("1", "2");
    expect("G-single");
}

static void finds_write_skew_G2(void **state)
{
    struct history_txn *a = ok(), *b = ok();

    (void)state;
    reads(a, X, "");
    history_append(a, Y, 1);
    reads(b, Y, "");
    history_append(b, X, 2);
    at_last("2", "1");
    expect("G2");
}

static void finds_a_phantom_of_a_range(void **state)
{
    struct history_txn *a = ok(), *b = ok();

    (void)state;
    reads(a, Y, ""); /* a range without it */
    history_append(b, Y, 1);
    history_append(b, X, 2);
    history_exists(a, X); /* and later the other key of the same transaction */
    at_last("2", "1");
    expect("G-single");
}

static void finds_a_write_that_comes_late(void **state)
{
    (void)state;
    history_append(from_to(1, 2, HISTORY_OK), X, 1);
    history_append(from_to(3, 4, HISTORY_OK), X, 2);
    at_last("21", "");
    expect("G0-realtime");
}

static void finds_a_read_of_the_future(void **state)
{
    struct history_txn *a = from_to(1, 2, HISTORY_OK), *b = from_to(3, 4, HISTORY_OK);

    (void)state;
    reads(a, X, "1");
    history_append(b, X, 1);
    at_last("1", "");
    expect("G1c-realtime");
}

static void finds_a_stale_read(void **state)
{
    (void)state;
    history_append(from_to(1, 2, HISTORY_OK), X, 1);
    reads(from_to(3, 4, HISTORY_OK), X, "");
    at_last("1", "");
    expect("G-single-realtime");
}

/* Serializable, and each of the two stale reads alone would be well with the clock. */
static void finds_a_long_fork_against_the_clock(void **state)
{
    struct history_txn *a = from_to(1, 10, HISTORY_OK), *b = from_to(1, 2, HISTORY_OK), *c = from_to(3, 10, HISTORY_OK),
                       *d = from_to(11, 12, HISTORY_OK);

    (void)state;
    reads(b, X, "");
    reads(b, Y, "");
    history_append(a, X, 1);
    history_append(c, Y, 2);
    reads(c, X, "");
    reads(a, Y, "2"); /* c before a */
    reads(d, X, "");  /* d before a */
    reads(d, Y, "2");
    at_last("1", "2");
    expect("G-single-realtime");
}

static void finds_skew_only_by_the_clock(void **state)
{
    struct history_txn *a = from_to(1, 2, HISTORY_OK), *b = from_to(3, 4, HISTORY_OK), *c = from_to(0, 9, HISTORY_OK);

    (void)state;
    history_append(a, X, 1);
    reads(b, Y, ""); /* b before c, */
    history_append(c, Y, 2);
    reads(c, X, ""); /* c before a, and a had ended before b began */
    at_last("1", "2");
    expect("G2-realtime");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_serial_history_is_good),
        cmocka_unit_test(what_overlaps_may_come_in_any_order),
        cmocka_unit_test(failed_and_undone_work_is_nobodys),
        cmocka_unit_test(an_unknown_one_may_have_taken_place_or_not),
        cmocka_unit_test(finds_a_lost_append),
        cmocka_unit_test(finds_a_duplicate),
        cmocka_unit_test(finds_a_value_out_of_nowhere),
        cmocka_unit_test(finds_lists_that_do_not_fit),
        cmocka_unit_test(finds_a_transaction_that_forgets_itself),
        cmocka_unit_test(finds_a_read_that_does_not_repeat),
        cmocka_unit_test(finds_an_aborted_read_G1a),
        cmocka_unit_test(finds_a_read_of_what_was_taken_back_G1a),
        cmocka_unit_test(finds_an_intermediate_read_G1b),
        cmocka_unit_test(what_failed_may_have_seen_anything),
        cmocka_unit_test(finds_dirty_writes_G0),
        cmocka_unit_test(finds_circular_information_flow_G1c),
        cmocka_unit_test(finds_a_lost_update_or_a_torn_read_G_single),
        cmocka_unit_test(finds_write_skew_G2),
        cmocka_unit_test(finds_a_phantom_of_a_range),
        cmocka_unit_test(finds_a_write_that_comes_late),
        cmocka_unit_test(finds_a_read_of_the_future),
        cmocka_unit_test(finds_a_stale_read),
        cmocka_unit_test(finds_a_long_fork_against_the_clock),
        cmocka_unit_test(finds_skew_only_by_the_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
