/*
 * What the history tells of a transaction beside its effects: the calls inside it, the reply that is kept for a token,
 * and whose effects it takes back (T9). Most transactions have nothing of this and pay nothing for it.
 */
#include "txn/inside.h"

#include "lib/check.h"

#include <stdlib.h>
#include <string.h>

enum { NOTE_ROOM = 8 }; /* places to begin with */

static struct notes *notes_of(struct txn *t)
{
    if (t->notes == NULL)
        t->notes = calloc(1, sizeof *t->notes);
    if (t->notes != NULL)
        t->tale = &t->notes->tale;
    return t->notes;
}

/* Its function stands first in the block that holds all its texts. */
static void nested_free(struct store_nested *n) { free((void *)(uintptr_t)n->function); }

void notes_free(struct txn *t)
{
    struct notes *n = t->notes;

    t->notes = NULL;
    t->tale = NULL;
    if (n == NULL)
        return;
    for (size_t i = 0; i < n->nested_count; i++)
        nested_free(&n->nested[i]);
    free(n->nested);
    free(n->parts);
    free(n->part_ids);
    free(n->kept);
    free(n);
}

/* Room for one more; false: no memory. */
static bool reserve(void **array, size_t *cap, size_t count, size_t size)
{
    void *grown;

    if (count < *cap)
        return true;
    grown = reallocarray(*array, *cap == 0 ? NOTE_ROOM : *cap * 2, size);
    if (grown == NULL)
        return false;
    *array = grown;
    *cap = *cap == 0 ? NOTE_ROOM : *cap * 2;
    return true;
}

/* ---- calls inside ---- */

static char *add_text(char **at, const char *text)
{
    char *copy = *at;
    size_t n = text == NULL ? 0 : strlen(text) + 1;

    if (n == 0)
        return NULL;
    memcpy(copy, text, n);
    *at += n;
    return copy;
}

static size_t text_size(const char *text) { return text == NULL ? 0 : strlen(text) + 1; }

/* Its texts become copies of these. False: no memory, nothing changed. */
static bool nested_copy(struct store_nested *n, const char *function, const char *graft, const char *version,
                        const char *error)
{
    char *block = malloc(text_size(function) + text_size(graft) + text_size(version) + text_size(error)), *at = block;

    if (block == NULL)
        return false;
    function = add_text(&at, function);
    graft = add_text(&at, graft);
    version = add_text(&at, version);
    error = add_text(&at, error);
    if (n->function != NULL)
        nested_free(n);
    n->function = function;
    n->graft = graft;
    n->version = version;
    n->error = error;
    return true;
}

uint32_t txn_nested_begin(struct txn *t, uint32_t parent, const struct txn_origin *origin, int64_t now_us)
{
    struct notes *notes = notes_of(t);
    struct store_nested n = { .parent_seq = parent,
                              .outcome = "not ended",
                              .begun_us = now_us,
                              .ended_us = now_us,
                              .first_effect = t->effect_count };

    CHECK(t->state == TXN_OPEN);
    if (notes == NULL || notes->nested_count == TXN_NESTED_MAX ||
        !reserve((void **)&notes->nested, &notes->nested_cap, notes->nested_count, sizeof n) ||
        !nested_copy(&n, origin->function, origin->graft, origin->version, NULL))
        return 0;
    n.seq = (uint32_t)notes->nested_count + 1;
    notes->nested[notes->nested_count++] = n;
    notes->tale.nested = notes->nested;
    notes->tale.nested_count = notes->nested_count;
    return n.seq;
}

/* What went well inside, from that number on, went with its caller. */
static void nested_undone(struct notes *notes, size_t from)
{
    for (size_t i = from; i < notes->nested_count; i++)
        if (strcmp(notes->nested[i].outcome, "committed") == 0)
            notes->nested[i].outcome = "undone";
}

void txn_nested_end(struct txn *t, uint32_t seq, const struct failure *why, int64_t now_us, uint64_t cpu_us)
{
    struct store_nested *n;

    CHECK(t->state == TXN_OPEN);
    if (seq == 0)
        return;
    n = &t->notes->nested[seq - 1];
    n->ended_us = now_us;
    n->cpu_us = cpu_us;
    n->effect_count = t->effect_count > n->first_effect ? t->effect_count - n->first_effect : 0;
    n->outcome = why->err == OK ? "committed" : err_word(why->err);
    if (why->err == OK)
        return;
    nested_copy(n, n->function, n->graft, n->version, why->text); /* without memory the sentence is not told */
    nested_undone(t->notes, seq);
}

void notes_undone(struct txn *t)
{
    if (t->notes != NULL)
        nested_undone(t->notes, 0);
}

/* ---- a reply for a token ---- */

enum err txn_keep_reply(struct txn *t, struct bytes token, struct bytes reply)
{
    struct notes *notes = notes_of(t);
    uint8_t *kept;

    CHECK(t->state == TXN_OPEN && token.len > 0 && token.len <= STORE_TOKEN_MAX);
    if (reply.len > STORE_REPLY_MAX)
        return ERR_LIMIT;
    if (notes == NULL || (kept = malloc(token.len + reply.len)) == NULL)
        return ERR_NOMEM;
    memcpy(kept, token.data, token.len);
    if (reply.len > 0)
        memcpy(kept + token.len, reply.data, reply.len);
    free(notes->kept);
    notes->kept = kept;
    notes->tale.idem_token = bytes_of(kept, token.len);
    notes->tale.idem_reply = bytes_of(kept + token.len, reply.len);
    return OK;
}

/* ---- taking back others ---- */

enum err txn_undoes(struct txn *t, uint64_t undone, uint64_t *id)
{
    struct notes *notes = notes_of(t);
    struct txn_manager *m = t->m;
    struct txn_part *part;

    CHECK(t->state == TXN_OPEN && t->whole && undone < t->id);
    CHECK(t->effect_count == 0 || (notes != NULL && notes->part_count > 0));
    if (notes == NULL || !reserve((void **)&notes->parts, &notes->part_cap, notes->part_count, sizeof *part))
        return ERR_NOMEM;
    if (notes->part_count == TXN_PART_MAX)
        return ERR_LIMIT;
    part = &notes->parts[notes->part_count];
    *part = (struct txn_part){ notes->part_count == 0 ? t->id : manager_take_id(m), undone, t->effect_count };
    if (notes->part_count++ == 0)
        t->history.undoes = undone;
    *id = part->id;
    return OK;
}

/* ---- entries for the store ---- */

size_t notes_entry_count(const struct txn *t)
{
    return t->notes == NULL || t->notes->part_count == 0 ? 1 : t->notes->part_count;
}

void notes_split(const struct txn *t, struct store_entry *entries)
{
    const struct notes *n = t->notes;
    struct store_entry whole = entries[0];

    if (n == NULL || n->part_count == 0)
        return;
    CHECK(whole.first_effect == 0 || whole.effect_count == 0);
    for (size_t i = 0; i < n->part_count; i++) {
        const struct txn_part *part = &n->parts[i];
        uint64_t end = i + 1 < n->part_count ? n->parts[i + 1].first : t->effect_count;
        bool early = whole.first_effect > 0;
        entries[i] = whole;
        entries[i].txn = part->id;
        entries[i].history.undoes = part->undoes;
        entries[i].history.effect_count = end - part->first;
        entries[i].first_effect = early ? end - part->first : 0;
        entries[i].effects = early || whole.effects == NULL ? NULL : whole.effects + part->first;
        entries[i].effect_count = early ? 0 : (size_t)(end - part->first);
    }
}

bool notes_keep_parts(struct txn *t)
{
    struct notes *n = t->notes;

    if (n == NULL || n->part_count <= 1 || n->part_ids != NULL)
        return true;
    n->part_ids = calloc(n->part_count - 1, sizeof n->part_ids[0]);
    for (size_t i = 1; n->part_ids != NULL && i < n->part_count; i++)
        n->part_ids[i - 1] = n->parts[i].id;
    return n->part_ids != NULL;
}

void notes_parts(const struct txn *t, struct store_request *r)
{
    if (t->notes == NULL || t->notes->part_ids == NULL)
        return;
    r->parts = t->notes->part_ids;
    r->part_count = t->notes->part_count - 1;
}
