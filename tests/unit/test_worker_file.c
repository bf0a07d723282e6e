/*
 * Files as the real worker asks for them, with this test as the daemon: what is refused before it is sent, what is sent, and
 * what comes of each answer. A nonsensical one ends the worker, whatever it was that it had asked for.
 */
#include "tests/worker_filer.h"

enum { SECONDS_MAX = 60, READ_MAX = 5 * MIB / 2, LONG = 1025 };

/* LONG bytes, the last one too many; names of 255 at most. */
static const char *long_path(char path[LONG + 1])
{
    memset(path, 'n', LONG);
    path[255] = path[511] = path[767] = path[1022] = '/';
    path[LONG] = '\0';
    return path;
}

static void a_bad_path_is_refused_and_not_sent(void **state)
{
    static const char *const ops[] = { "read", "part", "write", "append", "remove", "rename", "stat", "list" };
    static const char *const bad[] = { "/", "/a", "a//b", ".", "..", "a/..", "./a", "a/.graftd", ".graftd.old/a" };
    struct worker w = ready(state);
    char args[3000], deep[200] = "a", path[LONG + 1];

    for (size_t o = 0; o < sizeof ops / sizeof ops[0]; o++)
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            snprintf(args, sizeof args, "%s %s x 1", ops[o], bad[i]);
            run(&w, args);
            assert_code(&w, 2);
        }
    run(&w, "rename a b/");
    assert_code(&w, 2);
    run(&w, "write a/ x");
    assert_code(&w, 2);
    for (int i = 1; i < 33; i++)
        strcat(deep, "/a");
    snprintf(args, sizeof args, "write %s x", deep);
    run(&w, args);
    assert_code(&w, 2);
    snprintf(args, sizeof args, "write %.256s x", long_path(path)); /* a name of 255 bytes and a slash */
    run(&w, args);
    assert_code(&w, 2);
    path[255] = 'n';
    snprintf(args, sizeof args, "write %.256s x", path);
    run(&w, args);
    assert_code(&w, 2);
    snprintf(args, sizeof args, "write %s x", long_path(path));
    run(&w, args);
    assert_code(&w, 2);
    bye(state, &w);
}

static void the_longest_path_is_sent(void **state)
{
    struct worker w = ready(state);
    char args[3000], path[LONG + 1];
    struct wire_FILE_WRITE m;
    struct bytes body;

    long_path(path);
    path[LONG - 1] = '\0';
    snprintf(args, sizeof args, "write %s x", path);
    run(&w, args);
    assert_int_equal(hear(w.channel, &body), WIRE_FILE_WRITE);
    assert_true(wire_read_FILE_WRITE(body, &m));
    assert_text(m.path, path);
    assert_text(m.data, "x");
    assert_code(&w, 0);
    bye(state, &w);
}

static void a_file_of_one_part_takes_one_question(void **state)
{
    struct worker w = ready(state);

    run(&w, "read a/b");
    assert_reads_part(&w, "a/b", 0, 65536); /* value_max */
    answer_value(&w, true, bytes_str("content"));
    assert_got(&w, "content");
    run(&w, "read a/b");
    assert_reads_part(&w, "a/b", 0, 65536);
    answer_value(&w, true, bytes_of("", 0));
    assert_got(&w, "");
    run(&w, "read a/b");
    assert_reads_part(&w, "a/b", 0, 65536);
    answer_value(&w, false, bytes_of("", 0));
    assert_code(&w, 1);
    bye(state, &w);
}

/* A file of value_max bytes, one that is a byte longer. */
static void a_file_over_the_limit_is_too_large(void **state)
{
    struct worker w = ready(state);
    static char content[65536];
    struct wire_DONE m;

    memset(content, 'x', sizeof content);
    run(&w, "read a");
    assert_reads_part(&w, "a", 0, 65536);
    answer_value(&w, true, bytes_of(content, sizeof content));
    assert_stats(&w, "a", false);
    answer_info(&w, true, false, sizeof content, 0);
    m = done(&w);
    assert_int_equal(m.reply.len, 5 + sizeof content);
    run(&w, "read a");
    assert_reads_part(&w, "a", 0, 65536);
    answer_value(&w, true, bytes_of(content, sizeof content));
    assert_stats(&w, "a", false);
    answer_info(&w, true, false, sizeof content + 1, 0);
    assert_code(&w, 5);
    run(&w, "part a 0 65537");
    assert_code(&w, 5);
    bye(state, &w);
}

static void a_large_file_comes_in_parts(void **state)
{
    struct wire_SPAWN before = worker_order;
    static char content[READ_MAX];
    struct worker w;
    struct wire_DONE m;

    worker_order.memory_max = 10 * MIB; /* the file, a part, and the next one */
    worker_order.value_max = 4 * MIB;
    w = ready(state);
    for (size_t i = 0; i < READ_MAX; i++)
        content[i] = (char)(i / 1000);
    for (int i = 0; i < 2; i++) { /* whole; from 1 byte on */
        const char *p = content + i;
        uint32_t all = READ_MAX - (uint32_t)i;

        run(&w, i == 0 ? "read a" : "part a 1 4000000");
        assert_reads_part(&w, "a", (unsigned)i, MIB);
        answer_value(&w, true, bytes_of(p, MIB));
        assert_stats(&w, "a", false);
        answer_info(&w, true, false, READ_MAX, 0);
        assert_reads_part(&w, "a", MIB + (unsigned)i, MIB);
        answer_value(&w, true, bytes_of(p + MIB, MIB));
        assert_reads_part(&w, "a", 2 * MIB + (unsigned)i, all - 2 * MIB);
        answer_value(&w, true, bytes_of(p + 2 * MIB, all - 2 * MIB));
        m = done(&w);
        assert_int_equal(m.how, 0);
        assert_int_equal(m.reply.len, 5 + all);
        assert_memory_equal((const char *)m.reply.data + 5, p, all);
    }
    bye(state, &w);
    worker_order = before;
}

static void a_part_is_asked_for_as_it_is_wanted(void **state)
{
    struct worker w = ready(state);

    run(&w, "part a 10 5");
    assert_reads_part(&w, "a", 10, 5);
    answer_value(&w, true, bytes_str("12345"));
    assert_got(&w, "12345");
    run(&w, "part a -1 5"); /* far behind every end */
    assert_reads_part(&w, "a", UINT64_C(1) << 62, 5);
    answer_value(&w, true, bytes_of("", 0));
    assert_got(&w, "");
    run(&w, "part a 3 0");
    assert_stats(&w, "a", false);
    answer_info(&w, true, false, 2, 0);
    assert_got(&w, "");
    run(&w, "part a 3 0");
    assert_stats(&w, "a", false);
    answer_info(&w, false, false, 0, 0);
    assert_code(&w, 1);
    bye(state, &w);
}

static void what_is_written_is_sent_and_not_answered(void **state)
{
    struct worker w = ready(state);
    struct wire_FILE_APPEND m;
    struct bytes body;

    run(&w, "append s/ada.txt line");
    assert_int_equal(hear(w.channel, &body), WIRE_FILE_APPEND);
    assert_true(wire_read_FILE_APPEND(body, &m));
    assert_text(m.path, "s/ada.txt");
    assert_text(m.data, "line");
    assert_code(&w, 0);
    run(&w, "toolarge a");
    assert_code(&w, 555);
    bye(state, &w);
}

static void what_is_not_there_is_neither_removed_nor_renamed(void **state)
{
    static const struct {
        const char *run;
        uint8_t sent;
    } cases[] = {
        { "remove a", WIRE_FILE_REMOVE },
        { "rename a b", WIRE_FILE_RENAME },
    };
    struct worker w = ready(state);
    struct bytes body;

    for (int i = 0; i < 2; i++) {
        run(&w, cases[i].run);
        assert_stats(&w, "a", true);
        answer_info(&w, false, false, 0, 0);
        assert_code(&w, 1);
        run(&w, cases[i].run);
        assert_stats(&w, "a", true);
        answer_info(&w, true, false, 0, 0);
        assert_int_equal(hear(w.channel, &body), cases[i].sent);
        assert_code(&w, 0);
    }
    bye(state, &w);
}

static void a_stat_tells_files_and_directories_apart(void **state)
{
    struct worker w = ready(state);

    run(&w, "stat a");
    assert_stats(&w, "a", false);
    answer_info(&w, true, false, 5, (uint64_t)-7);
    assert_got(&w, "0 5 -7");
    run(&w, "stat a/");
    assert_stats(&w, "a", false);
    answer_info(&w, true, true, 0, 8);
    assert_got(&w, "1 0 8");
    run(&w, "stat a/"); /* but it is a file */
    assert_stats(&w, "a", false);
    answer_info(&w, true, false, 5, 8);
    assert_code(&w, 1);
    bye(state, &w);
}

static void a_directory_is_listed_page_by_page(void **state)
{
    static const char *const first[] = { "d/a", "d/b/", NULL }, *const rest[] = { "d/c", NULL };
    static const char *const none[] = { NULL };
    struct worker w = ready(state);

    run(&w, "list d");
    assert_lists(&w, "d/", "d/", 2);
    answer_list(&w, first, true);
    assert_lists(&w, "d/", "d/b/\0", 5);
    answer_list(&w, rest, false);
    assert_got(&w, "[d/a 0 7 9][d/b/ 1 7 9][d/c 0 7 9]");
    run(&w, "list d/");
    assert_lists(&w, "d/", "d/", 2);
    answer_list(&w, none, false);
    assert_got(&w, "");
    run(&w, "stop d");
    assert_lists(&w, "d/", "d/", 2);
    answer_list(&w, first, true);
    assert_code(&w, 55);
    run(&w, "list ");
    assert_lists(&w, "", "", 0);
    answer_list(&w, none, false);
    assert_got(&w, "");
    bye(state, &w);
}

/* A change by the visit, and any call of another graft. */
static void a_listing_looks_again_after_a_change(void **state)
{
    static const char *const first[] = { "d/a", "d/b", "d/z", NULL }, *const rest[] = { "d/c", "d/z", NULL };
    struct worker w = ready(state);
    struct bytes body;
    struct buf b;

    for (int i = 0; i < 2; i++) {
        run(&w, i == 0 ? "relist d" : "nested d");
        assert_lists(&w, "d/", "d/", 2);
        answer_list(&w, first, false);
        assert_int_equal(hear(w.channel, &body), i == 0 ? WIRE_FILE_APPEND : WIRE_GRAFT_CALL);
        if (i == 1) {
            buf_init(&b, 100);
            wire_add_RESULT(&b, &(struct wire_RESULT){ .ok = 1 });
            tell(w.channel, &b);
        }
        assert_lists(&w, "d/", "d/b\0", 4);
        answer_list(&w, rest, false);
        assert_got(&w, "[d/a 0 7 9][d/b 0 7 9][d/c 0 7 9][d/z 0 7 9]");
    }
    bye(state, &w);
}

static void a_change_in_a_readonly_call_does_not_return(void **state)
{
    static const struct {
        const char *run;
        uint8_t sent;
    } cases[] = {
        { "write a x", WIRE_FILE_WRITE },   { "append a x", WIRE_FILE_APPEND }, { "remove a", WIRE_FILE_REMOVE },
        { "rename a b", WIRE_FILE_RENAME }, { "emit a x", WIRE_EMIT },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct worker w = ready(state);
        struct bytes body;

        call_index(&w, 0, NULL, cases[i].run, true);
        if (cases[i].sent == WIRE_FILE_REMOVE || cases[i].sent == WIRE_FILE_RENAME) {
            assert_stats(&w, "a", true);
            answer_info(&w, false, false, 0, 0);
        }
        assert_int_equal(hear(w.channel, &body), cases[i].sent);
        bye(state, &w);
    }
}

static void nonsense_from_the_daemon_ends_the_worker(void **state)
{
    static const char *const asks[] = { "read a", "stat a", "list d", "after a.b 5", "cancel 1.1" };
    struct world *world = *state;
    struct buf b;

    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
        struct worker w = ready(state);
        struct bytes body;

        run(&w, asks[i]);
        assert_true(hear(w.channel, &body) > 0);
        buf_init(&b, 100);
        wire_add_RESULT(&b, &(struct wire_RESULT){ .ok = 1 });
        tell(w.channel, &b);
        assert_dies(&world->guest.tree, &w, NULL, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_path_is_refused_and_not_sent),
        cmocka_unit_test(the_longest_path_is_sent),
        cmocka_unit_test(a_file_of_one_part_takes_one_question),
        cmocka_unit_test(a_file_over_the_limit_is_too_large),
        cmocka_unit_test(a_large_file_comes_in_parts),
        cmocka_unit_test(a_part_is_asked_for_as_it_is_wanted),
        cmocka_unit_test(what_is_written_is_sent_and_not_answered),
        cmocka_unit_test(what_is_not_there_is_neither_removed_nor_renamed),
        cmocka_unit_test(a_stat_tells_files_and_directories_apart),
        cmocka_unit_test(a_directory_is_listed_page_by_page),
        cmocka_unit_test(a_listing_looks_again_after_a_change),
        cmocka_unit_test(a_change_in_a_readonly_call_does_not_return),
        cmocka_unit_test(nonsense_from_the_daemon_ends_the_worker),
    };

    worker_kit_open(SECONDS_MAX);
    return worker_kit_close(cmocka_run_group_tests(tests, filer_set_up, filer_tear_down));
}
