#include "worker/load.h"

#include "include/graft.h"
#include "worker/elf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- the private copy ---- */

static void *map_memory(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

/* Room for one byte more than is allowed: a file that fills it is too long. */
static enum err read_whole(int fd, struct bytes *file, struct failure *f)
{
    uint8_t *copy = map_memory(ELF_FILE_MAX + 1);
    size_t n = 0;
    ssize_t got = 1;

    if (copy == NULL)
        return fail(f, ERR_NOMEM, "there is no memory for a copy of the graft: %s", strerror(errno));
    while (n <= ELF_FILE_MAX && got > 0) {
        got = pread(fd, copy + n, ELF_FILE_MAX + 1 - n, (off_t)n);
        if (got > 0)
            n += (size_t)got;
    }
    *file = bytes_of(copy, n);
    return got >= 0 ? OK : fail(f, ERR_STORAGE, "the graft's file cannot be read: %s", strerror(errno));
}

/* ---- mapping ---- */

static int protection(const struct elf_segment *s)
{
    return PROT_READ | (s->write ? PROT_WRITE : 0) | (s->execute ? PROT_EXEC : 0);
}

static uint64_t in_page(uint64_t n) { return n & (ELF_PAGE - 1); }

/* Behind the file's bytes: the rest of their last page, then pages that are reserved already and zero. */
static enum err map_zeros(uint8_t *image, const struct elf_segment *s, struct failure *f)
{
    uint64_t from = s->address + s->file_size, end = s->address + s->memory_size;
    uint64_t page = s->file_size == 0 ? from - in_page(from) : from + (ELF_PAGE - in_page(from)) % ELF_PAGE;

    if (s->file_size > 0 && end > from)
        memset(image + from, 0, (page < end ? page : end) - from);
    if (page < end && mprotect(image + page, end - page, protection(s)) != 0)
        return fail(f, ERR_NOMEM, "the graft cannot be mapped: %s", strerror(errno));
    return OK;
}

/* The file's pages, then zeros. Compared with what was checked: the file must be the same still. */
static enum err map_segment(int fd, struct bytes file, uint8_t *image, const struct elf_segment *s, struct failure *f)
{
    uint8_t *at = image + s->address;
    size_t head = in_page(s->address);

    if (s->file_size > 0) {
        if (mmap(at - head, s->file_size + head, protection(s), MAP_PRIVATE | MAP_FIXED, fd, (off_t)(s->off - head)) ==
            MAP_FAILED)
            return fail(f, ERR_STORAGE, "the graft cannot be mapped: %s%s", strerror(errno),
                        errno == EPERM ? "; is the data directory on a file system mounted noexec?" : "");
        if (memcmp(at, (const uint8_t *)file.data + s->off, s->file_size) != 0)
            return fail(f, ERR_BADGRAFT, "the graft's file was changed while it was being loaded");
    }
    return map_zeros(image, s, f);
}

static enum err map_image(int fd, struct bytes file, const struct elf_plan *plan, struct graft *graft,
                          struct failure *f)
{
    enum err err = OK;
    void *p = mmap(NULL, plan->span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        return fail(f, ERR_NOMEM, "there is no room for the graft's image of %llu bytes: %s",
                    (unsigned long long)plan->span, strerror(errno));
    graft->image = p;
    graft->image_size = plan->span;
    for (size_t i = 0; i < plan->segment_count && err == OK; i++)
        err = map_segment(fd, file, graft->image, &plan->segments[i], f);
    return err;
}

static void note_fixed(struct graft *graft, uint64_t start, uint64_t end)
{
    if (start == end)
        return;
    graft->fixed[graft->fixed_count].start = start;
    graft->fixed[graft->fixed_count++].size = end - start;
}

static void note_all_fixed(const struct elf_plan *plan, struct graft *graft)
{
    _Static_assert((int)LOAD_FIXED_MAX > (int)ELF_SEGMENTS_MAX, "a place for each");

    for (size_t i = 0; i < plan->segment_count; i++) {
        const struct elf_segment *s = &plan->segments[i];

        if (!s->write)
            note_fixed(graft, s->address - in_page(s->address),
                       s->address + s->memory_size + (ELF_PAGE - in_page(s->address + s->memory_size)) % ELF_PAGE);
    }
    note_fixed(graft, plan->relro_start, plan->relro_end);
}

/* An undefined weak symbol that nobody offers is 0, as everywhere. */
static uint64_t symbol_value(struct bytes file, const struct elf_plan *plan, uint32_t i, const uint8_t *image,
                             load_resolve *resolve, unsigned abi)
{
    struct elf_symbol s = elf_symbol(file, plan, i);

    return s.defined ? (uint64_t)(uintptr_t)(image + s.value) : (uint64_t)(uintptr_t)resolve(s.name, abi);
}

static void relocate(struct bytes file, const struct elf_plan *plan, uint8_t *image, load_resolve *resolve,
                     unsigned abi)
{
    for (int table = 0; table < 2; table++)
        for (uint64_t i = 0; i < plan->relocations[table].count; i++) {
            struct elf_relocation r = elf_relocation(file, plan, table, i);
            uint64_t value = r.addend;

            value += r.symbol == 0 ? (uint64_t)(uintptr_t)image
                                   : symbol_value(file, plan, r.symbol, image, resolve, abi);
            memcpy(image + r.target, &value, sizeof value);
        }
}

static enum err close_relro(const struct elf_plan *plan, uint8_t *image, struct failure *f)
{
    size_t size = plan->relro_end - plan->relro_start;

    if (size > 0 && mprotect(image + plan->relro_start, size, PROT_READ) != 0)
        return fail(f, ERR_NOMEM, "the graft's constants cannot be made read-only: %s", strerror(errno));
    return OK;
}

/* ---- the manifest ---- */

/* The next record, without its NUL. False at the end. */
static bool next_record(struct bytes *text, struct bytes *record)
{
    const char *p = text->data, *end;

    if (text->len == 0)
        return false;
    end = memchr(p, '\0', text->len);
    *record = bytes_of(p, end == NULL ? text->len : (size_t)(end - p));
    *text = end == NULL ? bytes_of(NULL, 0) : bytes_of(end + 1, text->len - record->len - 1);
    return true;
}

/* The tab-separated field number i, counted from 0; empty when there is none. */
static struct bytes field(struct bytes record, unsigned i)
{
    const char *p = record.data, *end = p + record.len, *tab;

    while (i-- > 0) {
        tab = memchr(p, '\t', (size_t)(end - p));
        if (tab == NULL)
            return bytes_of(NULL, 0);
        p = tab + 1;
    }
    tab = memchr(p, '\t', (size_t)(end - p));
    return bytes_of(p, (size_t)((tab == NULL ? end : tab) - p));
}

static bool is_kind(struct bytes record, const char *kind) { return bytes_equal(field(record, 0), bytes_str(kind)); }

static bool name_valid(struct bytes name)
{
    const char *p = name.data;

    if (name.len == 0 || name.len > LOAD_NAME_MAX || p[0] < 'a' || p[0] > 'z')
        return false;
    for (size_t i = 1; i < name.len; i++)
        if (!((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= '0' && p[i] <= '9') || p[i] == '_'))
            return false;
    return true;
}

/* who: "bank.graft", for sentences. */
static enum err check_module(struct bytes manifest, char *who, size_t size, unsigned *built_for, struct failure *f)
{
    struct bytes record;
    uint64_t abi;

    while (next_record(&manifest, &record)) {
        if (!is_kind(record, "module"))
            continue;
        if (!name_valid(field(record, 2)))
            return fail(f, ERR_BADGRAFT,
                        "the graft's name must be [a-z][a-z0-9_]* and at most %d bytes; see GRAFT_MODULE",
                        LOAD_NAME_MAX);
        snprintf(who, size, "%.*s.graft", (int)field(record, 2).len, (const char *)field(record, 2).data);
        if (!bytes_to_u64(field(record, 1), &abi) || abi == 0)
            return fail(f, ERR_BADGRAFT, "%s does not say which ABI it was built for", who);
        if (abi > GRAFT_ABI)
            return fail(f, ERR_BADGRAFT,
                        "%s was built for ABI %llu of graft.h and this host has ABI %d: rebuild it with this host's "
                        "graft.h, or update the host",
                        who, (unsigned long long)abi, GRAFT_ABI);
        *built_for = (unsigned)abi;
        return OK;
    }
    return fail(f, ERR_BADGRAFT, "the graft says nothing about itself: there is no GRAFT_MODULE(…) in it");
}

static enum err find_functions(struct bytes file, const struct elf_plan *plan, const char *who, struct graft *graft,
                               struct failure *f)
{
    struct bytes text = graft->manifest, record, name;
    char symbol[LOAD_NAME_MAX + 32];
    uint64_t value;

    while (next_record(&text, &record)) {
        if (!is_kind(record, "function"))
            continue;
        name = field(record, 1);
        if (!name_valid(name))
            return fail(f, ERR_BADGRAFT, "%s names a function that is not [a-z][a-z0-9_]* or longer than %d bytes", who,
                        LOAD_NAME_MAX);
        if (graft->function_count == LOAD_FUNCTIONS_MAX)
            return fail(f, ERR_BADGRAFT, "%s has more than %d functions", who, LOAD_FUNCTIONS_MAX);
        snprintf(symbol, sizeof symbol, "graft_function_%.*s", (int)name.len, (const char *)name.data);
        if (!elf_find_code(file, plan, symbol, &value))
            return fail(f, ERR_BADGRAFT, "%s names the function %.*s and does not have it", who, (int)name.len,
                        (const char *)name.data);
        graft->functions[graft->function_count++] = (int (*)(struct graft_call *))(uintptr_t)(graft->image + value);
    }
    if (elf_find_code(file, plan, "graft_init", &value))
        graft->init = (int (*)(void))(uintptr_t)(graft->image + value);
    return OK;
}

static load_resolve *resolver; /* for known(): elf_check_imports does not want the address */

static bool known(const char *name, unsigned abi) { return resolver(name, abi) != NULL; }

static enum err load_checked(int fd, struct bytes file, load_resolve *resolve, struct graft *graft, struct failure *f)
{
    struct elf_plan plan;
    char who[LOAD_NAME_MAX + 8];
    unsigned abi = 0;
    char *text;
    enum err err = elf_check(file, &plan, f);

    if (err == OK)
        err = check_module(plan.manifest, who, sizeof who, &abi, f);
    resolver = resolve;
    if (err == OK)
        err = elf_check_imports(file, &plan, who, abi, known, f);
    if (err == OK)
        err = map_image(fd, file, &plan, graft, f);
    if (err != OK)
        return err;
    relocate(file, &plan, graft->image, resolve, abi);
    err = close_relro(&plan, graft->image, f);
    if (err != OK)
        return err;
    note_all_fixed(&plan, graft);
    text = bytes_dup(plan.manifest);
    if (text == NULL)
        return fail(f, ERR_NOMEM, "there is no memory for the manifest of %s", who);
    graft->manifest = bytes_of(text, plan.manifest.len);
    return find_functions(file, &plan, who, graft, f);
}

enum err graft_load(int fd, load_resolve *resolve, struct graft *graft, struct failure *f)
{
    struct graft fresh = { .image = NULL };
    struct bytes file = { NULL, 0 };
    enum err err = read_whole(fd, &file, f);

    if (err == OK)
        err = load_checked(fd, file, resolve, &fresh, f);
    if (file.data != NULL)
        munmap((void *)(uintptr_t)file.data, ELF_FILE_MAX + 1);
    if (err != OK) {
        graft_unload(&fresh);
        return err;
    }
    *graft = fresh;
    return OK;
}

void graft_unload(struct graft *graft)
{
    if (graft->image != NULL)
        munmap(graft->image, graft->image_size);
    free((void *)(uintptr_t)graft->manifest.data);
    *graft = (struct graft){ .image = NULL };
}
