#include "tests/policy_kit.h"

const struct principal app = { .uid = APP, .gid = APP };

const char *text_of(struct buf *b)
{
    assert_int_equal(buf_add_u8(b, 0), OK);
    return (const char *)buf_bytes(b).data;
}

struct policy *parse(const char *text)
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

void expect_errors(const char *text, const char *expected)
{
    struct policy *p = NULL;
    struct buf errors;

    buf_init(&errors, TEXT_MAX);
    assert_int_equal(policy_parse("t.scfg", bytes_str(text), OWNER, &p, &errors), ERR_BADARG);
    assert_null(p);
    assert_string_equal(text_of(&errors), expected);
    buf_fini(&errors);
}

void expect_error(const char *text, const char *sentence)
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

void expect_answer(const struct policy *p, const struct principal *who, enum right right, const char *subject,
                   bool allowed, const char *rule)
{
    struct place place = { "unset", 99, 99 };
    char shown[64];

    assert_int_equal(policy_caller_may(p, who, right, bytes_str(subject), &place), allowed);
    assert_string_equal(place_show(place, shown, sizeof shown), rule);
}

void expect_graft(const struct policy *p, const char *graft, enum right right, const char *key, bool allowed,
                  const char *rule)
{
    struct place place = { "unset", 99, 99 };
    char shown[64];

    assert_int_equal(policy_rules_allow(policy_graft_rules(p, graft), right, bytes_str(key), &place), allowed);
    assert_string_equal(place_show(place, shown, sizeof shown), rule);
}

char *show(const struct policy *p)
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
