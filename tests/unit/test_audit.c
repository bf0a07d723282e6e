/* audit: a line for each note, one for many denials that are the same, and a count for what is lost; the loop never waits. */
#include "graftd/audit.h"

#include "graftd/audit_file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a world in which time and the other thread stand still until they are told ---- */

struct port_timer {
    void (*fired)(void *owner);
    void *owner;
    int64_t at_ms; /* -1: not running */
};

static struct {
    int64_t now_ms;
    struct port_timer timer;
    void (*work)(void *), (*done)(void *);
    void *owner;
    bool refuses; /* no memory for work */
} world;

static int64_t now_ms(struct port *p)
{
    (void)p;
    return world.now_ms;
}

static int64_t wall_us(struct port *p)
{
    (void)p;
    return world.now_ms * 1000;
}

static struct port_timer *timer_new(struct port *p, void (*fired)(void *), void *owner)
{
    (void)p;
    world.timer = (struct port_timer){ fired, owner, -1 };
    return &world.timer;
}

static void timer_start(struct port_timer *t, uint64_t ms) { t->at_ms = world.now_ms + (int64_t)ms; }
static void timer_free(struct port_timer **t) { *t = NULL; }

static enum err work_queue(struct port *p, void (*work)(void *), void (*done)(void *), void *owner)
{
    (void)p;
    if (world.refuses)
        return ERR_NOMEM;
    assert_null(world.work); /* one at a time */
    world.work = work;
    world.done = done;
    world.owner = owner;
    return OK;
}

static const struct port_ops ops = {
    .now_ms = now_ms,
    .wall_us = wall_us,
    .timer_new = timer_new,
    .timer_start = timer_start,
    .timer_free = timer_free,
    .work = work_queue,
};
static struct port port = { .ops = &ops };

static void writer_ends(void)
{
    void (*work)(void *) = world.work, (*done)(void *) = world.done;

    assert_non_null(work);
    work(world.owner);
    world.work = NULL;
    done(world.owner);
}

static void settle(void)
{
    while (world.work != NULL)
        writer_ends();
}

static void pass(int64_t ms)
{
    world.now_ms += ms;
    if (world.timer.at_ms >= 0 && world.timer.at_ms <= world.now_ms) {
        world.timer.at_ms = -1;
        world.timer.fired(world.timer.owner);
    }
}

/* ---- one log ---- */

static char home[] = "/tmp/test_audit.XXXXXX";
static int home_fd;
static struct audit *the_log;

static int begin(void **state)
{
    struct failure why = { 0 };

    (void)state;
    memset(&world, 0, sizeof world);
    strcpy(home + strlen(home) - 6, "XXXXXX");
    if (mkdtemp(home) == NULL || (home_fd = open(home, O_RDONLY | O_DIRECTORY)) < 0)
        return 1;
    return audit_open(&port, home_fd, &the_log, &why);
}

static int end(void **state)
{
    (void)state;
    audit_close(&the_log);
    unlinkat(home_fd, "audit.log", 0);
    unlinkat(home_fd, "old", 0);
    close(home_fd);
    return rmdir(home);
}

static const char *content(const char *name)
{
    static char text[4 << 20];
    int fd = openat(home_fd, name, O_RDONLY);
    ssize_t n;

    assert_true(fd >= 0);
    n = read(fd, text, sizeof text - 1);
    assert_true(n >= 0);
    text[n] = '\0';
    close(fd);
    return text;
}

static size_t lines(const char *text)
{
    size_t n = 0;

    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

static void note(const char *what)
{
    audit(the_log, &(struct audit_record){
                       .event = AUDIT_LOAD, .uid = 1, .gid = 2, .pid = 3, .what = bytes_str(what), .verdict = "ok" });
}

static void deny(uid_t uid, pid_t pid, const char *what)
{
    const struct principal who = { .uid = uid, .gid = 9, .pid = pid };
    const struct place place = { "a.scfg", 4, 2 };

    audit_denied(the_log, &who, "call", bytes_str(what), place);
}

#define LOADED(time, what) \
    "{\"time\":\"1970-01-01T00:00:" time "Z\",\"event\":\"load\",\"uid\":1,\"gid\":2,\"pid\":3,\"what\":\"" what \
    "\",\"verdict\":\"ok\"}\n"
#define DENIED(time, uid, pid, what, count) \
    "{\"time\":\"1970-01-01T00:00:" time "Z\",\"event\":\"denied\",\"uid\":" uid ",\"gid\":9,\"pid\":" pid \
    ",\"what\":\"call " what "\",\"verdict\":\"denied\",\"rule\":\"a.scfg:4:2\"" count "}\n"

/* ---- claims ---- */

static void a_note_is_a_line_and_nobody_waits_for_it(void **state)
{
    (void)state;
    note("one");
    note("two"); /* while the writer is at work */
    assert_string_equal(content("audit.log"), "");
    writer_ends();
    assert_string_equal(content("audit.log"), LOADED("00.000", "one"));
    writer_ends();
    assert_string_equal(content("audit.log"), LOADED("00.000", "one") LOADED("00.000", "two"));
    assert_null(world.work);
}

static void what_strangers_wrote_stays_in_its_string(void **state)
{
    (void)state;
    note("a\"b\\c\n\x1b\xff\xe2\x80\xa8");
    settle();
    assert_int_equal(lines(content("audit.log")), 1);
    assert_non_null(strstr(content("audit.log"), "\"what\":\"a\\\"b\\\\c\\\\x0a\\\\x1b\\\\xff"));
}

static void a_long_line_is_cut_and_whole(void **state)
{
    char what[4096], why[4096];

    (void)state;
    memset(what, '"', sizeof what);
    memset(why, '\\', sizeof why);
    what[sizeof what - 1] = why[sizeof why - 1] = '\0';
    audit(the_log, &(struct audit_record){ .event = AUDIT_LOAD,
                                           .graft = what,
                                           .action = why,
                                           .what = bytes_str(what),
                                           .verdict = "ok",
                                           .ruled = true,
                                           .rule = { why, 1, 1 },
                                           .why = why });
    settle();
    assert_int_equal(lines(content("audit.log")), 1);
    assert_true(strlen(content("audit.log")) < 2 * AUDIT_LINE_MAX);
    assert_string_equal(content("audit.log") + strlen(content("audit.log")) - 3, "\"}\n");
}

static void denials_that_are_the_same_are_one_line_with_a_count(void **state)
{
    (void)state;
    deny(5, 70, "bank.x");
    pass(300);
    deny(5, 71, "bank.x");
    deny(5, 70, "bank.y");
    deny(6, 70, "bank.x");
    deny(5, 72, "bank.x");
    settle();
    assert_string_equal(content("audit.log"), "");
    pass(700);
    settle();
    assert_string_equal(content("audit.log"), DENIED("00.000", "5", "70", "bank.x", ",\"count\":3"));
    deny(5, 70, "bank.x"); /* a new second */
    pass(300);
    settle();
    assert_string_equal(content("audit.log"),
                        DENIED("00.000", "5", "70", "bank.x", ",\"count\":3") DENIED("00.300", "5", "70", "bank.y", "")
                            DENIED("00.300", "6", "70", "bank.x", ""));
    pass(1000);
    settle();
    assert_int_equal(lines(content("audit.log")), 4);
    assert_int_equal(world.timer.at_ms, -1);
}

static void a_flood_of_denials_is_bounded_and_counted(void **state)
{
    char what[32];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        snprintf(what, sizeof what, "g.f%d", i);
        deny(5, 70, what);
    }
    pass(1000);
    settle();
    note("after"); /* what was lost is told with the next line at the latest */
    settle();
    assert_int_equal(lines(content("audit.log")), AUDIT_DENIED_MAX + 2);
    assert_non_null(strstr(content("audit.log"), ",\"event\":\"lost\",\"lines\":900}\n"));
}

static void a_full_queue_loses_lines_and_says_how_many(void **state)
{
    size_t line = strlen(LOADED("00.000", "x")), fits = AUDIT_QUEUE_MAX / line;
    char lost[64];

    (void)state;
    note("x"); /* the writer is at work with it, and stays there */
    for (size_t i = 0; i < fits + 25; i++)
        note("x");
    writer_ends(); /* room for the count comes with the next queue */
    writer_ends();
    note("y");
    settle();
    snprintf(lost, sizeof lost, ",\"event\":\"lost\",\"lines\":%d}\n", 25);
    assert_non_null(strstr(content("audit.log"), lost));
    assert_int_equal(lines(content("audit.log")), 1 + fits + 2);
}

static void a_disk_that_refuses_loses_lines_and_says_how_many(void **state)
{
    struct rlimit old, small;

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = strlen(LOADED("00.000", "x")) + 10; /* the second line is cut short */
    note("x");
    settle();
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    note("lost");
    settle();
    for (int i = 0; i < 7; i++) {
        note("lost too");
        settle();
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    note("kept");
    settle();
    assert_int_equal(lines(content("audit.log")), 4); /* one of them the half that was cut */
    assert_non_null(strstr(content("audit.log"), "\n" LOADED("00.000", "kept") "{\"time\":\"1970-01-01T00:00:00.000Z\","
                                                                               "\"event\":\"lost\",\"lines\":8}\n"));
}

static void without_memory_for_the_writer_lines_wait(void **state)
{
    (void)state;
    world.refuses = true;
    note("one");
    world.refuses = false;
    note("two");
    settle();
    assert_string_equal(content("audit.log"), LOADED("00.000", "one") LOADED("00.000", "two"));
}

static void opened_anew_it_goes_on_in_another_file(void **state)
{
    (void)state;
    note("one");
    settle();
    assert_int_equal(renameat(home_fd, "audit.log", home_fd, "old"), 0);
    note("two");
    settle();
    audit_reopen(the_log);
    note("three");
    settle();
    assert_string_equal(content("old"), LOADED("00.000", "one") LOADED("00.000", "two"));
    assert_string_equal(content("audit.log"), LOADED("00.000", "three"));
    assert_int_equal(unlinkat(home_fd, "audit.log", 0), 0);
    assert_int_equal(symlinkat("old", home_fd, "audit.log"), 0); /* not ours: the one before stays open */
    audit_reopen(the_log);
    note("four");
    settle();
    assert_string_equal(content("old"), LOADED("00.000", "one") LOADED("00.000", "two"));
}

static void half_a_line_is_ended_first(void **state)
{
    struct failure why = { 0 };
    int fd;

    (void)state;
    audit_close(&the_log);
    fd = openat(home_fd, "audit.log", O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "{\"half", 6), 6);
    close(fd);
    assert_int_equal(audit_open(&port, home_fd, &the_log, &why), OK);
    note("one");
    settle();
    assert_string_equal(content("audit.log"), "{\"half\n" LOADED("00.000", "one"));
}

static void what_waits_is_written_at_the_end(void **state)
{
    struct failure why = { 0 };

    (void)state;
    world.refuses = true;
    note("one");
    deny(5, 70, "bank.x");
    audit_close(&the_log);
    assert_string_equal(content("audit.log"), LOADED("00.000", "one") DENIED("00.000", "5", "70", "bank.x", ""));
    world.refuses = false;
    assert_int_equal(audit_open(&port, home_fd, &the_log, &why), OK);
}

static void what_is_no_file_of_ours_is_refused(void **state)
{
    struct failure why = { 0 };

    (void)state;
    audit_close(&the_log);
    unlinkat(home_fd, "audit.log", 0);
    assert_int_equal(symlinkat("/dev/null", home_fd, "audit.log"), 0);
    assert_int_equal(audit_open(&port, home_fd, &the_log, &why), ERR_STORAGE);
    assert_string_equal(why.text, "cannot write audit.log in the data directory: it is not a plain file of ours");
    assert_null(the_log);
    unlinkat(home_fd, "audit.log", 0);
    assert_int_equal(mkfifoat(home_fd, "audit.log", 0600), 0);
    failure_clear(&why);
    assert_int_equal(audit_open(&port, home_fd, &the_log, &why), ERR_STORAGE);
}

/* ---- its end ---- */

static char tail_text[AUDIT_TAIL_MAX + 1];
static int tail_count;

static void tail_done(void *owner, enum err err, struct bytes text)
{
    assert_ptr_equal(owner, &tail_count);
    assert_int_equal(err, OK);
    if (text.len > 0)
        memcpy(tail_text, text.data, text.len);
    tail_text[text.len] = '\0';
    tail_count++;
}

static void expect_tail(size_t count, const char *expected)
{
    tail_count = 0;
    assert_int_equal(audit_tail(the_log, count, tail_done, &tail_count), OK);
    settle();
    assert_int_equal(tail_count, 1);
    assert_string_equal(tail_text, expected);
}

static void the_end_is_what_was_noted_so_far(void **state)
{
    (void)state;
    expect_tail(5, "");
    note("one"); /* all of this still waits */
    note("two");
    deny(5, 70, "bank.x");
    expect_tail(2, LOADED("00.000", "two") DENIED("00.000", "5", "70", "bank.x", ""));
    expect_tail(0, "");
    expect_tail(3, content("audit.log"));
    expect_tail(1000, content("audit.log"));
    tail_count = 0;
    assert_int_equal(audit_tail(the_log, 1, tail_done, &tail_count), OK);
    assert_int_equal(audit_tail(the_log, 1, tail_done, &tail_count), OK); /* the writer is at work for the first one */
    settle();
    assert_int_equal(tail_count, 2);
}

static void who_asks_while_the_disk_refuses_is_answered(void **state)
{
    struct rlimit old, small;

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 10;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    tail_count = 0;
    note("lost"); /* the writer is at work, and will fail */
    assert_int_equal(audit_tail(the_log, 1, tail_done, &tail_count), OK);
    settle();
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(tail_count, 1);
}

static void a_line_that_is_cut_by_the_window_is_left_out(void **state)
{
    static const char text[] = "first\nsecond\nthird\n";
    struct audit_file f = { .data_fd = home_fd, .fd = openat(home_fd, "audit.log", O_RDWR) };
    struct buf out;

    (void)state;
    assert_int_equal(write(f.fd, text, strlen(text)), strlen(text));
    for (size_t window = 1; window < strlen(text); window++) {
        const char *whole = window < 7 ? "" : window < 14 ? "third\n" : "second\nthird\n";
        buf_init(&out, window);
        assert_int_equal(audit_file_tail(&f, 9, &out), OK);
        assert_true(bytes_equal(buf_bytes(&out), bytes_str(whole)));
        buf_fini(&out);
    }
    close(f.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_note_is_a_line_and_nobody_waits_for_it, begin, end),
        cmocka_unit_test_setup_teardown(what_strangers_wrote_stays_in_its_string, begin, end),
        cmocka_unit_test_setup_teardown(a_long_line_is_cut_and_whole, begin, end),
        cmocka_unit_test_setup_teardown(denials_that_are_the_same_are_one_line_with_a_count, begin, end),
        cmocka_unit_test_setup_teardown(a_flood_of_denials_is_bounded_and_counted, begin, end),
        cmocka_unit_test_setup_teardown(a_full_queue_loses_lines_and_says_how_many, begin, end),
        cmocka_unit_test_setup_teardown(a_disk_that_refuses_loses_lines_and_says_how_many, begin, end),
        cmocka_unit_test_setup_teardown(without_memory_for_the_writer_lines_wait, begin, end),
        cmocka_unit_test_setup_teardown(opened_anew_it_goes_on_in_another_file, begin, end),
        cmocka_unit_test_setup_teardown(half_a_line_is_ended_first, begin, end),
        cmocka_unit_test_setup_teardown(what_waits_is_written_at_the_end, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_file_of_ours_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(the_end_is_what_was_noted_so_far, begin, end),
        cmocka_unit_test_setup_teardown(who_asks_while_the_disk_refuses_is_answered, begin, end),
        cmocka_unit_test_setup_teardown(a_line_that_is_cut_by_the_window_is_left_out, begin, end),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
