/* What a worker says of files, events and timers is checked, every field of it, as if it were hostile (W2). */
#include "tests/hostcall_kit.h"

static void a_path_that_no_worker_sends_is_an_attack(void **state)
{
    static const struct bytes bad[] = {
        { "", 0 },     { "/s/a", 4 }, { "s/../../etc/passwd", 18 }, { "s/.", 3 },
        { "s//a", 4 }, { "s/a/", 4 }, { "s/.graftd/new.1.1", 17 },  { "s/a\0b", 5 },
    };
    static char large[1025];
    struct world *w = *state;

    memset(large, 'a', sizeof large);
    for (size_t i = 0; i <= sizeof bad / sizeof bad[0]; i++) {
        struct bytes p = i < sizeof bad / sizeof bad[0] ? bad[i] : bytes_of(large, sizeof large);

        assert_refused(w, SAY(w, FILE_STAT, .path = p), ERR_CRASHED, "malformed FILE_STAT");
        assert_refused(w, SAY(w, FILE_READ, .path = p, .len = 1), ERR_CRASHED, "malformed FILE_READ");
        assert_refused(w, SAY(w, FILE_WRITE, .path = p), ERR_CRASHED, "malformed FILE_WRITE");
        assert_refused(w, SAY(w, FILE_APPEND, .path = p), ERR_CRASHED, "malformed FILE_APPEND");
        assert_refused(w, SAY(w, FILE_REMOVE, .path = p), ERR_CRASHED, "malformed FILE_REMOVE");
        assert_refused(w, SAY(w, FILE_RENAME, .from = p, .to = str("s/a")), ERR_CRASHED, "malformed FILE_RENAME");
        assert_refused(w, SAY(w, FILE_RENAME, .from = str("s/a"), .to = p), ERR_CRASHED, "malformed FILE_RENAME");
        if (p.len > 0 && !bytes_equal(p, str("s/a/")))
            assert_refused(w, SAY(w, FILE_LIST, .directory = p, .count_max = 1), ERR_CRASHED, "malformed FILE_LIST");
    }
}

static void a_number_out_of_bounds_is_an_attack(void **state)
{
    static char large[1026];
    struct world *w = *state;
    struct bytes p = str("s/a");

    assert_refused(w, SAY(w, FILE_STAT, .exclusive = 2, .path = p), ERR_CRASHED, "malformed");
    assert_refused(w, SAY(w, FILE_READ, .path = p, .len = 0), ERR_CRASHED, "malformed");
    assert_refused(w, SAY(w, FILE_READ, .path = p, .len = 64 * 1024 + 1), ERR_CRASHED, "malformed");
    assert_refused(w, SAY(w, FILE_READ, .path = p, .len = 1, .offset = UINT64_MAX), ERR_CRASHED, "malformed");
    assert_refused(w, SAY(w, FILE_LIST, .directory = str("s/"), .count_max = 0), ERR_CRASHED, "malformed");
    assert_refused(w, SAY(w, FILE_LIST, .directory = str("s/"), .count_max = 1025), ERR_CRASHED, "malformed");
    assert_refused(w, SAY(w, FILE_LIST, .directory = str("s"), .count_max = 1), ERR_CRASHED, "malformed");
    assert_refused(w, SAY(w, FILE_LIST, .directory = str("s/"), .from = bytes_of(large, 1026), .count_max = 1),
                   ERR_CRASHED, "malformed");
    assert_refused(w, SAY(w, AFTER, .ms = 2147483647001, .function = str("bank.a"), .args = bytes_of("\0\0\0\0", 4)),
                   ERR_CRASHED, "malformed AFTER");
}

static void only_the_daemons_messages_are_an_attack(void **state)
{
    struct world *w = *state;

    assert_refused(w, SAY(w, FILE_INFO, .present = 1), ERR_CRASHED, "sent FILE_INFO, which a worker may not send now");
}

static void every_message_is_read_to_its_last_byte(void **state)
{
    struct world *w = *state;
    struct bytes frame;

    for (int cut = 0; cut < 2; cut++)
        for (uint8_t n = WIRE_FILE_STAT; n <= WIRE_CANCEL; n++) {
            buf_clear(&w->message);
            if (n == WIRE_FILE_INFO)
                continue;
            (void)SAY(w, FILE_READ, .path = str("s/a"), .len = 1);
            frame = buf_bytes(&w->message);
            renew(w);
            assert_int_equal(hostcall_do(&w->h, n,
                                         bytes_of((const char *)frame.data + WIRE_HEAD,
                                                  cut ? 5 : frame.len - WIRE_HEAD + 0u),
                                         &w->why),
                             n == WIRE_FILE_READ && !cut ? OK : ERR_CRASHED);
            renew(w);
        }
}

static void a_topic_or_a_function_that_is_none_is_an_attack(void **state)
{
    static const char *const topics[] = { "", "bank.*", "bank a", "bank.\n" };
    static const char *const functions[] = { "", "bank", "bank.", ".a", "bank.A", "bank.a.b", "bank.a\n" };
    static char large[200];
    struct world *w = *state;
    struct bytes none = bytes_of("\0\0\0\0", 4);

    memset(large, 'a', sizeof large);
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++)
        assert_refused(w, SAY(w, EMIT, .topic = str(topics[i])), ERR_CRASHED, "malformed EMIT");
    assert_refused(w, SAY(w, EMIT, .topic = bytes_of("bank.\0", 6)), ERR_CRASHED, "malformed EMIT");
    assert_refused(w, SAY(w, EMIT, .topic = bytes_of(large, 128)), ERR_CRASHED, "malformed EMIT");
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        assert_refused(w, SAY(w, AFTER, .function = str(functions[i]), .args = none), ERR_CRASHED, "malformed AFTER");
    large[64] = '.';
    assert_refused(w, SAY(w, AFTER, .function = bytes_of(large, 80), .args = none), ERR_CRASHED, "malformed AFTER");
    assert_refused(w, SAY(w, CANCEL, .id = nothing()), ERR_CRASHED, "malformed CANCEL");
    assert_refused(w, SAY(w, CANCEL, .id = bytes_of(large, 49)), ERR_CRASHED, "malformed CANCEL");
}

static void arguments_of_a_timer_are_a_whole_list(void **state)
{
    static const struct bytes bad[] = {
        { "", 0 },
        { "\0\0\0", 3 },
        { "\1\0\0\0", 4 },
        { "\0\0\0\0x", 5 },
        { "\1\0\0\0\5\0\0\0abc", 11 },
        { "\1\0\0\0\1\0\0\0abc", 11 },
        { "\xff\xff\xff\xff", 4 },
        { "\1\0\0\0\xff\xff\xff\xff", 8 },
    };
    struct world *w = *state;
    struct buf many;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused(w, SAY(w, AFTER, .function = str("bank.a"), .args = bad[i]), ERR_CRASHED, "malformed AFTER");
    buf_init(&many, 1 << 20);
    buf_add_u32(&many, 1);
    buf_add_u32(&many, 64 * 1024 - 7); /* one byte too many in all */
    for (int i = 0; i < 64 * 1024 - 7; i++)
        buf_add_u8(&many, 'x');
    assert_refused(w, SAY(w, AFTER, .function = str("bank.a"), .args = buf_bytes(&many)), ERR_CRASHED, "malformed");
    buf_clear(&many);
    buf_add_u32(&many, 4097);
    for (int i = 0; i < 4097; i++)
        buf_add_u32(&many, 0);
    assert_refused(w, SAY(w, AFTER, .function = str("bank.a"), .args = buf_bytes(&many)), ERR_CRASHED, "malformed");
    buf_fini(&many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_that_no_worker_sends_is_an_attack),
        cmocka_unit_test(a_number_out_of_bounds_is_an_attack),
        cmocka_unit_test(only_the_daemons_messages_are_an_attack),
        cmocka_unit_test(every_message_is_read_to_its_last_byte),
        cmocka_unit_test(a_topic_or_a_function_that_is_none_is_an_attack),
        cmocka_unit_test(arguments_of_a_timer_are_a_whole_list),
    };

    alarm(SECONDS_MAX);
    return cmocka_run_group_tests(tests, hostcall_set_up, hostcall_tear_down);
}
