/*
 * Mutated manifests: fuzz_manifest [seed [count]].
 *
 * Holds, for any bytes in a graft's section: nothing crashes or reads out of bounds; what is refused says why and
 * touches nothing; what is read keeps every bound of policy/manifest.h, and written out again it reads the same.
 */
#include "include/graft.h"
#include "lib/check.h"
#include "lib/utf8.h"
#include "policy/manifest.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNT_DEFAULT = 100000, INPUT_MAX = 1024, TEXT_MAX = 1 << 20, MUTATION_MAX = 5 };

static struct corpus kept;

static const char good[] = "module\t1\tbank\t1.2.0\tmoves m\xc3\xb6ney\0"
                           "function\ttransfer\twrite\tfrom to amount\0"
                           "\0"
                           "function\tbalance\tread\taccount\0"
                           "function\tclose\twrite\t";

static const char pieces[][12] = { "\t", "\t\t", "module\t", "function\t", "write", "read\t",
                                   "1",  "\xc3", "\x1b",     "a",          "_",     "\x80" };

/* ---- mutation, in room for INPUT_MAX ---- */

static void insert(char *text, size_t *len, size_t at, const char *piece, size_t n)
{
    if (*len + n > INPUT_MAX)
        return;
    memmove(text + at + n, text + at, *len - at);
    memcpy(text + at, piece, n);
    *len += n;
}

static void mutate_once(char *text, size_t *len)
{
    const char *piece = pieces[random_below(sizeof pieces / sizeof pieces[0])];
    char copy[64];
    size_t at = random_below(*len + 1), n = 1 + random_below(sizeof copy);

    n = n < *len - at ? n : *len - at;
    switch (random_below(6)) {
    case 0:
        if (at < *len)
            text[at] = (char)(text[at] ^ 1 << random_below(8));
        break;
    case 1:
        insert(text, len, at, piece, strlen(piece));
        break;
    case 2:
        insert(text, len, at, "", 1); /* a NUL */
        break;
    case 3:
        memmove(text + at, text + at + n, *len - at - n);
        *len -= n;
        break;
    case 4:
        memcpy(copy, text + at, n);
        insert(text, len, random_below(*len + 1), copy, n);
        break;
    case 5: /* the end lost */
        *len = random_below(4) == 0 ? at : *len;
        break;
    }
}

/* In memory of its exact size. Owned by the caller. */
static struct bytes make_input(void)
{
    char text[INPUT_MAX];
    size_t pick = random_below(2 * kept.count);
    struct bytes from = pick < kept.count ? kept.list[pick] : bytes_of(good, sizeof good);
    size_t len = from.len;
    char *data;

    CHECK(len <= INPUT_MAX);
    memcpy(text, from.data, len);
    for (size_t n = random_below(MUTATION_MAX); n > 0; n--)
        mutate_once(text, &len);
    data = malloc(len > 0 ? len : 1);
    CHECK(data != NULL);
    memcpy(data, text, len);
    return bytes_of(data, len);
}

/* ---- what must hold ---- */

static void check_bounds(const struct manifest *m)
{
    CHECK(m->abi >= 1);
    CHECK(m->abi <= GRAFT_ABI);
    CHECK(manifest_name_valid(bytes_str(m->name)));
    CHECK(m->version[0] != '\0');
    CHECK(utf8_text(bytes_str(m->about)));
    CHECK(m->function_count >= 1);
    CHECK(m->function_count <= MANIFEST_FUNCTION_MAX);
    for (size_t i = 0; i < m->function_count; i++) {
        CHECK(manifest_name_valid(bytes_str(m->functions[i].name)));
        CHECK(manifest_find(m, bytes_str(m->functions[i].name)) == (int)i);
        CHECK(utf8_text(bytes_str(m->functions[i].parameters)));
    }
}

static void check_again(const struct manifest *m)
{
    struct manifest again = { 0 };
    struct buf text;

    buf_init(&text, TEXT_MAX);
    CHECK(buf_addf(&text, "module\t%u\t%s\t%s\t%s%c", m->abi, m->name, m->version, m->about, 0) == OK);
    for (size_t i = 0; i < m->function_count; i++) {
        const struct manifest_function *f = &m->functions[i];
        CHECK(buf_addf(&text, "function\t%s\t%s\t%s%c", f->name, f->readonly ? "read" : "write", f->parameters, 0)
              == OK);
    }
    CHECK(manifest_read(buf_bytes(&text), &again, NULL) == OK);
    CHECK(again.function_count == m->function_count);
    CHECK(memcmp(again.functions, m->functions, m->function_count * sizeof m->functions[0]) == 0);
    CHECK(strcmp(again.about, m->about) == 0);
    manifest_fini(&again);
    buf_fini(&text);
}

static bool check_input(struct bytes in)
{
    struct manifest m = { .abi = 77 };
    struct failure why = { 0 };
    enum err err = manifest_read(in, &m, &why);

    CHECK(err == why.err);
    if (err != OK) {
        CHECK(err == ERR_BADGRAFT);
        CHECK(why.text[0] != '\0');
        CHECK(m.abi == 77);
        CHECK(m.functions == NULL);
        return false;
    }
    check_bounds(&m);
    check_again(&m);
    manifest_fini(&m);
    return true;
}

int main(int argc, char **argv)
{
    uint64_t count = fuzz_begin("fuzz_manifest", argc, argv, COUNT_DEFAULT), good_count = 0;

    corpus_open(&kept, "manifest", "");
    for (size_t i = 0; i < kept.count; i++)
        CHECK(check_input(kept.list[i]));
    for (uint64_t i = 0; corpus_goes_on(i, count); i++) {
        struct bytes in = make_input();

        good_count += check_input(in);
        free((void *)(uintptr_t)in.data);
    }
    printf("fuzz_manifest: %llu were manifests\n", (unsigned long long)good_count);
    corpus_close(&kept);
    return 0;
}
