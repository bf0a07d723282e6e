/* scfg: words and blocks with their places, all errors at once, every bound from both sides. */
#include "lib/scfg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { ERRORS_MAX = 1 << 20 };

static struct scfg *parse_bytes(struct bytes text)
{
    struct scfg *s = NULL;

    assert_int_equal(scfg_parse("t.scfg", text, &s), OK);
    return s;
}

static struct scfg *parse(const char *text) { return parse_bytes(bytes_str(text)); }

static struct scfg *parse_good(const char *text)
{
    struct scfg *s = parse(text);

    assert_int_equal(scfg_error_count(s), 0);
    return s;
}

static void expect_errors(const struct scfg *s, const char *expected)
{
    struct buf out;

    buf_init(&out, ERRORS_MAX);
    assert_int_equal(scfg_errors(s, &out), OK);
    assert_int_equal(buf_add_u8(&out, 0), OK);
    assert_string_equal((const char *)out.data, expected);
    buf_fini(&out);
}

static void expect_parse_errors(const char *text, const char *expected)
{
    struct scfg *s = parse(text);

    expect_errors(s, expected);
    scfg_free(&s);
}

static void assert_word(const struct scfg_word *w, const char *text, unsigned line, unsigned column, size_t width)
{
    assert_string_equal(w->text, text);
    assert_int_equal(w->len, strlen(text));
    assert_int_equal(w->line, line);
    assert_int_equal(w->column, column);
    assert_int_equal(w->width, width);
}

static void knows_the_place_of_each_word(void **state)
{
    struct scfg *s = parse_good("# top\nname  \"two words\"\t'a\\b' c\\ d\\\\ {\r\n  in #side\n}\nna#me \"\" ü\n");
    const struct scfg_directive *d = scfg_first(s);

    (void)state;
    assert_int_equal(d->word_count, 4);
    assert_word(&d->words[0], "name", 2, 1, 4);
    assert_word(&d->words[1], "two words", 2, 7, 11);
    assert_true(d->words[1].quoted);
    assert_word(&d->words[2], "a\\b", 2, 19, 5);
    assert_word(&d->words[3], "c d\\", 2, 25, 6);
    assert_false(d->words[3].quoted);
    assert_true(d->block);
    assert_word(&d->child->words[0], "in", 3, 3, 2);
    assert_null(d->child->next);
    d = d->next;
    assert_word(&d->words[0], "na#me", 5, 1, 5);
    assert_word(&d->words[1], "", 5, 7, 2);
    assert_word(&d->words[2], "ü", 5, 10, 2);
    assert_null(d->next);
    scfg_free(&s);
    assert_null(s);
}

static void a_block_fits_on_one_line(void **state)
{
    struct scfg *s = parse_good("a{b c;d}e {};;\n\"{\" ';' f { g { h } i }");
    const struct scfg_directive *a = scfg_first(s), *e = a->next, *brace = e->next;

    (void)state;
    assert_string_equal(a->child->words[1].text, "c");
    assert_string_equal(a->child->next->words[0].text, "d");
    assert_null(a->child->next->next);
    assert_true(e->block);
    assert_null(e->child);
    assert_int_equal(brace->word_count, 3);
    assert_string_equal(brace->words[0].text, "{");
    assert_string_equal(brace->child->child->words[0].text, "h");
    assert_string_equal(brace->child->next->words[0].text, "i");
    assert_null(brace->next);
    scfg_free(&s);
}

static void an_empty_file_is_no_error(void **state)
{
    static const char *const texts[] = { "", "\n", "# only this", " \t\r\n;;" };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct scfg *s = parse_good(texts[i]);
        assert_null(scfg_first(s));
        scfg_free(&s);
    }
}

static void lists_all_errors_in_order(void **state)
{
    (void)state;
    expect_parse_errors(
        "ok\n"
        "  say \"this\n"
        "a\"b c\n"
        "'a'b\n"
        "} {\n"
        "  end \\\n"
        "x { y {\n",
        "t.scfg:2:7: error: this quote is not closed on its line\n"
        "    say \"this\n"
        "        ^\n"
        "t.scfg:3:2: error: a quote can only begin a word; put a backslash before it to have the character\n"
        "    a\"b c\n"
        "     ^\n"
        "t.scfg:4:4: error: a space is missing behind the closing quote\n"
        "    'a'b\n"
        "       ^\n"
        "t.scfg:5:1: error: this } closes nothing\n"
        "    } {\n"
        "    ^\n"
        "t.scfg:5:3: error: a block needs a name before its {\n"
        "    } {\n"
        "      ^\n"
        "t.scfg:6:7: error: nothing follows this backslash on its line\n"
        "    end \\\n"
        "        ^\n");
}

static void names_each_block_that_stays_open(void **state)
{
    (void)state;
    expect_parse_errors("x { y {\n z }\n a {", "t.scfg:1:3: error: this block is never closed\n"
                                               "    x { y {\n"
                                               "      ^\n"
                                               "t.scfg:3:4: error: this block is never closed\n"
                                               "    a {\n"
                                               "      ^\n");
}

static void a_bad_line_does_not_shift_the_blocks(void **state)
{
    struct scfg *s = parse("graft \"bank {\n  inner\n}\nnext { \"open }\nlast\n");
    const struct scfg_directive *d = scfg_first(s);

    (void)state;
    assert_int_equal(scfg_error_count(s), 2);
    assert_string_equal(d->words[0].text, "next"); /* the broken one is left out, with its block */
    assert_null(d->child);
    assert_string_equal(d->next->words[0].text, "last");
    scfg_free(&s);
}

static void shows_hostile_bytes_escaped(void **state)
{
    struct scfg *s = parse("say \"\x1b[2J\"\nü\xff\xe2\x80\xae\tx \"a");

    (void)state;
    expect_errors(s, "t.scfg:1:6: error: the byte 0x1b cannot stand in a word\n"
                     "    say \"\\x1b[2J\"\n"
                     "         ^~~~\n"
                     "t.scfg:2:10: error: this quote is not closed on its line\n"
                     "    ü\\xff\\xe2\\x80\\xae x \"a\n"
                     "                        ^\n");
    scfg_free(&s);
}

static void refuses_nul(void **state)
{
    struct scfg *s = parse_bytes(bytes_of("a\nb\0c\n\"", 8));

    (void)state;
    expect_errors(s, "t.scfg:2:2: error: a NUL byte: this is not a text file\n    b\\x00c\n     ^~~~\n");
    assert_null(scfg_first(s));
    scfg_free(&s);
}

static void shows_a_part_of_a_long_line(void **state)
{
    char text[402], expected[1024];
    struct scfg *s;

    (void)state;
    memset(text, 'a', 401);
    text[401] = '\0';
    text[200] = ' ';
    text[201] = '"';
    s = parse(text);
    snprintf(expected, sizeof expected,
             "t.scfg:1:202: error: this quote is not closed on its line\n    …%.59s \"%.59s…\n%*s\n", text, text, 66,
             "^");
    expect_errors(s, expected);
    scfg_free(&s);
}

static char *repeat(const char *piece, size_t n, const char *end)
{
    size_t len = strlen(piece);
    char *text = malloc(n * len + strlen(end) + 1);

    assert_non_null(text);
    for (size_t i = 0; i < n; i++)
        memcpy(text + i * len, piece, len);
    strcpy(text + n * len, end);
    return text;
}

static void expect_count(char *text, size_t error_count)
{
    struct scfg *s = parse(text);

    assert_int_equal(scfg_error_count(s), error_count);
    scfg_free(&s);
    free(text);
}

static void keeps_its_bounds(void **state)
{
    (void)state;
    expect_count(repeat("w ", SCFG_WORD_MAX, ""), 0);
    expect_count(repeat("w ", SCFG_WORD_MAX + 1, ""), 1);
    expect_count(repeat("w ", SCFG_WORD_MAX + 50, ""), 1);
    expect_count(repeat("w", SCFG_WORD_SIZE_MAX, ""), 0);
    expect_count(repeat("w", SCFG_WORD_SIZE_MAX + 1, ""), 1);
    expect_count(repeat("w\n", SCFG_DIRECTIVE_MAX, ""), 0);
    expect_count(repeat("w\n", SCFG_DIRECTIVE_MAX + 1, ""), 1);
    expect_count(repeat("w;w{}", SCFG_DIRECTIVE_MAX, "}"), 1);
    expect_count(repeat("w{", SCFG_DEPTH_MAX, "}}}}}}}}"), 0);
    expect_count(repeat("w{", SCFG_DEPTH_MAX + 1, "}}}}}}}}}"), 1);
    expect_count(repeat("w{", SCFG_DEPTH_MAX + 1, ""), 1 + SCFG_DEPTH_MAX);
    expect_count(repeat("w{", SCFG_FILE_MAX / 2, ""), 1 + SCFG_DEPTH_MAX);
    expect_count(repeat("#", SCFG_FILE_MAX, ""), 0);
    expect_count(repeat("#", SCFG_FILE_MAX + 1, ""), 1);
}

static void counts_what_it_does_not_list(void **state)
{
    char *text = repeat("}\n", SCFG_ERROR_MAX + 7, "");
    struct scfg *s = parse(text);
    struct buf out;

    (void)state;
    assert_int_equal(scfg_error_count(s), SCFG_ERROR_MAX + 7);
    buf_init(&out, ERRORS_MAX);
    assert_int_equal(scfg_errors(s, &out), OK);
    assert_int_equal(buf_add_u8(&out, 0), OK);
    assert_non_null(strstr((char *)out.data, "t.scfg:100:1: error"));
    assert_null(strstr((char *)out.data, "t.scfg:101:1: error"));
    assert_non_null(strstr((char *)out.data, "t.scfg: error: 7 more errors are not listed\n"));
    buf_fini(&out);
    buf_init(&out, 100); /* what does not fit is left out, whole errors at a time */
    assert_int_equal(scfg_errors(s, &out), OK);
    assert_int_equal(((char *)out.data)[buf_len(&out) - 1], '\n');
    buf_fini(&out);
    scfg_free(&s);
    free(text);
}

static void what_it_writes_it_reads(void **state)
{
    static const char word[] = "\\ \"quoted\" 'and' {}#;\t\xff ü \\\"";
    struct scfg *s;
    struct buf out;

    (void)state;
    buf_init(&out, 1024);
    assert_int_equal(scfg_add_word(&out, bytes_str(word)), OK);
    s = parse_bytes(buf_bytes(&out));
    assert_int_equal(scfg_error_count(s), 0);
    assert_string_equal(scfg_first(s)->words[0].text, word);
    scfg_free(&s);
    buf_fini(&out);
}

static const char *nearest(const char *text)
{
    static const char *const words[] = { "cpu", "wall", "memory", "effects", "stack" };
    struct scfg_word w = { .text = text, .len = strlen(text) };

    return scfg_nearest(&w, words, 5);
}

static void guesses_what_was_meant(void **state)
{
    (void)state;
    assert_string_equal(nearest("memry"), "memory");
    assert_string_equal(nearest("memroy"), "memory");
    assert_string_equal(nearest("efects"), "effects");
    assert_string_equal(nearest("cup"), "cpu");
    assert_string_equal(nearest("stick"), "stack");
    assert_null(nearest("x"));
    assert_null(nearest("timeout"));
    assert_null(nearest(""));
    assert_null(nearest("memorymemorymemorymemorymemory"));
}

static void expect_load(const char *path, const char *expected)
{
    struct scfg *s = NULL;
    char text[256];

    snprintf(text, sizeof text, "%s%s", path, expected);
    assert_int_equal(scfg_load(path, &s), OK);
    expect_errors(s, expected[0] == '\0' ? "" : text);
    scfg_free(&s);
}

static void loads_regular_files_alone(void **state)
{
    char dir[] = "/tmp/test_scfg.XXXXXX", path[64];
    FILE *f;

    (void)state;
    assert_non_null(mkdtemp(dir));
    expect_load(dir, ": error: is not a regular file\n");
    snprintf(path, sizeof path, "%s/f", dir);
    expect_load(path, ": error: cannot be opened: No such file or directory\n");
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_load(path, ": error: is not a regular file\n");
    unlink(path);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fputs("a b\n", f) < 0, 0);
    fclose(f);
    chmod(path, 0602);
    expect_load(path, ": error: everybody may write to this file; take that away with chmod o-w\n");
    chmod(path, 0600);
    expect_load(path, "");
    assert_int_equal(truncate(path, SCFG_FILE_MAX + 1), 0);
    expect_load(path, ": error: the file is larger than 1048576 bytes\n");
    unlink(path);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_the_place_of_each_word),     cmocka_unit_test(a_block_fits_on_one_line),
        cmocka_unit_test(an_empty_file_is_no_error),        cmocka_unit_test(lists_all_errors_in_order),
        cmocka_unit_test(names_each_block_that_stays_open), cmocka_unit_test(a_bad_line_does_not_shift_the_blocks),
        cmocka_unit_test(shows_hostile_bytes_escaped),      cmocka_unit_test(refuses_nul),
        cmocka_unit_test(shows_a_part_of_a_long_line),      cmocka_unit_test(keeps_its_bounds),
        cmocka_unit_test(counts_what_it_does_not_list),     cmocka_unit_test(what_it_writes_it_reads),
        cmocka_unit_test(guesses_what_was_meant),           cmocka_unit_test(loads_regular_files_alone),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
