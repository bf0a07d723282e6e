/* Patterns: what meets one, what each text begins with that does, and that hostile ones cost no more than they may. */
#include "lib/glob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool meets(const char *pattern, const char *text)
{
    size_t steps = 0;
    bool met = glob_matches(bytes_str(pattern), bytes_str(text), &steps);

    assert_true(steps <= 2 * (strlen(pattern) + 1) * (strlen(text) + 1));
    return met;
}

static void plain_bytes_stand_for_themselves(void **state)
{
    (void)state;
    assert_true(meets("", ""));
    assert_true(meets("acct:1", "acct:1"));
    assert_false(meets("acct:1", "acct:10"));
    assert_false(meets("acct:10", "acct:1"));
    assert_false(meets("", "a"));
    assert_false(meets("a", ""));
}

static void stars_and_question_marks(void **state)
{
    (void)state;
    assert_true(meets("*", ""));
    assert_true(meets("**", "abc"));
    assert_true(meets("a*c", "ac"));
    assert_true(meets("a*c", "abcbc"));
    assert_false(meets("a*c", "abcb"));
    assert_true(meets("*b*d", "abcbcd"));
    assert_true(meets("a?c", "abc"));
    assert_false(meets("a?c", "ac"));
    assert_false(meets("?", ""));
    assert_true(meets("*?", "a"));
}

static void classes(void **state)
{
    (void)state;
    assert_true(meets("k[0-9]", "k7"));
    assert_false(meets("k[0-9]", "kx"));
    assert_true(meets("k[^0-9]", "kx"));
    assert_false(meets("k[^0-9]", "k7"));
    assert_true(meets("[ab]*[cd]", "axxd"));
    assert_true(meets("[a\\]]", "]"));
    assert_true(meets("[a-]", "-"));
    assert_false(meets("[]", "a"));
    assert_true(meets("[abc", "c")); /* never closed: up to the end */
    assert_false(meets("[", "["));
}

static void a_backslash_takes_the_sense_away(void **state)
{
    (void)state;
    assert_true(meets("a\\*", "a*"));
    assert_false(meets("a\\*", "ab"));
    assert_true(meets("\\[a]", "[a]"));
    assert_true(meets("a\\", "a\\")); /* nothing follows it */
}

static void the_prefix_ends_before_anything_special(void **state)
{
    (void)state;
    assert_int_equal(glob_prefix(bytes_str("acct:*")).len, 5);
    assert_int_equal(glob_prefix(bytes_str("k?")).len, 1);
    assert_int_equal(glob_prefix(bytes_str("k[ab]")).len, 1);
    assert_int_equal(glob_prefix(bytes_str("k\\*")).len, 1);
    assert_int_equal(glob_prefix(bytes_str("plain")).len, 5);
    assert_int_equal(glob_prefix(bytes_str("")).len, 0);
}

/* Whoever matches many texts looks at the steps, and stops in time. */
static void steps_tell_what_it_took(void **state)
{
    char text[401], pattern[203] = "*";
    size_t steps = 0;

    (void)state;
    memset(text, 'a', 400);
    text[400] = '\0';
    memset(pattern + 1, 'a', 200);
    pattern[201] = 'b';
    assert_false(meets(pattern, text));
    assert_false(glob_matches(bytes_str(pattern), bytes_str(text), &steps));
    assert_true(steps > 200 * 200);
    steps = 0;
    assert_false(glob_matches(bytes_str("[0123456789]"), bytes_str("a"), &steps));
    assert_true(steps >= strlen("[0123456789]")); /* a class costs its length */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_bytes_stand_for_themselves),
        cmocka_unit_test(stars_and_question_marks),
        cmocka_unit_test(classes),
        cmocka_unit_test(a_backslash_takes_the_sense_away),
        cmocka_unit_test(the_prefix_ends_before_anything_special),
        cmocka_unit_test(steps_tell_what_it_took),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
