/* json: what is written reads back, and nothing but a flat array is read. */
#include "graftctl/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static enum err read_text(const char *text, struct json_list *list, struct failure *why)
{
    return json_read_list(bytes_str(text), list, why);
}

static void expect_items(const char *text, const char *const *items, size_t count)
{
    struct failure why = { 0 };
    struct json_list list;

    json_list_init(&list);
    assert_int_equal(read_text(text, &list, &why), OK);
    assert_int_equal(list.count, count);
    for (size_t i = 0; i < count; i++)
        assert_true(bytes_equal(json_list_item(&list, i), bytes_str(items[i])));
    json_list_fini(&list);
}

static void reads_strings_numbers_and_base64(void **state)
{
    static const char *const items[] = {
        "bank.transfer", "", "-0.5e+3", "0", "a\"\\/\b\f\n\r\tz", "\xc3\xa9\xf0\x9f\x98\x80", "\xff\xfe"
    };

    (void)state;
    expect_items(" [ \"bank.transfer\" , \"\", -0.5e+3,0,\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\",\"\\u00e9\\ud83d\\ude00\","
                 " { \"base64\" : \"//4=\" } ] \r\n",
                 items, 7);
    expect_items("[]", NULL, 0);
    expect_items("[{\"base64\":\"\"},\"x\"]", (const char *const[]){ "", "x" }, 2);
}

static void refuses_all_else(void **state)
{
    static const char *const bad[] = {
        "",
        "{}",
        "[",
        "[1",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1]x",
        "[[1]]",
        "[{}]",
        "[true]",
        "[null]",
        "[01]",
        "[-]",
        "[1.]",
        "[.5]",
        "[1e]",
        "[+1]",
        "[0x1]",
        "[NaN]",
        "['a']",
        "[\"a]",
        "[\"\\x\"]",
        "[\"\\u12\"]",
        "[\"\n\"]",
        "[\"\xff\"]",
        "[\"\\ud800\"]",
        "[\"\\udc00\"]",
        "[\"\\ud800\\u0041\"]",
        "[\"\\ud800x\"]",
        "[\"a\"\"b\"]",
        "1",
        "[{\"base64\":\"=\"}]",
        "[{\"base64\":\"AA=A\"}]",
        "[{\"base64\":\"AAA\"}]",
        "[{\"base64\":\"AB==\"}]",
        "[{\"base64\":\"A\\u0000==\"}]",
        "[{\"base64\":1}]",
        "[{\"base65\":\"\"}]",
        "[{\"base64\":\"\",}]",
        "[{\"base64\"]",
        "[{\"base64\":\"====\"}]",
        "[{\"base64\":\"A===\"}]",
    };
    struct json_list list;

    (void)state;
    json_list_init(&list);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct failure why = { 0 };
        enum err err = read_text(bad[i], &list, &why);
        if (err != ERR_BADARG)
            print_message("read, and should not: %s\n", bad[i]);
        assert_int_equal(err, ERR_BADARG);
        assert_int_equal(strncmp(why.text, "byte ", 5), 0);
    }
    json_list_fini(&list);
}

static void says_where_it_stopped(void **state)
{
    struct failure why = { 0 };
    struct json_list list;

    (void)state;
    json_list_init(&list);
    assert_int_equal(read_text("[\"a\", nil]", &list, &why), ERR_BADARG);
    assert_non_null(strstr(why.text, "byte 7: "));
    json_list_fini(&list);
}

static void bounds_the_number_of_items(void **state)
{
    struct failure why = { 0 };
    struct json_list list;
    struct buf text;

    (void)state;
    json_list_init(&list);
    buf_init(&text, JSON_LINE_MAX);
    assert_int_equal(buf_add_str(&text, "[0"), OK);
    for (size_t i = 1; i < JSON_ITEM_MAX; i++)
        assert_int_equal(buf_add_str(&text, ",0"), OK);
    assert_int_equal(buf_add_str(&text, "]"), OK);
    assert_int_equal(json_read_list(buf_bytes(&text), &list, &why), OK);
    assert_int_equal(list.count, JSON_ITEM_MAX);
    text.len--;
    assert_int_equal(buf_add_str(&text, ",0]"), OK);
    assert_int_equal(json_read_list(buf_bytes(&text), &list, &why), ERR_LIMIT);
    buf_fini(&text);
    json_list_fini(&list);
}

/* One to three items of random bytes, more often than not UTF-8. */
static void add_random_items(struct json_list *list)
{
    uint8_t item[32];
    size_t count = 1 + (size_t)rand() % 3;

    json_list_clear(list);
    for (size_t i = 0; i < count; i++) {
        size_t n = (size_t)rand() % sizeof item;
        int mask = rand() % 3 == 0 ? 0xff : 0x7f;
        for (size_t k = 0; k < n; k++)
            item[k] = (uint8_t)(rand() & mask);
        assert_int_equal(json_list_add(list, bytes_of(item, n)), OK);
    }
}

static void write_list(const struct json_list *list, struct buf *text)
{
    buf_clear(text);
    assert_int_equal(buf_add_str(text, "["), OK);
    for (size_t i = 0; i < list->count; i++) {
        assert_int_equal(buf_add_str(text, i == 0 ? "" : ","), OK);
        assert_int_equal(json_add_bytes(text, json_list_item(list, i)), OK);
    }
    assert_int_equal(buf_add_str(text, "]"), OK);
}

static void what_is_written_reads_back(void **state)
{
    unsigned seed = (unsigned)time(NULL);
    struct json_list list, again;
    struct buf text;

    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    json_list_init(&list);
    json_list_init(&again);
    buf_init(&text, 1 << 20);
    for (int round = 0; round < 20000; round++) {
        struct failure why = { 0 };
        add_random_items(&list);
        write_list(&list, &text);
        assert_int_equal(json_read_list(buf_bytes(&text), &again, &why), OK);
        assert_int_equal(again.count, list.count);
        for (size_t i = 0; i < list.count; i++)
            assert_true(bytes_equal(json_list_item(&list, i), json_list_item(&again, i)));
        for (int flips = 0; flips < 4; flips++) /* whatever it says, it ends, and reads nothing that is not there */
            text.data[text.off + (size_t)rand() % buf_len(&text)] = (uint8_t)rand();
        json_read_list(buf_bytes(&text), &again, NULL);
        json_read_list(bytes_of(buf_bytes(&text).data, (size_t)rand() % buf_len(&text)), &again, NULL);
    }
    buf_fini(&text);
    json_list_fini(&list);
    json_list_fini(&again);
}

static void writes_what_json_has_no_number_for_as_a_string(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, 1024);
    assert_int_equal(json_add_double(&text, __builtin_inf()), OK);
    assert_int_equal(json_add_double(&text, -__builtin_inf()), OK);
    assert_int_equal(json_add_double(&text, __builtin_nan("")), OK);
    assert_int_equal(json_add_double(&text, 0.5), OK);
    assert_true(bytes_equal(buf_bytes(&text), bytes_str("\"inf\"\"-inf\"\"nan\"0.5")));
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_strings_numbers_and_base64),
        cmocka_unit_test(refuses_all_else),
        cmocka_unit_test(says_where_it_stopped),
        cmocka_unit_test(bounds_the_number_of_items),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(writes_what_json_has_no_number_for_as_a_string),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
