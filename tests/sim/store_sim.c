#include "tests/sim/store_sim.h"

#include <stdlib.h>
#include <string.h>

bool store_sim_is_mark(const struct store_effect *e) { return bytes_start_with(e->key, bytes_str("op:")); }
bool store_sim_is_timer_gone(const struct store_effect *e)
{
    return e->resource == RESOURCE_TIMER && !e->after.present;
}

/* Leaves out what is to be forgotten of the last transaction of a commit. */
static void falsify(struct store_sim *s, struct store_request *r)
{
    struct store_entry *last;
    size_t kept = 0;

    if (r->entry_count == 0 || r->entries[r->entry_count - 1].effect_count == 0 || s->entries != NULL ||
        r->entries[r->entry_count - 1].history.outcome == NULL) /* the next part of it would find a gap */
        return;
    s->entries = calloc(r->entry_count, sizeof *s->entries);
    memcpy(s->entries, r->entries, r->entry_count * sizeof *s->entries);
    last = &s->entries[r->entry_count - 1];
    s->effects = calloc(last->effect_count, sizeof *s->effects);
    for (size_t i = 0; i < last->effect_count; i++)
        if (!s->forgets(&last->effects[i]))
            s->effects[kept++] = last->effects[i];
    if (kept == last->effect_count) { /* nothing of it: another commit will do */
        free(s->entries);
        free(s->effects);
        s->entries = NULL;
        s->effects = NULL;
        return;
    }
    last->effects = s->effects;
    last->effect_count = kept;
    r->entries = s->entries;
}

static void store_submit(struct store *store, struct store_request *r)
{
    struct store_sim *s = (struct store_sim *)(void *)store;

    if (s->forgets != NULL && r->kind == STORE_COMMIT && chance_one_in(s->chance, 8))
        falsify(s, r);
    s->inner->ops->submit(s->inner, r);
}

static void store_poll(struct store *store)
{
    struct store *inner = ((struct store_sim *)(void *)store)->inner;

    inner->ops->poll(inner);
}

static const struct store_facts *store_facts(const struct store *store)
{
    struct store *inner = ((const struct store_sim *)(const void *)store)->inner;

    return inner->ops->facts(inner);
}

static void store_close(struct store *store)
{
    struct store_sim *s = (struct store_sim *)(void *)store;

    s->inner->ops->close(s->inner);
    free(s->entries);
    free(s->effects);
    *s = (struct store_sim){ 0 };
}

static const struct store_ops store_ops = { store_submit, store_poll, store_facts, store_close };

void store_sim_open(struct store_sim *s, struct store *inner, struct chance *chance)
{
    *s = (struct store_sim){ .store.ops = &store_ops, .inner = inner, .chance = chance };
}
