/* What a worker asks for with files, events and timers needs the grant's right (P1), and ends at the limits (P4). */
#include "tests/hostcall_kit.h"

static void each_request_needs_its_right(void **state)
{
    struct world *w = *state;
    struct bytes none = bytes_of("\0\0\0\0", 4), other = str("other/a"), own = str("s/a"), in = str("in/a"),
                 out = str("out/a");

    assert_refused(w, SAY(w, FILE_STAT, .path = other), ERR_DENIED, "no rule allows it to read file \"other/a\"");
    assert_refused(w, SAY(w, FILE_STAT, .path = out), ERR_DENIED, "no rule allows it to read file \"out/a\"");
    assert_refused(w, SAY(w, FILE_STAT, .exclusive = 1, .path = other), ERR_DENIED,
                   "no rule allows it to write file \"other/a\"");
    assert_refused(w, SAY(w, FILE_READ, .path = out, .len = 1), ERR_DENIED, "no rule allows it to read file");
    assert_refused(w, SAY(w, FILE_READ, .path = str("s/secret/a"), .len = 1), ERR_DENIED,
                   "p:3:34 denies it to read file \"s/secret/a\"");
    assert_refused(w, SAY(w, FILE_WRITE, .path = in), ERR_DENIED, "no rule allows it to write file \"in/a\"");
    assert_refused(w, SAY(w, FILE_APPEND, .path = in), ERR_DENIED, "no rule allows it to write file \"in/a\"");
    assert_refused(w, SAY(w, FILE_REMOVE, .path = in), ERR_DENIED, "no rule allows it to write file \"in/a\"");
    assert_refused(w, SAY(w, FILE_RENAME, .from = in, .to = own), ERR_DENIED, "write file \"in/a\"");
    assert_refused(w, SAY(w, FILE_RENAME, .from = own, .to = in), ERR_DENIED, "write file \"in/a\"");
    assert_refused(w, SAY(w, FILE_RENAME, .from = out, .to = own), ERR_DENIED, "read file \"out/a\"");
    assert_refused(w, SAY(w, FILE_LIST, .directory = str("out/"), .count_max = 1), ERR_DENIED, "read file \"out/\"");
    assert_refused(w, SAY(w, FILE_LIST, .directory = str(""), .count_max = 1), ERR_DENIED, "read file \"\"");
    assert_refused(w, SAY(w, EMIT, .topic = str("other")), ERR_DENIED, "no rule allows it to emit \"other\"");
    assert_refused(w, SAY(w, AFTER, .function = str("other.a"), .args = none), ERR_DENIED,
                   "no rule allows it to set a timer for \"other.a\"");
}

static void a_read_only_call_changes_nothing(void **state)
{
    struct world *w = *state;
    struct bytes none = bytes_of("\0\0\0\0", 4), p = str("s/a");

    for (int i = 0; i < 7; i++) {
        w->h.readonly = true;
        assert_refused(w,
                       i == 0   ? SAY(w, FILE_WRITE, .path = p)
                       : i == 1 ? SAY(w, FILE_APPEND, .path = p)
                       : i == 2 ? SAY(w, FILE_REMOVE, .path = p)
                       : i == 3 ? SAY(w, FILE_RENAME, .from = p, .to = str("s/b"))
                       : i == 4 ? SAY(w, EMIT, .topic = str("bank.a"))
                       : i == 5 ? SAY(w, AFTER, .function = str("bank.a"), .args = none)
                                : SAY(w, CANCEL, .id = str("1.1")),
                       ERR_READONLY, "it may not change anything in this call");
    }
    w->h.readonly = true;
    assert_int_equal(SAY(w, FILE_STAT, .exclusive = 1, .path = p), OK);
    assert_string_equal(played.done, "stat s s/a"); /* not locked against other readers */
    renew(w);
}

static void the_limit_on_effects_counts_these_too(void **state)
{
    struct world *w = *state;

    played.effects = 4;
    assert_int_equal(SAY(w, FILE_WRITE, .path = str("s/a")), OK);
    renew(w);
    played.effects = 4;
    assert_refused(w, SAY(w, FILE_RENAME, .from = str("s/a"), .to = str("s/b")), ERR_LIMIT,
                   "made more than its 5 effects (p:2:");
    played.effects = 5;
    assert_refused(w, SAY(w, EMIT, .topic = str("bank.a")), ERR_LIMIT, "made more than its 5 effects");
}

/* All that one call writes, however it does; what waits is counted once. */
static void the_limit_on_disk_is_of_a_call(void **state)
{
    static char content[6 * 1024];
    struct world *w = *state;
    struct bytes data = bytes_of(content, sizeof content);

    played.waits = 2;
    for (int i = 0; i < 3; i++)
        assert_int_equal(SAY(w, FILE_WRITE, .path = str("s/a"), .data = data), i < 2 ? ERR_WAIT : OK);
    played.done[0] = '\0';
    assert_int_equal(SAY(w, FILE_APPEND, .path = str("s/a"), .data = bytes_of(content, 4 * 1024)), OK);
    played.done[0] = '\0';
    assert_int_equal(SAY(w, FILE_APPEND, .path = str("s/a"), .data = bytes_of(content, 1)), ERR_LIMIT);
    assert_string_equal(played.done, "");
    assert_non_null(strstr(w->why.text, "wrote more than its 10240 bytes to files (p:2:"));
    assert_string_equal(w->h.facts, "limit=disk allowed=10240 used=10241");
    renew(w);
}

static void content_and_payload_have_the_limit_of_values(void **state)
{
    static char content[64 * 1024 + 1];
    struct world *w = *state;
    struct bytes data = bytes_of(content, sizeof content);

    assert_refused(w, SAY(w, FILE_WRITE, .path = str("s/a"), .data = data), ERR_LIMIT,
                   "wrote file content of 65537 bytes; at most 65536 are allowed");
    assert_refused(w, SAY(w, EMIT, .topic = str("bank.a"), .data = data), ERR_LIMIT,
                   "emitted an event of 65537 bytes; at most 65536 are allowed");
}

static void the_limit_on_timers_is_of_all(void **state)
{
    struct world *w = *state;
    struct bytes none = bytes_of("\0\0\0\0", 4);

    played.timers = 2;
    assert_int_equal(SAY(w, AFTER, .function = str("bank.remind"), .args = none), OK);
    free((void *)(uintptr_t)played.data.data);
    played.done[0] = '\0';
    buf_clear(&sent);
    assert_int_equal(SAY(w, AFTER, .function = str("bank.remind"), .args = none), ERR_LIMIT); /* its own counts */
    assert_string_equal(w->h.facts, "limit=timers allowed=3 used=4");
    assert_string_equal(played.done, "");
    renew(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_needs_its_right),
        cmocka_unit_test(a_read_only_call_changes_nothing),
        cmocka_unit_test(the_limit_on_effects_counts_these_too),
        cmocka_unit_test(the_limit_on_disk_is_of_a_call),
        cmocka_unit_test(content_and_payload_have_the_limit_of_values),
        cmocka_unit_test(the_limit_on_timers_is_of_all),
    };

    alarm(SECONDS_MAX);
    return cmocka_run_group_tests(tests, hostcall_set_up, hostcall_tear_down);
}
