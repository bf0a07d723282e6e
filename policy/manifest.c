#include "policy/manifest.h"

#include "include/graft.h"
#include "lib/check.h"
#include "lib/utf8.h"

#include <stdlib.h>
#include <string.h>

enum {
    MODULE_FIELDS = 5,
    FUNCTION_FIELDS = 4,
    FIELD_MAX = 5,
    SHOWN_MAX = 96, /* bytes of a field in a message */
};

bool manifest_name_valid(struct bytes name)
{
    const char *p = name.data;

    if (name.len == 0 || name.len > MANIFEST_NAME_MAX || p[0] < 'a' || p[0] > 'z')
        return false;
    for (size_t i = 1; i < name.len; i++)
        if (!(p[i] >= 'a' && p[i] <= 'z') && !(p[i] >= '0' && p[i] <= '9') && p[i] != '_')
            return false;
    return true;
}

static bool version_valid(struct bytes version)
{
    const char *p = version.data;

    for (size_t i = 0; i < version.len; i++)
        if (p[i] <= 0x20 || p[i] >= 0x7f)
            return false;
    return version.len > 0 && version.len <= MANIFEST_VERSION_MAX;
}

static bool about_valid(struct bytes about) { return about.len <= MANIFEST_ABOUT_MAX && utf8_text(about); }

/* A field that was checked goes into its place. */
static void copy_field(char *to, size_t size, struct bytes field)
{
    CHECK(field.len < size);
    if (field.len > 0)
        memcpy(to, field.data, field.len);
    to[field.len] = '\0';
}

/* ---- records ---- */

struct record {
    size_t number; /* from 1 */
    size_t field_count;
    struct bytes fields[FIELD_MAX];
};

/* Takes the next record from the front of text, which ends with NUL. False if it has too many fields. */
static bool next_record(struct bytes *text, struct record *r)
{
    const char *p = text->data, *end = memchr(p, '\0', text->len);

    CHECK(end != NULL);
    *text = bytes_of(end + 1, text->len - (size_t)(end + 1 - p));
    r->number++;
    for (r->field_count = 0; r->field_count < FIELD_MAX; p++) {
        const char *tab = memchr(p, '\t', (size_t)(end - p));
        const char *stop = tab != NULL ? tab : end;
        r->fields[r->field_count++] = bytes_of(p, (size_t)(stop - p));
        if (tab == NULL)
            return true;
        p = tab;
    }
    return false;
}

static enum err refuse_field(const struct record *r, size_t field, const char *must, struct failure *why)
{
    char shown[SHOWN_MAX];

    return fail(why, ERR_BADGRAFT, "manifest record %zu: \"%s\" is not %s", r->number,
                bytes_show(r->fields[field], shown, sizeof shown), must);
}

static enum err refuse_count(const struct record *r, const char *kind, size_t want, struct failure *why)
{
    return fail(why, ERR_BADGRAFT, "manifest record %zu: a %s record has %zu fields, this one %zu", r->number, kind,
                want, r->field_count);
}

static enum err read_abi(const struct record *r, struct manifest *m, struct failure *why)
{
    uint64_t abi;

    if (!bytes_to_u64(r->fields[1], &abi) || abi == 0)
        return refuse_field(r, 1, "an ABI number of 1 or more", why);
    if (abi > GRAFT_ABI)
        return fail(why, ERR_BADGRAFT,
                    "the graft is built for ABI %llu, and this graftd knows up to %d; build it again with "
                    "this graftd's graft.h, or run a newer graftd",
                    (unsigned long long)abi, GRAFT_ABI);
    m->abi = (unsigned)abi;
    return OK;
}

static enum err read_module(const struct record *r, struct manifest *m, struct failure *why)
{
    if (r->field_count != MODULE_FIELDS)
        return refuse_count(r, "module", MODULE_FIELDS, why);
    if (m->abi != 0)
        return fail(why, ERR_BADGRAFT, "manifest record %zu: a second module record; a graft has one GRAFT_MODULE",
                    r->number);
    if (!manifest_name_valid(r->fields[2]))
        return refuse_field(
            r, 2, "a graft's name: a letter, then letters, digits and _, all lower case, at most 63 bytes", why);
    if (!version_valid(r->fields[3]))
        return refuse_field(r, 3, "a version: 1 to 31 printable characters without a space", why);
    if (!about_valid(r->fields[4]))
        return refuse_field(r, 4, "a description: at most 255 bytes of visible UTF-8", why);
    copy_field(m->name, sizeof m->name, r->fields[2]);
    copy_field(m->version, sizeof m->version, r->fields[3]);
    copy_field(m->about, sizeof m->about, r->fields[4]);
    return read_abi(r, m, why);
}

static enum err read_function(const struct record *r, struct manifest *m, struct failure *why)
{
    struct manifest_function *f = &m->functions[m->function_count];
    char shown[SHOWN_MAX];

    if (r->field_count != FUNCTION_FIELDS)
        return refuse_count(r, "function", FUNCTION_FIELDS, why);
    if (m->function_count == MANIFEST_FUNCTION_MAX)
        return fail(why, ERR_BADGRAFT, "manifest record %zu: too many functions; a graft has at most %d", r->number,
                    MANIFEST_FUNCTION_MAX);
    if (!manifest_name_valid(r->fields[1]))
        return refuse_field(
            r, 1, "a function's name: a letter, then letters, digits and _, all lower case, at most 63 bytes", why);
    if (manifest_find(m, r->fields[1]) >= 0)
        return fail(why, ERR_BADGRAFT, "manifest record %zu: a second function \"%s\"; give it another name", r->number,
                    bytes_show(r->fields[1], shown, sizeof shown));
    f->readonly = bytes_equal(r->fields[2], bytes_str("read"));
    if (!f->readonly && !bytes_equal(r->fields[2], bytes_str("write")))
        return refuse_field(r, 2, "read or write", why);
    if (!about_valid(r->fields[3]))
        return refuse_field(r, 3, "a list of parameters: at most 255 bytes of visible UTF-8", why);
    copy_field(f->name, sizeof f->name, r->fields[1]);
    copy_field(f->parameters, sizeof f->parameters, r->fields[3]);
    m->function_count++;
    return OK;
}

static enum err read_record(const struct record *r, struct manifest *m, struct failure *why)
{
    if (bytes_equal(r->fields[0], bytes_str("module")))
        return read_module(r, m, why);
    if (bytes_equal(r->fields[0], bytes_str("function")))
        return read_function(r, m, why);
    return refuse_field(r, 0, "a kind of record that this graftd knows: module or function", why);
}

static enum err read_records(struct bytes text, struct manifest *m, struct failure *why)
{
    struct record r = { 0 };
    enum err err = OK;

    while (text.len > 0 && err == OK) {
        if (*(const char *)text.data == '\0') { /* what a linker put between two records */
            text = bytes_of((const char *)text.data + 1, text.len - 1);
            continue;
        }
        err = next_record(&text, &r)
                  ? read_record(&r, m, why)
                  : fail(why, ERR_BADGRAFT, "manifest record %zu: more than %d fields", r.number, FIELD_MAX);
    }
    if (err != OK)
        return err;
    if (m->abi == 0)
        return fail(why, ERR_BADGRAFT,
                    "the manifest has no module record; write GRAFT_MODULE(name, version, about) once");
    if (m->function_count == 0)
        return fail(why, ERR_BADGRAFT, "the manifest has no function; write at least one GRAFT_FUNCTION");
    return OK;
}

enum err manifest_read(struct bytes text, struct manifest *m, struct failure *why)
{
    struct manifest new = { 0 };
    enum err err;

    if (text.len == 0)
        return fail(why, ERR_BADGRAFT, "the manifest is empty; write GRAFT_MODULE(name, version, about) once");
    if (text.len > MANIFEST_TEXT_MAX)
        return fail(why, ERR_BADGRAFT, "the manifest has %zu bytes; at most %d are read", text.len, MANIFEST_TEXT_MAX);
    if (((const char *)text.data)[text.len - 1] != '\0')
        return fail(why, ERR_BADGRAFT, "the manifest's last record does not end with NUL");
    new.functions = calloc(MANIFEST_FUNCTION_MAX + 1, sizeof new.functions[0]); /* one to fill before it is counted */
    if (new.functions == NULL)
        return fail(why, ERR_NOMEM, "out of memory while reading the manifest");
    err = read_records(text, &new, why);
    if (err != OK) {
        manifest_fini(&new);
        return err;
    }
    *m = new;
    return OK;
}

void manifest_fini(struct manifest *m)
{
    free(m->functions);
    *m = (struct manifest){ 0 };
}

int manifest_find(const struct manifest *m, struct bytes function)
{
    for (size_t i = 0; i < m->function_count; i++)
        if (bytes_equal(bytes_str(m->functions[i].name), function))
            return (int)i;
    return -1;
}
