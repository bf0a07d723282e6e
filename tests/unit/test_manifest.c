/* manifest: what is read is exact, and each lie is refused with its record. */
#include "policy/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MODULE "module\t1\tbank\t1.2.0\tmoves money\0"
#define FUNCTION "function\ttransfer\twrite\tfrom to amount\0"
#define TEXT(literal) bytes_of(literal, sizeof(literal) - 1)

static void reads_what_a_graft_says(void **state)
{
    struct failure why = { 0 };
    struct manifest m;

    (void)state;
    assert_int_equal(manifest_read(TEXT(FUNCTION "\0\0" MODULE "function\tbalance_2\tread\t\0"), &m, &why), OK);
    assert_int_equal(m.abi, 1);
    assert_string_equal(m.name, "bank");
    assert_string_equal(m.version, "1.2.0");
    assert_string_equal(m.about, "moves money");
    assert_int_equal(m.function_count, 2);
    assert_string_equal(m.functions[0].name, "transfer");
    assert_string_equal(m.functions[0].parameters, "from to amount");
    assert_false(m.functions[0].readonly);
    assert_true(m.functions[1].readonly);
    assert_string_equal(m.functions[1].parameters, "");
    assert_int_equal(manifest_find(&m, bytes_str("balance_2")), 1);
    assert_int_equal(manifest_find(&m, bytes_str("balance")), -1);
    assert_int_equal(manifest_find(&m, bytes_of(NULL, 0)), -1);
    assert_int_equal(why.err, OK);
    manifest_fini(&m);
    manifest_fini(&m);
}

static void refuse(struct bytes text, const char *sentence)
{
    struct failure why = { 0 };
    struct manifest m = { .abi = 77 };

    assert_int_equal(manifest_read(text, &m, &why), ERR_BADGRAFT);
    assert_string_equal(why.text, sentence);
    assert_int_equal(m.abi, 77);
    assert_int_equal(manifest_read(text, &m, NULL), ERR_BADGRAFT);
}

static void refuses_what_is_not_whole(void **state)
{
    (void)state;
    refuse(bytes_of(NULL, 0), "the manifest is empty; write GRAFT_MODULE(name, version, about) once");
    refuse(TEXT("\0\0"), "the manifest has no module record; write GRAFT_MODULE(name, version, about) once");
    refuse(TEXT(FUNCTION), "the manifest has no module record; write GRAFT_MODULE(name, version, about) once");
    refuse(TEXT(MODULE), "the manifest has no function; write at least one GRAFT_FUNCTION");
    refuse(TEXT(MODULE FUNCTION "x"), "the manifest's last record does not end with NUL");
    refuse(TEXT(MODULE MODULE FUNCTION), "manifest record 2: a second module record; a graft has one GRAFT_MODULE");
    refuse(TEXT(MODULE FUNCTION FUNCTION), "manifest record 3: a second function \"transfer\"; give it another name");
}

static void refuses_records_of_another_shape(void **state)
{
    (void)state;
    refuse(TEXT("modul\t1\0"),
           "manifest record 1: \"modul\" is not a kind of record that this graftd knows: module or function");
    refuse(TEXT("\t\t\0"),
           "manifest record 1: \"\" is not a kind of record that this graftd knows: module or function");
    refuse(TEXT("module\t1\tbank\t1\0"), "manifest record 1: a module record has 5 fields, this one 4");
    refuse(TEXT("module\t1\tbank\t1\ta\tb\0"), "manifest record 1: more than 5 fields");
    refuse(TEXT("function\tf\twrite\0"), "manifest record 1: a function record has 4 fields, this one 3");
    refuse(TEXT("function\tf\twrite\tx\ty\0"), "manifest record 1: a function record has 4 fields, this one 5");
}

static void refuses_fields_that_are_not_what_they_must_be(void **state)
{
    static const char name[] =
        "is not a graft's name: a letter, then letters, digits and _, all lower case, at most 63 bytes";
    char sentence[256];

    (void)state;
    snprintf(sentence, sizeof sentence, "manifest record 1: \"Bank\" %s", name);
    refuse(TEXT("module\t1\tBank\t1\t\0"), sentence);
    snprintf(sentence, sizeof sentence, "manifest record 1: \"\" %s", name);
    refuse(TEXT("module\t1\t\t1\t\0"), sentence);
    refuse(TEXT("module\t1\tbank\t1 2\t\0"),
           "manifest record 1: \"1 2\" is not a version: 1 to 31 printable characters without a space");
    refuse(TEXT("module\t1\tbank\t\t\0"),
           "manifest record 1: \"\" is not a version: 1 to 31 printable characters without a space");
    refuse(TEXT("module\t1\tbank\t1\t\x1b[2J\0"),
           "manifest record 1: \"\\x1b[2J\" is not a description: at most 255 bytes of visible UTF-8");
    refuse(TEXT("module\t1\tbank\t1\t\xc3\0"),
           "manifest record 1: \"\\xc3\" is not a description: at most 255 bytes of visible UTF-8");
    refuse(TEXT("module\t0\tbank\t1\t\0"), "manifest record 1: \"0\" is not an ABI number of 1 or more");
    refuse(TEXT("module\t-1\tbank\t1\t\0"), "manifest record 1: \"-1\" is not an ABI number of 1 or more");
    refuse(TEXT("module\t4\tbank\t1\t\0"),
           "the graft is built for ABI 4, and this graftd knows up to 3; build it again with this "
           "graftd's graft.h, or run a newer graftd");
    refuse(TEXT("function\tf\trw\t\0"), "manifest record 1: \"rw\" is not read or write");
    refuse(TEXT("function\t9f\tread\t\0"),
           "manifest record 1: \"9f\" is not a function's name: a letter, then letters, digits and _, "
           "all lower case, at most 63 bytes");
    refuse(TEXT("function\tf\tread\t\xe2\x80\xae\0"),
           "manifest record 1: \"\\xe2\\x80\\xae\" is not a list of parameters: at most 255 bytes of visible UTF-8");
}

static enum err read_built(const char *name, const char *version, const char *about)
{
    char text[1024];
    struct manifest m = { 0 };
    int n = snprintf(text, sizeof text, "module\t1\t%s\t%s\t%s%cfunction\tf\tread\t%c", name, version, about, 0, 0);
    enum err err = manifest_read(bytes_of(text, (size_t)n), &m, NULL);

    manifest_fini(&m);
    return err;
}

static void fields_end_at_their_bounds(void **state)
{
    char name[65], version[33], about[257];

    (void)state;
    memset(name, 'n', 64);
    memset(version, 'v', 32);
    memset(about, 'a', 256);
    name[64] = version[32] = about[256] = '\0';
    assert_int_equal(read_built(name + 1, version + 1, about + 1), OK);
    assert_int_equal(read_built(name, "1", ""), ERR_BADGRAFT);
    assert_int_equal(read_built("n", version, ""), ERR_BADGRAFT);
    assert_int_equal(read_built("n", "1", about), ERR_BADGRAFT);
}

/* count functions, and NUL behind them up to a text of size bytes (0: none). */
static enum err read_many(size_t count, size_t size, struct failure *why)
{
    struct manifest m = { 0 };
    struct buf text;
    enum err err;

    buf_init(&text, 1 << 20);
    assert_int_equal(buf_add(&text, MODULE, sizeof MODULE - 1), OK);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(buf_addf(&text, "function\tf%zu\tread\t%c", i, 0), OK);
    while (buf_len(&text) < size)
        assert_int_equal(buf_add_u8(&text, 0), OK);
    err = manifest_read(buf_bytes(&text), &m, why);
    buf_fini(&text);
    manifest_fini(&m);
    return err;
}

static void counts_end_at_their_bounds(void **state)
{
    struct failure why = { 0 };

    (void)state;
    assert_int_equal(read_many(MANIFEST_FUNCTION_MAX, 0, &why), OK);
    assert_int_equal(read_many(MANIFEST_FUNCTION_MAX + 1, 0, &why), ERR_BADGRAFT);
    assert_string_equal(why.text, "manifest record 258: too many functions; a graft has at most 256");
    failure_clear(&why);
    assert_int_equal(read_many(1, MANIFEST_TEXT_MAX, &why), OK);
    assert_int_equal(read_many(1, MANIFEST_TEXT_MAX + 1, &why), ERR_BADGRAFT);
    assert_string_equal(why.text, "the manifest has 32769 bytes; at most 32768 are read");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_a_graft_says),
        cmocka_unit_test(refuses_what_is_not_whole),
        cmocka_unit_test(refuses_records_of_another_shape),
        cmocka_unit_test(refuses_fields_that_are_not_what_they_must_be),
        cmocka_unit_test(fields_end_at_their_bounds),
        cmocka_unit_test(counts_end_at_their_bounds),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
