/*
 * Mutated policy files: fuzz_scfg [seed [count]].
 *
 * Holds, for any bytes in a file: nothing crashes or reads out of bounds; each word stands where it says, and within
 * its bounds; errors are visible text; a policy comes out exactly if there is no error (P3), and what it shows of
 * itself is the same policy, also when it has replaced another one; what is said of why it decides is visible text.
 */
#include "lib/check.h"
#include "lib/scfg.h"
#include "lib/utf8.h"
#include "policy/why.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNT_DEFAULT = 5000, INPUT_MAX = 4096, ERRORS_MAX = 1 << 20, MUTATION_MAX = 6 };

static struct corpus kept;

static const char good[] =
    "# a policy\n"
    "data \"/var/lib/graftd\"\n"
    "socket '/run/graftd.sock' mode 0660 group 7\n"
    "durability normal; sandbox degraded allow\n"
    "limit key 1K value 1M clients 10 queue 10 lock-wait 5s cache 2M drain 1s\n"
    "txn spill 64K\n"
    "history keep 1h size 64M; events keep 1d size 1M; limit timers 10 locks 1M\n"
    "root s /srv/s; root t \"/srv/t u\"\n"
    "graft default {\n"
    "    limit cpu 50ms wall 1s memory 64M stack 1M effects 10000 # all\n"
    "    workers min 1 max 4\n"
    "    allow read kv \"*\"\n"
    "}\n"
    "graft bank { limit cpu 20ms; allow read write kv \"acct:*\"; deny write kv \"a\\\"b\" }\n"
    "graft till { limit disk 1M; allow read write file \"s/*\"; deny write file \"s/a\"\n"
    "    allow emit \"t.*\"; allow timer \"till.tick\" }\n"
    "caller user 5 {\n"
    "    allow call \"bank.*\" \"shop.sell\"\n"
    "    allow load unload \"ba*\"\n"
    "}\n"
    "caller group 6 { allow load unload undo kill }\n"
    "caller any { allow info; deny admin; allow read event \"t.*\"; deny command \"graft load\" }\n";

/* clang-format off */
static const char *const pieces[] = {
    "{", "}", ";", "\"", "'", "\\", "#", "\n", "\r", "\t", " ", "*", "\x1b", "\xff", "\xc3\xbc", "\xe2\x80\xae",
    "graft ", "graft default { }", "caller any { ", "allow ", "deny ", "kv ", "read ", "call \"x.y\"", "limit ",
    "cpu 1s ", "memry ", "workers min 9 ", "99999999999999999999", "0", "64K", "data /x\n", "point ",
    "include x", "root r /srv", "..", "/", "file ", "emit ", "timer ", "event ", "command ",
    "a { b { c { d { e { f { g { h { i {",
};
/* clang-format on */

/* ---- mutation: text in place, in room for INPUT_MAX ---- */

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
    switch (random_below(5)) {
    case 0: /* a bit */
        if (at < *len)
            text[at] = (char)(text[at] ^ 1 << random_below(8));
        break;
    case 1: /* a word that means something */
    case 2:
        insert(text, len, at, piece, strlen(piece));
        break;
    case 3: /* some of it lost */
        memmove(text + at, text + at + n, *len - at - n);
        *len -= n;
        break;
    case 4: /* some of it elsewhere once more */
        memcpy(copy, text + at, n);
        insert(text, len, random_below(*len + 1), copy, n);
        break;
    }
}

/* In memory of its exact size. Owned by the caller. */
static struct bytes make_input(void)
{
    char text[INPUT_MAX];
    size_t pick = random_below(2 * kept.count);
    struct bytes from = pick < kept.count ? kept.list[pick] : bytes_str(good);
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

static void check_word(const struct scfg_word *w, struct bytes in)
{
    const char *text = in.data;
    struct scfg *s = NULL;
    struct buf again;

    CHECK(w->len <= SCFG_WORD_SIZE_MAX);
    CHECK(strlen(w->text) == w->len);
    CHECK(w->column > 0);
    CHECK(w->offset + w->width <= in.len);
    CHECK(w->offset >= w->column - 1);
    CHECK(w->column - 1 == w->offset || text[w->offset - w->column] == '\n');
    CHECK(w->quoted || w->len > 0);
    buf_init(&again, 2 * SCFG_WORD_SIZE_MAX + 2);
    CHECK(scfg_add_word(&again, bytes_of(w->text, w->len)) == OK);
    CHECK(scfg_parse("word", buf_bytes(&again), &s) == OK);
    CHECK(scfg_error_count(s) == 0);
    CHECK(strcmp(scfg_first(s)->words[0].text, w->text) == 0);
    scfg_free(&s);
    buf_fini(&again);
}

static void check_block(const struct scfg_directive *d, struct bytes in, int depth)
{
    CHECK(depth <= SCFG_DEPTH_MAX);
    for (; d != NULL; d = d->next) {
        CHECK(d->word_count > 0);
        CHECK(d->word_count <= SCFG_WORD_MAX);
        CHECK(d->block || d->child == NULL);
        for (size_t i = 0; i < d->word_count; i++)
            check_word(&d->words[i], in);
        if (d->child != NULL)
            check_block(d->child, in, depth + 1);
    }
}

static void check_errors(const struct buf *errors)
{
    struct bytes left = buf_bytes(errors);

    CHECK(left.len > 0);
    while (left.len > 0) {
        const char *line = left.data, *end = memchr(line, '\n', left.len);
        CHECK(end != NULL);
        CHECK(utf8_text(bytes_of(line, (size_t)(end - line))));
        left = bytes_of(end + 1, left.len - (size_t)(end + 1 - line));
    }
}

/* What the policy shows, without the places; they stand at the line ends, behind what cannot be in a pattern's quotes
 * there. */
static char *show(const struct policy *p)
{
    struct buf out;
    char *text, *hash;

    buf_init(&out, ERRORS_MAX);
    CHECK(policy_show(p, &out) == OK);
    text = bytes_dup(buf_bytes(&out));
    CHECK(text != NULL);
    buf_fini(&out);
    while ((hash = strstr(text, "  # t.scfg:")) != NULL || (hash = strstr(text, "  # until the next start")) != NULL)
        memmove(hash, hash + strcspn(hash, "\n"), strlen(hash + strcspn(hash, "\n")) + 1);
    return text;
}

static void check_policy(const struct policy *p)
{
    char *first = show(p), *second;
    struct policy *again = NULL;
    struct buf errors;

    buf_init(&errors, ERRORS_MAX);
    CHECK(policy_parse("t.scfg", bytes_str(first), 1, &again, &errors) == OK);
    second = show(again);
    CHECK(strcmp(first, second) == 0);
    policy_free(&again);
    buf_fini(&errors);
    free(first);
    free(second);
}

/* In the place of another: what is in force is a policy that can be read, and the reasons that it gives are text. */
static void check_replaced(struct policy **p)
{
    struct bytes words[] = { bytes_str("read"), bytes_str("kv"), bytes_str("a\xff*\x1b") };
    const struct principal who = { .uid = 5, .gid = 6 };
    struct policy *old = NULL;
    struct question q;
    struct buf out;

    buf_init(&out, ERRORS_MAX);
    CHECK(policy_parse("old.scfg", bytes_str("data /x; root s /srv/s; limit key 2K"), 1, &old, &out) == OK);
    CHECK(policy_replace(old, p, &out) == OK);
    CHECK(*p == NULL);
    CHECK(question_read(words, 3, false, &q, NULL) == OK);
    buf_clear(&out);
    CHECK(policy_why_caller(old, &who, "app", &q, &out) == OK);
    CHECK(policy_why_graft(old, "till", NULL, &q, &out) == OK);
    check_errors(&out);
    buf_fini(&out);
    *p = old;
}

static bool check_input(struct bytes in)
{
    struct scfg *s = NULL;
    struct policy *p = NULL;
    struct buf errors;
    bool broken, good_policy;
    enum err err;

    CHECK(scfg_parse("t.scfg", in, &s) == OK);
    check_block(scfg_first(s), in, 0);
    broken = scfg_error_count(s) > 0;
    scfg_free(&s);
    buf_init(&errors, ERRORS_MAX);
    err = policy_parse("t.scfg", in, 1, &p, &errors);
    good_policy = err == OK;
    if (good_policy) {
        CHECK(!broken);
        CHECK(buf_len(&errors) == 0);
        check_policy(p);
        check_replaced(&p);
        check_policy(p);
    } else {
        CHECK(err == ERR_BADARG);
        CHECK(p == NULL);
        check_errors(&errors);
    }
    policy_free(&p);
    buf_fini(&errors);
    return good_policy;
}

int main(int argc, char **argv)
{
    uint64_t count = fuzz_begin("fuzz_scfg", argc, argv, COUNT_DEFAULT), good_count = 0;

    corpus_open(&kept, "scfg", "");
    for (size_t i = 0; i < kept.count; i++)
        CHECK(check_input(kept.list[i]));
    for (uint64_t i = 0; corpus_goes_on(i, count); i++) {
        struct bytes in = make_input();

        good_count += check_input(in);
        free((void *)(uintptr_t)in.data);
    }
    printf("fuzz_scfg: %llu were policies\n", (unsigned long long)good_count);
    corpus_close(&kept);
    return 0;
}
