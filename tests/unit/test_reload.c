/* policy files together: which goes before which, what they include; and one policy in the place of another (P3). */
#include "policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { OWNER = 500, TEXT_MAX = 1 << 20 };

static const struct principal app = { .uid = 1000, .gid = 1000 };

static const char *text_of(struct buf *b)
{
    assert_int_equal(buf_add_u8(b, 0), OK);
    return (const char *)buf_bytes(b).data;
}

/* ---- a directory of its own for each test, which is where it works ---- */

static char home[] = "/tmp/test_reload.XXXXXX";

static int enter(void **state)
{
    (void)state;
    umask(022);
    strcpy(home + strlen(home) - 6, "XXXXXX");
    return mkdtemp(home) == NULL || chdir(home) != 0;
}

static int leave(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -r %s", home);
    return chdir("/") != 0 || system(command) != 0;
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static struct policy *load(const char *path)
{
    struct policy *p = NULL;
    struct buf errors;
    enum err err;

    buf_init(&errors, TEXT_MAX);
    err = policy_load(path, OWNER, &p, &errors);
    if (err != OK)
        print_error("%s", text_of(&errors));
    assert_int_equal(err, OK);
    buf_fini(&errors);
    return p;
}

static void expect_errors(const char *path, const char *expected)
{
    struct policy *p = NULL;
    struct buf errors;

    buf_init(&errors, TEXT_MAX);
    assert_int_equal(policy_load(path, OWNER, &p, &errors), ERR_BADARG);
    assert_null(p);
    assert_string_equal(text_of(&errors), expected);
    buf_fini(&errors);
}

static void expect_caller(const struct policy *p, enum right right, const char *subject, bool allowed, const char *rule)
{
    struct place place;
    char shown[64];

    assert_int_equal(policy_caller_may(p, &app, right, bytes_str(subject), &place), allowed);
    assert_string_equal(place_show(place, shown, sizeof shown), rule);
}

static void expect_graft(const struct policy *p, const char *graft, enum right right, const char *key, bool allowed,
                         const char *rule)
{
    struct place place;
    char shown[64];

    assert_int_equal(policy_rules_allow(policy_graft_rules(p, graft), right, bytes_str(key), &place), allowed);
    assert_string_equal(place_show(place, shown, sizeof shown), rule);
}

/* ---- a later file goes before an earlier one ---- */

static void a_later_file_goes_before_an_earlier_one(void **state)
{
    struct policy *p;
    struct setting s[ITEM_COUNT];

    (void)state;
    mkdir("d", 0755);
    put("d/00-default.scfg", "data /a; socket /a.sock mode 0666 group 5; durability off; sandbox degraded allow\n"
                             "limit key 1K value 1M; root r /r; root s /s\n"
                             "graft default { limit cpu 1ms wall 5s; allow read write kv \"*\" }\n"
                             "graft bank { limit cpu 2ms memory 1M; allow read kv \"*\"; deny read kv \"x\" }\n"
                             "graft shop { limit cpu 3ms; allow read kv \"shop\" }\n"
                             "caller any { allow info }\n");
    put("d/50-site.scfg", "data /b; socket /b.sock; durability full; sandbox degraded refuse; limit key 2K; root r /q\n"
                          "graft default { limit cpu 9ms }\n"
                          "graft bank { limit cpu 8ms\n"
                          "    allow write kv \"y\"\n"
                          "    allow write kv \"z\" }\n"
                          "graft shop { limit wall 1s }\n"
                          "caller any { allow kill }\n");
    p = load("d");
    assert_string_equal(policy_data(p), "/b");
    assert_string_equal(policy_socket(p), "/b.sock");
    assert_int_equal(policy_socket_mode(p), 0600);
    assert_true(policy_socket_group(p) == (gid_t)-1);
    assert_int_equal(policy_durability(p), DURABILITY_FULL);
    assert_false(policy_layers(p)->degraded);
    assert_int_equal(policy_limits(p)->key_max, 2048);
    assert_int_equal(policy_limits(p)->value_max, 1 << 20);
    assert_int_equal(policy_root_count(p), 2);
    assert_string_equal(policy_root(p, 0)->path, "/q");
    policy_graft_settings(p, "bank", s);
    assert_int_equal(s[ITEM_CPU].value, 8);
    assert_int_equal(s[ITEM_WALL].value, 5000);
    assert_int_equal(s[ITEM_MEMORY].value, 1 << 20);
    expect_graft(p, "bank", RIGHT_KV_READ, "a", false, "no rule"); /* rules do not add up */
    expect_graft(p, "bank", RIGHT_KV_WRITE, "y", true, "d/50-site.scfg:4:5");
    expect_graft(p, "bank", RIGHT_KV_WRITE, "z", true, "d/50-site.scfg:5:5");
    expect_graft(p, "shop", RIGHT_KV_READ, "shop", true, "d/00-default.scfg:5:29");
    expect_graft(p, "other", RIGHT_KV_WRITE, "a", true, "d/00-default.scfg:3:40");
    policy_graft_settings(p, "shop", s);
    assert_int_equal(s[ITEM_CPU].value, 3);
    assert_int_equal(s[ITEM_WALL].value, 1000);
    policy_graft_settings(p, "other", s);
    assert_int_equal(s[ITEM_CPU].value, 9);
    expect_caller(p, RIGHT_INFO, "", true, "d/00-default.scfg:6:14"); /* callers do */
    expect_caller(p, RIGHT_KILL, "", true, "d/50-site.scfg:7:14");
    policy_free(&p);
}

static void in_one_file_twice_is_an_error_still(void **state)
{
    (void)state;
    mkdir("d", 0755);
    put("d/a.scfg", "limit key 1K; root r /r\n");
    put("d/b.scfg", "limit key 2K\nlimit key 3K; root r /q; root r /p; root s /r/x\n");
    expect_errors("d", "d/b.scfg:2:7: error: limit key is set twice; first at d/b.scfg:1:7\n"
                       "    limit key 3K; root r /q; root r /p; root s /r/x\n"
                       "          ^~~\n"
                       "d/b.scfg:2:31: error: root r is set twice; first at d/b.scfg:2:15\n"
                       "    limit key 3K; root r /q; root r /p; root s /r/x\n"
                       "                                  ^\n");
}

/* ---- include ---- */

static void an_include_is_read_where_it_stands(void **state)
{
    struct policy *p;

    (void)state;
    mkdir("d", 0755);
    mkdir("d/sub", 0755);
    put("main.scfg", "limit key 1K value 1M\ninclude \"d/one.scfg\"\nlimit clients 7\ncaller any { allow undo }\n");
    put("d/one.scfg", "limit key 2K clients 8\ninclude sub/two.scfg\n");
    put("d/sub/two.scfg", "limit value 2M\ncaller any { allow kill }\n");
    p = load("main.scfg");
    assert_int_equal(policy_limits(p)->key_max, 2048);
    assert_int_equal(policy_limits(p)->value_max, 2 << 20);
    assert_int_equal(policy_limits(p)->client_max, 7);
    expect_caller(p, RIGHT_KILL, "", true, "d/sub/two.scfg:2:14");
    expect_caller(p, RIGHT_UNDO, "", true, "main.scfg:4:14");
    policy_free(&p);
}

static void an_include_may_be_absolute(void **state)
{
    char text[128];
    struct policy *p;

    (void)state;
    put("other.scfg", "limit key 3K\n");
    snprintf(text, sizeof text, "include \"%s/other.scfg\"\n", home);
    mkdir("d", 0755);
    put("d/main.scfg", text);
    p = load("d/main.scfg");
    assert_int_equal(policy_limits(p)->key_max, 3072);
    policy_free(&p);
}

static void the_errors_of_all_files_come_out_together(void **state)
{
    (void)state;
    put("main.scfg", "limit kye 1K\ninclude one.scfg\ninclude none.scfg\nlimit kye 2K\n");
    put("one.scfg", "dta\n");
    expect_errors("main.scfg", "main.scfg:1:7: error: unknown limit \"kye\"; did you mean \"key\"?\n"
                               "    limit kye 1K\n"
                               "          ^~~\n"
                               "main.scfg:3:9: error: cannot be included: none.scfg: No such file or directory\n"
                               "    include none.scfg\n"
                               "            ^~~~~~~~~\n"
                               "main.scfg:4:7: error: unknown limit \"kye\"; did you mean \"key\"?\n"
                               "    limit kye 2K\n"
                               "          ^~~\n"
                               "one.scfg:1:1: error: unknown directive \"dta\"; did you mean \"data\"?\n"
                               "    dta\n"
                               "    ^~~\n");
}

static void a_circle_of_includes_is_named(void **state)
{
    (void)state;
    put("a.scfg", "include b.scfg\n");
    put("b.scfg", "limit key 1K\ninclude c.scfg\n");
    put("c.scfg", "include a.scfg\n");
    expect_errors("a.scfg", "c.scfg:1:9: error: a circle: a.scfg includes itself here, which is included by c.scfg, "
                            "which is included by b.scfg\n"
                            "    include a.scfg\n"
                            "            ^~~~~~\n");
    put("a.scfg", "include a.scfg\n");
    expect_errors("a.scfg", "a.scfg:1:9: error: a circle: a.scfg includes itself here\n"
                            "    include a.scfg\n"
                            "            ^~~~~~\n");
    put("b.scfg", "include c.scfg; include c.scfg\n"); /* twice, and no circle */
    put("c.scfg", "limit key 1K\n");
    policy_free(&(struct policy *){ load("b.scfg") });
}

static void includes_are_bounded(void **state)
{
    char name[32], text[64 * 32] = "";
    size_t len = 0;

    (void)state;
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "%d.scfg", i);
        snprintf(text, sizeof text, "include %d.scfg\n", i + 1);
        put(name, text);
    }
    put("8.scfg", "");
    expect_errors("0.scfg", "7.scfg:1:9: error: too deep: at most 8 files include each other\n"
                            "    include 8.scfg\n"
                            "            ^~~~~~\n");
    policy_free(&(struct policy *){ load("1.scfg") });
    for (int i = 0; i < 63; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "include 8.scfg\n");
    put("all.scfg", text);
    policy_free(&(struct policy *){ load("all.scfg") });
    snprintf(text + len, sizeof text - len, "include 8.scfg\n");
    put("all.scfg", text);
    expect_errors("all.scfg", "all.scfg:64:9: error: too many files: a policy has at most 64\n"
                              "    include 8.scfg\n"
                              "            ^~~~~~\n");
    mkdir("d", 0755);
    put("d/1.scfg", text);
    put("d/2.scfg", "");
    put("d/8.scfg", "");
    text[len] = '\0';
    put("d/1.scfg", text);
    expect_errors("d", "d/2.scfg: error: more than 64 policy files, with what they include\n");
}

static void expect_refused(const char *text, const char *sentence)
{
    struct policy *p = NULL;
    struct buf errors;

    put("slip.scfg", text);
    buf_init(&errors, TEXT_MAX);
    assert_int_equal(policy_load("slip.scfg", OWNER, &p, &errors), ERR_BADARG);
    assert_non_null(strstr(text_of(&errors), sentence));
    buf_fini(&errors);
}

static void an_include_stays_below_its_file(void **state)
{
    static const char advice[] = "error: an include goes down from this file's directory";
    struct policy *p = NULL;
    struct buf errors;

    (void)state;
    expect_refused("include ../other.scfg", advice);
    expect_refused("include d/../other.scfg", advice);
    expect_refused("include ./other.scfg", advice);
    expect_refused("include ''", advice);
    expect_refused("include",
                   "error: something is missing behind this word; write it like this: include \"other.scfg\"");
    expect_refused("include a b", "error: one word too many");
    expect_refused("include a { }", "error: include takes no block");
    expect_refused("graft g { include a }", "error: unknown directive \"include\"");
    expect_refused("inclde a", "error: unknown directive \"inclde\"; did you mean \"include\"?");
    put("open.scfg", "limit key 1K\n");
    chmod("open.scfg", 0666);
    expect_refused("include open.scfg", "open.scfg: error: ");
    expect_refused("include /tmp", "/tmp: error: ");
    buf_init(&errors, TEXT_MAX);
    assert_int_equal(policy_parse("text", bytes_str("include /etc/passwd"), OWNER, &p, &errors), ERR_BADARG);
    assert_non_null(strstr(text_of(&errors), "text:1:1: error: only a policy that is a file can include others\n"));
    buf_fini(&errors);
}

/* ---- one policy in the place of another ---- */

static struct policy *parse(const char *name, const char *text)
{
    struct policy *p = NULL;
    struct buf errors;

    buf_init(&errors, TEXT_MAX);
    assert_int_equal(policy_parse(name, bytes_str(text), OWNER, &p, &errors), OK);
    buf_fini(&errors);
    return p;
}

static void expect_replaced(struct policy *p, const char *text, const char *restart)
{
    struct policy *by = parse("new", text);
    struct buf out;

    buf_init(&out, 4096);
    assert_int_equal(policy_replace(p, &by, &out), OK);
    assert_null(by);
    assert_string_equal(text_of(&out), restart);
    buf_fini(&out);
}

static void rules_and_what_is_read_per_use_change_at_once(void **state)
{
    struct policy *p =
        parse("old", "caller any { allow info; allow kill }; limit clients 5 idle 1s; graft g { limit cpu 1ms }");
    const struct policy_limits *limits = policy_limits(p);
    struct setting s[ITEM_COUNT];

    (void)state;
    expect_replaced(p,
                    "caller any { allow info; allow undo }\nlimit clients 6 idle 2s drain 3s queue 9\n"
                    "graft g { limit cpu 2ms; allow read kv \"x\" }\n",
                    "");
    expect_caller(p, RIGHT_INFO, "", true, "new:1:14");
    expect_caller(p, RIGHT_KILL, "", false, "no rule");
    expect_caller(p, RIGHT_UNDO, "", true, "new:1:26");
    assert_ptr_equal(policy_limits(p), limits); /* whoever holds them has the new ones */
    assert_int_equal(limits->client_max, 6);
    assert_int_equal(limits->idle_ms, 2000);
    assert_int_equal(limits->drain_ms, 3000);
    assert_int_equal(limits->queue_max, 9);
    policy_graft_settings(p, "g", s);
    assert_int_equal(s[ITEM_CPU].value, 2);
    expect_graft(p, "g", RIGHT_KV_READ, "x", true, "new:3:26");
    policy_free(&p);
}

static void what_only_a_start_can_change_stays_and_is_named(void **state)
{
    struct policy *p = parse("old", "data /a; socket /s mode 0660; root r /r; limit key 1K; history keep 1d");
    const char *data = policy_data(p), *socket = policy_socket(p), *root = policy_root(p, 0)->path;
    struct buf out;

    (void)state;
    expect_replaced(p,
                    "data /b; socket /s mode 0600; durability off; sandbox degraded allow; root r /q\n"
                    "limit key 2K value 1M lock-wait 1s cache 2M timers 5 locks 1M clients 3\n"
                    "txn spill 1M; history keep 2d size 1M; events keep 1d size 1M; timers tries 3 backoff 2s\n",
                    "data, socket, durability, sandbox, root, limit key, limit value, limit lock-wait, limit cache, "
                    "limit locks, txn spill, history keep, history size, events keep, events size");
    assert_string_equal(policy_data(p), "/a");
    assert_string_equal(policy_socket(p), "/s");
    assert_int_equal(policy_socket_mode(p), 0660);
    assert_int_equal(policy_durability(p), DURABILITY_FULL);
    assert_false(policy_layers(p)->degraded);
    assert_int_equal(policy_limits(p)->key_max, 1024);
    assert_int_equal(policy_limits(p)->history_ms, 86400000);
    assert_int_equal(policy_limits(p)->client_max, 3);
    assert_int_equal(policy_limits(p)->timer_max, 5);
    assert_int_equal(policy_limits(p)->timer_tries, 3);
    assert_int_equal(policy_limits(p)->timer_backoff_ms, 2000);
    assert_int_equal(policy_limits(p)->locks_bytes, 16 << 20);
    assert_int_equal(policy_root_count(p), 1);
    assert_string_equal(policy_root(p, 0)->path, "/r");
    buf_init(&out, TEXT_MAX);
    assert_int_equal(policy_show(p, &out), OK); /* what is in force */
    assert_non_null(strstr(text_of(&out), "\nroot r \"/r\"  # until the next start\n"));
    assert_non_null(strstr((char *)out.data, "limit key 1K value 16M clients 3 "));
    buf_fini(&out);
    expect_replaced(p, "data /a; socket /s mode 0660; root r /r; limit key 1K; history keep 1d", "");
    assert_ptr_equal(policy_data(p), data); /* whoever borrowed them still may */
    assert_ptr_equal(policy_socket(p), socket);
    assert_ptr_equal(policy_root(p, 0)->path, root);
    assert_int_equal(policy_root(p, 0)->place.line, 1);
    policy_free(&p);
}

static void expect_weight_shown(const struct policy *p, bool expected)
{
    struct buf out;

    buf_init(&out, TEXT_MAX);
    assert_int_equal(policy_show(p, &out), OK);
    assert_int_equal(strstr(text_of(&out), "cpu-weight") != NULL, expected);
    buf_fini(&out);
}

/* The groups are made at a start. From one weight to another is a limit like all. */
static void the_first_weight_and_the_last_take_a_start(void **state)
{
    struct policy *p = parse("old", "");

    (void)state;
    expect_replaced(p, "graft g { limit cpu-weight 200 }", "limit cpu-weight");
    assert_false(policy_shares_cpu(p));
    expect_weight_shown(p, false);
    expect_replaced(p, "graft g { limit cpu-weight 300 }", "limit cpu-weight");
    expect_replaced(p, "sandbox require cgroup", "sandbox");
    assert_false(policy_shares_cpu(p));
    expect_replaced(p, "", "");
    policy_free(&p);
    p = parse("old", "graft g { limit cpu-weight 200 }");
    expect_replaced(p, "graft default { limit cpu-weight 300 }", "");
    assert_true(policy_shares_cpu(p));
    expect_replaced(p, "", "limit cpu-weight");
    assert_true(policy_shares_cpu(p));
    expect_weight_shown(p, true);
    policy_free(&p);
    p = parse("old", "sandbox require cgroup");
    expect_replaced(p, "sandbox require cgroup; graft g { limit cpu-weight 200 }", "");
    expect_replaced(p, "graft g { limit cpu-weight 200 }", "sandbox");
    expect_replaced(p, "", "sandbox");
    assert_true(policy_shares_cpu(p));
    policy_free(&p);
}

static void names_that_do_not_fit_change_nothing(void **state)
{
    struct policy *p = parse("old", "caller any { allow info }"), *by = parse("new", "data /b");
    struct buf out;

    (void)state;
    buf_init(&out, 3);
    assert_int_equal(policy_replace(p, &by, &out), ERR_LIMIT);
    assert_non_null(by);
    expect_caller(p, RIGHT_INFO, "", true, "old:1:14");
    policy_free(&by);
    policy_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_later_file_goes_before_an_earlier_one, enter, leave),
        cmocka_unit_test_setup_teardown(in_one_file_twice_is_an_error_still, enter, leave),
        cmocka_unit_test_setup_teardown(an_include_is_read_where_it_stands, enter, leave),
        cmocka_unit_test_setup_teardown(an_include_may_be_absolute, enter, leave),
        cmocka_unit_test_setup_teardown(the_errors_of_all_files_come_out_together, enter, leave),
        cmocka_unit_test_setup_teardown(a_circle_of_includes_is_named, enter, leave),
        cmocka_unit_test_setup_teardown(includes_are_bounded, enter, leave),
        cmocka_unit_test_setup_teardown(an_include_stays_below_its_file, enter, leave),
        cmocka_unit_test(rules_and_what_is_read_per_use_change_at_once),
        cmocka_unit_test(what_only_a_start_can_change_stays_and_is_named),
        cmocka_unit_test(the_first_weight_and_the_last_take_a_start),
        cmocka_unit_test(names_that_do_not_fit_change_nothing),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
