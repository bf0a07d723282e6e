/* What is done for a worker that asks for files, events and timers, and answered: that, and no more. */
#include "tests/hostcall_kit.h"

static void a_write_is_done_and_not_answered(void **state)
{
    struct world *w = *state;

    assert_int_equal(SAY(w, FILE_WRITE, .path = str("out/a"), .data = str("x")), OK);
    assert_int_equal(SAY(w, FILE_APPEND, .path = str("s/a"), .data = str("y")), OK);
    assert_int_equal(SAY(w, FILE_REMOVE, .path = str("s/a")), OK);
    assert_int_equal(SAY(w, FILE_RENAME, .from = str("s/a"), .to = str("out/b")), OK);
    assert_int_equal(SAY(w, FILE_RENAME, .from = str("s/a"), .to = str("s/a")), OK); /* nothing to be done */
    assert_int_equal(SAY(w, EMIT, .topic = str("bank.a"), .data = str("z")), OK);
    assert_string_equal(played.done, "write out/a x; append s/a y; remove s/a; rename s/a out/b; emit bank.a z");
    assert_int_equal(buf_len(&sent), 0);
    renew(w);
    played.err = ERR_ABSENT; /* a worker that did not ask first */
    assert_int_equal(SAY(w, FILE_REMOVE, .path = str("s/a")), OK);
    assert_int_equal(SAY(w, FILE_RENAME, .from = str("s/a"), .to = str("s/b")), OK);
    renew(w);
}

static void a_look_is_answered(void **state)
{
    struct world *w = *state;
    struct wire_FILE_INFO m;

    played.file = (struct txn_file){ .size = 5, .mtime_ns = 7001 };
    assert_int_equal(SAY(w, FILE_STAT, .exclusive = 1, .path = str("s/a")), OK);
    assert_string_equal(played.done, "stat x s/a");
    assert_true(wire_read_FILE_INFO(answered(WIRE_FILE_INFO), &m));
    assert_true(m.present == 1 && m.directory == 0 && m.size == 5 && m.mtime_us == 7);
    renew(w);
    played.err = ERR_ABSENT;
    assert_int_equal(SAY(w, FILE_STAT, .path = str("s/a")), OK);
    assert_true(wire_read_FILE_INFO(answered(WIRE_FILE_INFO), &m));
    assert_int_equal(m.present, 0);
    renew(w);
    played.data = str("content");
    assert_int_equal(SAY(w, FILE_READ, .path = str("s/a"), .offset = 3, .len = 9), OK);
    assert_string_equal(played.done, "read s/a 3+9");
    assert_value(true, "content");
    renew(w);
    played.err = ERR_ABSENT;
    assert_int_equal(SAY(w, FILE_READ, .path = str("s/a"), .len = 9), OK);
    assert_value(false, "");
    renew(w);
}

/* It may write there and not read: it is told that there is something, to remove it, and nothing of it. */
static void who_may_not_read_is_not_told_the_size(void **state)
{
    struct world *w = *state;
    struct wire_FILE_INFO m;

    played.file = (struct txn_file){ .size = 5, .mtime_ns = 7001 };
    assert_int_equal(SAY(w, FILE_STAT, .exclusive = 1, .path = str("out/a")), OK);
    assert_true(wire_read_FILE_INFO(answered(WIRE_FILE_INFO), &m));
    assert_true(m.present == 1 && m.size == 0 && m.mtime_us == 0);
    renew(w);
}

static void what_stands_in_the_way_ends_the_call_with_its_path(void **state)
{
    struct world *w = *state;

    played.err = ERR_BADARG;
    played.why = "it leads through a symbolic link";
    assert_int_equal(SAY(w, FILE_READ, .path = str("s/a"), .len = 1), ERR_BADARG);
    assert_string_equal(w->why.text, "could not read file \"s/a\": it leads through a symbolic link");
    failure_clear(&w->why);
    assert_int_equal(SAY(w, FILE_WRITE, .path = str("s/a")), ERR_BADARG);
    assert_string_equal(w->why.text, "could not write file \"s/a\": it leads through a symbolic link");
    assert_int_equal(w->h.disk_used, 0);
    assert_int_equal(buf_len(&sent), 0);
    renew(w);
}

static size_t image(char out[200], uint8_t kind, uint64_t size)
{
    struct file_image i = { .kind = kind, .mode = 0644, .size = size, .mtime_ns = 9000, .inode = 3 };
    struct buf b;
    size_t n;

    if (kind == FILE_STANDING)
        i.origin = str("s/a");
    if (kind == FILE_NEW) {
        i.stage = 1;
        i.stage_len = size;
    }
    buf_init(&b, 200);
    assert_true(file_image_add(&b, &i));
    n = buf_len(&b);
    memcpy(out, b.data, n);
    buf_fini(&b);
    return n;
}

static void a_listing_tells_what_a_stat_would(void **state)
{
    static char images[3][200];
    static const char *const paths[] = { "s/a", "s/b/", "s/c" };
    static const uint8_t kinds[] = { FILE_STANDING, FILE_DIRECTORY, FILE_NEW };
    struct world *w = *state;
    struct wire_PAGE m;
    struct reader r, info;

    for (size_t i = 0; i < 3; i++)
        played.pairs[i] =
            (struct store_pair){ str(paths[i]), { true, bytes_of(images[i], image(images[i], kinds[i], 5)) } };
    played.pair_count = 3;
    assert_int_equal(SAY(w, FILE_LIST, .directory = str("s/"), .from = str("s/a"), .count_max = 3), OK);
    assert_string_equal(played.done, "list s/ s/a");
    assert_true(wire_read_PAGE(answered(WIRE_PAGE), &m));
    assert_int_equal(m.more, 1);
    r = reader_of(m.items);
    assert_int_equal(read_u32(&r), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(bytes_equal(read_bytes(&r), str(paths[i])));
        info = reader_of(read_bytes(&r));
        assert_int_equal(read_u8(&info), i == 1);
        assert_int_equal(read_u64(&info), i == 1 ? 0 : 5);
        assert_int_equal(read_u64(&info), i == 2 ? NOW_US : 9);
        assert_true(reader_done(&info));
    }
    assert_true(reader_done(&r));
    buf_clear(&sent);
    played.pairs[1].key = str("s/secret"); /* one of them may not be seen */
    assert_int_equal(SAY(w, FILE_LIST, .directory = str("s/"), .count_max = 3), ERR_DENIED);
    assert_int_equal(buf_len(&sent), 0);
    renew(w);
}

static void a_timer_remembers_who_armed_it(void **state)
{
    struct world *w = *state;
    struct timer t;

    played.waits = 2; /* its name stays the same while it waits */
    for (int i = 0; i < 3; i++)
        assert_int_equal(SAY(w, AFTER, .ms = 1500, .function = str("bank.remind"),
                             .args = bytes_of("\1\0\0\0\3\0\0\0ada", 11)),
                         i < 2 ? ERR_WAIT : OK);
    assert_string_equal(played.done, "put timer 418.1");
    assert_value(true, "418.1");
    assert_true(timer_image_read(played.data, &t));
    assert_int_equal(t.due_us, NOW_US + 1500000);
    assert_true(t.uid == 1000 && t.gid == 100 && t.group_count == 2 && t.groups[0] == 7 && t.groups[1] == 8);
    assert_true(t.armed_by == 418 && t.tries == 0 && !t.parked && t.error.len == 0);
    assert_true(bytes_equal(t.function, str("bank.remind")));
    assert_int_equal(t.args.len, 11);
    free((void *)(uintptr_t)played.data.data);
    buf_clear(&sent);
    assert_int_equal(SAY(w, AFTER, .function = str("bank.remind"), .args = bytes_of("\0\0\0\0", 4)), OK);
    assert_value(true, "418.2");
    free((void *)(uintptr_t)played.data.data);
    renew(w);
}

/* Arms one and takes it for the stored one. */
static void stored_timer(struct world *w, const char *function, uint32_t uid)
{
    struct timer t = { .uid = uid, .function = str(function), .args = bytes_of("\0\0\0\0", 4) };
    static struct buf b;

    buf_fini(&b);
    buf_init(&b, 1000);
    assert_true(timer_image_add(&b, &t));
    renew(w);
    played.data = buf_bytes(&b);
}

static void only_own_timers_are_there_to_be_cancelled(void **state)
{
    struct world *w = *state;

    stored_timer(w, "bank.a", 1000);
    assert_int_equal(SAY(w, CANCEL, .id = str("7.1")), OK);
    assert_string_equal(played.done, "get timer 7.1; delete timer 7.1");
    assert_value(true, "");
    stored_timer(w, "bank.a", 1001);
    assert_int_equal(SAY(w, CANCEL, .id = str("7.1")), OK);
    assert_string_equal(played.done, "get timer 7.1");
    assert_value(false, "");
    stored_timer(w, "bank.a", 1001);
    w->who.uid = 0;
    assert_int_equal(SAY(w, CANCEL, .id = str("7.1")), OK);
    assert_value(true, "");
    w->who.uid = 1000;
    stored_timer(w, "bank.a", 1000);
    played.err = ERR_ABSENT;
    assert_int_equal(SAY(w, CANCEL, .id = str("7.1")), OK);
    assert_value(false, "");
    stored_timer(w, "other.a", 1000); /* another graft's affair */
    assert_int_equal(SAY(w, CANCEL, .id = str("7.1")), ERR_DENIED);
    assert_string_equal(played.done, "get timer 7.1");
    stored_timer(w, "bank.a", 1000);
    played.data.len--;
    assert_int_equal(SAY(w, CANCEL, .id = str("7.1")), ERR_STORAGE);
    renew(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_is_done_and_not_answered),
        cmocka_unit_test(a_look_is_answered),
        cmocka_unit_test(who_may_not_read_is_not_told_the_size),
        cmocka_unit_test(what_stands_in_the_way_ends_the_call_with_its_path),
        cmocka_unit_test(a_listing_tells_what_a_stat_would),
        cmocka_unit_test(a_timer_remembers_who_armed_it),
        cmocka_unit_test(only_own_timers_are_there_to_be_cancelled),
    };

    alarm(SECONDS_MAX);
    return cmocka_run_group_tests(tests, hostcall_set_up, hostcall_tear_down);
}
