/*
 * The object file reader on damaged files: fuzz_elf [seed [count]]. A real graft, bent in a few places and sometimes
 * cut. It may refuse or accept, but must not read outside the file (the sanitizer sees to it), and what it accepts
 * must lie where elf.h promises. GRAFTD_TOP: the source tree, else ".".
 */
#include "lib/check.h"
#include "worker/elf.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNT_DEFAULT = 20000, BENDS_MAX = 4, FILE_ROOM = 1 << 20, SECONDS_MAX = 600 };

static uint64_t seed = 0x2545f4914f6cdd1d;

static uint64_t draw(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

static size_t build(uint8_t *file)
{
    static const char source[] =
        "#include <graft.h>\nGRAFT_MODULE(\"sample\", \"1\", \"\"); static int n[99] = { 1 }; int *graft_p = n; "
        "static void *volatile q = n;\n"
        "GRAFT_FUNCTION(f, \"\") { return q == n ? (int)graft_arg_count(call) : n[3]++; } GRAFT_INIT { return 0; }\n";
    const char *top = getenv("GRAFTD_TOP");
    char directory[] = "/tmp/graft-fuzz-elf-XXXXXX", command[1024], path[128];
    size_t n = 0;
    FILE *f;

    CHECK(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/s.c", directory);
    f = fopen(path, "w");
    CHECK(f != NULL);
    fputs(source, f);
    fclose(f);
    snprintf(command, sizeof command,
             "gcc -O2 -fPIC -shared -nostdlib -fvisibility=hidden -Wl,-z,relro,-z,now -I%s/include -o %s/s.graft %s",
             top != NULL ? top : ".", directory, path);
    CHECK(system(command) == 0);
    snprintf(path, sizeof path, "%s/s.graft", directory);
    f = fopen(path, "r");
    CHECK(f != NULL);
    n = fread(file, 1, FILE_ROOM, f);
    fclose(f);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    CHECK(system(command) == 0);
    return n;
}

/* Somewhere in the tables, where it hurts; else anywhere. */
static size_t place(const uint8_t *file, size_t size)
{
    Elf64_Ehdr h;

    memcpy(&h, file, sizeof h);
    switch (draw(6)) {
    case 0: return draw(sizeof h);
    case 1: return sizeof h + draw(h.e_phnum * sizeof(Elf64_Phdr));
    case 2: return size - 1 - draw(h.e_shnum * sizeof(Elf64_Shdr)); /* section headers come last */
    case 3: return draw(1024);                                      /* symbols, names, relocations */
    case 4: return size > 4096 + 0x1000 ? 0x2000 + draw(0x1000) : draw(size); /* dynamic */
    default: return draw(size);
    }
}

static const uint64_t nasty[] = { 0, 1, 7, 24, 4095, 4096, 0x7fffffff, 0xffffffff,
                                  0x7fffffffffffffff, UINT64_MAX, UINT64_MAX - 4095 };

static void bend(uint8_t *file, size_t size, size_t at)
{
    uint64_t v = nasty[draw(sizeof nasty / sizeof nasty[0])];
    size_t width = (size_t)1 << draw(4);

    if (draw(2) == 0)
        file[at] = (uint8_t)(file[at] ^ (1u << draw(8)));
    else if (at + width <= size)
        memcpy(file + at / width * width, &v, width);
}

static bool known(const char *name) { return strcmp(name, "graft_arg_count") == 0; }

/* What elf.h promises of an accepted file. */
static void use(struct bytes file, const struct elf_plan *plan)
{
    struct failure f = { .err = OK };
    uint64_t value, end = 0;

    for (size_t i = 0; i < plan->segment_count; i++) {
        const struct elf_segment *s = &plan->segments[i];

        CHECK(s->address / ELF_PAGE * ELF_PAGE >= end);
        CHECK(s->off <= file.len && s->file_size <= file.len - s->off);
        CHECK(s->file_size <= s->memory_size);
        CHECK(!(s->write && s->execute));
        end = s->address + s->memory_size;
        CHECK(end <= plan->span);
    }
    CHECK(plan->span <= ELF_IMAGE_MAX);
    CHECK(plan->relro_start <= plan->relro_end);
    CHECK(plan->relro_end <= plan->span);
    CHECK(plan->manifest.len > 0 && plan->manifest.len <= ELF_MANIFEST_MAX);
    for (int table = 0; table < 2; table++)
        for (uint64_t i = 0; i < plan->relocations[table].count; i++) {
            struct elf_relocation r = elf_relocation(file, plan, table, i);

            CHECK(r.target <= plan->span - sizeof(uint64_t));
            CHECK(r.symbol < plan->symbols.count);
        }
    if (elf_find_code(file, plan, "graft_init", &value))
        CHECK(value < plan->span);
    elf_check_imports(file, plan, "sample.graft", known, &f);
}

int main(int argc, char **argv)
{
    static uint8_t good[FILE_ROOM];
    unsigned long count = argc > 2 ? strtoul(argv[2], NULL, 0) : COUNT_DEFAULT;
    size_t size, accepted = 0;
    struct elf_plan plan;

    alarm(SECONDS_MAX);
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 0) | 1;
    printf("fuzz_elf: seed 0x%llx\n", (unsigned long long)seed);
    size = build(good);
    for (unsigned long round = 0; round < count; round++) {
        size_t n = draw(8) == 0 ? draw(size + 1) : size;
        uint8_t *file = malloc(size); /* on the heap and of its size, so that a step too far is seen */
        struct failure f = { .err = OK };

        CHECK(file != NULL);
        memcpy(file, good, size);
        for (uint64_t bends = 1 + draw(BENDS_MAX); bends > 0; bends--)
            bend(file, size, place(good, size));
        file = realloc(file, n == 0 ? 1 : n);
        CHECK(file != NULL);
        if (elf_check(bytes_of(file, n), &plan, &f) == OK) {
            use(bytes_of(file, n), &plan);
            accepted++;
        }
        free(file);
    }
    printf("fuzz_elf: %zu of %lu accepted\n", accepted, count);
    return 0;
}
