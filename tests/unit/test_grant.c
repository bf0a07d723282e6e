/* grant: item by item the graft's own block, then default, then built in; and it outlives its policy. */
#include "policy/grant.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char text[] = "graft default {\n"
                           "    limit cpu 30ms wall 2s\n"
                           "    workers min 2 max 3\n"
                           "    allow read kv \"*\"\n"
                           "}\n"
                           "graft bank {\n"
                           "    limit wall 200ms memory 16M effects 5 disk 3M\n"
                           "    workers max 2\n"
                           "    allow read write kv \"acct:*\"\n"
                           "    deny write kv \"acct:0\"\n"
                           "    allow read file \"s/*\"; allow write file \"s/out\"\n"
                           "    allow emit \"bank.*\"; allow timer \"bank.tick\"\n"
                           "}\n";

/* The grant of a graft by that policy, which is gone already. */
static struct grant *grant_by(const char *policy, const char *graft)
{
    struct policy *p = NULL;
    struct manifest m = { 0 };
    struct grant *g = NULL;
    struct buf errors;

    buf_init(&errors, 1 << 16);
    assert_int_equal(policy_parse("t.scfg", bytes_str(policy), 1, &p, &errors), OK);
    buf_fini(&errors);
    strcpy(m.name, graft);
    assert_int_equal(grant_new(p, &m, &g), OK);
    policy_free(&p);
    return g;
}

static struct grant *grant_of(const char *graft) { return grant_by(text, graft); }

static void expect(const struct grant *g, enum grant_right right, const char *key, bool allowed, const char *rule)
{
    struct place place = { "unset", 99, 99 };
    char shown[64];

    assert_int_equal(grant_may(g, right, bytes_str(key), &place), allowed);
    assert_string_equal(place_show(place, shown, sizeof shown), rule);
}

static void expect_place(struct place place, const char *where)
{
    char shown[64];

    assert_string_equal(place_show(place, shown, sizeof shown), where);
}

static void the_own_block_goes_before_default_item_by_item(void **state)
{
    struct grant *g = grant_of("bank");
    const struct grant_limits *l = grant_limits(g);

    (void)state;
    assert_int_equal(l->cpu_ms, 30);
    assert_int_equal(l->wall_ms, 200);
    assert_int_equal(l->memory, 16 << 20);
    assert_int_equal(l->stack, 1 << 20);
    assert_int_equal(l->effects, 5);
    assert_int_equal(l->worker_min, 2);
    assert_int_equal(l->worker_max, 2);
    expect_place(l->cpu_place, "t.scfg:2:11");
    expect_place(l->wall_place, "t.scfg:7:11");
    expect_place(l->memory_place, "t.scfg:7:22");
    expect_place(l->effects_place, "t.scfg:7:33");
    assert_int_equal(l->disk, 3 << 20);
    expect_place(l->disk_place, "t.scfg:7:43");
    grant_free(&g);
    assert_null(g);
    grant_free(&g);
}

static void own_rules_stand_alone(void **state)
{
    struct grant *g = grant_of("bank");

    (void)state;
    expect(g, GRANT_KV_READ, "acct:1", true, "t.scfg:9:5");
    expect(g, GRANT_KV_WRITE, "acct:1", true, "t.scfg:9:5");
    expect(g, GRANT_KV_WRITE, "acct:0", false, "t.scfg:10:5");
    expect(g, GRANT_KV_READ, "other", false, "no rule");
    expect(g, GRANT_FILE_READ, "s/x", true, "t.scfg:11:5");
    expect(g, GRANT_FILE_WRITE, "s/x", false, "no rule");
    expect(g, GRANT_FILE_WRITE, "s/out", true, "t.scfg:11:28");
    expect(g, GRANT_EMIT, "bank.x", true, "t.scfg:12:5");
    expect(g, GRANT_EMIT, "s/x", false, "no rule");
    expect(g, GRANT_TIMER, "bank.tick", true, "t.scfg:12:26");
    expect(g, GRANT_TIMER, "bank.tock", false, "no rule");
    grant_free(&g);
}

static void without_an_own_block_default_holds(void **state)
{
    struct grant *g = grant_of("shop");

    (void)state;
    assert_int_equal(grant_limits(g)->wall_ms, 2000);
    assert_int_equal(grant_limits(g)->worker_max, 3);
    expect_place(grant_limits(g)->memory_place, "no rule");
    expect(g, GRANT_KV_READ, "other", true, "t.scfg:4:5");
    expect(g, GRANT_KV_WRITE, "other", false, "no rule");
    grant_free(&g);
}

static void shows_each_line_with_its_place(void **state)
{
    struct grant *g = grant_of("bank");
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    assert_int_equal(grant_show(g, &out), OK);
    assert_int_equal(buf_add_u8(&out, 0), OK);
    assert_string_equal((char *)out.data, "limit cpu 30ms  # t.scfg:2:11\n"
                                          "limit wall 200ms  # t.scfg:7:11\n"
                                          "limit memory 16M  # t.scfg:7:22\n"
                                          "limit stack 1M  # built in\n"
                                          "limit effects 5  # t.scfg:7:33\n"
                                          "limit retries 10  # built in\n"
                                          "limit hold 1s  # built in\n"
                                          "limit disk 3M  # t.scfg:7:43\n"
                                          "workers min 2  # t.scfg:3:13\n"
                                          "workers max 2  # t.scfg:8:13\n"
                                          "worker fresh never  # built in\n"
                                          "allow read write kv \"acct:*\"  # t.scfg:9:5\n"
                                          "deny write kv \"acct:0\"  # t.scfg:10:5\n"
                                          "allow read file \"s/*\"  # t.scfg:11:5\n"
                                          "allow write file \"s/out\"  # t.scfg:11:28\n"
                                          "allow emit \"bank.*\"  # t.scfg:12:5\n"
                                          "allow timer \"bank.tick\"  # t.scfg:12:26\n");
    buf_fini(&out);
    grant_free(&g);
}

static void shows_a_weight_if_any_graft_has_one(void **state)
{
    static const char *const rows[][2] = {
        { "bank", "limit cpu-weight 30  # t.scfg:1:20\n" },
        { "shop", "limit cpu-weight 100  # built in\n" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct grant *g = grant_by("graft bank { limit cpu-weight 30 }", rows[i][0]);
        struct buf out;

        assert_int_equal(grant_limits(g)->cpu_weight, i == 0 ? 30 : 100);
        buf_init(&out, 4096);
        assert_int_equal(grant_show(g, &out), OK);
        assert_int_equal(buf_add_u8(&out, 0), OK);
        assert_non_null(strstr((char *)out.data, rows[i][1]));
        buf_fini(&out);
        grant_free(&g);
    }
}

static void rights_have_names(void **state)
{
    (void)state;
    assert_string_equal(grant_right_name(GRANT_KV_READ), "read kv");
    assert_string_equal(grant_right_name(GRANT_KV_WRITE), "write kv");
    assert_string_equal(grant_right_name(GRANT_FILE_READ), "read file");
    assert_string_equal(grant_right_name(GRANT_FILE_WRITE), "write file");
    assert_string_equal(grant_right_name(GRANT_EMIT), "emit");
    assert_string_equal(grant_right_name(GRANT_TIMER), "timer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_own_block_goes_before_default_item_by_item),
        cmocka_unit_test(own_rules_stand_alone),
        cmocka_unit_test(without_an_own_block_default_holds),
        cmocka_unit_test(shows_each_line_with_its_place),
        cmocka_unit_test(shows_a_weight_if_any_graft_has_one),
        cmocka_unit_test(rights_have_names),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
