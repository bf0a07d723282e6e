/*
 * Damaged object files: a real graft, bent in a few places and sometimes cut. The same seed gives the same files.
 * GRAFTD_TOP: the source tree, else ".".
 */
#ifndef TESTS_FUZZ_ELF_BEND_H
#define TESTS_FUZZ_ELF_BEND_H

#include "lib/check.h"

#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BENDS_MAX = 4, FILE_ROOM = 1 << 20 };

static uint64_t seed = 0x2545f4914f6cdd1d;

static inline uint64_t draw(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

/* NAME [SEED [COUNT]]: how many files it shall be; says the seed. */
static inline unsigned long bend_begin(const char *name, int argc, char **argv, unsigned long count_default)
{
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 0) | 1;
    printf("%s: seed 0x%llx\n", name, (unsigned long long)seed);
    return argc > 2 ? strtoul(argv[2], NULL, 0) : count_default;
}

static inline size_t build(uint8_t *file)
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
static inline size_t place(const uint8_t *file, size_t size)
{
    Elf64_Ehdr h;

    memcpy(&h, file, sizeof h);
    switch (draw(6)) {
    case 0:
        return draw(sizeof h);
    case 1:
        return sizeof h + draw(h.e_phnum * sizeof(Elf64_Phdr));
    case 2:
        return size - 1 - draw(h.e_shnum * sizeof(Elf64_Shdr)); /* section headers come last */
    case 3:
        return draw(1024); /* symbols, names, relocations */
    case 4:
        return size > 4096 + 0x1000 ? 0x2000 + draw(0x1000) : draw(size); /* dynamic */
    default:
        return draw(size);
    }
}

static const uint64_t nasty[] = {
    0, 1, 7, 24, 4095, 4096, 0x7fffffff, 0xffffffff, 0x7fffffffffffffff, UINT64_MAX, UINT64_MAX - 4095
};

static inline void bend(uint8_t *file, size_t size, size_t at)
{
    uint64_t v = nasty[draw(sizeof nasty / sizeof nasty[0])];
    size_t width = (size_t)1 << draw(4);

    if (draw(2) == 0)
        file[at] = (uint8_t)(file[at] ^ (1u << draw(8)));
    else if (at + width <= size)
        memcpy(file + at / width * width, &v, width);
}

/* file: room for size bytes, filled from good; its new length. */
static inline size_t damage(uint8_t *file, const uint8_t *good, size_t size)
{
    size_t n = draw(8) == 0 ? draw(size + 1) : size;

    memcpy(file, good, size);
    for (uint64_t bends = 1 + draw(BENDS_MAX); bends > 0; bends--)
        bend(file, size, place(good, size));
    return n;
}

#endif
