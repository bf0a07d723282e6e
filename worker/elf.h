/*
 * Reading a graft's object file without trusting it (W2): bytes in, a plan for mapping out. No I/O, no memory, no
 * state.
 *
 * Only one plain shape of file is accepted, the one that `graftctl build` makes: an x86-64 shared object that needs
 * no other, runs nothing when it is mapped, has no writable code, and whose every offset lies where it must.
 * Everything else is refused with one sentence. After elf_check() said yes, every offset in the plan, and every
 * relocation and symbol reached through elf_symbol() and elf_relocation(), is inside the file and the image.
 */
#ifndef GRAFTD_WORKER_ELF_H
#define GRAFTD_WORKER_ELF_H

#include "lib/buf.h"
#include "lib/err.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ELF_PAGE = 4096,                     /* bytes */
    ELF_FILE_MAX = 16 * 1024 * 1024,     /* bytes */
    ELF_IMAGE_MAX = 64 * 1024 * 1024,    /* bytes from the first to the last page */
    ELF_SEGMENTS_MAX = 16,
    ELF_SECTIONS_MAX = 64,
    ELF_DYNAMIC_MAX = 128,               /* entries */
    ELF_SYMBOLS_MAX = 65536,
    ELF_RELOCATIONS_MAX = 262144,        /* each of the two tables */
    ELF_MANIFEST_MAX = 32 * 1024,        /* bytes of section .graft */
    ELF_MISSING_NAMED = 8,               /* names in one refusal */
};

/* One PT_LOAD: file bytes off … off+file_size are to be at image offset address; zeros up to memory_size. */
struct elf_segment {
    uint64_t off, address, file_size, memory_size;
    bool write, execute;
};

struct elf_table {
    uint64_t off; /* in the file */
    uint64_t count;
};

struct elf_plan {
    struct elf_segment segments[ELF_SEGMENTS_MAX]; /* ascending, on pages of their own */
    size_t segment_count;
    uint64_t span;                    /* bytes of the image, whole pages, from address 0 */
    uint64_t relro_start, relro_end;  /* pages to be made read-only after relocation; equal: none */
    struct elf_table symbols;
    struct elf_table relocations[2];  /* data, then jump slots */
    uint64_t names_off, names_size;   /* the symbols' names; the last byte is NUL */
    struct bytes manifest;            /* content of section .graft, borrowed from the file */
};

struct elf_symbol {
    const char *name; /* borrowed from the file */
    uint64_t value;   /* image offset; meaningless unless defined */
    bool defined, weak, code; /* code: lies in an executable segment */
};

/* What a relocation writes: 8 bytes at image offset `target`. */
struct elf_relocation {
    uint64_t target;
    uint64_t addend;
    uint32_t symbol; /* 0: none, the value is image base + addend */
};

/* ERR_BADGRAFT with a sentence. file stays borrowed by the plan. */
enum err elf_check(struct bytes file, struct elf_plan *plan, struct failure *f);

/* Names what the object wants that `known` does not have for the ABI that it was built for. ERR_BADGRAFT; who: begins the
 * sentence, e.g. "bank.graft". */
enum err elf_check_imports(struct bytes file, const struct elf_plan *plan, const char *who, unsigned abi,
                           bool (*known)(const char *name, unsigned abi), struct failure *f);

/* i < plan->symbols.count; i < plan->relocations[table].count */
struct elf_symbol elf_symbol(struct bytes file, const struct elf_plan *plan, uint64_t i);
struct elf_relocation elf_relocation(struct bytes file, const struct elf_plan *plan, int table, uint64_t i);

/* The defined code symbol of that name. False when there is none. */
bool elf_find_code(struct bytes file, const struct elf_plan *plan, const char *name, uint64_t *value);

#endif
