/* policy: what it shows of itself is the same policy, whether it was read, is the example, or is built in. */
#include "tests/policy_kit.h"

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

/* The text of a policy without weights has none, or whoever used it would ask for shares of the CPU. */
static void weights_are_shown_where_they_count(void **state)
{
    static const struct {
        const char *text, *shown;
    } rows[] = {
        { "graft g { limit wall 2s }", NULL },
        { "graft g { limit wall 2s cpu-weight 7 }", "    limit wall 2s cpu-weight 7\n" },
        { "graft g { limit wall 2s cpu-weight 7 }", "disk 256M cpu-weight 100\n" },
        { "graft default { limit cpu-weight 100 }", "disk 256M cpu-weight 100\n" },
        { "sandbox require cgroup", "disk 256M cpu-weight 100\n" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct policy *p = parse(rows[i].text), *again;
        char *text = show(p);

        if (rows[i].shown == NULL ? strstr(text, "cpu-weight") != NULL : strstr(text, rows[i].shown) == NULL)
            fail_msg("\"%s\" shows itself as %s", rows[i].text, text);
        again = parse(text);
        assert_int_equal(policy_shares_cpu(again), policy_shares_cpu(p));
        policy_free(&again);
        policy_free(&p);
        free(text);
    }
}

static void the_built_in_policy_shows_itself(void **state)
{
    struct policy *p = NULL;
    struct buf out;
    const char *text;

    (void)state;
    buf_init(&out, TEXT_MAX);
    assert_int_equal(policy_load(NULL, OWNER, &p, &out), OK);
    assert_false(policy_shares_cpu(p));
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
    assert_false(policy_shares_cpu(p));
    text = show(p);
    assert_non_null(strstr(text, "history keep 7d size 4G\n"));
    assert_non_null(strstr(text, "    deny write kv \"acct:frozen:*\"\n"));
    free(text);
    policy_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_shows_is_the_same_policy),
        cmocka_unit_test(weights_are_shown_where_they_count),
        cmocka_unit_test(the_built_in_policy_shows_itself),
        cmocka_unit_test(the_example_loads),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
