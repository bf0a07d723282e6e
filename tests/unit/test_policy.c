/* policy: who may do what and which rule says so (P1, P2), and that a broken file lists all that is wrong (P3). */
#include "policy/policy.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { OWNER = 500, APP = 1000, OPS = 2000, TEXT_MAX = 1 << 20 };

static const char *text_of(struct buf *b)
{
    assert_int_equal(buf_add_u8(b, 0), OK);
    return (const char *)buf_bytes(b).data;
}

static struct policy *parse(const char *text)
{
    struct policy *p = NULL;
    struct buf errors;
    enum err err;

    buf_init(&errors, TEXT_MAX);
    err = policy_parse("t.scfg", bytes_str(text), OWNER, &p, &errors);
    if (err != OK)
        print_error("%s", text_of(&errors));
    assert_int_equal(err, OK);
    assert_int_equal(buf_len(&errors), 0);
    buf_fini(&errors);
    return p;
}

static void expect_errors(const char *text, const char *expected)
{
    struct policy *p = NULL;
    struct buf errors;

    buf_init(&errors, TEXT_MAX);
    assert_int_equal(policy_parse("t.scfg", bytes_str(text), OWNER, &p, &errors), ERR_BADARG);
    assert_null(p);
    assert_string_equal(text_of(&errors), expected);
    buf_fini(&errors);
}

/* The sentence of the only error in text. */
static void expect_error(const char *text, const char *sentence)
{
    struct policy *p = NULL;
    struct buf errors;
    const char *found;
    char line[1024];

    buf_init(&errors, TEXT_MAX);
    assert_int_equal(policy_parse("t.scfg", bytes_str(text), OWNER, &p, &errors), ERR_BADARG);
    found = strstr(text_of(&errors), "error: ");
    assert_non_null(found);
    snprintf(line, sizeof line, "%.*s", (int)strcspn(found + 7, "\n"), found + 7);
    assert_string_equal(line, sentence);
    assert_null(strstr(found + 7, "error: "));
    buf_fini(&errors);
}

static void expect_answer(const struct policy *p, const struct principal *who, enum right right, const char *subject,
                          bool allowed, const char *rule)
{
    struct place place = { "unset", 99, 99 };
    char shown[64];

    assert_int_equal(policy_caller_may(p, who, right, bytes_str(subject), &place), allowed);
    assert_string_equal(place_show(place, shown, sizeof shown), rule);
}

static void expect_graft(const struct policy *p, const char *graft, enum right right, const char *key, bool allowed,
                         const char *rule)
{
    struct place place = { "unset", 99, 99 };
    char shown[64];

    assert_int_equal(policy_rules_allow(policy_graft_rules(p, graft), right, bytes_str(key), &place), allowed);
    assert_string_equal(place_show(place, shown, sizeof shown), rule);
}

/* ---- answers ---- */

static const struct principal app = { .uid = APP, .gid = APP };
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

/* ---- settings ---- */

static void settings_have_standards(void **state)
{
    static const struct policy_limits standard = {
        .key_max = 4096,
        .value_max = 16 << 20,
        .client_max = 1024,
        .client_user_max = 256,
        .queue_max = 1024,
        .lock_wait_ms = 5000,
        .cache_bytes = 64 << 20,
        .spill_bytes = 8 << 20,
        .history_ms = 86400000,
        .history_bytes = 1 << 30,
        .events_ms = 7 * 86400000,
        .events_bytes = 256 << 20,
        .drain_ms = 10000,
        .idle_ms = 10000,
        .timer_max = 65536,
        .timer_tries = 10,
        .timer_backoff_ms = 1000,
        .locks_bytes = 16 << 20,
    };
    struct policy *p = parse("");
    struct setting s[ITEM_COUNT];

    (void)state;
    assert_memory_equal(policy_limits(p), &standard, sizeof standard);
    policy_graft_settings(p, "bank", s);
    assert_int_equal(s[ITEM_CPU].value, 50);
    assert_int_equal(s[ITEM_WALL].value, 1000);
    assert_int_equal(s[ITEM_MEMORY].value, 64 << 20);
    assert_int_equal(s[ITEM_STACK].value, 1 << 20);
    assert_int_equal(s[ITEM_EFFECTS].value, 10000);
    assert_int_equal(s[ITEM_DISK].value, 256 << 20);
    assert_int_equal(s[ITEM_WORKER_MIN].value, 1);
    assert_in_range(s[ITEM_WORKER_MAX].value, 2, 64);
    for (int i = 0; i < ITEM_COUNT; i++)
        assert_int_equal(s[i].place.line, 0);
    policy_free(&p);
}

static void settings_are_read(void **state)
{
    struct policy *p = parse("data '/d'; durability off; sandbox degraded allow\n"
                             "socket \"/s\" group 27 mode 660\n"
                             "limit key 1K value 1M clients 5 queue 6 lock-wait 7ms cache 2M drain 0s idle 10ms\n"
                             "limit timers 1000000 locks 64K; events keep 1s size 3M; timers tries 3 backoff 2s\n"
                             "txn spill 64K; history keep 30d size 2G\n");
    const struct policy_limits *l = policy_limits(p);

    (void)state;
    assert_string_equal(policy_data(p), "/d");
    assert_string_equal(policy_socket(p), "/s");
    assert_int_equal(policy_socket_mode(p), 0660);
    assert_int_equal(policy_socket_group(p), 27);
    assert_int_equal(policy_durability(p), DURABILITY_OFF);
    assert_true(policy_layers(p)->degraded);
    assert_int_equal(l->key_max, 1024);
    assert_int_equal(l->value_max, 1 << 20);
    assert_int_equal(l->client_max, 5);
    assert_int_equal(l->queue_max, 6);
    assert_int_equal(l->lock_wait_ms, 7);
    assert_int_equal(l->cache_bytes, 2 << 20);
    assert_int_equal(l->drain_ms, 0);
    assert_int_equal(l->idle_ms, 10);
    assert_int_equal(l->timer_max, 1000000);
    assert_int_equal(l->timer_tries, 3);
    assert_int_equal(l->timer_backoff_ms, 2000);
    assert_int_equal(l->locks_bytes, 64 << 10);
    assert_int_equal(l->events_ms, 1000);
    assert_int_equal(l->events_bytes, 3 << 20);
    assert_int_equal(l->spill_bytes, 64 << 10);
    assert_int_equal(l->history_ms, 30 * 86400000ull);
    assert_int_equal(l->history_bytes, 2ull << 30);
    policy_free(&p);
}

static void expect_item(const char *text, enum item item, uint64_t value)
{
    struct policy *p = parse(text);
    struct setting s[ITEM_COUNT];

    policy_graft_settings(p, "g", s);
    assert_int_equal(s[item].value, value);
    policy_free(&p);
}

static void roots_are_read_in_order(void **state)
{
    struct policy *p = parse("root statements \"/srv/state ments\"\n"
                             "limit key 1K\n"
                             "root r-2_x /srv/statements; root dots /srv/..x/.y\n");
    char shown[64];

    (void)state;
    assert_int_equal(policy_root_count(p), 3);
    assert_string_equal(policy_root(p, 0)->name, "statements");
    assert_string_equal(policy_root(p, 0)->path, "/srv/state ments");
    assert_string_equal(place_show(policy_root(p, 0)->place, shown, sizeof shown), "t.scfg:1:1");
    assert_string_equal(policy_root(p, 1)->name, "r-2_x");
    assert_string_equal(policy_root(p, 1)->path, "/srv/statements");
    assert_string_equal(policy_root(p, 2)->path, "/srv/..x/.y");
    assert_string_equal(place_show(policy_root(p, 2)->place, shown, sizeof shown), "t.scfg:3:29");
    policy_free(&p);
    p = parse("root all /");
    assert_string_equal(policy_root(p, 0)->path, "/");
    policy_free(&p);
}

static void amounts_end_at_their_ranges(void **state)
{
    (void)state;
    expect_item("graft g { limit cpu 1ms }", ITEM_CPU, 1);
    expect_item("graft g { limit cpu 1h }", ITEM_CPU, 3600000);
    expect_item("graft g { limit cpu 60m }", ITEM_CPU, 3600000);
    expect_item("graft g { limit wall 1d }", ITEM_WALL, 86400000);
    expect_item("graft g { limit wall 0000090s }", ITEM_WALL, 90000);
    expect_item("graft g { limit memory 64K }", ITEM_MEMORY, 65536);
    expect_item("graft g { limit memory 65536 }", ITEM_MEMORY, 65536);
    expect_item("graft g { limit memory 16G }", ITEM_MEMORY, 16ull << 30);
    expect_item("graft g { limit stack 64M }", ITEM_STACK, 64 << 20);
    expect_item("graft g { limit effects 1 }", ITEM_EFFECTS, 1);
    expect_item("graft g { limit effects 1000000000 }", ITEM_EFFECTS, 1000000000);
    expect_item("graft g { limit disk 1 }", ITEM_DISK, 1);
    expect_item("graft g { limit disk 1024G }", ITEM_DISK, 1ull << 40);
    expect_item("graft g { workers min 0 max 1 }", ITEM_WORKER_MIN, 0);
    expect_item("graft g { workers max 64 }", ITEM_WORKER_MAX, 64);
    expect_error("graft g { limit cpu 0ms }", "limit cpu 0ms is out of range; it can be 1ms to 1h");
    expect_error("graft g { limit cpu 3600001ms }", "limit cpu 3600001ms is out of range; it can be 1ms to 1h");
    expect_error("graft g { limit wall 25h }", "limit wall 25h is out of range; it can be 1ms to 24h");
    expect_error("graft g { limit memory 65535 }", "limit memory 65535 is out of range; it can be 64K to 16G");
    expect_error("graft g { limit memory 17179869185 }",
                 "limit memory 17179869185 is out of range; it can be 64K to 16G");
    expect_error("graft g { limit memory 18446744073709551616 }",
                 "limit memory 18446744073709551616 is out of range; it can be 64K to 16G");
    expect_error("graft g { limit memory 17179869184G }",
                 "limit memory 17179869184G is out of range; it can be 64K to 16G");
    expect_error("graft g { limit effects 0 }", "limit effects 0 is out of range; it can be 1 to 1000000000");
    expect_error("graft g { workers max 0 }", "workers max 0 is out of range; it can be 1 to 64");
    expect_error("graft g { workers max 65 }", "workers max 65 is out of range; it can be 1 to 64");
    expect_error("graft g { limit disk 0 }", "limit disk 0 is out of range; it can be 1 to 1024G");
    expect_error("graft g { limit disk 1025G }", "limit disk 1025G is out of range; it can be 1 to 1024G");
    expect_error("limit timers 0", "limit timers 0 is out of range; it can be 1 to 1000000");
    expect_error("limit timers 1000001", "limit timers 1000001 is out of range; it can be 1 to 1000000");
    expect_error("limit locks 65535", "limit locks 65535 is out of range; it can be 64K to 1G");
    expect_error("limit locks 2G", "limit locks 2G is out of range; it can be 64K to 1G");
    expect_error("events keep 0s", "events keep 0s is out of range; it can be 1s to 3650d");
    expect_error("events size 1K", "events size 1K is out of range; it can be 64K to 1024G");
    expect_error("limit key 4097", "limit key 4097 is out of range; it can be 1 to 4K");
    expect_error("limit value 17M", "limit value 17M is out of range; it can be 1 to 16M");
    expect_error("history keep 999ms", "history keep 999ms is out of range; it can be 1s to 3650d");
}

static void amounts_need_their_units(void **state)
{
    static const char *const durations[] = { "50", "50us", "ms", "1.5s", "-1s", "+1s", "50 ms", "50MS", "" };
    static const char *const sizes[] = { "64k", "64MB", "M", "0x40", "-1", "1T", "" };
    static const char *const counts[] = { "1K", "ten", "1s", "-1", "" };
    char text[128], sentence[256];

    (void)state;
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        snprintf(text, sizeof text, "limit drain \"%s\"", durations[i]);
        snprintf(sentence, sizeof sentence,
                 "\"%s\" is not a duration: write a whole number with ms, s, m, h or d behind it, "
                 "such as 50ms",
                 durations[i]);
        expect_error(text, sentence);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        snprintf(text, sizeof text, "limit cache \"%s\"", sizes[i]);
        snprintf(sentence, sizeof sentence,
                 "\"%s\" is not a size: write a whole number of bytes, or one with K, M or G behind it, "
                 "such as 64M",
                 sizes[i]);
        expect_error(text, sentence);
    }
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        snprintf(text, sizeof text, "limit clients \"%s\"", counts[i]);
        snprintf(sentence, sizeof sentence, "\"%s\" is not a number: write a whole number, such as 10000", counts[i]);
        expect_error(text, sentence);
    }
}

static void worker_counts_carry_each_other_along(void **state)
{
    (void)state;
    expect_item("graft default { workers max 2 }; graft g { workers min 5 }", ITEM_WORKER_MAX, 5);
    expect_item("graft default { workers min 5 max 8 }; graft g { workers max 2 }", ITEM_WORKER_MIN, 2);
    expect_item("graft default { workers min 64 }", ITEM_WORKER_MAX, 64);
    expect_error("graft g { workers min 5 max 4 }", "workers min 5 is more than max 4");
    expect_error("graft g { workers min 5; workers max 4 }", "workers min 5 is more than max 4");
}

/* ---- errors ---- */

static void lists_all_errors_of_a_file(void **state)
{
    (void)state;
    expect_errors("data relative\n"
                  "durabilty full\n"
                  "durability ful\n"
                  "socket \"/s\" mode 0999 grup 1\n"
                  "limit keys 1K lock-wait 5 value\n"
                  "data \"/again\n"
                  "data \"/again\"\n"
                  "point \"bank.fee\" { type function }\n"
                  "graft Bank {\n"
                  "    limit memry 64M\n"
                  "    sign required key \"ops.pub\"\n"
                  "    allow read write kv \"a*b\"\n"
                  "    allow write file \"/x\"\n"
                  "    allow emmit \"bank.*\"\n"
                  "    on-fault quarantine after 3 in 1m\n"
                  "}\n"
                  "graft bank { limit cpu 1s; limit cpu 2s }\n"
                  "graft bank { limit wall 2d }\n"
                  "caller user no_such_user_here { allow call \"bank\"; allow lod }\n"
                  "caller nobody { alow kill }\n"
                  "txn idle 5s spill 9G\n",
                  "t.scfg:1:6: error: this path must begin with /, or it would depend on where graftd was started\n"
                  "    data relative\n"
                  "         ^~~~~~~~\n"
                  "t.scfg:2:1: error: unknown directive \"durabilty\"; did you mean \"durability\"?\n"
                  "    durabilty full\n"
                  "    ^~~~~~~~~\n"
                  "t.scfg:3:12: error: unknown durability \"ful\"; did you mean \"full\"?\n"
                  "    durability ful\n"
                  "               ^~~\n"
                  "t.scfg:4:18: error: \"0999\" is not a mode for a socket; it is octal, 0600 to 0777, such as 0660\n"
                  "    socket \"/s\" mode 0999 grup 1\n"
                  "                     ^~~~\n"
                  "t.scfg:4:23: error: unknown socket option \"grup\"; did you mean \"group\"?\n"
                  "    socket \"/s\" mode 0999 grup 1\n"
                  "                          ^~~~\n"
                  "t.scfg:5:7: error: unknown limit \"keys\"; did you mean \"key\"?\n"
                  "    limit keys 1K lock-wait 5 value\n"
                  "          ^~~~\n"
                  "t.scfg:5:25: error: \"5\" is not a duration: write a whole number with ms, s, m, h or d behind it, "
                  "such as 50ms\n"
                  "    limit keys 1K lock-wait 5 value\n"
                  "                            ^\n"
                  "t.scfg:5:27: error: limit value has no value behind it\n"
                  "    limit keys 1K lock-wait 5 value\n"
                  "                              ^~~~~\n"
                  "t.scfg:6:6: error: this quote is not closed on its line\n"
                  "    data \"/again\n"
                  "         ^\n"
                  "t.scfg:7:1: error: data is set twice; first at t.scfg:1:1\n"
                  "    data \"/again\"\n"
                  "    ^~~~\n"
                  "t.scfg:8:1: error: \"point\" is not supported by this version\n"
                  "    point \"bank.fee\" { type function }\n"
                  "    ^~~~~\n"
                  "t.scfg:9:7: error: no graft has this name: it is a letter, then letters, digits and _, all lower "
                  "case, at most 63 bytes\n"
                  "    graft Bank {\n"
                  "          ^~~~\n"
                  "t.scfg:10:11: error: unknown limit \"memry\"; did you mean \"memory\"?\n"
                  "    limit memry 64M\n"
                  "          ^~~~~\n"
                  "t.scfg:11:5: error: \"sign\" is not supported by this version\n"
                  "    sign required key \"ops.pub\"\n"
                  "    ^~~~\n"
                  "t.scfg:12:25: error: a * can only stand at the end of a pattern\n"
                  "    allow read write kv \"a*b\"\n"
                  "                        ^~~~~\n"
                  "t.scfg:13:22: error: a file's pattern begins with a root's name, not with /; write "
                  "\"statements/*\"\n"
                  "    allow write file \"/x\"\n"
                  "                     ^~~~\n"
                  "t.scfg:14:11: error: unknown right \"emmit\"; did you mean \"emit\"?\n"
                  "    allow emmit \"bank.*\"\n"
                  "          ^~~~~\n"
                  "t.scfg:15:5: error: \"on-fault\" is not supported by this version\n"
                  "    on-fault quarantine after 3 in 1m\n"
                  "    ^~~~~~~~\n"
                  "t.scfg:17:34: error: limit cpu is set twice; first at t.scfg:17:20\n"
                  "    graft bank { limit cpu 1s; limit cpu 2s }\n"
                  "                                     ^~~\n"
                  "t.scfg:18:7: error: graft bank is set twice; first at t.scfg:17:7\n"
                  "    graft bank { limit wall 2d }\n"
                  "          ^~~~\n"
                  "t.scfg:18:25: error: limit wall 2d is out of range; it can be 1ms to 24h\n"
                  "    graft bank { limit wall 2d }\n"
                  "                            ^~\n"
                  "t.scfg:19:13: error: there is no user \"no_such_user_here\" on this system\n"
                  "    caller user no_such_user_here { allow call \"bank\"; allow lod }\n"
                  "                ^~~~~~~~~~~~~~~~~\n"
                  "t.scfg:19:44: error: no function has this name; write \"bank.*\" for all functions of a graft\n"
                  "    caller user no_such_user_here { allow call \"bank\"; allow lod }\n"
                  "                                               ^~~~~~\n"
                  "t.scfg:19:58: error: unknown right \"lod\"; did you mean \"load\"?\n"
                  "    caller user no_such_user_here { allow call \"bank\"; allow lod }\n"
                  "                                                             ^~~\n"
                  "t.scfg:20:8: error: unknown kind of caller \"nobody\"; it can be any, user or group\n"
                  "    caller nobody { alow kill }\n"
                  "           ^~~~~~\n"
                  "t.scfg:20:17: error: unknown directive \"alow\"; did you mean \"allow\"?\n"
                  "    caller nobody { alow kill }\n"
                  "                    ^~~~\n"
                  "t.scfg:21:5: error: \"idle\" is not supported by this version\n"
                  "    txn idle 5s spill 9G\n"
                  "        ^~~~\n"
                  "t.scfg:21:19: error: txn spill 9G is out of range; it can be 64K to 1G\n"
                  "    txn idle 5s spill 9G\n"
                  "                      ^~\n");
}

static void each_slip_has_its_sentence(void **state)
{
    static const char *const slips[][2] = {
        { "data", "something is missing behind this word; write it like this: data \"/var/lib/graftd\"" },
        { "data /a /b", "one word too many; write it like this: data \"/var/lib/graftd\"" },
        { "data /a { }", "data takes no block" },
        { "data \"\"", "this path must begin with /, or it would depend on where graftd was started" },
        { "durability off; durability off", "durability is set twice; first at t.scfg:1:1" },
        { "durability maybe", "unknown durability \"maybe\"; it can be full, normal or off" },
        { "sandbox degraded yes", "unknown answer \"yes\"; it can be refuse or allow" },
        { "sandbox degraded allow; sandbox degraded allow", "sandbox degraded is set twice; first at t.scfg:1:9" },
        { "sandbox daemon maybe", "unknown answer \"maybe\"; it can be on or off" },
        { "sandbox daemon on; sandbox daemon off", "sandbox daemon is set twice; first at t.scfg:1:9" },
        { "sandbox demon off", "unknown sandbox setting \"demon\"; did you mean \"daemon\"?" },
        { "sandbox require usrns", "unknown layer \"usrns\"; did you mean \"userns\"?" },
        { "sandbox allow-missing seccomp", "seccomp always stands, and nothing in a policy changes that" },
        { "sandbox allow-missing pidfd", "pidfd always stands, and nothing in a policy changes that" },
        { "sandbox require mdwe; sandbox allow-missing mseal mdwe", "mdwe is both required and allowed to be missing" },
        { "backup here", "this path must begin with /, or it would depend on where graftd was started" },
        { "backup /a; backup /b", "backup is set twice; first at t.scfg:1:1" },
        { "graft default { worker fresh always }", "\"always\" is not an occasion: write never or call" },
        { "graft default { worker warm call }", "unknown worker \"warm\"; it can be fresh" },
        { "sandbox allow", "something is missing behind this word; write it like this: sandbox degraded refuse" },
        { "socket /s mode 0060", "\"0060\" is not a mode for a socket; it is octal, 0600 to 0777, such as 0660" },
        { "socket /s mode 7777", "\"7777\" is not a mode for a socket; it is octal, 0600 to 0777, such as 0660" },
        { "socket /s mode", "socket mode has no value behind it" },
        { "socket /s mode 600 mode 600", "socket mode is set twice on this line" },
        { "socket /s group no_such_group_here", "there is no group \"no_such_group_here\" on this system" },
        { "socket /s group 4294967295", "group number 4294967295 is out of range; it can be 0 to 4294967294" },
        { "limit", "limit sets nothing; name an item and its value behind it" },
        { "limit cpu 1s",
          "unknown limit \"cpu\"; it can be key, value, clients, clients-per-user, queue, lock-wait, cache, drain, "
          "idle, timers or locks" },
        { "limit lock 16M", "unknown limit \"lock\"; did you mean \"locks\"?" },
        { "limit timer 5", "unknown limit \"timer\"; did you mean \"timers\"?" },
        { "event keep 5s", "unknown directive \"event\"; did you mean \"events\"?" },
        { "events", "events sets nothing; name an item and its value behind it" },
        { "events kep 5s", "unknown events \"kep\"; did you mean \"keep\"?" },
        { "events keep 5s keep 5s", "events keep is set twice; first at t.scfg:1:8" },
        { "timers tries 0", "timers tries 0 is out of range; it can be 1 to 1000" },
        { "timers trys 5", "unknown timers \"trys\"; did you mean \"tries\"?" },
        { "root", "something is missing behind this word; write it like this: root statements \"/srv/statements\"" },
        { "root a /a b", "one word too many; write it like this: root statements \"/srv/statements\"" },
        { "root a /a { }", "root takes no block" },
        { "rot a /a", "unknown directive \"rot\"; did you mean \"root\"?" },
        { "root A /a", "this is no name for a root: it has 1 to 63 small letters, digits, _ and -" },
        { "root '' /a", "this is no name for a root: it has 1 to 63 small letters, digits, _ and -" },
        { "root a/b /a", "this is no name for a root: it has 1 to 63 small letters, digits, _ and -" },
        { "root a a", "this path must begin with /, or it would depend on where graftd was started" },
        { "root a /a/", "write this path without . .. // and a / at its end" },
        { "root a /a/../b", "write this path without . .. // and a / at its end" },
        { "root a /.", "write this path without . .. // and a / at its end" },
        { "root a //a", "write this path without . .. // and a / at its end" },
        { "root a /a; root a /b", "root a is set twice; first at t.scfg:1:1" },
        { "root a /a; root b /a", "this directory is root a already, at t.scfg:1:1" },
        { "root a /a; root b /a/b",
          "this directory and that of root a, at t.scfg:1:1, lie in each other: a file would have two names" },
        { "root a /a/b; root b /a",
          "this directory and that of root a, at t.scfg:1:1, lie in each other: a file would have two names" },
        { "root a /a; root b /",
          "this directory and that of root a, at t.scfg:1:1, lie in each other: a file would have two names" },
        { "limit key 1K key 1K", "limit key is set twice; first at t.scfg:1:7" },
        { "graft bank", "graft needs a block { } behind it" },
        { "graft { }", "something is missing behind this word; write it like this: graft bank { \xe2\x80\xa6 }" },
        { "graft default { }; graft default { }", "graft default is set twice; first at t.scfg:1:7" },
        { "graft a { allow call \"x.*\" }", "unknown right \"call\"; it can be read, write, emit or timer" },
        { "graft a { allow kv \"x\" }", "unknown right \"kv\"; it can be read, write, emit or timer" },
        { "graft a { allow }", "allow names no right" },
        { "graft a { deny \"x\" }", "unknown right \"x\"; it can be read, write, emit or timer" },
        { "graft a { allow read }", "read and write need a resource and a pattern: allow read kv \"acct:*\"" },
        { "graft a { allow read \"x\" }", "unknown resource \"x\"; it can be kv or file" },
        { "graft a { allow read fil \"x\" }", "unknown resource \"fil\"; did you mean \"file\"?" },
        { "graft a { allow read event \"x\" }", "unknown resource \"event\"; it can be kv or file" },
        { "graft a { allow read file \"/etc/*\" }",
          "a file's pattern begins with a root's name, not with /; write \"statements/*\"" },
        { "graft a { allow read file \"a/../b\" }",
          "no file has this name: it has no . or .. and nothing empty between its slashes" },
        { "graft a { allow read file \"../*\" }",
          "no file has this name: it has no . or .. and nothing empty between its slashes" },
        { "graft a { allow read file \"a/.\" }",
          "no file has this name: it has no . or .. and nothing empty between its slashes" },
        { "graft a { allow read file \"a//b*\" }",
          "no file has this name: it has no . or .. and nothing empty between its slashes" },
        { "graft a { allow read file \"\" }", "an empty pattern matches nothing; write \"*\" for everything" },
        { "graft a { allow emit }", "a pattern is missing behind this word; \"*\" is everything" },
        { "graft a { allow emit read kv \"x\" }; graft b { allow timer \"b.f\"; allow tmer \"x\" }",
          "unknown right \"tmer\"; did you mean \"timer\"?" },
        { "graft a { allow read emit \"x\" }", "emit and other rights each need a line of their own" },
        { "graft a { allow timer \"a\" }", "no function has this name; write \"a.*\" for all functions of a graft" },
        { "caller any { allow emit \"x\" }",
          "unknown right \"emit\"; it can be call, read, write, command, load, unload, undo, kill, info or admin" },
        { "caller any { allow read file \"x\" }", "unknown resource \"file\"; it can be kv or event" },
        { "caller any { allow write event \"x\" }",
          "nobody writes an event but grafts, with emit; write allow read event \"bank.*\"" },
        { "caller any { deny command }", "a pattern is missing behind this word; \"*\" is everything" },
        { "caller any { deny command \"GRAFT LOAD\" }",
          "no command has this name; write it in small letters, such as \"backup\" or \"graft load\"" },
        { "caller any { allow command \"backup\" }",
          "every command is allowed that no rule denies, if its other rights are there; there is only deny command "
          "\"backup\"" },
        { "graft a { allow read kv }", "a pattern is missing behind this word; \"*\" is everything" },
        { "graft a { allow read kv \"\" }", "an empty pattern matches nothing; write \"*\" for everything" },
        { "graft a { allow read kv \"**\" }", "a * can only stand at the end of a pattern" },
        { "graft a { allow read kv \"x\" { } }", "allow takes no block" },
        { "caller user { }",
          "something is missing behind this word; write it like this: caller user app { \xe2\x80\xa6 }, "
          "caller group ops { \xe2\x80\xa6 } or caller any { \xe2\x80\xa6 }" },
        { "caller any 5 { }", "one word too many; write it like this: caller user app { \xe2\x80\xa6 }, "
                              "caller group ops { \xe2\x80\xa6 } or caller any { \xe2\x80\xa6 }" },
        { "caller user 4294967295 { }", "user number 4294967295 is out of range; it can be 0 to 4294967294" },
        { "caller any", "caller needs a block { } behind it" },
        { "caller any { allow call }", "a pattern is missing behind this word; \"*\" is everything" },
        { "caller any { allow kill call \"a.b\" }", "call and other rights each need a line of their own" },
        { "caller any { allow kill read kv \"a\" }", "read and write and other rights each need a line of their own" },
        { "caller any { allow load unlod }", "unknown right \"unlod\"; did you mean \"unload\"?" },
        { "caller any { allow load bank }", "unknown right \"bank\"; if it is a graft's name, put it in quotes" },
        { "caller any { allow load undo \"bank\" }",
          "only load and unload take a pattern; the other rights need a line of their own" },
        { "caller any { allow attach \"x\" }", "\"attach\" is not supported by this version" },
        { "caller any { allow load attach }", "\"attach\" is not supported by this version" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof slips / sizeof slips[0]; i++)
        expect_error(slips[i][0], slips[i][1]);
}

/* head, count lines of format with their number, tail. Owned by the caller. */
static char *repeat(const char *head, const char *line, int count, const char *tail)
{
    struct buf b;

    buf_init(&b, TEXT_MAX);
    assert_int_equal(buf_add_str(&b, head), OK);
    for (int i = 0; i < count; i++)
        assert_int_equal(buf_addf(&b, "%s%d %s", line, i, tail), OK);
    assert_int_equal(buf_add_u8(&b, 0), OK);
    return (char *)b.data;
}

static void expect_repeated(const char *head, const char *line, int count, const char *tail, const char *sentence)
{
    char *text = repeat(head, line, count, tail);

    if (sentence == NULL) {
        struct policy *p = parse(text);
        policy_free(&p);
    } else {
        expect_error(text, sentence);
    }
    free(text);
}

static void counts_end_at_their_bounds(void **state)
{
    char path[5000];

    (void)state;
    expect_repeated("", "graft g", 1024, "{ }\n", NULL);
    expect_repeated("", "graft g", 1025, "{ }\n", "too many graft blocks: at most 1024");
    expect_repeated("", "caller user ", 4096, "{ }\n", NULL);
    expect_repeated("", "caller user ", 4097, "{ }\n", "too many caller blocks: at most 4096");
    memset(path, 'x', sizeof path);
    memcpy(path, "socket /", 8);
    path[7 + 107] = '\0';
    expect_item(path, ITEM_CPU, 50);
    path[7 + 107] = 'x';
    path[7 + 108] = '\0';
    expect_error(path, "this path has 108 bytes; it can have at most 107");
}

static void roots_end_at_their_bound(void **state)
{
    char text[64 * 65] = "";
    size_t len = 0;
    struct policy *p;

    (void)state;
    for (int i = 0; i < 64; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "root r%d /r/%d\n", i, i);
    p = parse(text);
    assert_int_equal(policy_root_count(p), 64);
    policy_free(&p);
    snprintf(text + len, sizeof text - len, "root r64 /r/64\n");
    expect_error(text, "too many roots: at most 64");
    expect_error("root aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa /a",
                 "this is no name for a root: it has 1 to 63 small letters, digits, _ and -");
}

static void a_block_has_a_bounded_number_of_rules(void **state)
{
    /* 31 patterns a line: the last line begins with 65534 rules, and the block is closed behind it */
    static const char line[] = "allow read kv * * * * * * * * * * * * * * * * * * * * * * * * * * * * * * ";
    char *text = repeat("graft g {\n", line, 2115, "\n");
    struct policy *p = NULL;
    struct buf errors;

    (void)state;
    text[strlen(text) - 1] = '}';
    buf_init(&errors, TEXT_MAX);
    assert_int_equal(policy_parse("t.scfg", bytes_str(text), OWNER, &p, &errors), ERR_BADARG);
    assert_non_null(strstr(text_of(&errors), "t.scfg:2116:1: error: too many rules: a block has at most 65536\n"));
    assert_null(strstr((char *)errors.data, "never closed"));
    buf_fini(&errors);
    free(text);
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

/* ---- files ---- */

struct dir {
    char path[64];
};

static void dir_open(struct dir *d)
{
    strcpy(d->path, "/tmp/test_policy.XXXXXX");
    assert_non_null(mkdtemp(d->path));
}

static void dir_write(const struct dir *d, const char *name, const char *text)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", d->path, name);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    chmod(path, 0600);
}

static void dir_close(const struct dir *d)
{
    DIR *dir = opendir(d->path);
    const struct dirent *entry;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.' || entry->d_name[1] == 'h')
            unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    rmdir(d->path);
}

static void expect_load(const char *path, enum err err, const char *expected)
{
    struct policy *p = NULL;
    struct buf errors;

    buf_init(&errors, TEXT_MAX);
    assert_int_equal(policy_load(path, OWNER, &p, &errors), err);
    assert_string_equal(text_of(&errors), expected);
    buf_fini(&errors);
    policy_free(&p);
}

static void a_directory_is_one_policy_in_byte_order(void **state)
{
    struct dir d;
    char expected[512];

    (void)state;
    dir_open(&d);
    snprintf(expected, sizeof expected, "%s: error: no policy file (*.scfg) in this directory\n", d.path);
    expect_load(d.path, ERR_BADARG, expected);
    dir_write(&d, "b.scfg", "limit key 1K\ndta\n");
    dir_write(&d, "a.scfg", "limit key 2K\n");
    dir_write(&d, ".hidden.scfg", "nonsense\n");
    dir_write(&d, "README", "nonsense\n");
    snprintf(expected, sizeof expected,
             "%s/b.scfg:2:1: error: unknown directive \"dta\"; did you mean \"data\"?\n"
             "    dta\n"
             "    ^~~\n",
             d.path);
    expect_load(d.path, ERR_BADARG, expected);
    dir_write(&d, "b.scfg", "limit value 1K\n");
    expect_load(d.path, OK, "");
    chmod(d.path, 0702);
    snprintf(expected, sizeof expected,
             "%s: error: everybody may add files to this directory; take that away with chmod o-w\n", d.path);
    expect_load(d.path, ERR_BADARG, expected);
    chmod(d.path, 0700);
    for (int i = 0; i < 64; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d.scfg", i);
        dir_write(&d, name, "");
    }
    snprintf(expected, sizeof expected, "%s: error: more than 64 policy files (*.scfg) in one directory\n", d.path);
    expect_load(d.path, ERR_BADARG, expected);
    dir_close(&d);
}

static void a_missing_file_is_an_error(void **state)
{
    (void)state;
    expect_load("/nonexistent/p.scfg", ERR_BADARG,
                "/nonexistent/p.scfg: error: cannot be opened: No such file or directory\n");
}

static void check_says_ok_or_what_is_wrong(void **state)
{
    struct buf out;
    struct dir d;

    (void)state;
    buf_init(&out, TEXT_MAX);
    assert_int_equal(policy_check(NULL, OWNER, &out), OK);
    assert_string_equal(text_of(&out), "policy ok: 4 rules\n");
    buf_clear(&out);
    dir_open(&d);
    dir_write(&d, "p.scfg", "graft g { }}");
    assert_int_equal(policy_check(d.path, OWNER, &out), ERR_BADARG);
    assert_non_null(strstr(text_of(&out), "/p.scfg:1:12: error: this } closes nothing\n"));
    dir_close(&d);
    buf_fini(&out);
}

/* ---- showing ---- */

/* Without the places, which differ between a file and what is shown of it. */
static char *show(const struct policy *p)
{
    struct buf out;
    char *text, *hash;

    buf_init(&out, TEXT_MAX);
    assert_int_equal(policy_show(p, &out), OK);
    text = strdup(text_of(&out));
    assert_non_null(text);
    buf_fini(&out);
    while ((hash = strstr(text, "  # ")) != NULL)
        memmove(hash, hash + strcspn(hash, "\n"), strlen(hash + strcspn(hash, "\n")) + 1);
    return text;
}

static void what_it_shows_is_the_same_policy(void **state)
{
    struct policy *p =
        parse("data \"/d \\\"q\\\" \\\\\"\n"
              "socket /s group 5\n"
              "graft default { workers min 3 max 3; allow read kv \"a\\\"b\" \"\\\\*\" }\n"
              "graft bank { limit cpu 90s memory 65537; deny write kv \"#{};*\" }\n"
              "graft shop { workers min 7 }\n"
              "graft till { allow read write file \"*\" \"a/b\"; deny write file \"a b/*\"; allow emit \"*\"; "
              "allow timer \"t.x\"; limit disk 1G }\n"
              "root b \"/x y\"; root a /z; events size 1M; limit timers 9 locks 1M\n"
              "caller group 1 { allow read event \"*\"; deny command \"*\" \"graft load\" }\n"
              "caller any { allow load undo; allow call \"*\" \"a.b\"; allow load unload \"x*\"; deny load \"*\" }\n"
              "caller user 7 { }\n"
              "caller group 0 { allow read write kv \"*\" }\n");
    char *first = show(p), *second;

    (void)state;
    assert_non_null(strstr(first, "graft default {\n"
                                  "    limit cpu 50ms wall 1s memory 64M stack 1M effects 10000 retries 10 hold 1s "
                                  "disk 256M\n"
                                  "    workers min 3 max 3\n"
                                  "    worker fresh never\n"
                                  "    allow read kv \"a\\\"b\"\n"
                                  "    allow read kv \"\\\\*\"\n"
                                  "}\n"
                                  "graft bank {\n"
                                  "    limit cpu 90s memory 65537\n"
                                  "    deny write kv \"#{};*\"\n"
                                  "}\n"
                                  "graft shop {\n"
                                  "    workers min 7\n"
                                  "}\n"
                                  "graft till {\n"
                                  "    limit disk 1G\n"
                                  "    allow read write file \"*\"\n"
                                  "    allow read write file \"a/b\"\n"
                                  "    deny write file \"a b/*\"\n"
                                  "    allow emit \"*\"\n"
                                  "    allow timer \"t.x\"\n"
                                  "}\n"
                                  "caller group 1 {\n"
                                  "    allow read event \"*\"\n"
                                  "    deny command \"*\"\n"
                                  "    deny command \"graft load\"\n"
                                  "}\n"
                                  "caller any {\n"
                                  "    allow load undo\n"
                                  "    allow call \"*\"\n"
                                  "    allow call \"a.b\"\n"
                                  "    allow load unload \"x*\"\n"
                                  "    deny load\n"
                                  "}\n"));
    assert_non_null(strstr(first, "\nroot b \"/x y\"\nroot a \"/z\"\n"));
    policy_free(&p);
    p = parse(first);
    second = show(p);
    assert_string_equal(first, second);
    assert_string_equal(policy_data(p), "/d \"q\" \\");
    expect_graft(p, "shop", RIGHT_KV_READ, "\\x", true, "t.scfg:18:5");
    policy_free(&p);
    free(first);
    free(second);
}

static void the_walls_are_what_the_policy_says(void **state)
{
    struct policy *p = parse("sandbox require landlock mseal; sandbox require mdwe; sandbox allow-missing userns cgroupns\n"
                             "sandbox daemon off; backup /var/backups; graft default { worker fresh call }; graft a { worker "
                             "fresh never }\n");
    const struct layer_rules *rules = policy_layers(p);
    layer_set root = layer_bit(LAYER_ROOT);
    char *text = show(p);

    (void)state;
    assert_false(rules->degraded);
    assert_int_equal(rules->required, layer_bit(LAYER_LANDLOCK) | layer_bit(LAYER_MSEAL) | layer_bit(LAYER_MDWE));
    assert_int_equal(rules->may_lack, layer_bit(LAYER_USERNS) | layer_bit(LAYER_CGROUPNS));
    assert_false(layer_may_lack(rules, LAYER_MSEAL, root));
    assert_true(layer_may_lack(rules, LAYER_USERNS, 0));
    assert_false(layer_may_lack(rules, LAYER_NETNS, root));
    assert_false(policy_daemon_walled(p));
    assert_string_equal(policy_backup(p), "/var/backups");
    assert_non_null(strstr(text, "backup \"/var/backups\"\nsandbox daemon off\nsandbox require landlock mdwe mseal\n"
                                 "sandbox allow-missing userns cgroupns\n"));
    assert_non_null(strstr(text, "    worker fresh call\n"));
    free(text);
    policy_free(&p);
    p = parse("");
    rules = policy_layers(p);
    assert_true(policy_daemon_walled(p) && policy_backup(p) == NULL);
    assert_true(layer_may_lack(rules, LAYER_MSEAL, 0));
    assert_true(layer_may_lack(rules, LAYER_LANDLOCK, root));
    assert_false(layer_may_lack(rules, LAYER_LANDLOCK, 0)); /* one of the two must keep files away */
    policy_free(&p);
    p = parse("sandbox degraded allow");
    for (int l = 0; l < LAYER_COUNT; l++)
        assert_int_equal(layer_may_lack(policy_layers(p), (enum layer)l, 0), layer_rows[l].need != NEED_ALWAYS);
    policy_free(&p);
}

static void the_built_in_policy_shows_itself(void **state)
{
    struct policy *p = NULL;
    struct buf out;
    const char *text;

    (void)state;
    buf_init(&out, TEXT_MAX);
    assert_int_equal(policy_load(NULL, OWNER, &p, &out), OK);
    assert_int_equal(policy_show(p, &out), OK);
    text = text_of(&out);
    assert_non_null(
        strstr(text, "durability full\nsandbox degraded refuse\n"
                     "limit key 4K value 16M clients 1024 clients-per-user 256 queue 1024 lock-wait 5s cache 64M drain 10s idle 10s "
                     "timers 65536 locks 16M\n"
                     "txn spill 8M\nhistory keep 24h size 1G\nevents keep 7d size 256M\ntimers tries 10 backoff 1s\n"
                     "graft default {  # built-in:1:7\n"));
    assert_non_null(
        strstr(text,
               "    allow read write kv \"*\"  # built-in:1:17\n    allow read write file \"*\"  # built-in:1:42\n"));
    buf_fini(&out);
    buf_init(&out, 100);
    assert_int_equal(policy_show(p, &out), ERR_LIMIT);
    buf_fini(&out);
    policy_free(&p);
}

static void the_example_loads(void **state)
{
    const char *top = getenv("top_srcdir");
    struct policy *p = NULL;
    struct buf errors;
    char path[512], *text;

    (void)state;
    snprintf(path, sizeof path, "%s/policy/example.scfg", top != NULL ? top : ".");
    buf_init(&errors, TEXT_MAX);
    assert_int_equal(policy_load(path, OWNER, &p, &errors), OK);
    buf_fini(&errors);
    text = show(p);
    assert_non_null(strstr(text, "history keep 7d size 4G\n"));
    assert_non_null(strstr(text, "    deny write kv \"acct:frozen:*\"\n"));
    free(text);
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
        cmocka_unit_test(settings_have_standards),
        cmocka_unit_test(settings_are_read),
        cmocka_unit_test(roots_are_read_in_order),
        cmocka_unit_test(amounts_end_at_their_ranges),
        cmocka_unit_test(amounts_need_their_units),
        cmocka_unit_test(worker_counts_carry_each_other_along),
        cmocka_unit_test(lists_all_errors_of_a_file),
        cmocka_unit_test(each_slip_has_its_sentence),
        cmocka_unit_test(counts_end_at_their_bounds),
        cmocka_unit_test(roots_end_at_their_bound),
        cmocka_unit_test(a_block_has_a_bounded_number_of_rules),
        cmocka_unit_test(callers_have_names_or_numbers),
        cmocka_unit_test(a_directory_is_one_policy_in_byte_order),
        cmocka_unit_test(a_missing_file_is_an_error),
        cmocka_unit_test(check_says_ok_or_what_is_wrong),
        cmocka_unit_test(what_it_shows_is_the_same_policy),
        cmocka_unit_test(the_walls_are_what_the_policy_says),
        cmocka_unit_test(the_built_in_policy_shows_itself),
        cmocka_unit_test(the_example_loads),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
