/* why: each answer has the deciding rule, or the one that would have to stand there (P1). */
#include "policy/why.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { OWNER = 500, TEXT_MAX = 1 << 16, WORDS_MAX = 8 };

static const struct principal app = { .uid = 1000, .gid = 1000 };

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
    buf_fini(&errors);
    return p;
}

static enum err ask(const char *line, bool of_graft, struct question *q, struct failure *why)
{
    static char copy[256]; /* the question borrows from it */
    struct bytes words[WORDS_MAX];
    size_t count = 0;

    snprintf(copy, sizeof copy, "%s", line);
    for (char *w = strtok(copy, " "); w != NULL; w = strtok(NULL, " "))
        words[count++] = bytes_str(w);
    return question_read(words, count, of_graft, q, why);
}

static void expect_caller(const struct policy *p, const struct principal *who, const char *line, const char *expected)
{
    struct question q = { 0 };
    struct failure why = { 0 };
    struct buf out;

    assert_int_equal(ask(line, false, &q, &why), OK);
    buf_init(&out, TEXT_MAX);
    assert_int_equal(policy_why_caller(p, who, "app", &q, &out), OK);
    assert_string_equal(text_of(&out), expected);
    buf_fini(&out);
}

static void expect_graft(const struct policy *p, const struct grant *g, const char *graft, const char *line,
                         const char *expected)
{
    struct question q = { 0 };
    struct failure why = { 0 };
    struct buf out;

    assert_int_equal(ask(line, true, &q, &why), OK);
    buf_init(&out, TEXT_MAX);
    assert_int_equal(policy_why_graft(p, graft, g, &q, &out), OK);
    assert_string_equal(text_of(&out), expected);
    buf_fini(&out);
}

#define DENY_WINS "A deny goes before every allow; to allow it, take this rule away or narrow it.\n"

static void a_callers_answer_has_the_deciding_rule(void **state)
{
    static const struct principal root = { .uid = 0 }, owner = { .uid = OWNER };
    struct policy *p = parse("caller user 1000 { allow call \"bank.*\"; deny call \"bank.close\" }\n"
                             "caller any { allow load unload; deny command \"graft load\" }\n");

    (void)state;
    expect_caller(p, &app, "call bank.transfer", "allowed: t.scfg:1:20: allow call \"bank.*\"\n");
    expect_caller(p, &app, "CALL bank.close", "denied: t.scfg:1:41: deny call \"bank.close\"\n" DENY_WINS);
    expect_caller(p, &app, "load bank", "allowed: t.scfg:2:14: allow load unload\n");
    expect_caller(p, &app, "unload", "allowed: t.scfg:2:14: allow load unload\n");
    expect_caller(p, &app, "command GRAFT load", "denied: t.scfg:2:33: deny command \"graft load\"\n" DENY_WINS);
    expect_caller(p, &app, "command backup",
                  "allowed: no rule denies this command; what it does needs its right besides\n");
    expect_caller(p, &root, "admin", "allowed: uid 0 is root, or started graftd: no rule binds it\n");
    expect_caller(p, &owner, "call bank.close", "allowed: uid 500 is root, or started graftd: no rule binds it\n");
    policy_free(&p);
}

/* The second line of the answer is a policy in which the answer is yes. */
static void expect_cure(const char *line)
{
    struct policy *p = parse("data /d"), *cured;
    struct question q = { 0 };
    struct failure why = { 0 };
    struct buf out;
    char *cure;

    assert_int_equal(ask(line, false, &q, &why), OK);
    buf_init(&out, TEXT_MAX);
    assert_int_equal(policy_why_caller(p, &app, "root", &q, &out), OK);
    cure = strchr(text_of(&out), '\n');
    assert_non_null(cure);
    memcpy(strstr(cure, "user \"root\""), "any        ", 11);
    cured = parse(cure);
    assert_true(policy_caller_may(cured, &app, q.right, q.subject, &(struct place){ 0 }));
    buf_fini(&out);
    policy_free(&p);
    policy_free(&cured);
}

static void without_a_rule_there_is_one_to_paste(void **state)
{
    struct policy *p = parse("data /d");

    (void)state;
    expect_caller(p, &app, "write kv acct:1",
                  "denied: no rule allows it; this one would:\n"
                  "caller user \"app\" { allow write kv \"acct:1\" }\n");
    expect_caller(p, &app, "undo", "denied: no rule allows it; this one would:\ncaller user \"app\" { allow undo }\n");
    expect_caller(p, &app, "load bank",
                  "denied: no rule allows it; this one would:\ncaller user \"app\" { allow load \"bank\" }\n");
    policy_free(&p);
    expect_cure("write kv a\"b\\c");
    expect_cure("write kv a*b*c"); /* no pattern has a * inside: the cure is wider */
    expect_cure("read kv a\xff"
                "b");
    expect_cure("read kv a\x1b"
                "b");
    expect_cure("read kv *");
    expect_cure("call bank.transfer");
    expect_cure("read event bank.moved");
    expect_cure("load");
    expect_cure("unload bank");
    expect_cure("admin");
    expect_cure("info");
    expect_cure("kill");
}

static void a_grafts_answer_is_that_of_its_policy_until_it_is_loaded(void **state)
{
    struct policy *p = parse("graft default { allow read kv \"*\"; allow emit \"x\" }\n"
                             "graft bank { allow write file \"s/*\"; deny write file \"s/a\" }\n"
                             "graft shop { limit cpu 1ms }\n");

    (void)state;
    expect_graft(p, NULL, "bank", "write file s/x", "allowed: t.scfg:2:14: allow write file \"s/*\"\n");
    expect_graft(p, NULL, "bank", "write file s/a", "denied: t.scfg:2:38: deny write file \"s/a\"\n" DENY_WINS);
    expect_graft(p, NULL, "bank", "timer bank.tick",
                 "denied: no rule allows it; inside graft bank at t.scfg:2:7 this would:\n"
                 "    allow timer \"bank.tick\"\n");
    expect_graft(p, NULL, "other", "read kv x", "allowed: t.scfg:1:17: allow read kv \"*\"\n");
    expect_graft(p, NULL, "other", "emit y",
                 "denied: no rule allows it; this would:\n"
                 "graft other {\n"
                 "    allow read kv \"*\"  # as graft default\n"
                 "    allow emit \"x\"  # as graft default\n"
                 "    allow emit \"y\"\n"
                 "}\n");
    expect_graft(p, NULL, "shop", "emit y",
                 "denied: no rule allows it; inside graft shop at t.scfg:3:7 this would:\n"
                 "    allow read kv \"*\"  # as graft default\n"
                 "    allow emit \"x\"  # as graft default\n"
                 "    allow emit \"y\"\n");
    policy_free(&p);
}

static void a_loaded_graft_has_what_was_frozen(void **state)
{
    struct policy *old = parse("graft bank { allow read kv \"a\" }\n"), *new;
    struct manifest m = { .name = "bank" };
    struct grant *g = NULL;

    (void)state;
    assert_int_equal(grant_new(old, &m, &g), OK);
    expect_graft(old, g, "bank", "read kv a", "allowed: t.scfg:1:14: allow read kv \"a\"\n");
    expect_graft(old, g, "bank", "read kv b",
                 "denied: no rule allows it; inside graft bank at t.scfg:1:7 this would:\n    allow read kv \"b\"\n");
    policy_free(&old);
    new = parse("\n\ngraft bank { allow read kv \"b\" }\n");
    expect_graft(new, g, "bank", "read kv a",
                 "allowed: t.scfg:1:14: allow read kv \"a\"\n"
                 "Its rights are those of when it was loaded. Loaded again, graft bank would be\n"
                 "denied: no rule allows it; inside graft bank at t.scfg:3:7 this would:\n    allow read kv \"a\"\n");
    expect_graft(new, g, "bank", "read kv b",
                 "denied: no rule allowed it when it was loaded\n"
                 "Its rights are those of when it was loaded. Loaded again, graft bank would be\n"
                 "allowed: t.scfg:3:14: allow read kv \"b\"\n");
    grant_free(&g);
    policy_free(&new);
}

static void expect_no_question(const char *line, bool of_graft, const char *sentence)
{
    struct question q = { 0 };
    struct failure why = { 0 };

    assert_int_equal(ask(line, of_graft, &q, &why), ERR_BADARG);
    if (strstr(why.text, sentence) == NULL)
        print_error("%s: %s\n", line, why.text);
    assert_non_null(strstr(why.text, sentence));
}

static void what_asks_nothing_is_told_how_it_goes(void **state)
{
    static const char *const callers[] = { "",       "read",        "read kv", "read file s/x", "emit x",
                                           "undo x", "read kv a b", "command", "load a b",      "raed kv x" };
    static const char *const grafts[] = { "", "call a.b", "read kv", "read event x", "command x", "undo" };

    (void)state;
    for (size_t i = 0; i < sizeof callers / sizeof callers[0]; i++)
        expect_no_question(callers[i], false, "ask about a caller with one of: call GRAFT.FUNCTION, ");
    for (size_t i = 0; i < sizeof grafts / sizeof grafts[0]; i++)
        expect_no_question(grafts[i], true, "ask about a graft with one of: read kv KEY, ");
    expect_no_question("call bank", false, "a function is named graft.function, and \"bank\" has no dot");
    expect_no_question("timer bank", true, "a function is named graft.function, and \"bank\" has no dot");
    expect_no_question("read file s/../x", true, "a file is named root/path");
    expect_no_question("command aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false,
                       "no command has so long a name");
}

static void users_are_found_by_name_or_number(void **state)
{
    struct principal who;
    struct failure why = { 0 };

    (void)state;
    assert_int_equal(principal_find("root", &who, &why), OK);
    assert_int_equal(who.uid, 0);
    assert_int_equal(who.gid, 0);
    assert_true(who.group_count >= 1);
    assert_int_equal(principal_find("4294967000", &who, &why), OK);
    assert_int_equal(who.uid, 4294967000);
    assert_true(who.gid == (gid_t)-1);
    assert_int_equal(who.group_count, 0);
    assert_int_equal(principal_find("no_such_user_here", &who, &why), ERR_BADARG);
    assert_string_equal(why.text, "there is no user \"no_such_user_here\" on this system");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_callers_answer_has_the_deciding_rule),
        cmocka_unit_test(without_a_rule_there_is_one_to_paste),
        cmocka_unit_test(a_grafts_answer_is_that_of_its_policy_until_it_is_loaded),
        cmocka_unit_test(a_loaded_graft_has_what_was_frozen),
        cmocka_unit_test(what_asks_nothing_is_told_how_it_goes),
        cmocka_unit_test(users_are_found_by_name_or_number),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
