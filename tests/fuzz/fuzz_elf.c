/*
 * The object file reader on damaged files: fuzz_elf [seed [count]]. A real graft, bent in a few places and sometimes
 * cut. It may refuse or accept, but must not read outside the file (the sanitizer sees to it), and what it accepts
 * must lie where elf.h promises. GRAFTD_TOP: the source tree, else ".".
 */
#include "tests/fuzz/corpus.h"
#include "tests/fuzz/elf_bend.h"
#include "worker/elf.h"

#include <unistd.h>

enum { COUNT_DEFAULT = 20000 };

static bool known(const char *name, unsigned abi) { return abi > 0 && strcmp(name, "graft_arg_count") == 0; }

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
    elf_check_imports(file, plan, "sample.graft", 1, known, &f);
}

int main(int argc, char **argv)
{
    static uint8_t built[FILE_ROOM];
    unsigned long count = bend_begin("fuzz_elf", argc, argv, COUNT_DEFAULT);
    size_t built_size, accepted = 0;
    struct corpus kept;
    struct elf_plan plan;

    alarm(CORPUS_ALARM_S);
    built_size = build(built);
    corpus_open(&kept, "elf", "");
    for (size_t i = 0; i < kept.count; i++) {
        struct failure f = { .err = OK };
        CHECK(elf_check(kept.list[i], &plan, &f) == OK);
        use(kept.list[i], &plan);
    }
    for (unsigned long round = 0; corpus_goes_on(round, count); round++) {
        size_t pick = draw(2 * kept.count);
        const uint8_t *good = pick < kept.count ? kept.list[pick].data : built;
        size_t size = pick < kept.count ? kept.list[pick].len : built_size;
        uint8_t *file = malloc(size); /* on the heap and of its size, so that a step too far is seen */
        struct failure f = { .err = OK };
        size_t n;

        CHECK(file != NULL);
        n = damage(file, good, size);
        file = realloc(file, n == 0 ? 1 : n);
        CHECK(file != NULL);
        if (elf_check(bytes_of(file, n), &plan, &f) == OK) {
            use(bytes_of(file, n), &plan);
            accepted++;
        }
        free(file);
    }
    printf("fuzz_elf: %zu were accepted\n", accepted);
    corpus_close(&kept);
    return 0;
}
