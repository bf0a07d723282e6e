/* object: the name of a graft is found in a good file, and no bad file makes the reader look outside of it. */
#include "graftctl/object.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const char names[] = "\0.shstrtab\0.graft";
static const char records[] = "function\trun\twrite\tx\0module\t1\tbank\t1.2.0\tmoves money";

/* Header, names, records, three section headers. */
struct image {
    Elf64_Ehdr head;
    char names[sizeof names];
    char records[sizeof records];
    Elf64_Shdr sections[3];
} __attribute__((packed));

static struct image good_image(void)
{
    struct image m = { 0 };

    memcpy(m.head.e_ident, ELFMAG, SELFMAG);
    m.head.e_ident[EI_CLASS] = ELFCLASS64;
    m.head.e_ident[EI_DATA] = ELFDATA2LSB;
    m.head.e_type = ET_DYN;
    m.head.e_machine = EM_X86_64;
    m.head.e_shoff = offsetof(struct image, sections);
    m.head.e_shentsize = sizeof(Elf64_Shdr);
    m.head.e_shnum = 3;
    m.head.e_shstrndx = 1;
    memcpy(m.names, names, sizeof names);
    memcpy(m.records, records, sizeof records);
    m.sections[1] = (Elf64_Shdr){
        .sh_name = 1, .sh_type = SHT_STRTAB, .sh_offset = offsetof(struct image, names), .sh_size = sizeof names
    };
    m.sections[2] = (Elf64_Shdr){
        .sh_name = 11, .sh_type = SHT_PROGBITS, .sh_offset = offsetof(struct image, records), .sh_size = sizeof records
    };
    return m;
}

/* Reads a copy that has exactly that many bytes, so that a sanitizer sees a step too far. */
static enum err read_name(const void *data, size_t len, char name[OBJECT_NAME_MAX + 1], struct failure *why)
{
    char *copy = malloc(len == 0 ? 1 : len);
    struct bytes text;
    enum err err;

    assert_non_null(copy);
    memcpy(copy, data, len);
    err = object_text(bytes_of(copy, len), &text, why);
    if (err == OK)
        err = object_name(text, name, why);
    free(copy);
    return err;
}

static void finds_the_name(void **state)
{
    struct image m = good_image();
    struct failure why = { 0 };
    char name[OBJECT_NAME_MAX + 1];

    (void)state;
    assert_int_equal(read_name(&m, sizeof m, name, &why), OK);
    assert_string_equal(name, "bank");
}

static void refuses_a_file_cut_anywhere(void **state)
{
    struct image m = good_image();
    char name[OBJECT_NAME_MAX + 1];

    (void)state;
    for (size_t n = 0; n < sizeof m; n++) {
        struct failure why = { 0 };
        assert_int_equal(read_name(&m, n, name, &why), ERR_BADGRAFT);
        assert_true(why.text[0] != '\0');
    }
}

static void refuses_each_bad_field(void **state)
{
    char name[OBJECT_NAME_MAX + 1];
    struct image m;

    (void)state;
#define BAD(field, value)                                                                                              \
    m = good_image();                                                                                                  \
    m.field = (value);                                                                                                 \
    assert_int_equal(read_name(&m, sizeof m, name, NULL), ERR_BADGRAFT)
    BAD(head.e_ident[0], 0);
    BAD(head.e_ident[EI_CLASS], ELFCLASS32);
    BAD(head.e_ident[EI_DATA], ELFDATA2MSB);
    BAD(head.e_type, ET_EXEC);
    BAD(head.e_type, ET_REL);
    BAD(head.e_machine, EM_AARCH64);
    BAD(head.e_shentsize, 63);
    BAD(head.e_shnum, 0);
    BAD(head.e_shnum, 4);
    BAD(head.e_shnum, OBJECT_SECTION_MAX + 1);
    BAD(head.e_shstrndx, 3);
    BAD(head.e_shstrndx, 0);
    BAD(head.e_shoff, sizeof m);
    BAD(head.e_shoff, UINT64_MAX);
    BAD(head.e_shoff, UINT64_MAX - 63);
    BAD(sections[1].sh_offset, UINT64_MAX);
    BAD(sections[1].sh_size, UINT64_MAX);
    BAD(sections[1].sh_size, sizeof names - 1); /* ".graft" without its end */
    BAD(sections[2].sh_name, UINT32_MAX);
    BAD(sections[2].sh_type, SHT_NOBITS);
    BAD(sections[2].sh_offset, UINT64_MAX - 1);
    BAD(sections[2].sh_size, UINT64_MAX);
    BAD(sections[2].sh_size, OBJECT_TEXT_MAX + 1);
    BAD(sections[2].sh_size, sizeof records - 1); /* a record without its end */
    BAD(sections[2].sh_size, 0);
#undef BAD
}

static enum err name_in(const char *text, size_t len, char name[OBJECT_NAME_MAX + 1])
{
    struct failure why = { 0 };

    return object_name(bytes_of(text, len), name, &why);
}

static void wants_one_module_with_a_plain_name(void **state)
{
    static const char two[] = "module\t1\ta\t1\tx\0module\t1\tb\t1\tx", none[] = "function\trun\twrite\tx";
    static const char *const bad[] = { "module",
                                       "module\t1",
                                       "module\t1\t\t1\tx",
                                       "module\t1\tBank\t1\tx",
                                       "module\t1\t9a\t1\tx",
                                       "module\t1\ta-b\t1\tx",
                                       "module\t1\t--replace\t1\tx",
                                       "module\t1\ta/b\t1\tx" };
    char name[OBJECT_NAME_MAX + 1], longest[OBJECT_NAME_MAX + 16], too_long[OBJECT_NAME_MAX + 16];

    (void)state;
    assert_int_equal(name_in(two, sizeof two, name), ERR_BADGRAFT);
    assert_int_equal(name_in(none, sizeof none, name), ERR_BADGRAFT);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(name_in(bad[i], strlen(bad[i]) + 1, name), ERR_BADGRAFT);
    snprintf(longest, sizeof longest, "module\t1\t%0*d", OBJECT_NAME_MAX, 1);
    snprintf(too_long, sizeof too_long, "module\t1\t%0*d", OBJECT_NAME_MAX + 1, 1);
    longest[9] = too_long[9] = 'a';
    assert_int_equal(name_in(longest, strlen(longest) + 1, name), OK);
    assert_int_equal(strlen(name), OBJECT_NAME_MAX);
    assert_int_equal(name_in(too_long, strlen(too_long) + 1, name), ERR_BADGRAFT);
}

static void survives_random_damage(void **state)
{
    unsigned seed = (unsigned)time(NULL);
    char name[OBJECT_NAME_MAX + 1];

    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 50000; round++) {
        struct image m = good_image();
        for (int flips = 1 + rand() % 4; flips > 0; flips--)
            ((uint8_t *)&m)[(size_t)rand() % sizeof m] = (uint8_t)rand();
        if (read_name(&m, sizeof m, name, NULL) == OK)
            assert_true(object_name_valid(bytes_str(name)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_name),         cmocka_unit_test(refuses_a_file_cut_anywhere),
        cmocka_unit_test(refuses_each_bad_field), cmocka_unit_test(wants_one_module_with_a_plain_name),
        cmocka_unit_test(survives_random_damage),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
