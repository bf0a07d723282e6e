/*
 * What all readers of policy words share: choosing among them, and the errors that are the same everywhere.
 */
#include "policy/policy_loader.h"

#include "lib/check.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LISTED_MAX = 256, /* bytes of "it can be a, b or c" */
    CHOICE_MAX = 24,  /* words that can stand in one place */
};

struct place word_place(const struct loader *l, const struct scfg_word *w)
{
    return (struct place){ l->file, w->line, w->column };
}

const char *word_show(const struct scfg_word *w, char out[SHOWN_MAX])
{
    return bytes_show(bytes_of(w->text, w->len), out, SHOWN_MAX);
}

const struct scfg_word *directive_last(const struct scfg_directive *d) { return &d->words[d->word_count - 1]; }

bool word_is(const struct scfg_word *w, const char *text) { return strcmp(w->text, text) == 0; }

/* ---- choosing among words ---- */

int choice_find(const struct choice *c, const struct scfg_word *w)
{
    for (size_t i = 0; i < c->count; i++)
        if (word_is(w, c->words[i]))
            return (int)i;
    return -1;
}

bool choice_is_later(const struct choice *c, const struct scfg_word *w)
{
    for (const char *const *later = c->later; later != NULL && *later != NULL; later++)
        if (word_is(w, *later))
            return true;
    return false;
}

/* "a", "a or b", "a, b or c" */
static const char *choice_list(const struct choice *c, char out[LISTED_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < c->count; i++) {
        const char *before = i == 0 ? "" : i + 1 == c->count ? " or " : ", ";
        CHECK(n + strlen(before) + strlen(c->words[i]) < LISTED_MAX);
        n += (size_t)snprintf(out + n, LISTED_MAX - n, "%s%s", before, c->words[i]);
    }
    return out;
}

void choice_error(struct loader *l, const struct choice *c, const struct scfg_word *w, const char *what)
{
    const char *near = scfg_nearest(w, c->words, c->count);
    char shown[SHOWN_MAX], list[LISTED_MAX];

    word_show(w, shown);
    if (choice_is_later(c, w))
        scfg_error(l->scfg, w, "\"%s\" is not supported by this version", shown);
    else if (near != NULL)
        scfg_error(l->scfg, w, "unknown %s \"%s\"; did you mean \"%s\"?", what, shown, near);
    else
        scfg_error(l->scfg, w, "unknown %s \"%s\"; it can be %s", what, shown, choice_list(c, list));
}

/* Index of the word, or -1 with an error. */
int word_choose(struct loader *l, const struct choice *c, const struct scfg_word *w, const char *what)
{
    int i = choice_find(c, w);

    if (i < 0)
        choice_error(l, c, w, what);
    return i;
}

/* ---- what all directives share ---- */

/* Notes that the setting stands at w, unless it already stood in this file; a later file goes before an earlier one. */
bool word_settle(struct loader *l, const struct scfg_word *w, const char *directive, struct place *place)
{
    char first[PLACE_MAX], shown[SHOWN_MAX];

    if (place->line == 0 || place->file != l->file) {
        *place = word_place(l, w);
        return true;
    }
    if (word_is(w, directive))
        scfg_error(l->scfg, w, "%s is set twice; first at %s", directive, place_show(*place, first, sizeof first));
    else
        scfg_error(l->scfg, w, "%s %s is set twice; first at %s", directive, word_show(w, shown),
                   place_show(*place, first, sizeof first));
    return false;
}

bool directive_expect_no_block(struct loader *l, const struct scfg_directive *d)
{
    if (d->block)
        scfg_error(l->scfg, &d->words[0], "%s takes no block", d->words[0].text);
    return !d->block;
}

bool directive_expect_block(struct loader *l, const struct scfg_directive *d)
{
    if (!d->block)
        scfg_error(l->scfg, directive_last(d), "%s needs a block { } behind it", d->words[0].text);
    return d->block;
}

/* min to max words in all. */
bool directive_expect_words(struct loader *l, const struct scfg_directive *d, size_t min, size_t max, const char *usage)
{
    if (d->word_count < min)
        scfg_error(l->scfg, directive_last(d), "something is missing behind this word; write it like this: %s", usage);
    else if (d->word_count > max)
        scfg_error(l->scfg, &d->words[max], "one word too many; write it like this: %s", usage);
    return d->word_count >= min && d->word_count <= max;
}

char *word_dup(struct loader *l, const struct scfg_word *w)
{
    char *copy = bytes_dup(bytes_of(w->text, w->len));

    if (copy == NULL)
        l->err = ERR_NOMEM;
    return copy;
}

/* Reads each directive of a block by its row. */
void rows_read(struct loader *l, const struct scfg_directive *d, const struct row *rows, size_t count,
               const char *const *later, void *into)
{
    const char *words[CHOICE_MAX];
    struct choice c = { words, count, later };

    CHECK(count <= CHOICE_MAX);
    for (size_t i = 0; i < count; i++)
        words[i] = rows[i].word;
    for (; d != NULL && l->err == OK; d = d->next) {
        int i = word_choose(l, &c, &d->words[0], "directive");
        if (i >= 0)
            rows[i].read(l, d, into);
    }
}

/* ---- amounts: limit cpu 50ms wall 1s ---- */

static void read_amount(struct loader *l, const struct quantity *q, const struct scfg_word *w, struct setting *s)
{
    char shown[SHOWN_MAX], min[QUANTITY_TEXT_MAX], max[QUANTITY_TEXT_MAX];
    uint64_t value;

    if (!quantity_parse(q->unit, bytes_of(w->text, w->len), &value))
        scfg_error(l->scfg, w, "\"%s\" is not %s", word_show(w, shown), unit_advice(q->unit));
    else if (value < q->min || value > q->max)
        scfg_error(l->scfg, w, "%s %s %s is out of range; it can be %s to %s", q->directive, q->word,
                   word_show(w, shown), quantity_show(q->unit, q->min, min), quantity_show(q->unit, q->max, max));
    else
        s->value = value;
}

/* Pairs of a word and an amount, as the table has them for this directive. settings has an entry per entry of the
 * table. */
void amounts_read(struct loader *l, const struct scfg_directive *d, const struct quantity *table, size_t count,
                  const char *const *later, struct setting *settings)
{
    const char *directive = d->words[0].text, *words[CHOICE_MAX];
    struct choice c = { words, 0, later };
    size_t first = 0;

    while (strcmp(table[first].directive, directive) != 0)
        first++;
    for (size_t i = first; i < count && strcmp(table[i].directive, directive) == 0; i++)
        words[c.count++] = table[i].word;
    directive_expect_no_block(l, d);
    if (d->word_count == 1)
        scfg_error(l->scfg, &d->words[0], "%s sets nothing; name an item and its value behind it", directive);
    for (size_t i = 1; i < d->word_count; i += 2) {
        int n = word_choose(l, &c, &d->words[i], directive);
        bool valued = i + 1 < d->word_count;

        if (n < 0)
            continue;
        if (!valued)
            scfg_error(l->scfg, &d->words[i], "%s %s has no value behind it", directive, words[n]);
        if (word_settle(l, &d->words[i], directive, &settings[first + (size_t)n].place) && valued)
            read_amount(l, &table[first + (size_t)n], &d->words[i + 1], &settings[first + (size_t)n]);
    }
}

/* ---- users and groups ---- */

enum { LOOK_UP_MAX = 64 * 1024 }; /* bytes of a user's or group's entry, its members included */
enum { ID_MAX = UINT32_MAX - 1 }; /* the last number means "nobody in particular" to the kernel */

/* Reentrant, as policies are read beside the loop; what does not fit is an entry that nobody can use. errno as the
 * system has it. */
static bool look_up(const char *name, bool group, uint32_t *id)
{
    char memory[LOOK_UP_MAX];
    struct passwd pw, *user = NULL;
    struct group gr, *found = NULL;

    if (group) {
        errno = getgrnam_r(name, &gr, memory, sizeof memory, &found);
        if (found != NULL)
            *id = gr.gr_gid;
        return found != NULL;
    }
    errno = getpwnam_r(name, &pw, memory, sizeof memory, &user);
    if (user != NULL)
        *id = pw.pw_uid;
    return user != NULL;
}

bool word_id(struct loader *l, const struct scfg_word *w, bool group, uint32_t *id)
{
    const char *what = group ? "group" : "user";
    char shown[SHOWN_MAX];
    uint64_t number;

    if (w->len > 0 && strspn(w->text, "0123456789") == w->len) {
        if (bytes_to_u64(bytes_of(w->text, w->len), &number) && number <= ID_MAX) {
            *id = (uint32_t)number;
            return true;
        }
        scfg_error(l->scfg, w, "%s number %s is out of range; it can be 0 to %u", what, word_show(w, shown),
                   (unsigned)ID_MAX);
        return false;
    }
    if (look_up(w->text, group, id))
        return true;
    if (errno == 0 || errno == ENOENT || errno == ESRCH)
        scfg_error(l->scfg, w, "there is no %s \"%s\" on this system", what, word_show(w, shown));
    else
        scfg_error(l->scfg, w, "the %s \"%s\" cannot be looked up: %s", what, word_show(w, shown), strerror(errno));
    return false;
}

/* ---- lists ---- */

void *array_grow(void *list, size_t *count, size_t *cap, size_t size)
{
    if (*count == *cap) {
        size_t want = *cap == 0 ? 8 : *cap * 2;
        void *grown = realloc(list, want * size);
        if (grown == NULL)
            return NULL;
        list = grown;
        *cap = want;
    }
    memset((char *)list + *count * size, 0, size);
    ++*count;
    return list;
}
