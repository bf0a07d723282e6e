/* policy: what is set, what holds where nothing is set, and the range, unit and number that everything ends at. */
#include "tests/policy_kit.h"

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

static void expect_shares(const char *text, bool expected)
{
    struct policy *p = parse(text);

    if (policy_shares_cpu(p) != expected)
        fail_msg("shares are %s by \"%s\"", expected ? "not asked for" : "asked for", text);
    policy_free(&p);
}

/* They cost each call something: not unasked. */
static void shares_of_the_cpu_are_asked_for_by_a_weight(void **state)
{
    (void)state;
    expect_shares("", false);
    expect_shares("graft default { limit cpu 1s }; graft g { workers max 3 }; sandbox require mdwe", false);
    expect_shares("sandbox degraded allow; sandbox allow-missing cgroup", false);
    expect_shares("graft default { limit cpu-weight 100 }", true);
    expect_shares("graft a { }; graft g { limit wall 1s cpu-weight 100 }", true);
    expect_shares("sandbox require mdwe cgroup", true);
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
    expect_item("graft g { limit cpu-weight 1 }", ITEM_CPU_WEIGHT, 1);
    expect_item("graft g { limit cpu-weight 10000 cpu 1s }", ITEM_CPU_WEIGHT, 10000);
    expect_item("graft g { limit cpu 1s }", ITEM_CPU_WEIGHT, 100);
    expect_item("graft g { workers min 0 max 1 }", ITEM_WORKER_MIN, 0);
    expect_item("graft g { workers max 64 }", ITEM_WORKER_MAX, 64);
    expect_error("graft g { limit cpu 0ms }", "limit cpu 0ms is out of range; it can be 1ms to 1h");
    expect_error("graft g { limit cpu 3600001ms }", "limit cpu 3600001ms is out of range; it can be 1ms to 1h");
    expect_error("graft g { limit cpu-weight 0 }", "limit cpu-weight 0 is out of range; it can be 1 to 10000");
    expect_error("graft g { limit cpu-weight 10001 }", "limit cpu-weight 10001 is out of range; it can be 1 to 10000");
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

/* ---- bounds ---- */

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_have_standards),
        cmocka_unit_test(settings_are_read),
        cmocka_unit_test(the_walls_are_what_the_policy_says),
        cmocka_unit_test(shares_of_the_cpu_are_asked_for_by_a_weight),
        cmocka_unit_test(roots_are_read_in_order),
        cmocka_unit_test(amounts_end_at_their_ranges),
        cmocka_unit_test(amounts_need_their_units),
        cmocka_unit_test(worker_counts_carry_each_other_along),
        cmocka_unit_test(counts_end_at_their_bounds),
        cmocka_unit_test(roots_end_at_their_bound),
        cmocka_unit_test(a_block_has_a_bounded_number_of_rules),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
