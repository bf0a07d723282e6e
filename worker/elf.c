/*
 * The strict reader of object files. Every number comes from the file and is hostile until compared; sums are written
 * as comparisons that cannot overflow. Structures are copied out, for nothing in the file need be aligned.
 */
#include "worker/elf.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>

static enum err refuse(struct failure *f, const char *what) { return fail(f, ERR_BADGRAFT, "the graft %s", what); }

static bool in_file(struct bytes file, uint64_t off, uint64_t size)
{
    return off <= file.len && size <= file.len - off;
}

/* off + sizeof *out was checked to be in the file. */
static void copy_out(struct bytes file, uint64_t off, void *out, size_t size)
{
    memcpy(out, (const uint8_t *)file.data + off, size);
}

static uint64_t page_down(uint64_t n) { return n & ~(uint64_t)(ELF_PAGE - 1); }
static uint64_t page_up(uint64_t n) { return page_down(n + ELF_PAGE - 1); }

/* ---- header ---- */

static enum err check_header(struct bytes file, Elf64_Ehdr *h, struct failure *f)
{
    if (file.len > ELF_FILE_MAX)
        return fail(f, ERR_BADGRAFT, "the graft is %zu bytes long, and at most %d are allowed", file.len, ELF_FILE_MAX);
    if (file.len < sizeof *h)
        return fail(f, ERR_BADGRAFT, "the graft is only %zu bytes long: not an object file", file.len);
    copy_out(file, 0, h, sizeof *h);
    if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0)
        return refuse(f, "is not an ELF object file");
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB || h->e_machine != EM_X86_64)
        return refuse(f, "was not built for x86-64");
    if (h->e_type != ET_DYN)
        return refuse(f, "is not a shared object; build it with `graftctl build`");
    if (h->e_ident[EI_VERSION] != EV_CURRENT || h->e_version != EV_CURRENT || h->e_ehsize != sizeof *h ||
        (h->e_ident[EI_OSABI] != ELFOSABI_SYSV && h->e_ident[EI_OSABI] != ELFOSABI_GNU))
        return refuse(f, "has a damaged ELF header");
    if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phnum == 0 || h->e_phnum > ELF_SEGMENTS_MAX ||
        !in_file(file, h->e_phoff, (uint64_t)h->e_phnum * sizeof(Elf64_Phdr)))
        return fail(f, ERR_BADGRAFT, "the graft has a damaged table of segments, or more than %d", ELF_SEGMENTS_MAX);
    if (h->e_shentsize != sizeof(Elf64_Shdr) || h->e_shnum == 0 || h->e_shnum > ELF_SECTIONS_MAX ||
        h->e_shstrndx >= h->e_shnum || !in_file(file, h->e_shoff, (uint64_t)h->e_shnum * sizeof(Elf64_Shdr)))
        return fail(f, ERR_BADGRAFT, "the graft has a damaged table of sections, none, or more than %d",
                    ELF_SECTIONS_MAX);
    return OK;
}

/* ---- segments ---- */

static enum err add_segment(struct bytes file, const Elf64_Phdr *p, struct elf_plan *plan, struct failure *f)
{
    struct elf_segment *s = &plan->segments[plan->segment_count];

    if (p->p_memsz == 0)
        return refuse(f, "has an empty segment");
    if (p->p_vaddr > ELF_IMAGE_MAX || p->p_memsz > ELF_IMAGE_MAX - p->p_vaddr)
        return fail(f, ERR_BADGRAFT, "the graft's image is larger than %d bytes", ELF_IMAGE_MAX);
    if (p->p_filesz > p->p_memsz || !in_file(file, p->p_offset, p->p_filesz))
        return refuse(f, "has a segment that is not in its file");
    if (p->p_offset % ELF_PAGE != p->p_vaddr % ELF_PAGE)
        return refuse(f, "has a segment that cannot be mapped: file and memory do not agree on its page");
    if (page_down(p->p_vaddr) < plan->span)
        return refuse(f, "has segments that overlap or are out of order");
    if ((p->p_flags & PF_W) != 0 && (p->p_flags & PF_X) != 0)
        return refuse(f, "has a segment that is both writable and executable");
    if ((p->p_flags & PF_W) == 0 && p->p_filesz != p->p_memsz)
        return refuse(f, "has a read-only segment that is longer than its content");
    *s = (struct elf_segment){ .off = p->p_offset, .address = p->p_vaddr, .file_size = p->p_filesz,
                               .memory_size = p->p_memsz, .write = (p->p_flags & PF_W) != 0,
                               .execute = (p->p_flags & PF_X) != 0 };
    plan->segment_count++;
    plan->span = page_up(p->p_vaddr + p->p_memsz);
    return OK;
}

static const struct elf_segment *segment_of(const struct elf_plan *plan, uint64_t address, uint64_t size)
{
    for (size_t i = 0; i < plan->segment_count; i++) {
        const struct elf_segment *s = &plan->segments[i];

        if (address >= s->address && address - s->address <= s->memory_size &&
            size <= s->memory_size - (address - s->address))
            return s;
    }
    return NULL;
}

/* Pages of a writable segment, so that nothing but data loses its write right. */
static enum err check_relro(const Elf64_Phdr *p, struct elf_plan *plan, struct failure *f)
{
    for (size_t i = 0; i < plan->segment_count; i++) {
        const struct elf_segment *s = &plan->segments[i];
        uint64_t start = page_down(s->address), end = page_up(s->address + s->memory_size);

        if (!s->write || p->p_vaddr < start || p->p_vaddr > end || p->p_memsz > end - p->p_vaddr)
            continue;
        plan->relro_start = page_down(p->p_vaddr);
        plan->relro_end = page_down(p->p_vaddr + p->p_memsz);
        if (plan->relro_end < plan->relro_start)
            plan->relro_end = plan->relro_start;
        return OK;
    }
    return refuse(f, "has a read-only-after-relocation range outside its data");
}

static enum err check_segments(struct bytes file, const Elf64_Ehdr *h, struct elf_plan *plan, Elf64_Phdr *dynamic,
                               struct failure *f)
{
    Elf64_Phdr p, relro = { .p_type = PT_NULL };
    enum err err = OK;

    for (unsigned i = 0; i < h->e_phnum && err == OK; i++) {
        copy_out(file, h->e_phoff + i * sizeof p, &p, sizeof p);
        switch (p.p_type) {
        case PT_LOAD:
            err = add_segment(file, &p, plan, f);
            break;
        case PT_DYNAMIC:
            if (dynamic->p_type == PT_DYNAMIC)
                return refuse(f, "has two dynamic sections");
            *dynamic = p;
            break;
        case PT_GNU_RELRO:
            if (relro.p_type == PT_GNU_RELRO)
                return refuse(f, "has two read-only-after-relocation ranges");
            relro = p;
            break;
        case PT_INTERP:
            return refuse(f, "is a program (it names an interpreter), not a shared object");
        case PT_TLS:
            return refuse(f, "has thread-local variables, which a graft may not have; drop _Thread_local");
        case PT_GNU_STACK:
            if ((p.p_flags & PF_X) != 0)
                return refuse(f, "wants an executable stack");
            break;
        default:
            break; /* notes and the like: nothing here acts on them */
        }
    }
    if (err == OK && (plan->segment_count == 0 || dynamic->p_type != PT_DYNAMIC))
        return refuse(f, "has nothing to map, or no dynamic section");
    return err == OK && relro.p_type == PT_GNU_RELRO ? check_relro(&relro, plan, f) : err;
}

/* Where in the file the bytes lie that will be mapped at the address. */
static bool find_in_file(const struct elf_plan *plan, uint64_t address, uint64_t size, uint64_t *off)
{
    const struct elf_segment *s = segment_of(plan, address, size);
    uint64_t skip;

    if (s == NULL)
        return false;
    skip = address - s->address;
    if (skip > s->file_size || size > s->file_size - skip)
        return false;
    *off = s->off + skip;
    return true;
}

/* ---- sections: only for .graft and the symbols' number ---- */

static bool section_named(struct bytes file, const Elf64_Shdr *names, const Elf64_Shdr *s, const char *name)
{
    size_t n = strlen(name) + 1;

    return s->sh_name <= names->sh_size && n <= names->sh_size - s->sh_name &&
           memcmp((const uint8_t *)file.data + names->sh_offset + s->sh_name, name, n) == 0;
}

static enum err take_manifest(struct bytes file, const Elf64_Shdr *s, struct elf_plan *plan, struct failure *f)
{
    if (plan->manifest.data != NULL)
        return refuse(f, "has two sections .graft");
    if (s->sh_type != SHT_PROGBITS || !in_file(file, s->sh_offset, s->sh_size))
        return refuse(f, "has a damaged section .graft");
    if (s->sh_size == 0 || s->sh_size > ELF_MANIFEST_MAX)
        return fail(f, ERR_BADGRAFT, "the graft's section .graft is %llu bytes long, and 1 to %d are allowed",
                    (unsigned long long)s->sh_size, ELF_MANIFEST_MAX);
    plan->manifest = bytes_of((const uint8_t *)file.data + s->sh_offset, s->sh_size);
    return OK;
}

static enum err check_sections(struct bytes file, const Elf64_Ehdr *h, struct elf_plan *plan, Elf64_Shdr *symbols,
                               struct failure *f)
{
    Elf64_Shdr names, s;
    enum err err = OK;

    copy_out(file, h->e_shoff + h->e_shstrndx * sizeof names, &names, sizeof names);
    if (names.sh_type != SHT_STRTAB || !in_file(file, names.sh_offset, names.sh_size))
        return refuse(f, "has damaged section names");
    for (unsigned i = 0; i < h->e_shnum && err == OK; i++) {
        copy_out(file, h->e_shoff + i * sizeof s, &s, sizeof s);
        if (s.sh_type == SHT_DYNSYM) {
            if (symbols->sh_type == SHT_DYNSYM)
                return refuse(f, "has two tables of dynamic symbols");
            *symbols = s;
        }
        if (section_named(file, &names, &s, ".graft"))
            err = take_manifest(file, &s, plan, f);
    }
    if (err == OK && plan->manifest.data == NULL)
        return refuse(f, "says nothing about itself: there is no GRAFT_MODULE(…) in it");
    if (err == OK && symbols->sh_type != SHT_DYNSYM)
        return refuse(f, "has no table of dynamic symbols");
    return err;
}

/* ---- the dynamic section ---- */

/* The entries that are acted on; each at most once. */
struct dynamic {
    uint64_t symtab, syment, strtab, strsz;
    uint64_t rela, relasz, relaent, jmprel, pltrelsz, pltrel;
};

static enum err set_once(uint64_t *slot, uint64_t value, struct failure *f)
{
    if (*slot != 0 && *slot != value)
        return refuse(f, "says two different things in its dynamic section");
    *slot = value;
    return OK;
}

static enum err refuse_start_code(uint64_t value, struct failure *f)
{
    if (value == 0)
        return OK;
    return refuse(f, "has code to be run when it is loaded or unloaded (a constructor or destructor); use GRAFT_INIT");
}

static enum err refuse_text_relocations(struct failure *f)
{
    return refuse(f, "wants its code to be written to (text relocations); build it with -fPIC");
}

static enum err take_dynamic(const Elf64_Dyn *d, struct dynamic *dyn, struct failure *f)
{
    uint64_t v = d->d_un.d_val;

    switch (d->d_tag) {
    case DT_SYMTAB: return set_once(&dyn->symtab, v, f);
    case DT_SYMENT: return set_once(&dyn->syment, v, f);
    case DT_STRTAB: return set_once(&dyn->strtab, v, f);
    case DT_STRSZ: return set_once(&dyn->strsz, v, f);
    case DT_RELA: return set_once(&dyn->rela, v, f);
    case DT_RELASZ: return set_once(&dyn->relasz, v, f);
    case DT_RELAENT: return set_once(&dyn->relaent, v, f);
    case DT_JMPREL: return set_once(&dyn->jmprel, v, f);
    case DT_PLTRELSZ: return set_once(&dyn->pltrelsz, v, f);
    case DT_PLTREL: return set_once(&dyn->pltrel, v, f);
    case DT_INIT:
    case DT_FINI:
    case DT_INIT_ARRAYSZ:
    case DT_FINI_ARRAYSZ:
    case DT_PREINIT_ARRAYSZ:
        return refuse_start_code(v, f);
    case DT_NEEDED:
        return refuse(f, "needs another library; a graft is built with -nostdlib");
    case DT_RPATH:
    case DT_RUNPATH:
        return refuse(f, "names a path to search for libraries");
    case DT_TEXTREL:
        return refuse_text_relocations(f);
    case DT_FLAGS:
        return (v & DF_TEXTREL) == 0 ? OK : refuse_text_relocations(f);
    case DT_HASH: case DT_GNU_HASH: case DT_RELACOUNT: case DT_PLTGOT: case DT_FLAGS_1: case DT_BIND_NOW:
    case DT_SONAME: case DT_DEBUG: case DT_SYMBOLIC:
    case DT_INIT_ARRAY: case DT_FINI_ARRAY: case DT_PREINIT_ARRAY: /* run by nobody; the sizes above decide */
        return OK;
    default:
        return fail(f, ERR_BADGRAFT, "the graft has an entry 0x%llx in its dynamic section, which a graft may not have",
                    (unsigned long long)d->d_tag);
    }
}

static enum err read_dynamic(struct bytes file, const struct elf_plan *plan, const Elf64_Phdr *p, struct dynamic *dyn,
                             struct failure *f)
{
    uint64_t off, count = p->p_filesz / sizeof(Elf64_Dyn);
    Elf64_Dyn d;
    enum err err = OK;

    if (count > ELF_DYNAMIC_MAX || !find_in_file(plan, p->p_vaddr, p->p_filesz, &off))
        return fail(f, ERR_BADGRAFT, "the graft's dynamic section is not in its file or has more than %d entries",
                    ELF_DYNAMIC_MAX);
    for (uint64_t i = 0; i < count && err == OK; i++) {
        copy_out(file, off + i * sizeof d, &d, sizeof d);
        if (d.d_tag == DT_NULL)
            return OK;
        err = take_dynamic(&d, dyn, f);
    }
    return err != OK ? err : refuse(f, "has a dynamic section without an end");
}

/* ---- symbols ---- */

static void copy_symbol(struct bytes file, const struct elf_plan *plan, uint64_t i, Elf64_Sym *s)
{
    copy_out(file, plan->symbols.off + i * sizeof *s, s, sizeof *s);
}

static enum err check_symbol(const struct elf_plan *plan, const Elf64_Sym *s, struct failure *f)
{
    unsigned type = ELF64_ST_TYPE(s->st_info);

    if (s->st_name >= plan->names_size)
        return refuse(f, "has a symbol without a name");
    if (type == STT_GNU_IFUNC)
        return refuse(f, "has a symbol that runs code when it is looked up (ifunc)");
    if (type == STT_TLS)
        return refuse(f, "has thread-local variables, which a graft may not have; drop _Thread_local");
    if (s->st_shndx == SHN_UNDEF)
        return OK;
    if (s->st_shndx >= SHN_LORESERVE || s->st_value > plan->span)
        return refuse(f, "has a symbol outside its image");
    return OK;
}

static enum err check_symbols(struct bytes file, struct elf_plan *plan, const struct dynamic *dyn,
                              const Elf64_Shdr *section, struct failure *f)
{
    Elf64_Sym s;
    enum err err = OK;

    plan->symbols.count = section->sh_size / sizeof s;
    if (plan->symbols.count == 0 || plan->symbols.count > ELF_SYMBOLS_MAX)
        return fail(f, ERR_BADGRAFT, "the graft has no dynamic symbols or more than %d", ELF_SYMBOLS_MAX);
    if (dyn->syment != sizeof s || section->sh_entsize != sizeof s || dyn->symtab != section->sh_addr ||
        !find_in_file(plan, dyn->symtab, plan->symbols.count * sizeof s, &plan->symbols.off))
        return refuse(f, "has a damaged table of symbols");
    if (dyn->strsz == 0 || !find_in_file(plan, dyn->strtab, dyn->strsz, &plan->names_off) ||
        ((const uint8_t *)file.data)[plan->names_off + dyn->strsz - 1] != '\0')
        return refuse(f, "has a damaged table of names");
    plan->names_size = dyn->strsz;
    for (uint64_t i = 0; i < plan->symbols.count && err == OK; i++) {
        copy_symbol(file, plan, i, &s);
        err = check_symbol(plan, &s, f);
    }
    return err;
}

/* ---- relocations ---- */

static enum err check_relocation(const struct elf_plan *plan, const Elf64_Rela *r, struct failure *f)
{
    uint64_t type = ELF64_R_TYPE(r->r_info), symbol = ELF64_R_SYM(r->r_info);
    const struct elf_segment *s = segment_of(plan, r->r_offset, sizeof(uint64_t));

    if (s == NULL || !s->write)
        return refuse(f, "has a relocation outside its writable data; build it with -fPIC");
    if (symbol >= plan->symbols.count)
        return refuse(f, "has a relocation to a symbol that is not there");
    switch (type) {
    case R_X86_64_RELATIVE:
        if (symbol != 0 || (uint64_t)r->r_addend > plan->span)
            return refuse(f, "has a relocation to outside its image");
        return OK;
    case R_X86_64_64:
    case R_X86_64_GLOB_DAT:
    case R_X86_64_JUMP_SLOT:
        return symbol != 0 ? OK : refuse(f, "has a relocation without a symbol");
    default:
        return fail(f, ERR_BADGRAFT,
                    "the graft has a relocation of type %llu, which a graft may not have; use `graftctl build`",
                    (unsigned long long)type);
    }
}

static enum err check_table(struct bytes file, struct elf_plan *plan, int which, uint64_t address, uint64_t size,
                            struct failure *f)
{
    struct elf_table *table = &plan->relocations[which];
    Elf64_Rela r;
    enum err err = OK;

    if (size == 0)
        return OK;
    if (size % sizeof r != 0 || size / sizeof r > ELF_RELOCATIONS_MAX ||
        !find_in_file(plan, address, size, &table->off))
        return fail(f, ERR_BADGRAFT, "the graft has a damaged table of relocations, or more than %d",
                    ELF_RELOCATIONS_MAX);
    table->count = size / sizeof r;
    for (uint64_t i = 0; i < table->count && err == OK; i++) {
        copy_out(file, table->off + i * sizeof r, &r, sizeof r);
        err = check_relocation(plan, &r, f);
    }
    return err;
}

static enum err check_relocations(struct bytes file, struct elf_plan *plan, const struct dynamic *dyn,
                                  struct failure *f)
{
    enum err err;

    if ((dyn->relasz != 0 && dyn->relaent != sizeof(Elf64_Rela)) || (dyn->pltrelsz != 0 && dyn->pltrel != DT_RELA))
        return refuse(f, "has relocations of another kind");
    err = check_table(file, plan, 0, dyn->rela, dyn->relasz, f);
    return err != OK ? err : check_table(file, plan, 1, dyn->jmprel, dyn->pltrelsz, f);
}

/* ---- doors ---- */

enum err elf_check(struct bytes file, struct elf_plan *plan, struct failure *f)
{
    struct elf_plan p = { .segment_count = 0 };
    struct dynamic dyn = { .symtab = 0 };
    Elf64_Phdr dynamic = { .p_type = PT_NULL };
    Elf64_Shdr symbols = { .sh_type = SHT_NULL };
    Elf64_Ehdr h;
    enum err err = check_header(file, &h, f);

    if (err == OK)
        err = check_segments(file, &h, &p, &dynamic, f);
    if (err == OK)
        err = read_dynamic(file, &p, &dynamic, &dyn, f);
    if (err == OK)
        err = check_sections(file, &h, &p, &symbols, f);
    if (err == OK)
        err = check_symbols(file, &p, &dyn, &symbols, f);
    if (err == OK)
        err = check_relocations(file, &p, &dyn, f);
    if (err == OK)
        *plan = p;
    return err;
}

struct elf_symbol elf_symbol(struct bytes file, const struct elf_plan *plan, uint64_t i)
{
    const struct elf_segment *segment;
    Elf64_Sym s;

    copy_symbol(file, plan, i, &s);
    segment = s.st_shndx == SHN_UNDEF ? NULL : segment_of(plan, s.st_value, 1);
    return (struct elf_symbol){ .name = (const char *)file.data + plan->names_off + s.st_name, .value = s.st_value,
                                .defined = s.st_shndx != SHN_UNDEF, .weak = ELF64_ST_BIND(s.st_info) == STB_WEAK,
                                .code = segment != NULL && segment->execute };
}

struct elf_relocation elf_relocation(struct bytes file, const struct elf_plan *plan, int table, uint64_t i)
{
    Elf64_Rela r;

    copy_out(file, plan->relocations[table].off + i * sizeof r, &r, sizeof r);
    return (struct elf_relocation){ .target = r.r_offset, .symbol = (uint32_t)ELF64_R_SYM(r.r_info),
                                    .addend = ELF64_R_TYPE(r.r_info) == R_X86_64_64 ||
                                                      ELF64_R_TYPE(r.r_info) == R_X86_64_RELATIVE ?
                                                  (uint64_t)r.r_addend : 0 };
}

bool elf_find_code(struct bytes file, const struct elf_plan *plan, const char *name, uint64_t *value)
{
    for (uint64_t i = 1; i < plan->symbols.count; i++) {
        struct elf_symbol s = elf_symbol(file, plan, i);

        if (s.code && strcmp(s.name, name) == 0) {
            *value = s.value;
            return true;
        }
    }
    return false;
}

enum err elf_check_imports(struct bytes file, const struct elf_plan *plan, const char *who, unsigned abi,
                           bool (*known)(const char *name, unsigned abi), struct failure *f)
{
    char list[FAILURE_TEXT_MAX - 128] = "";
    size_t missing = 0, n = 0;

    for (uint64_t i = 1; i < plan->symbols.count; i++) {
        struct elf_symbol s = elf_symbol(file, plan, i);
        char shown[64];

        if (s.defined || s.weak || known(s.name, abi))
            continue;
        if (missing++ >= ELF_MISSING_NAMED || n >= sizeof list - sizeof shown - 8)
            continue;
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s()", n == 0 ? "" : ", ",
                              bytes_show(bytes_str(s.name), shown, sizeof shown));
    }
    if (missing == 0)
        return OK;
    return fail(f, ERR_BADGRAFT, "%s wants %s%s, which a graft may not call (it was built for ABI %u)", who, list,
                missing > ELF_MISSING_NAMED ? " and others" : "", abi);
}
