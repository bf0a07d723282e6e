/* batch: a line becomes one command, or is told what is wrong with it. */
#include "graftctl/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The words of the command, with "|" between them; the sentence when there is none. */
static void expect(const char *line, struct batch_options options, const char *expected)
{
    struct json_list words, command;
    struct failure why = { 0 };
    char got[512] = "";

    json_list_init(&words);
    json_list_init(&command);
    if (batch_read_line(bytes_str(line), &words, &why) == OK)
        batch_command(&words, &options, &command, &why);
    for (size_t i = 0; why.err == OK && i < command.count; i++) {
        struct bytes word = json_list_item(&command, i);
        strcat(got, i == 0 ? "" : "|");
        strncat(got, word.len == 0 ? "" : word.data, word.len);
    }
    assert_string_equal(why.err == OK ? got : why.text, expected);
    json_list_fini(&words);
    json_list_fini(&command);
}

static void a_line_is_json_or_words_with_tabs(void **state)
{
    struct batch_options none = { 0 };

    (void)state;
    expect("[\"bank.transfer\",\"a\",\"b\",5]", none, "CALL|bank.transfer|ARGS|a|b|5");
    expect("bank.transfer\ta\tb c\t5", none, "CALL|bank.transfer|ARGS|a|b c|5");
    expect("nop.nop", none, "CALL|nop.nop|ARGS");
    expect("nop.nop\t", none, "CALL|nop.nop|ARGS|");
    expect("  [\"nop.nop\"] ", none, "CALL|nop.nop|ARGS");
}

static void options_become_words(void **state)
{
    (void)state;
    expect("f.g\ta\tb\tc", (struct batch_options){ .keys = 2 }, "CALL|f.g|KEYS|2|a|b|ARGS|c");
    expect("f.g\ta\tb", (struct batch_options){ .keys = 2 }, "CALL|f.g|KEYS|2|a|b|ARGS");
    expect("f.g\ta", (struct batch_options){ .readonly = true, .timeout = "50" }, "CALL|f.g|TIMEOUT|50|READONLY|ARGS|a");
    expect("f.g\ta", (struct batch_options){ .dry_run = true }, "CALL|f.g|DRYRUN|ARGS|a");
    expect("f.g\ta", (struct batch_options){ .token = "t" }, "CALL|f.g|IDEM|t|ARGS|a");
}

static void a_bad_line_is_told_why(void **state)
{
    struct batch_options none = { 0 };

    (void)state;
    expect("[]", none, "the first item must be the function, as graft.function");
    expect("\ta", none, "the first item must be the function, as graft.function");
    expect("[1", none, "byte 3: an item is followed by , or ]");
    expect("f.g\ta", (struct batch_options){ .keys = 2 }, "1 arguments, and the first 2 are to be keys");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_json_or_words_with_tabs),
        cmocka_unit_test(options_become_words),
        cmocka_unit_test(a_bad_line_is_told_why),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
