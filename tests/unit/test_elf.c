/*
 * The loader: which object files are refused, with which sentence, and that a good one is mapped and can be called.
 * Samples are built here with gcc, then bent. GRAFTD_TOP: the source tree, else ".".
 */
#include "worker/elf.h"
#include "worker/load.h"

#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { SECONDS_MAX = 60, FILE_ROOM = 1 << 20 };

static char directory[] = "/tmp/graft-elf-test-XXXXXX";
static uint8_t good[FILE_ROOM], bent[FILE_ROOM];
static size_t good_size;

#define SAMPLE \
    "#include <graft.h>\n" \
    "GRAFT_MODULE(\"sample\", \"1.0.0\", \"to be bent\");\n" \
    "static int cells[3000] = { 1 }; int *graft_visible = &cells[2];\n" \
    "static const char *const words[] = { \"a\", \"b\" };\n" \
    "extern int absent(void) __attribute__((weak));\n" \
    "GRAFT_FUNCTION(add, \"a b\") { return (int)graft_arg_count(call) + cells[0]++ + (absent ? 1000 : 0); }\n" \
    "GRAFT_FUNCTION_RO(look, \"\") { cells[2999] = 5; return words[graft_key_count(call) > 0][0]; }\n" \
    "GRAFT_INIT { return cells[1]; }\n"

static const char *path_of(const char *name)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static int build(const char *source, const char *flags)
{
    const char *top = getenv("GRAFTD_TOP");
    char command[1024];
    FILE *file = fopen(path_of("sample.c"), "w");
    int fd;

    assert_non_null(file);
    fputs(source, file);
    fclose(file);
    snprintf(command, sizeof command,
             "gcc -O2 -w -fPIC -shared -nostdlib -fvisibility=hidden -Wl,-z,relro,-z,now -I%s/include %s -o "
             "%s/sample.graft %s/sample.c",
             top != NULL ? top : ".", flags, directory, directory);
    assert_int_equal(system(command), 0);
    fd = open(path_of("sample.graft"), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static size_t arg_count(struct graft_call *call)
{
    (void)call;
    return 40;
}

static size_t key_count(struct graft_call *call)
{
    (void)call;
    return 1;
}

static void *resolve(const char *name, unsigned abi)
{
    if (strcmp(name, "graft_arg_count") == 0)
        return (void *)(uintptr_t)arg_count;
    return strcmp(name, "graft_key_count") == 0 && abi >= 2 ? (void *)(uintptr_t)key_count : NULL; /* since ABI 2 */
}

static void assert_refused(const char *source, const char *flags, const char *why)
{
    struct graft graft = { .image = NULL };
    struct failure f = { .err = OK };
    int fd = build(source, flags);

    assert_int_equal(graft_load(fd, resolve, &graft, &f), ERR_BADGRAFT);
    if (strstr(f.text, why) == NULL)
        fail_msg("refused because \"%s\", not \"%s\"", f.text, why);
    assert_null(graft.image);
    close(fd);
}

static int read_good(void **state)
{
    int fd = build(SAMPLE, "");
    ssize_t n = read(fd, good, sizeof good);

    (void)state;
    close(fd);
    good_size = (size_t)n;
    return n > 0 ? 0 : -1;
}

/* ---- files as they come out of a compiler ---- */

static void a_good_graft_is_mapped_and_can_be_called(void **state)
{
    struct graft graft;
    struct failure f = { .err = OK };
    int fd = build(SAMPLE, ""), look;

    (void)state;
    assert_int_equal(graft_load(fd, resolve, &graft, &f), OK);
    close(fd);
    assert_int_equal(graft.function_count, 2);
    assert_non_null(memmem(graft.manifest.data, graft.manifest.len, "module\t3\tsample\t1.0.0\tto be bent", 33));
    look = graft.functions[0](NULL) == 'b' ? 0 : 1; /* the compiler may have turned the records round */
    assert_int_equal(graft.functions[look](NULL), 'b');
    assert_int_equal(graft.functions[1 - look](NULL), 41);
    assert_int_equal(graft.functions[1 - look](NULL), 42);
    assert_int_equal(graft.init(), 0);
    graft_unload(&graft);
}

static void what_a_graft_may_not_be_is_refused_by_name(void **state)
{
    (void)state;
    assert_refused("int x;", "", "no GRAFT_MODULE");
    assert_refused(SAMPLE "int open(); GRAFT_EXPORT_ int f(void) { return open(); }", "",
                   "sample.graft wants open(), which a graft may not call");
    assert_refused("#include <graft.h>\n#undef GRAFT_ABI\n#define GRAFT_ABI 1\nGRAFT_MODULE(\"old\", \"1\", \"\");\n"
                   "GRAFT_FUNCTION(f, \"\") { return (int)graft_key_count(call); }\n", "",
                   "old.graft wants graft_key_count(), which a graft may not call (it was built for ABI 1)");
    assert_refused(SAMPLE "__attribute__((constructor)) static void f(void) { cells[0] = 9; }", "", "constructor");
    assert_refused(SAMPLE "__attribute__((destructor)) static void f(void) { cells[0] = 9; }", "",
                   "constructor or destructor");
    assert_refused(SAMPLE "__thread int t; GRAFT_EXPORT_ int *graft_t(void) { return &t; }", "", "thread-local");
    assert_refused(SAMPLE "static int one(void) { return 1; } static void *pick(void) { return one; }\n"
                          "GRAFT_EXPORT_ int ifun(void) __attribute__((ifunc(\"pick\")));", "", "ifunc");
    assert_refused(SAMPLE "static int one(void) { return 1; } static void *pick(void) { return one; }\n"
                          "static int ifun(void) __attribute__((ifunc(\"pick\"))); GRAFT_EXPORT_ int g(void)\n"
                          "{ return ifun(); }",
                   "", "relocation of type 37");
    assert_refused(SAMPLE, "-z execstack", "executable stack");
    assert_refused(SAMPLE, "-lm -Wl,--no-as-needed -lm", "needs another library");
    assert_refused(SAMPLE, "-Wl,-rpath,/tmp", "names a path");
    assert_refused(SAMPLE, "-Wl,-N,--no-warn-rwx-segments", "both writable and executable");
}

static void what_the_manifest_promises_must_be_there(void **state)
{
    (void)state;
    assert_refused("#include <graft.h>\nGRAFT_MODULE(\"Sample\", \"1\", \"\");", "", "name must be");
    assert_refused("#include <graft.h>\nGRAFT_RECORD_(r, \"module\\t99\\tsample\\t1\\t\");", "",
                   "sample.graft was built for ABI 99");
    assert_refused("#include <graft.h>\nGRAFT_RECORD_(r, \"module\\tx\\tsample\\t1\\t\");", "", "which ABI");
    assert_refused("#include <graft.h>\nGRAFT_RECORD_(r, \"nothing\");", "", "no GRAFT_MODULE");
    assert_refused(SAMPLE "GRAFT_RECORD_(r, \"function\\tlost\\tread\\t\");", "",
                   "sample.graft names the function lost and does not have it");
    assert_refused(SAMPLE "GRAFT_RECORD_(r, \"function\\t../x\\tread\\t\");", "", "names a function that is not");
    assert_refused(SAMPLE "GRAFT_RECORD_(r, \"function\\tx\\tread\\t\"); GRAFT_EXPORT_ int graft_function_x;", "",
                   "names the function x and does not have it");
}

/* ---- bent by hand ---- */

static enum err check_bent(struct failure *f)
{
    static struct elf_plan plan;

    failure_clear(f);
    return elf_check(bytes_of(bent, good_size), &plan, f);
}

static Elf64_Ehdr *bend(void)
{
    memcpy(bent, good, good_size);
    return (Elf64_Ehdr *)(void *)bent;
}

static Elf64_Phdr *segment(uint32_t type, int nth)
{
    Elf64_Ehdr *h = bend();
    Elf64_Phdr *p = (Elf64_Phdr *)(void *)(bent + h->e_phoff);

    while (p->p_type != type || nth-- > 0)
        p++;
    return p;
}

static Elf64_Dyn *dynamic(int64_t tag)
{
    Elf64_Dyn *d = (Elf64_Dyn *)(void *)(bent + segment(PT_DYNAMIC, 0)->p_offset);

    while (d->d_tag != tag && d->d_tag != DT_NULL)
        d++;
    return d;
}

#define ASSERT_BENT(change, why) \
    do { \
        struct failure f; \
        change; \
        assert_int_equal(check_bent(&f), ERR_BADGRAFT); \
        if (strstr(f.text, why) == NULL) \
            fail_msg("%s: refused because \"%s\"", #change, f.text); \
    } while (0)

static void a_bent_header_is_refused(void **state)
{
    (void)state;
    ASSERT_BENT(bend()->e_machine = EM_386, "x86-64");
    ASSERT_BENT(bend()->e_type = ET_EXEC, "not a shared object");
    ASSERT_BENT(bend()->e_ehsize = 63, "ELF header");
    ASSERT_BENT(bend()->e_phnum = 17, "segments");
    ASSERT_BENT(bend()->e_phoff = UINT64_MAX - 10, "segments");
    ASSERT_BENT(bend()->e_shnum = 65, "sections");
    ASSERT_BENT(bend()->e_shoff = good_size - 10, "sections");
    ASSERT_BENT(bend()->e_shstrndx = 64, "sections");
}

static void bent_segments_are_refused(void **state)
{
    (void)state;
    ASSERT_BENT(segment(PT_LOAD, 1)->p_flags = PF_R | PF_W | PF_X, "both writable and executable");
    ASSERT_BENT(segment(PT_LOAD, 1)->p_vaddr = 0, "overlap");
    ASSERT_BENT(segment(PT_LOAD, 1)->p_vaddr++, "cannot be mapped");
    ASSERT_BENT(segment(PT_LOAD, 1)->p_memsz++, "longer than its content");
    ASSERT_BENT(segment(PT_LOAD, 3)->p_memsz = UINT64_MAX, "larger than");
    ASSERT_BENT(segment(PT_LOAD, 3)->p_vaddr = UINT64_MAX - 4095, "larger than");
    ASSERT_BENT(segment(PT_LOAD, 3)->p_filesz = UINT64_MAX, "not in its file");
    ASSERT_BENT(segment(PT_LOAD, 3)->p_offset = UINT64_MAX - 4095, "not in its file");
    ASSERT_BENT(segment(PT_GNU_RELRO, 0)->p_vaddr = 0, "read-only-after-relocation");
    ASSERT_BENT(segment(PT_GNU_RELRO, 0)->p_memsz = UINT64_MAX, "read-only-after-relocation");
    ASSERT_BENT(segment(PT_NOTE, 0)->p_type = PT_INTERP, "interpreter");
    ASSERT_BENT(segment(PT_DYNAMIC, 0)->p_vaddr = 1 << 25, "dynamic section");
}

static void bent_dynamic_entries_are_refused(void **state)
{
    (void)state;
    ASSERT_BENT(dynamic(DT_SYMTAB)->d_un.d_val += 24, "table of symbols");
    ASSERT_BENT(dynamic(DT_STRSZ)->d_un.d_val = UINT64_MAX, "table of names");
    ASSERT_BENT(dynamic(DT_STRSZ)->d_un.d_val -= 1, "table of names");
    ASSERT_BENT(dynamic(DT_RELASZ)->d_un.d_val = UINT64_MAX / 24 * 24, "table of relocations");
    ASSERT_BENT(dynamic(DT_RELAENT)->d_un.d_val = 16, "relocations of another kind");
    ASSERT_BENT(dynamic(DT_PLTREL)->d_un.d_val = DT_REL, "relocations of another kind");
    ASSERT_BENT(dynamic(DT_JMPREL)->d_un.d_val = 3, "");
    ASSERT_BENT(dynamic(DT_GNU_HASH)->d_tag = 36, "entry 0x24");
    ASSERT_BENT(dynamic(DT_GNU_HASH)->d_tag = DT_TEXTREL, "text relocations");
}

static void a_relocation_may_not_touch_code(void **state)
{
    struct failure f;
    uint64_t code = segment(PT_LOAD, 1)->p_vaddr;
    uint64_t table = dynamic(DT_RELA)->d_un.d_val; /* in the first segment: its place in the file too */

    (void)state;
    ((Elf64_Rela *)(void *)(bent + table))->r_offset = code;
    assert_int_equal(check_bent(&f), ERR_BADGRAFT);
    assert_non_null(strstr(f.text, "outside its writable data"));
}

static void every_cut_is_refused(void **state)
{
    static struct elf_plan plan;
    struct failure f;

    (void)state;
    for (size_t n = 0; n < good_size; n += n < 200 ? 1 : 97) {
        uint8_t *copy = malloc(n + 1); /* of its size, so that a step too far is noticed */

        assert_non_null(copy);
        memcpy(copy, good, n);
        failure_clear(&f);
        assert_int_equal(elf_check(bytes_of(copy, n), &plan, &f), ERR_BADGRAFT);
        free(copy);
    }
}

static void a_file_that_is_too_long_is_refused(void **state)
{
    struct graft graft;
    struct failure f = { .err = OK };
    int fd = open(path_of("long"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, ELF_FILE_MAX + 5), 0);
    assert_int_equal(graft_load(fd, resolve, &graft, &f), ERR_BADGRAFT);
    assert_non_null(strstr(f.text, "at most 16777216"));
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_graft_is_mapped_and_can_be_called),
        cmocka_unit_test(what_a_graft_may_not_be_is_refused_by_name),
        cmocka_unit_test(what_the_manifest_promises_must_be_there),
        cmocka_unit_test(a_bent_header_is_refused),
        cmocka_unit_test(bent_segments_are_refused),
        cmocka_unit_test(bent_dynamic_entries_are_refused),
        cmocka_unit_test(a_relocation_may_not_touch_code),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(a_file_that_is_too_long_is_refused),
    };
    char command[256];
    int failed;

    alarm(SECONDS_MAX);
    if (mkdtemp(directory) == NULL)
        return 1;
    failed = cmocka_run_group_tests(tests, read_good, NULL);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command) != 0 || failed != 0;
}
