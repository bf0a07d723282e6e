#include "graftctl/object.h"

#include <elf.h>
#include <string.h>

static enum err refuse(struct failure *why, const char *what)
{
    return fail(why, ERR_BADGRAFT, "not a graft: %s", what);
}

/* n bytes at an offset that the file named; false unless they are all there. */
static bool bytes_at(struct bytes file, uint64_t offset, uint64_t n, struct bytes *part)
{
    if (offset > file.len || n > file.len - offset)
        return false;
    *part = bytes_of((const uint8_t *)file.data + offset, (size_t)n);
    return true;
}

/* i < e_shnum, and read_head() has seen that the table is whole. */
static Elf64_Shdr read_section(struct bytes file, const Elf64_Ehdr *head, size_t i)
{
    Elf64_Shdr section;

    memcpy(&section, (const uint8_t *)file.data + head->e_shoff + i * sizeof section, sizeof section);
    return section;
}

static bool is_named(struct bytes names, uint64_t at, const char *name)
{
    struct bytes part;

    return bytes_at(names, at, strlen(name) + 1, &part) && memcmp(part.data, name, part.len) == 0;
}

static enum err read_head(struct bytes file, Elf64_Ehdr *head, struct failure *why)
{
    struct bytes part;

    if (!bytes_at(file, 0, sizeof *head, &part) || memcmp(part.data, ELFMAG, SELFMAG) != 0)
        return refuse(why, "it is no ELF file (graftctl build makes one of FILE.c)");
    memcpy(head, part.data, sizeof *head);
    if (head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_ident[EI_DATA] != ELFDATA2LSB || head->e_machine != EM_X86_64)
        return refuse(why, "it is not for x86-64");
    if (head->e_type != ET_DYN)
        return refuse(why, "it is no shared object");
    if (head->e_shentsize != sizeof(Elf64_Shdr) || head->e_shnum == 0 || head->e_shnum > OBJECT_SECTION_MAX)
        return refuse(why, "its table of sections is missing, or larger than 1024 sections");
    if (!bytes_at(file, head->e_shoff, (uint64_t)head->e_shnum * sizeof(Elf64_Shdr), &part))
        return refuse(why, "its sections lie outside of the file");
    return OK;
}

enum err object_text(struct bytes file, struct bytes *text, struct failure *why)
{
    Elf64_Ehdr head;
    Elf64_Shdr section;
    struct bytes names;
    enum err err = read_head(file, &head, why);

    if (err != OK)
        return err;
    if (head.e_shstrndx >= head.e_shnum)
        return refuse(why, "its sections have no names");
    section = read_section(file, &head, head.e_shstrndx);
    if (!bytes_at(file, section.sh_offset, section.sh_size, &names))
        return refuse(why, "the names of its sections lie outside of the file");
    for (size_t i = 0; i < head.e_shnum; i++) {
        section = read_section(file, &head, i);
        if (!is_named(names, section.sh_name, ".graft"))
            continue;
        if (section.sh_type != SHT_PROGBITS || section.sh_size > OBJECT_TEXT_MAX
            || !bytes_at(file, section.sh_offset, section.sh_size, text))
            return refuse(why, "its section .graft lies outside of the file, or is larger than 32 KiB");
        return OK;
    }
    return refuse(why, "it has no section .graft: its source needs GRAFT_MODULE(name, version, about)");
}

/* Splits at the first stop byte: *head is what comes before it, and rest what follows; all of it when there is none. */
static bool split(struct bytes *rest, char stop, struct bytes *head)
{
    const char *p = rest->data, *end = rest->len == 0 ? NULL : memchr(p, stop, rest->len);
    size_t n = end == NULL ? rest->len : (size_t)(end - p);

    *head = bytes_of(p, n);
    *rest = end == NULL ? bytes_of(NULL, 0) : bytes_of(end + 1, rest->len - n - 1);
    return end != NULL;
}

bool object_name_valid(struct bytes name)
{
    const char *p = name.data;

    if (name.len == 0 || name.len > OBJECT_NAME_MAX || p[0] < 'a' || p[0] > 'z')
        return false;
    for (size_t i = 1; i < name.len; i++)
        if (!((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= '0' && p[i] <= '9') || p[i] == '_'))
            return false;
    return true;
}

enum err object_name(struct bytes text, char name[OBJECT_NAME_MAX + 1], struct failure *why)
{
    struct bytes record, field, found = bytes_of(NULL, 0);
    size_t modules = 0;

    while (text.len > 0) {
        if (!split(&text, '\0', &record))
            return refuse(why, "the last record of section .graft does not end");
        split(&record, '\t', &field);
        if (!bytes_equal(field, bytes_str("module")))
            continue;
        modules++;
        split(&record, '\t', &field); /* ABI */
        split(&record, '\t', &found);
    }
    if (modules != 1)
        return refuse(why, modules == 0 ? "its source has no GRAFT_MODULE(name, version, about)"
                                        : "its source has more than one GRAFT_MODULE");
    if (!object_name_valid(found))
        return refuse(
            why, "the name in GRAFT_MODULE must be a small letter, then small letters, digits and _, 63 bytes at most");
    memcpy(name, found.data, found.len);
    name[found.len] = '\0';
    return OK;
}
