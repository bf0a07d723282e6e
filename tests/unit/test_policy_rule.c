/* policy: who may do what, and which rule says so (P1); a graft starts with nothing (P2). */
#include "tests/policy_kit.h"

static const struct principal operator_by_gid = { .uid = 7, .gid = OPS };
static const struct principal operator_by_group = { .uid = 7, .gid = 7, .group_count = 2, .groups = { 3, OPS } };
static const struct principal stranger = { .uid = 8, .gid = 8, .group_count = 1, .groups = { 3, OPS } };

static void each_answer_names_its_rule(void **state)
{
    struct policy *p = parse("caller user 1000 {\n"
                             "    allow call \"bank.*\" \"shop.sell\"\n"
                             "    deny  call \"bank.close\"\n"
                             "    allow read kv \"acct:*\"\n"
                             "    allow read write kv \"cart\"\n"
                             "}\n"
                             "caller group 2000 { allow load unload undo kill; deny load \"bank\" }\n"
                             "caller any { allow info }\n");

    (void)state;
    expect_answer(p, &app, RIGHT_CALL, "bank.transfer", true, "t.scfg:2:5");
    expect_answer(p, &app, RIGHT_CALL, "bank.close", false, "t.scfg:3:5");
    expect_answer(p, &app, RIGHT_CALL, "bank.closed", true, "t.scfg:2:5");
    expect_answer(p, &app, RIGHT_CALL, "shop.sell", true, "t.scfg:2:5");
    expect_answer(p, &app, RIGHT_CALL, "shop.sells", false, "no rule");
    expect_answer(p, &app, RIGHT_CALL, "bank", false, "no rule");
    expect_answer(p, &app, RIGHT_KV_READ, "acct:1", true, "t.scfg:4:5");
    expect_answer(p, &app, RIGHT_KV_WRITE, "acct:1", false, "no rule");
    expect_answer(p, &app, RIGHT_KV_WRITE, "cart", true, "t.scfg:5:5");
    expect_answer(p, &app, RIGHT_KV_READ, "", false, "no rule");
    expect_answer(p, &app, RIGHT_INFO, "", true, "t.scfg:8:14");
    expect_answer(p, &operator_by_gid, RIGHT_UNDO, "", true, "t.scfg:7:21");
    expect_answer(p, &operator_by_group, RIGHT_LOAD, "shop", true, "t.scfg:7:21");
    expect_answer(p, &operator_by_group, RIGHT_LOAD, "bank", false, "t.scfg:7:50");
    expect_answer(p, &operator_by_group, RIGHT_UNLOAD, "bank", true, "t.scfg:7:21");
    expect_answer(p, &operator_by_group, RIGHT_ADMIN, "", false, "no rule");
    expect_answer(p, &stranger, RIGHT_UNDO, "", false, "no rule"); /* groups behind group_count do not count */
    expect_answer(p, &stranger, RIGHT_INFO, "", true, "t.scfg:8:14");
    policy_free(&p);
    assert_null(p);
}

static void deny_wins_wherever_it_stands(void **state)
{
    struct policy *p = parse("caller any { deny kill }\n"
                             "caller user 1000 { allow kill }\n"
                             "caller user 1000 { allow undo; allow undo; deny undo }\n");

    (void)state;
    expect_answer(p, &app, RIGHT_KILL, "", false, "t.scfg:1:14");
    expect_answer(p, &app, RIGHT_UNDO, "", false, "t.scfg:3:44");
    policy_free(&p);
}

static void root_and_the_owner_may_do_everything(void **state)
{
    static const struct principal root = { .uid = 0, .gid = 1 }, owner = { .uid = OWNER, .gid = 1 };
    struct policy *p =
        parse("caller any { deny load unload undo kill info admin; deny call \"*\"; deny read write kv \"*\"\n"
              "deny read event \"*\"; deny command \"*\" }");
    struct place place;

    (void)state;
    for (int right = 0; right < RIGHT_COUNT; right++) {
        expect_answer(p, &root, (enum right)right, "x", true, "no rule");
        expect_answer(p, &owner, (enum right)right, "x", true, "no rule");
        expect_answer(p, &app, (enum right)right, "x", false,
                      right == RIGHT_CALL                                 ? "t.scfg:1:53"
                      : right == RIGHT_KV_READ || right == RIGHT_KV_WRITE ? "t.scfg:1:68"
                      : right == RIGHT_EVENT_READ                         ? "t.scfg:2:1"
                      : right == RIGHT_COMMAND                            ? "t.scfg:2:22"
                      : right >= RIGHT_FILE_READ && right <= RIGHT_TIMER  ? "no rule"
                                                                          : "t.scfg:1:14");
    }
    assert_true(policy_command_may(p, &owner, bytes_str("backup"), &place));
    assert_true(policy_command_may(p, &root, bytes_str("backup"), &place));
    assert_false(policy_command_may(p, &app, bytes_str("backup"), &place));
    policy_free(&p);
}

static void a_graft_has_its_own_rules_or_those_of_default(void **state)
{
    struct policy *p = parse("graft default { allow read kv \"*\" }\n"
                             "graft bank { limit cpu 1ms; allow write kv \"acct:*\"; deny write kv \"acct:0\" }\n"
                             "graft shop { limit cpu 2ms }\n");

    (void)state;
    expect_graft(p, "other", RIGHT_KV_READ, "x", true, "t.scfg:1:17");
    expect_graft(p, "shop", RIGHT_KV_READ, "x", true, "t.scfg:1:17");
    expect_graft(p, "bank", RIGHT_KV_READ, "x", false, "no rule");
    expect_graft(p, "bank", RIGHT_KV_WRITE, "acct:00", true, "t.scfg:2:29");
    expect_graft(p, "bank", RIGHT_KV_WRITE, "acct:0", false, "t.scfg:2:54");
    policy_free(&p);
}

static void expect_command(const struct policy *p, const char *command, bool allowed, const char *rule)
{
    struct place place = { "unset", 99, 99 };
    char shown[64];

    assert_int_equal(policy_command_may(p, &app, bytes_str(command), &place), allowed);
    assert_string_equal(place_show(place, shown, sizeof shown), rule);
}

static void commands_are_allowed_unless_denied(void **state)
{
    struct policy *p = parse("caller any { deny command \"backup\" \"graft load\" \"txn\" }\n"
                             "caller user 7 { deny command \"get\" }\n"
                             "caller user 1000 { deny command \"policy *\" }\n");

    (void)state;
    expect_command(p, "backup", false, "t.scfg:1:14");
    expect_command(p, "graft load", false, "t.scfg:1:14");
    expect_command(p, "graft", true, "no rule");
    expect_command(p, "graft loads", true, "no rule");
    expect_command(p, "graft list", true, "no rule");
    expect_command(p, "txn", false, "t.scfg:1:14");
    expect_command(p, "txn undo", false, "t.scfg:1:14"); /* the first word denies all */
    expect_command(p, "txnundo", true, "no rule");
    expect_command(p, "get", true, "no rule");
    expect_command(p, "policy why", false, "t.scfg:3:20");
    policy_free(&p);
}

static void callers_read_events_by_topic(void **state)
{
    struct policy *p = parse("caller any { allow read event \"bank.*\"; deny read event \"bank.secret\" }\n");

    (void)state;
    expect_answer(p, &app, RIGHT_EVENT_READ, "bank.moved", true, "t.scfg:1:14");
    expect_answer(p, &app, RIGHT_EVENT_READ, "bank.secret", false, "t.scfg:1:41");
    expect_answer(p, &app, RIGHT_EVENT_READ, "shop.sold", false, "no rule");
    expect_answer(p, &app, RIGHT_KV_READ, "bank.moved", false, "no rule");
    policy_free(&p);
}

static void a_graft_has_files_topics_and_timers_by_rule(void **state)
{
    struct policy *p = parse("graft bank {\n"
                             "    allow read write file \"statements/*\"\n"
                             "    deny write file \"statements/2025/*\" \"statements/locked.txt\"\n"
                             "    allow emit \"bank.*\"\n"
                             "    allow timer \"bank.*\" \"shop.sell\"\n"
                             "}\n");

    (void)state;
    expect_graft(p, "bank", RIGHT_FILE_READ, "statements/2025/a", true, "t.scfg:2:5");
    expect_graft(p, "bank", RIGHT_FILE_WRITE, "statements/2026/a", true, "t.scfg:2:5");
    expect_graft(p, "bank", RIGHT_FILE_WRITE, "statements/2025/a", false, "t.scfg:3:5");
    expect_graft(p, "bank", RIGHT_FILE_WRITE, "statements/locked.txt", false, "t.scfg:3:5");
    expect_graft(p, "bank", RIGHT_FILE_WRITE, "statement", false, "no rule");
    expect_graft(p, "bank", RIGHT_KV_READ, "statements/2026/a", false, "no rule");
    expect_graft(p, "bank", RIGHT_EMIT, "bank.moved", true, "t.scfg:4:5");
    expect_graft(p, "bank", RIGHT_EMIT, "shop.sell", false, "no rule");
    expect_graft(p, "bank", RIGHT_TIMER, "shop.sell", true, "t.scfg:5:5");
    expect_graft(p, "bank", RIGHT_TIMER, "shop.buy", false, "no rule");
    policy_free(&p);
}

static void without_a_rule_a_graft_starts_with_nothing(void **state)
{
    struct policy *p = parse("data \"/d\"\n");

    (void)state;
    expect_graft(p, "bank", RIGHT_KV_READ, "x", false, "no rule");
    expect_graft(p, "bank", RIGHT_KV_WRITE, "", false, "no rule");
    expect_graft(p, "bank", RIGHT_FILE_READ, "r/x", false, "no rule");
    expect_graft(p, "bank", RIGHT_FILE_WRITE, "r/x", false, "no rule");
    expect_graft(p, "bank", RIGHT_EMIT, "t", false, "no rule");
    expect_graft(p, "bank", RIGHT_TIMER, "bank.f", false, "no rule");
    policy_free(&p);
}

static void without_a_file_it_serves_its_owner(void **state)
{
    static const struct principal owner = { .uid = OWNER };
    struct policy *p = NULL;
    struct buf errors;

    (void)state;
    buf_init(&errors, TEXT_MAX);
    assert_int_equal(policy_load(NULL, OWNER, &p, &errors), OK);
    assert_int_equal(buf_len(&errors), 0);
    expect_graft(p, "bank", RIGHT_KV_READ, "x", true, "built-in:1:17");
    expect_graft(p, "bank", RIGHT_KV_WRITE, "", true, "built-in:1:17");
    expect_graft(p, "bank", RIGHT_FILE_READ, "r/x", true, "built-in:1:42");
    expect_graft(p, "bank", RIGHT_FILE_WRITE, "r/x", true, "built-in:1:42");
    expect_graft(p, "bank", RIGHT_EMIT, "t", true, "built-in:1:69");
    expect_graft(p, "bank", RIGHT_TIMER, "bank.f", true, "built-in:1:85");
    assert_int_equal(policy_root_count(p), 0);
    for (int right = 0; right < RIGHT_COUNT; right++) {
        expect_answer(p, &owner, (enum right)right, "x", true, "no rule");
        expect_answer(p, &app, (enum right)right, "x", false, "no rule");
    }
    assert_null(policy_data(p));
    assert_null(policy_socket(p));
    assert_int_equal(policy_socket_mode(p), 0600);
    assert_true(policy_socket_group(p) == (gid_t)-1);
    assert_int_equal(policy_durability(p), DURABILITY_FULL);
    assert_false(policy_layers(p)->degraded);
    policy_free(&p);
}

static void callers_have_names_or_numbers(void **state)
{
    static const struct principal in_group_0 = { .uid = 7, .gid = 0 };
    struct policy *p = parse("socket /s group root; caller group root { allow undo }; caller user root { deny undo }");

    (void)state;
    assert_int_equal(policy_socket_group(p), 0);
    expect_answer(p, &in_group_0, RIGHT_UNDO, "", true, "t.scfg:1:43");
    policy_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_answer_names_its_rule),
        cmocka_unit_test(deny_wins_wherever_it_stands),
        cmocka_unit_test(root_and_the_owner_may_do_everything),
        cmocka_unit_test(a_graft_has_its_own_rules_or_those_of_default),
        cmocka_unit_test(commands_are_allowed_unless_denied),
        cmocka_unit_test(callers_read_events_by_topic),
        cmocka_unit_test(a_graft_has_files_topics_and_timers_by_rule),
        cmocka_unit_test(without_a_rule_a_graft_starts_with_nothing),
        cmocka_unit_test(without_a_file_it_serves_its_owner),
        cmocka_unit_test(callers_have_names_or_numbers),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
