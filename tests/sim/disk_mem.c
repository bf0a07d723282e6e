/*
 * The disk of tests/sim/store_mem, and the judge of what is done to it.
 */
#include "tests/sim/disk_mem.h"

#include "lib/check.h"

#include <stdlib.h>
#include <string.h>

static struct bytes own(struct bytes b)
{
    char *copy = bytes_dup(b);

    CHECK(copy != NULL);
    return bytes_of(copy, b.len);
}

static char *own_text(const char *s)
{
    char *copy = s == NULL ? NULL : bytes_dup(bytes_str(s));

    CHECK(s == NULL || copy != NULL);
    return copy;
}

static void disown(struct bytes b) { free((void *)(uintptr_t)b.data); }

static void *grow(void *array, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return array;
    *cap = *cap == 0 ? 16 : 2 * *cap;
    array = reallocarray(array, *cap, size);
    CHECK(array != NULL);
    return array;
}

struct disk *disk_new(void)
{
    struct disk *d = calloc(1, sizeof *d);

    CHECK(d != NULL);
    d->files = file_mem_new();
    return d;
}

static void effects_free(struct past *p)
{
    for (size_t i = 0; i < p->count; i++) {
        disown(p->effects[i].key);
        disown(p->effects[i].before.value);
        disown(p->effects[i].after.value);
    }
    free(p->effects);
    p->effects = NULL;
    p->count = p->cap = 0;
}

static void disown_text(const char *s) { free((void *)(uintptr_t)s); }

static void nested_free(struct past *p)
{
    for (size_t i = 0; i < p->nested_count; i++) {
        disown_text(p->nested[i].graft);
        disown_text(p->nested[i].version);
        disown_text(p->nested[i].function);
        disown_text(p->nested[i].outcome);
        disown_text(p->nested[i].error);
    }
    free(p->nested);
}

static void row_free(struct store_row *row)
{
    free(row->graft);
    free(row->version);
    free(row->function);
    free(row->outcome);
    free(row->error);
}

static void table_free(struct table *t)
{
    for (size_t i = 0; i < t->count; i++) {
        disown(t->slots[i].key);
        disown(t->slots[i].value);
    }
    free(t->slots);
}

void disk_free(struct disk **out)
{
    struct disk *d = *out;

    CHECK(!d->in_use);
    table_free(&d->kv);
    table_free(&d->timers);
    file_mem_free(&d->files);
    for (size_t i = 0; i < d->told_count; i++) {
        disown(d->told[i].topic);
        disown(d->told[i].event.data);
    }
    free(d->told);
    for (size_t i = 0; i < d->past_count; i++) {
        effects_free(&d->past[i]);
        nested_free(&d->past[i]);
        row_free(&d->past[i].row);
    }
    for (size_t i = 0; i < d->token_count; i++) {
        disown(d->tokens[i].token);
        disown(d->tokens[i].reply);
    }
    free(d->tokens);
    free(d->past);
    free(d->grafts);
    free(d);
    *out = NULL;
}

/* The first slot whose key is not below. */
size_t table_seek(const struct table *t, struct bytes key)
{
    size_t low = 0, high = t->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (bytes_compare(t->slots[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool table_at(const struct table *t, size_t i, struct bytes key)
{
    return i < t->count && bytes_equal(t->slots[i].key, key);
}

struct image table_get(const struct table *t, struct bytes key)
{
    size_t i = table_seek(t, key);

    return table_at(t, i, key) ? (struct image){ true, t->slots[i].value } : (struct image){ 0 };
}

static void table_set(struct table *t, struct bytes key, struct image value)
{
    size_t i = table_seek(t, key);
    bool there = table_at(t, i, key);

    if (there)
        disown(t->slots[i].value);
    if (there && value.present) {
        t->slots[i].value = own(value.value);
    } else if (there) {
        disown(t->slots[i].key);
        memmove(&t->slots[i], &t->slots[i + 1], (--t->count - i) * sizeof t->slots[0]);
    } else if (value.present) {
        t->slots = grow(t->slots, t->count, &t->cap, sizeof t->slots[0]);
        memmove(&t->slots[i + 1], &t->slots[i], (t->count++ - i) * sizeof t->slots[0]);
        t->slots[i] = (struct slot){ own(key), own(value.value) };
    }
}

/* Where the images of a resource are; NULL: elsewhere. */
struct table *table_of(struct disk *d, char resource)
{
    return resource == RESOURCE_KV ? &d->kv : resource == RESOURCE_TIMER ? &d->timers : NULL;
}

struct image disk_get(const struct disk *d, struct bytes key) { return table_get(&d->kv, key); }
size_t disk_key_count(const struct disk *d) { return d->kv.count; }
struct image disk_timer(const struct disk *d, struct bytes id) { return table_get(&d->timers, id); }
size_t disk_timer_count(const struct disk *d) { return d->timers.count; }
size_t disk_event_count(const struct disk *d) { return d->told_count; }
const struct store_event *disk_event(const struct disk *d, size_t i) { return &d->told[i].event; }
struct bytes disk_event_topic(const struct disk *d, size_t i) { return d->told[i].topic; }
struct file_mem *disk_files(const struct disk *d) { return d->files; }

struct image disk_file(const struct disk *d, struct bytes path)
{
    struct image i = { 0 };

    i.present = file_mem_content(d->files, path, &i.value);
    return i;
}

void disk_put(struct disk *d, struct bytes key, struct bytes value)
{
    table_set(&d->kv, key, (struct image){ true, value });
}

struct past *past_find(const struct disk *d, uint64_t txn)
{
    for (size_t i = d->past_count; i > 0; i--)
        if (d->past[i - 1].row.txn == txn)
            return &d->past[i - 1];
    return NULL;
}

const char *disk_outcome(const struct disk *d, uint64_t txn)
{
    struct past *p = past_find(d, txn);

    return p == NULL ? NULL : p->row.outcome;
}

bool disk_has_row(const struct disk *d, uint64_t txn) { return past_find(d, txn) != NULL; }

static bool image_equal(struct image a, struct image b)
{
    return a.present == b.present && (!a.present || bytes_equal(a.value, b.value));
}

static struct image image_own(struct image i)
{
    return (struct image){ i.present, i.present ? own(i.value) : i.value };
}

static void past_describe(struct disk *d, struct past *p, uint64_t txn, const struct store_history *h)
{
    row_free(&p->row);
    p->serial = ++d->serial;
    p->row = (struct store_row){
        .txn = txn,
        .graft = own_text(h->graft),
        .version = own_text(h->version),
        .function = own_text(h->function),
        .outcome = own_text(h->outcome),
        .error = own_text(h->error),
        .uid = h->uid,
        .gid = h->gid,
        .pid = h->pid,
        .begun_us = h->begun_us,
        .ended_us = h->ended_us,
        .cpu_us = h->cpu_us,
        .effect_count = h->effect_count,
        .lock_wait_us = h->lock_wait_us,
        .undoes = h->undoes,
        .parent = h->parent,
        .depth = h->depth,
    };
}

bool past_committed(const struct past *p) { return p->row.outcome != NULL && strcmp(p->row.outcome, "committed") == 0; }

static void past_nest(struct past *p, const struct store_nested *nested, size_t count)
{
    CHECK(p->nested_count == 0);
    p->nested = count == 0 ? NULL : calloc(count, sizeof p->nested[0]);
    for (; p->nested_count < count; p->nested_count++) {
        struct store_nested copy = nested[p->nested_count];
        copy.graft = own_text(copy.graft);
        copy.version = own_text(copy.version);
        copy.function = own_text(copy.function);
        copy.outcome = own_text(copy.outcome);
        copy.error = own_text(copy.error);
        p->nested[p->nested_count] = copy;
    }
}

/* What it undoes is undone; what that had undone is not any more; and so on. */
static void mark_undone(struct disk *d, uint64_t by)
{
    bool undone = true;

    for (struct past *p = past_find(d, by), *of; p != NULL && p->row.undoes != 0; p = of, undone = !undone) {
        of = past_find(d, p->row.undoes);
        if (of != NULL)
            of->row.undone_by = undone ? p->row.txn : 0;
    }
}

const struct token *token_find(const struct disk *d, uint32_t uid, struct bytes token)
{
    for (size_t i = 0; i < d->token_count; i++)
        if (d->tokens[i].uid == uid && bytes_equal(d->tokens[i].token, token))
            return &d->tokens[i];
    return NULL;
}

static void token_add(struct disk *d, const struct store_entry *e)
{
    CHECK(token_find(d, e->history.uid, e->idem_token) == NULL);
    CHECK(e->idem_token.len <= STORE_TOKEN_MAX && e->idem_reply.len <= STORE_REPLY_MAX);
    d->tokens = grow(d->tokens, d->token_count, &d->token_cap, sizeof d->tokens[0]);
    d->tokens[d->token_count++] = (struct token){ e->history.uid, own(e->idem_token), own(e->idem_reply), e->txn };
}

bool same_item(const struct store_effect *a, char resource, struct bytes key)
{
    return a->resource == resource && bytes_equal(a->key, key);
}

static const struct store_effect *last_of(const struct past *p, char resource, struct bytes key)
{
    for (size_t i = p->count; i > 0; i--)
        if (same_item(&p->effects[i - 1], resource, key))
            return &p->effects[i - 1];
    return NULL;
}

/* The newest record of this item among p's and those of others that have not ended, as far as they are not on disk;
 * NULL: there is none. */
static const struct store_effect *unwritten(const struct disk *d, const struct past *p, char resource, struct bytes key)
{
    const struct store_effect *found = p->applied ? NULL : last_of(p, resource, key), *other;
    uint64_t serial = found == NULL ? 0 : UINT64_MAX;

    for (size_t i = 0; i < d->past_count; i++) {
        const struct past *q = &d->past[i];
        other = q->row.outcome == NULL && !q->applied && q->serial > serial ? last_of(q, resource, key) : NULL;
        if (other != NULL) {
            found = other;
            serial = q->serial;
        }
    }
    return found;
}

/* The judge. */
static void judge(struct disk *d, const struct past *p, const struct store_effect *x)
{
    const struct store_effect *last;
    struct file_image image;

    CHECK(resource_name(x->resource)[0] != '?');
    if (table_of(d, x->resource) != NULL) {
        CHECK(image_equal(x->before, table_get(table_of(d, x->resource), x->key)));
        return;
    }
    last = unwritten(d, p, x->resource, x->key);
    if (last != NULL)
        CHECK(image_equal(x->before, last->after));
    else if (x->resource == RESOURCE_EVENT)
        CHECK(!x->before.present);
    if (x->resource != RESOURCE_FILE)
        return;
    CHECK(!x->before.present || file_image_read(x->before.value, &image));
    CHECK(!x->after.present || file_image_read(x->after.value, &image));
}

/* What it told and did not take away gets its ids. */
static void tell_events(struct disk *d, const struct past *p)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct store_effect *x = &p->effects[i];
        bool last = true;
        for (size_t k = i + 1; k < p->count && x->resource == RESOURCE_EVENT; k++)
            last = last && !same_item(&p->effects[k], RESOURCE_EVENT, x->key);
        if (x->resource != RESOURCE_EVENT || !x->after.present || !last)
            continue;
        const char *end = memchr(x->key.data, '\0', x->key.len);
        CHECK(end != NULL);
        d->told = grow(d->told, d->told_count, &d->told_cap, sizeof d->told[0]);
        d->told[d->told_count] =
            (struct told){ .event = { d->told_count + 1, p->row.txn, p->row.ended_us, own(x->after.value) },
                           .topic = own(bytes_of(x->key.data, (size_t)(end - (const char *)x->key.data))) };
        d->told_count++;
    }
}

/* The net changes of its files, owned by the caller; images are in images, two for each. */
static size_t file_changes(const struct past *p, struct file_change **changes, struct file_image **images)
{
    size_t n = 0;

    *changes = calloc(p->count + 1, sizeof **changes);
    *images = calloc(2 * p->count + 1, sizeof **images);
    CHECK(*changes != NULL && *images != NULL);
    for (size_t i = 0; i < p->count; i++) {
        const struct store_effect *first = &p->effects[i], *last = first;
        bool seen = false;
        for (size_t k = 0; k < i; k++)
            seen = seen || same_item(&p->effects[k], RESOURCE_FILE, first->key);
        if (first->resource != RESOURCE_FILE || seen)
            continue;
        for (size_t k = i + 1; k < p->count; k++)
            last = same_item(&p->effects[k], RESOURCE_FILE, first->key) ? &p->effects[k] : last;
        if (image_equal(first->before, last->after))
            continue;
        (*changes)[n] = (struct file_change){ .path = first->key, .seq = i };
        if (first->before.present && file_image_read(first->before.value, &(*images)[2 * n]))
            (*changes)[n].before = &(*images)[2 * n];
        if (last->after.present && file_image_read(last->after.value, &(*images)[2 * n + 1]))
            (*changes)[n].after = &(*images)[2 * n + 1];
        n++;
    }
    return n;
}

static enum err apply_files(struct disk *d, struct past *p, struct failure *why)
{
    struct file_change *changes;
    struct file_image *images;
    size_t n = file_changes(p, &changes, &images);
    enum err err;

    CHECK(p->row.outcome == NULL && !p->applied);
    err = n == 0 ? OK : file_mem_apply(d->files, p->row.txn, changes, n, why);
    p->applied = err == OK;
    free(changes);
    free(images);
    return err;
}

static bool changes_files(const struct past *p)
{
    struct file_change *changes;
    struct file_image *images;
    size_t n = file_changes(p, &changes, &images);

    free(changes);
    free(images);
    return n > 0;
}

static bool has(const struct past *p, char resource)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->effects[i].resource == resource)
            return true;
    return false;
}

/* Its end: what it changed of files is on disk, what it told is told. */
static void end_well(struct disk *d, const struct past *p)
{
    CHECK(p->applied || !has(p, RESOURCE_FILE) || !changes_files(p));
    tell_events(d, p);
    file_mem_end(d->files, p->row.txn);
}

void disk_apply_entry(struct disk *d, const struct store_entry *e)
{
    struct past *p = past_find(d, e->txn);

    if (p == NULL) {
        d->past = grow(d->past, d->past_count, &d->past_cap, sizeof d->past[0]);
        p = &d->past[d->past_count++];
        *p = (struct past){ 0 };
    }
    CHECK(p->row.outcome == NULL);
    CHECK(p->count == e->first_effect || e->effect_count == 0);
    CHECK(e->history.outcome != NULL || (e->nested_count == 0 && e->idem_token.len == 0));
    past_describe(d, p, e->txn, &e->history);
    past_nest(p, e->nested, e->nested_count);
    if (past_committed(p))
        mark_undone(d, e->txn);
    if (e->idem_token.len > 0)
        token_add(d, e);
    for (size_t i = 0; i < e->effect_count; i++) {
        const struct store_effect *x = &e->effects[i];
        judge(d, p, x);
        if (table_of(d, x->resource) != NULL)
            table_set(table_of(d, x->resource), x->key, x->after);
        CHECK(x->resource != RESOURCE_FILE || !p->applied);
        p->effects = grow(p->effects, p->count, &p->cap, sizeof p->effects[0]);
        p->effects[p->count++] =
            (struct store_effect){ x->resource, own(x->key), image_own(x->before), image_own(x->after) };
    }
    if (past_committed(p))
        end_well(d, p);
    if (e->txn > d->reserved)
        d->reserved = e->txn;
}

/* NULL when it is there and has ended. */
static struct past *past_to_end(struct disk *d, uint64_t txn)
{
    struct past *p = past_find(d, txn);

    if (p != NULL)
        return p->row.outcome == NULL ? p : NULL;
    d->past = grow(d->past, d->past_count, &d->past_cap, sizeof d->past[0]);
    p = &d->past[d->past_count++];
    *p = (struct past){ 0 };
    return p;
}

/* Its effects are gone. */
static void take_back(struct disk *d, struct past *p)
{
    for (size_t i = p->count; i > 0; i--) {
        const struct store_effect *x = &p->effects[i - 1];
        struct table *table = table_of(d, x->resource);
        if (table == NULL)
            continue;
        CHECK(image_equal(x->after, table_get(table, x->key)));
        table_set(table, x->key, x->before);
    }
    if (p->applied)
        file_mem_undo(d->files, p->row.txn);
    p->applied = false;
    effects_free(p);
}

static void undo(struct disk *d, uint64_t txn, const struct store_history *h, const struct store_nested *nested,
                 size_t nested_count)
{
    struct past *p = past_to_end(d, txn);

    if (p == NULL)
        return;
    take_back(d, p);
    past_describe(d, p, txn, h);
    past_nest(p, nested, nested_count);
}

/* A part keeps its row, which tells the end. */
static void undo_part(struct disk *d, uint64_t txn, const struct store_history *h)
{
    struct past *p = past_find(d, txn);

    if (p == NULL || p->row.outcome != NULL)
        return;
    take_back(d, p);
    p->row.outcome = own_text(h->outcome);
    p->row.error = own_text(h->error);
    p->row.ended_us = h->ended_us;
}

static int rising(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* Txn and parts, rising; owned by the caller. */
static uint64_t *ids_of(const struct store_request *r, size_t *count)
{
    uint64_t *ids = calloc(r->part_count + 1, sizeof *ids);
    size_t n = 0;

    CHECK(ids != NULL);
    ids[n++] = r->txn;
    for (size_t i = 0; i < r->part_count; i++)
        if (r->parts[i] != r->txn)
            ids[n++] = r->parts[i];
    qsort(ids, n, sizeof *ids, rising);
    *count = n;
    return ids;
}

void disk_undo(struct disk *d, const struct store_request *r)
{
    size_t count;
    uint64_t *ids = ids_of(r, &count);

    for (size_t i = count; i > 0; i--) {
        if (ids[i - 1] == r->txn)
            undo(d, r->txn, &r->history, r->calls, r->call_count);
        else
            undo_part(d, ids[i - 1], &r->history);
        file_mem_end(d->files, ids[i - 1]);
    }
    free(ids);
}

void disk_apply_files(struct disk *d, struct store_request *r)
{
    size_t count, n = 0;
    uint64_t *ids = ids_of(r, &count);
    struct past *p;
    enum err err = OK;

    while (n < count && err == OK) {
        p = past_find(d, ids[n]);
        err = p == NULL ? OK : apply_files(d, p, &r->why);
        n += err == OK;
    }
    while (err != OK && n > 0) {
        p = past_find(d, ids[--n]);
        if (p != NULL) {
            file_mem_undo(d->files, ids[n]);
            p->applied = false;
        }
    }
    free(ids);
}

static bool in_history(uint64_t txn, void *user) { return past_find(user, txn) != NULL; }

uint64_t disk_recover(struct disk *d)
{
    uint64_t n = 0;

    for (size_t i = d->past_count; i > 0; i--) {
        if (d->past[i - 1].row.outcome != NULL)
            continue;
        undo(d, d->past[i - 1].row.txn, &(struct store_history){ .outcome = "KILLED", .error = "undone by recovery" },
             NULL, 0);
        n++;
    }
    file_mem_sweep(d->files, in_history, d);
    return n;
}
