/*
 * Events behind txn/store.h, in either engine: told when their transaction commits and not before (T1), in the order of
 * commits, each once; what was told stays told. And in the real one: how long and how many are kept.
 */
#include "tests/engine_kit.h"
#include "tests/store_format_2.h"

#include <time.h>

static struct store_topic topic_of(struct world *w, const char *topic)
{
    struct store_request r = { .kind = STORE_EVENTS, .key = bytes_str(topic), .count_max = 1 };
    struct store_topic t;

    ask_ok(w, &r);
    t = r.topics[0];
    store_request_fini(&r);
    t.name = bytes_str(topic);
    return t;
}

static void events_get_ids_in_the_order_of_commits_and_none_twice(void **state)
{
    struct world *w = *state;
    struct store_effect late[] = { event("orders", "7.1", NULL, "seven") };
    struct store_effect early[] = { event("orders", "9.1", NULL, "nine"), kit_effect("k", NULL, "v"),
                                    event("mail", "9.2", NULL, ""), event("orders", "9.3", NULL, "nine too") };
    struct store_effect last[] = { event("orders", "10.1", NULL, "ten") };
    struct store_request r = { .kind = STORE_EVENTS, .key = bytes_str("orders"), .count_max = 1 };

    store(w, 9, "committed", 0, early, 4);
    store(w, 7, "committed", 0, late, 1);
    assert_string_equal(told(w, "orders", 0, 10), "1:nine 3:nine too 4:seven ");
    assert_string_equal(told(w, "mail", 0, 10), "2: ");
    assert_string_equal(told(w, "nobody", 0, 10), "");
    reopen(w);
    store(w, 10, "committed", 0, last, 1);
    assert_string_equal(told(w, "orders", 3, 10), "4:seven 5:ten ");
    ask_ok(w, &r);
    assert_int_equal(r.events[0].txn, 9);
    assert_int_equal(r.events[0].at_us, 2000000);
    store_request_fini(&r);
    assert_int_equal(topic_of(w, "orders").first, 1);
    assert_int_equal(topic_of(w, "orders").last, 5);
    assert_int_equal(topic_of(w, "orders").count, 4);
    assert_int_equal(topic_of(w, "orders").forgotten, 0);
    assert_int_equal(topic_of(w, "nobody").first, 0);
}

static void neighbours_in_a_batch_tell_in_their_order(void **state)
{
    struct world *w = *state;
    struct store_effect e[3] = { event("t", "5.1", NULL, "first"), event("t", "2.1", NULL, "second"),
                                 event("t", "3.1", NULL, "third") };
    struct store_entry entries[4] = { kit_entry(5, "committed", &e[0], 1), kit_entry(4, "committed", NULL, 0),
                                      kit_entry(2, "committed", &e[1], 1), kit_entry(3, "committed", &e[2], 1) };
    struct store_request r = { .kind = STORE_COMMIT, .entries = entries, .entry_count = 4 };

    ask_ok(w, &r);
    assert_string_equal(told(w, "t", 0, 10), "1:first 2:second 3:third ");
}

static void an_event_is_told_when_its_transaction_commits_and_not_before(void **state)
{
    struct world *w = *state;
    struct store_effect first[] = { event("t", "4.1", NULL, "stays"), event("t", "4.2", NULL, "taken away early"),
                                    event("t", "4.3", NULL, "taken away late") };
    struct store_effect second[] = { event("t", "4.2", "taken away early", NULL) };
    struct store_effect third[] = { event("t", "4.3", "taken away late", NULL), event("t", "4.4", NULL, "last") };
    struct store_effect other[] = { event("t", "5.1", NULL, "other") };

    store(w, 4, NULL, 0, first, 3);
    store(w, 4, NULL, 3, second, 1);
    assert_string_equal(told(w, "t", 0, 10), "");
    store(w, 5, "committed", 0, other, 1);
    store(w, 4, "committed", 4, third, 2);
    assert_string_equal(told(w, "t", 0, 10), "1:other 2:stays 3:last ");
}

static void an_event_of_what_was_all_written_early_is_told_at_the_end(void **state)
{
    struct world *w = *state;
    struct store_effect e[] = { event("t", "4.1", NULL, "early"), kit_effect("k", NULL, "v") };

    store(w, 4, NULL, 0, e, 2);
    store(w, 4, "committed", 2, NULL, 0);
    assert_string_equal(told(w, "t", 0, 10), "1:early ");
}

static void what_is_undone_before_its_end_tells_nothing(void **state)
{
    struct world *w = *state;
    struct store_effect e[] = { event("t", "4.1", NULL, "never") }, f[] = { event("t", "5.1", NULL, "never") };
    struct store_effect g[] = { event("t", "6.1", NULL, "told") };

    store(w, 4, NULL, 0, e, 1);
    assert_int_equal(undo(w, 4), OK);
    store(w, 5, NULL, 0, f, 1);
    reopen(w);
    assert_int_equal(facts(w)->undone, 1);
    assert_string_equal(told(w, "t", 0, 10), "");
    store(w, 6, "committed", 0, g, 1);
    assert_string_equal(told(w, "t", 0, 10), "1:told ");
}

/* T9 */
static void what_was_told_stays_told_when_its_transaction_is_undone(void **state)
{
    struct world *w = *state;
    struct store_effect e[] = { event("t", "4.1", NULL, "told"), kit_effect("k", NULL, "v") };
    struct store_effect back[] = { kit_effect("k", "v", NULL) };
    struct store_entry entry = kit_entry(5, "committed", back, 1);
    struct store_request r = { .kind = STORE_COMMIT, .entries = &entry, .entry_count = 1 };

    store(w, 4, "committed", 0, e, 2);
    entry.history.undoes = 4;
    ask_ok(w, &r);
    assert_string_equal(told(w, "t", 0, 10), "1:told ");
}

static void events_and_topics_are_told_in_pages(void **state)
{
    struct world *w = *state;
    struct store_effect e[] = { event("b", "1.1", NULL, "x"), event("a", "1.2", NULL, "y"),
                                event("b", "1.3", NULL, "z"), event("c:d", "1.4", NULL, "w") };
    struct store_request r = { .kind = STORE_TOPICS, .count_max = 2 };

    store(w, 1, "committed", 0, e, 4);
    assert_string_equal(told(w, "b", 0, 1), "1:x +");
    assert_string_equal(told(w, "b", 1, 1), "3:z ");
    assert_string_equal(told(w, "b", 3, 1), "");
    assert_string_equal(told(w, "b", UINT64_MAX, 1), "");
    ask_ok(w, &r);
    assert_true(r.more && r.topic_count == 2);
    assert_true(bytes_equal(r.topics[0].name, bytes_str("a")) && bytes_equal(r.topics[1].name, bytes_str("b")));
    assert_true(r.topics[1].first == 1 && r.topics[1].last == 3 && r.topics[1].count == 2);
    store_request_fini(&r);
    r.from = bytes_str("b:");
    ask_ok(w, &r);
    assert_true(!r.more && r.topic_count == 1 && bytes_equal(r.topics[0].name, bytes_str("c:d")));
    store_request_fini(&r);
}

static void an_event_depends_on_nothing_and_nothing_on_it(void **state)
{
    struct world *w = *state;
    struct store_effect e[] = { event("t", "1", NULL, "x"), kit_effect("k", NULL, "1") };
    struct store_effect f[] = { event("t", "2", NULL, "y"), kit_effect("other", NULL, "1") };

    store(w, 1, "committed", 0, e, 2);
    store(w, 2, "committed", 0, f, 2);
    assert_string_equal(dependents(w, 1), "");
}

/* --- the real engine alone --- */

static void old_events_are_forgotten_and_that_is_known(void **state)
{
    struct world *w = *state;
    int64_t now = (int64_t)time(NULL) * 1000000;

    for (uint64_t n = 1; n <= 300; n++)
        tell(w, n, n % 2 == 0 ? "even" : "odd", "x", n == 299 ? now : 1000000);
    reopen_keeping(w, 3600 * 1000, UINT64_MAX, UINT64_MAX);
    while (topic_of(w, "even").count > 1) /* the alarm ends a test that waits in vain */
        usleep(20000);
    /* From the oldest on: what is young stops it. */
    assert_int_equal(topic_of(w, "even").forgotten, 298);
    assert_true(topic_of(w, "even").first == 300 && topic_of(w, "even").last == 300);
    assert_true(topic_of(w, "odd").first == 299 && topic_of(w, "odd").count == 1 &&
                topic_of(w, "odd").forgotten == 297);
    assert_string_equal(told(w, "odd", 0, 9), "299:x ");
    reopen_keeping(w, 1, UINT64_MAX, UINT64_MAX);
    while (topic_of(w, "even").count > 0)
        usleep(20000);
    assert_true(topic_of(w, "even").first == 0 && topic_of(w, "even").forgotten == 300);
    reopen_keeping(w, UINT64_MAX, UINT64_MAX, UINT64_MAX);
    tell(w, 301, "even", "new", now);
    assert_string_equal(told(w, "even", 0, 9), "301:new ");
    assert_int_equal(topic_of(w, "even").forgotten, 300);
}

static size_t topic_count(struct world *w)
{
    struct store_request r = { .kind = STORE_TOPICS, .count_max = STORE_ROW_MAX };
    size_t n;

    ask_ok(w, &r);
    n = r.topic_count;
    store_request_fini(&r);
    return n;
}

/* In steps, and whoever read one of them before and comes back is told. */
static void topics_without_events_are_forgotten_after_twice_the_time(void **state)
{
    enum { TOPICS = 600 };
    struct world *w = *state;
    const char *path = kit_path(&w->kit, "graftd.db");
    int64_t now = (int64_t)time(NULL) * 1000000;
    char topic[16];

    for (uint64_t n = 1; n <= TOPICS; n++) {
        snprintf(topic, sizeof topic, "t%03u", (unsigned)n);
        tell(w, n, topic, "x", 1000000);
    }
    reopen_keeping(w, 3600 * 1000, UINT64_MAX, UINT64_MAX);
    while (topic_of(w, "t600").count > 0)
        usleep(20000);
    tell(w, TOPICS + 1, "young", "x", now);
    shut(w);
    assert_int_equal(select_number(path, "SELECT value FROM meta WHERE name = 'topic_mark'"), TOPICS);
    must_open(w);
    usleep(100000);
    assert_int_equal(topic_count(w), TOPICS + 1); /* not yet */
    shut(w);
    change_database(path, "UPDATE meta SET value = value - 7300000000 WHERE name = 'topic_mark_us'");
    must_open(w);
    while (topic_count(w) > 1)
        usleep(20000);
    assert_int_equal(topic_of(w, "young").count, 1);
    assert_int_equal(topic_of(w, "young").forgotten, 0);
    assert_int_equal(topic_of(w, "t005").forgotten, TOPICS);
    assert_int_equal(topic_of(w, "t005").last, 0);
    reopen(w);
    tell(w, TOPICS + 2, "t005", "again", now);
    assert_string_equal(told(w, "t005", 0, 9), "602:again ");
    assert_int_equal(topic_of(w, "t005").forgotten, TOPICS);
}

static void too_many_events_are_forgotten_from_the_oldest(void **state)
{
    struct world *w = *state;
    char data[1001];

    memset(data, 'd', 1000);
    data[1000] = '\0';
    reopen_keeping(w, UINT64_MAX, 50 * 1000, UINT64_MAX);
    for (uint64_t n = 1; n <= 200; n++)
        tell(w, n, "t", data, 1000000);
    assert_in_range(topic_of(w, "t").count, 40, 50);
    assert_int_equal(topic_of(w, "t").last, 200);
    assert_int_equal(topic_of(w, "t").first, topic_of(w, "t").forgotten + 1);
    assert_int_equal(topic_of(w, "t").forgotten + topic_of(w, "t").count, 200);
    reopen_keeping(w, UINT64_MAX, 0, UINT64_MAX);
    while (topic_of(w, "t").count > 0)
        usleep(20000);
    tell(w, 201, "t", data, 1000000);
    assert_true(topic_of(w, "t").count == 0 && topic_of(w, "t").forgotten == 201);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(events_get_ids_in_the_order_of_commits_and_none_twice),
        BOTH(neighbours_in_a_batch_tell_in_their_order),
        BOTH(an_event_is_told_when_its_transaction_commits_and_not_before),
        BOTH(an_event_of_what_was_all_written_early_is_told_at_the_end),
        BOTH(what_is_undone_before_its_end_tells_nothing),
        BOTH(what_was_told_stays_told_when_its_transaction_is_undone),
        BOTH(events_and_topics_are_told_in_pages),
        BOTH(an_event_depends_on_nothing_and_nothing_on_it),
        REAL(old_events_are_forgotten_and_that_is_known),
        REAL(topics_without_events_are_forgotten_after_twice_the_time),
        REAL(too_many_events_are_forgotten_from_the_oldest),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
