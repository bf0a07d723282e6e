#include "tests/sim/store_mem.h"

#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY_MAX = 64 * 1024, VALUE_MAX = 16 * 1024 * 1024 };

struct slot { /* owned copies */
    struct bytes key, value;
};

struct past { /* a row of history and its effects, all owned */
    struct store_row row;
    struct store_effect *effects;
    size_t count, cap;
    struct store_nested *nested;
    size_t nested_count;
    uint64_t serial; /* of its newest entry: the order of commits */
};

struct token { /* owned copies */
    uint32_t uid;
    struct bytes token, reply;
    uint64_t txn;
};

struct disk {
    struct slot *slots; /* in byte order of keys */
    size_t count, cap;
    struct past *past; /* in order of first appearance */
    size_t past_count, past_cap;
    struct token *tokens;
    size_t token_count, token_cap;
    struct store_graft *grafts;
    size_t graft_count;
    uint64_t serial;   /* the newest */
    uint64_t reserved; /* txn ids up to this may be in use */
    bool in_use;
};

struct store_mem {
    struct store store;
    struct store_facts facts;
    struct disk *disk;
    struct list queue;
    size_t waiting;
    unsigned delay, polls; /* polls that the first in line has seen */
    bool dead;             /* every request fails with dead_err */
    enum err dead_err;
    bool fail_armed, fail_applied;
    enum store_kind fail_kind;
    enum err fail_err;
};

static struct store_mem *mem(struct store *s) { return (struct store_mem *)(void *)s; }
static const struct store_mem *mem_const(const struct store *s) { return (const struct store_mem *)(const void *)s; }

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

/* The disk */

struct disk *disk_new(void)
{
    struct disk *d = calloc(1, sizeof *d);

    CHECK(d != NULL);
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

void disk_free(struct disk **out)
{
    struct disk *d = *out;

    CHECK(!d->in_use);
    for (size_t i = 0; i < d->count; i++) {
        disown(d->slots[i].key);
        disown(d->slots[i].value);
    }
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
    free(d->slots);
    free(d->past);
    free(d->grafts);
    free(d);
    *out = NULL;
}

/* The first slot whose key is not below. */
static size_t seek(const struct disk *d, struct bytes key)
{
    size_t low = 0, high = d->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (bytes_compare(d->slots[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool at(const struct disk *d, size_t i, struct bytes key)
{
    return i < d->count && bytes_equal(d->slots[i].key, key);
}

struct image disk_get(const struct disk *d, struct bytes key)
{
    size_t i = seek(d, key);

    return at(d, i, key) ? (struct image){ true, d->slots[i].value } : (struct image){ 0 };
}

size_t disk_key_count(const struct disk *d) { return d->count; }

static void disk_set(struct disk *d, struct bytes key, struct image value)
{
    size_t i = seek(d, key);
    bool there = at(d, i, key);

    if (there)
        disown(d->slots[i].value);
    if (there && value.present) {
        d->slots[i].value = own(value.value);
    } else if (there) {
        disown(d->slots[i].key);
        memmove(&d->slots[i], &d->slots[i + 1], (--d->count - i) * sizeof d->slots[0]);
    } else if (value.present) {
        d->slots = grow(d->slots, d->count, &d->cap, sizeof d->slots[0]);
        memmove(&d->slots[i + 1], &d->slots[i], (d->count++ - i) * sizeof d->slots[0]);
        d->slots[i] = (struct slot){ own(key), own(value.value) };
    }
}

void disk_put(struct disk *d, struct bytes key, struct bytes value) { disk_set(d, key, (struct image){ true, value }); }

static struct past *past_find(const struct disk *d, uint64_t txn)
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
        .txn = txn, .graft = own_text(h->graft), .version = own_text(h->version), .function = own_text(h->function),
        .outcome = own_text(h->outcome), .error = own_text(h->error), .uid = h->uid, .gid = h->gid, .pid = h->pid,
        .begun_us = h->begun_us, .ended_us = h->ended_us, .cpu_us = h->cpu_us, .effect_count = h->effect_count,
        .lock_wait_us = h->lock_wait_us, .undoes = h->undoes, .parent = h->parent, .depth = h->depth,
    };
}

static bool committed(const struct past *p)
{
    return p->row.outcome != NULL && strcmp(p->row.outcome, "committed") == 0;
}

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

static const struct token *token_find(const struct disk *d, uint32_t uid, struct bytes token)
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

static void apply_entry(struct disk *d, const struct store_entry *e)
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
    if (committed(p))
        mark_undone(d, e->txn);
    if (e->idem_token.len > 0)
        token_add(d, e);
    for (size_t i = 0; i < e->effect_count; i++) {
        const struct store_effect *x = &e->effects[i];
        CHECK(image_equal(x->before, disk_get(d, x->key)));
        disk_set(d, x->key, x->after);
        p->effects = grow(p->effects, p->count, &p->cap, sizeof p->effects[0]);
        p->effects[p->count++] = (struct store_effect){ x->resource, own(x->key), image_own(x->before),
                                                        image_own(x->after) };
    }
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

static void undo(struct disk *d, uint64_t txn, const struct store_history *h, const struct store_nested *nested,
                 size_t nested_count)
{
    struct past *p = past_to_end(d, txn);

    if (p == NULL)
        return;
    for (size_t i = p->count; i > 0; i--) {
        CHECK(image_equal(p->effects[i - 1].after, disk_get(d, p->effects[i - 1].key)));
        disk_set(d, p->effects[i - 1].key, p->effects[i - 1].before);
    }
    effects_free(p);
    past_describe(d, p, txn, h);
    past_nest(p, nested, nested_count);
}

static uint64_t recover(struct disk *d)
{
    uint64_t n = 0;

    for (size_t i = d->past_count; i > 0; i--) {
        if (d->past[i - 1].row.outcome != NULL)
            continue;
        undo(d, d->past[i - 1].row.txn, &(struct store_history){ .outcome = "KILLED", .error = "undone by recovery" },
             NULL, 0);
        n++;
    }
    return n;
}

/* Answers. A failed allocation has set r->why. */

static bool answer_pair(struct store_request *r, struct bytes key, struct image value)
{
    struct bytes k = bytes_of(store_request_copy(r, key), key.len);
    struct bytes v = bytes_of(value.present ? store_request_copy(r, value.value) : NULL, value.value.len);

    if (r->why.err != OK)
        return false;
    r->pairs[r->pair_count++] = (struct store_pair){ k, { value.present, v } };
    return true;
}

static void answer_get(const struct disk *d, struct store_request *r)
{
    r->pairs = store_request_alloc(r, r->key_count * sizeof r->pairs[0]);
    for (size_t i = 0; r->pairs != NULL && i < r->key_count; i++)
        if (!answer_pair(r, r->keys[i], disk_get(d, r->keys[i])))
            return;
}

static void answer_scan(const struct disk *d, struct store_request *r)
{
    size_t i = seek(d, bytes_compare(r->from, r->prefix) > 0 ? r->from : r->prefix);

    r->pairs = store_request_alloc(r, r->count_max * sizeof r->pairs[0]);
    for (; r->pairs != NULL && i < d->count && bytes_start_with(d->slots[i].key, r->prefix); i++) {
        if (r->pair_count == r->count_max) {
            r->more = true;
            return;
        }
        if (!answer_pair(r, d->slots[i].key, (struct image){ true, d->slots[i].value }))
            return;
    }
}

static char *answer_text(struct store_request *r, const char *s)
{
    return s == NULL ? NULL : store_request_copy(r, bytes_str(s));
}

static void answer_row(struct store_request *r, const struct store_row *row)
{
    struct store_row copy = *row;

    copy.graft = answer_text(r, row->graft);
    copy.version = answer_text(r, row->version);
    copy.function = answer_text(r, row->function);
    copy.outcome = answer_text(r, row->outcome);
    copy.error = answer_text(r, row->error);
    r->rows[r->row_count++] = copy;
}

/* Whether its effects, as far as they are kept, change this key: *first is the first that does, *last the last. */
static bool changes(const struct past *p, struct bytes key, const struct store_effect **first,
                    const struct store_effect **last)
{
    *first = *last = NULL;
    for (size_t i = 0; i < p->count; i++)
        if (bytes_equal(p->effects[i].key, key)) {
            *first = *first == NULL ? &p->effects[i] : *first;
            *last = &p->effects[i];
        }
    return *first != NULL;
}

static bool text_is(const char *text, const char *wanted)
{
    return wanted == NULL || (text != NULL && strcmp(text, wanted) == 0);
}

static bool matches(const struct store_filter *f, const struct store_row *row)
{
    return text_is(row->graft, f->graft) && text_is(row->function, f->function) && text_is(row->outcome, f->outcome) &&
           (!f->has_uid || row->uid == f->uid) && (f->since_us == 0 || row->begun_us >= f->since_us) &&
           (f->until_us == 0 || row->begun_us < f->until_us);
}

/* A row that is told of; false when there is no room for it. */
static bool answer_match(struct store_request *r, const struct past *p)
{
    r->more = r->row_count == r->count_max;
    if (r->more)
        return false;
    answer_row(r, &p->row);
    r->next = p->row.txn;
    return true;
}

/* By id, the highest first. */
static void answer_list(const struct disk *d, struct store_request *r)
{
    uint64_t below = r->txn == 0 ? UINT64_MAX : r->txn;

    r->rows = store_request_alloc(r, r->count_max * sizeof r->rows[0]);
    while (r->rows != NULL) {
        const struct past *next = NULL;
        for (size_t i = 0; i < d->past_count; i++)
            if (d->past[i].row.txn < below && (next == NULL || d->past[i].row.txn > next->row.txn))
                next = &d->past[i];
        if (next == NULL || (matches(&r->filter, &next->row) && !answer_match(r, next)))
            return;
        below = next->row.txn;
    }
}

static struct bytes answer_bytes(struct store_request *r, struct bytes b)
{
    return bytes_of(store_request_copy(r, b), b.len);
}

static struct image answer_image(struct store_request *r, struct image i)
{
    return i.present ? (struct image){ true, answer_bytes(r, i.value) } : (struct image){ 0 };
}

/* The newest that changed the key, of those before this serial. */
static const struct past *owner_before(const struct disk *d, struct bytes key, uint64_t serial)
{
    const struct store_effect *first, *last;
    const struct past *owner = NULL;

    for (size_t i = 0; i < d->past_count; i++) {
        const struct past *p = &d->past[i];
        if (p->serial < serial && (owner == NULL || p->serial > owner->serial) && changes(p, key, &first, &last))
            owner = p;
    }
    return owner;
}

static void answer_owners(const struct disk *d, struct store_request *r, struct bytes key, bool blame)
{
    const struct past *from = past_find(d, r->txn), *p;
    const struct store_effect *first, *last;
    uint64_t serial = r->txn == 0 ? UINT64_MAX : 0;

    r->rows = store_request_alloc(r, r->count_max * sizeof r->rows[0]);
    if (blame)
        r->effects = store_request_alloc(r, r->count_max * sizeof r->effects[0]);
    if (from != NULL && changes(from, key, &first, &last))
        serial = from->serial;
    while (r->why.err == OK && (p = owner_before(d, key, serial)) != NULL) {
        serial = p->serial;
        if ((blame && !committed(p)) || !matches(&r->filter, &p->row))
            continue;
        if (!answer_match(r, p))
            return;
        if (blame && changes(p, key, &first, &last))
            r->effects[r->effect_count++] = (struct store_effect){
                'k', answer_bytes(r, key), answer_image(r, first->before), answer_image(r, last->after)
            };
    }
}

/* The transaction that is asked about, when it committed. */
static const struct past *asked(const struct disk *d, struct store_request *r)
{
    const struct past *p = past_find(d, r->txn);

    if (p == NULL)
        fail(&r->why, ERR_ABSENT, "not in the history");
    else if (!committed(p))
        fail(&r->why, ERR_BADARG, "it did not commit");
    return r->why.err == OK ? p : NULL;
}

static void answer_at(const struct disk *d, struct store_request *r)
{
    const struct past *p = asked(d, r), *owner;
    const struct store_effect *first, *last;
    struct image image = disk_get(d, r->key);
    uint64_t serial = UINT64_MAX;

    while (p != NULL && (owner = owner_before(d, r->key, serial)) != NULL &&
           (owner->row.outcome == NULL || owner->serial > p->serial)) {
        changes(owner, r->key, &first, &last);
        image = first->before;
        serial = owner->serial;
    }
    r->pairs = p == NULL ? NULL : store_request_alloc(r, sizeof r->pairs[0]);
    if (r->pairs != NULL)
        answer_pair(r, r->key, image);
}

static bool share_a_key(const struct past *a, const struct past *b)
{
    const struct store_effect *first, *last;

    for (size_t i = 0; i < a->count; i++)
        if (changes(b, a->effects[i].key, &first, &last))
            return true;
    return false;
}

/* Whether p, which stands, changed later what base changed, and is not the undoing of something still later. */
static bool builds_on(const struct disk *d, const struct past *p, const struct past *base)
{
    const struct past *undone = p->row.undoes == 0 ? NULL : past_find(d, p->row.undoes);

    return p->serial > base->serial && (undone == NULL || undone->serial <= base->serial) && share_a_key(base, p);
}

static int newest_first(const void *a, const void *b)
{
    const struct past *const *x = a, *const *y = b;

    return (*x)->serial > (*y)->serial ? -1 : (*x)->serial < (*y)->serial;
}

static void answer_dependents(const struct disk *d, struct store_request *r)
{
    const struct past *base = asked(d, r), **by_age, **found;
    size_t n = 0;

    if (base == NULL)
        return;
    if (base->row.undone_by != 0) {
        fail(&r->why, ERR_BADARG, "it was undone already");
        return;
    }
    by_age = calloc(2 * d->past_count, sizeof by_age[0]);
    CHECK(by_age != NULL);
    found = by_age + d->past_count;
    for (size_t i = 0; i < d->past_count; i++)
        by_age[i] = &d->past[i];
    qsort(by_age, d->past_count, sizeof by_age[0], newest_first);
    found[n++] = base;
    for (size_t i = d->past_count; i > 0; i--) {
        const struct past *p = by_age[i - 1];
        bool builds = false;
        for (size_t k = 0; k < n && committed(p) && p->row.undone_by == 0; k++)
            builds = builds || builds_on(d, p, found[k]);
        if (builds)
            found[n++] = p;
    }
    r->rows = store_request_alloc(r, n * sizeof r->rows[0]);
    while (r->rows != NULL && --n > 0)
        answer_row(r, &found[n]->row);
    free(by_age);
}

static void answer_token(const struct disk *d, struct store_request *r)
{
    const struct token *t = token_find(d, r->uid, r->token);

    r->idem.found = t != NULL;
    if (t == NULL)
        return;
    r->idem.txn = t->txn;
    r->idem.reply = answer_bytes(r, t->reply);
}

static void answer_nested(struct store_request *r, const struct past *p)
{
    r->nested = store_request_alloc(r, p->nested_count * sizeof r->nested[0]);
    for (; r->nested != NULL && r->nested_count < p->nested_count; r->nested_count++) {
        struct store_nested copy = p->nested[r->nested_count];
        copy.graft = answer_text(r, copy.graft);
        copy.version = answer_text(r, copy.version);
        copy.function = answer_text(r, copy.function);
        copy.outcome = answer_text(r, copy.outcome);
        copy.error = answer_text(r, copy.error);
        r->nested[r->nested_count] = copy;
    }
}

static void answer_show(const struct disk *d, struct store_request *r)
{
    const struct past *p = past_find(d, r->txn);

    if (p == NULL)
        return;
    r->rows = store_request_alloc(r, sizeof r->rows[0]);
    r->effects = store_request_alloc(r, p->count * sizeof r->effects[0]);
    if (r->rows == NULL || r->effects == NULL)
        return;
    answer_row(r, &p->row);
    for (; r->effect_count < p->count; r->effect_count++) {
        const struct store_effect *e = &p->effects[r->effect_count];
        r->effects[r->effect_count] = (struct store_effect){ e->resource, answer_bytes(r, e->key),
                                                             answer_image(r, e->before), answer_image(r, e->after) };
    }
    answer_nested(r, p);
}

/* One line per key, printable: "key" = "value". */
static void write_backup(const struct disk *d, struct store_request *r)
{
    FILE *f = access(r->path, F_OK) == 0 ? NULL : fopen(r->path, "w");
    char key[128], value[128];

    if (f == NULL) {
        fail(&r->why, ERR_BADARG, "%s exists or cannot be written", r->path);
        return;
    }
    for (size_t i = 0; i < d->count; i++)
        fprintf(f, "\"%s\" = \"%s\"\n", bytes_show(d->slots[i].key, key, sizeof key),
                bytes_show(d->slots[i].value, value, sizeof value));
    fclose(f);
}

static void graft_del(struct disk *d, const char *name)
{
    for (size_t i = 0; i < d->graft_count; i++)
        if (strcmp(d->grafts[i].name, name) == 0)
            d->grafts[i--] = d->grafts[--d->graft_count];
}

static void graft_put(struct disk *d, const struct store_graft *graft)
{
    graft_del(d, graft->name);
    d->grafts = reallocarray(d->grafts, d->graft_count + 1, sizeof d->grafts[0]);
    CHECK(d->grafts != NULL);
    d->grafts[d->graft_count++] = *graft;
}

static void answer_grafts(const struct disk *d, struct store_request *r)
{
    r->grafts = store_request_alloc(r, d->graft_count * sizeof r->grafts[0]);
    for (; r->grafts != NULL && r->graft_count < d->graft_count; r->graft_count++)
        r->grafts[r->graft_count] = d->grafts[r->graft_count];
}

static void commit(struct disk *d, const struct store_request *r)
{
    for (size_t i = 0; i < r->entry_count; i++)
        apply_entry(d, &r->entries[i]);
    if (r->txn_reserve > d->reserved)
        d->reserved = r->txn_reserve;
}

static void perform(struct disk *d, struct store_request *r)
{
    switch (r->kind) {
    case STORE_COMMIT:     commit(d, r); break;
    case STORE_GET:        answer_get(d, r); break;
    case STORE_SCAN:       answer_scan(d, r); break;
    case STORE_UNDO:       undo(d, r->txn, &r->history, r->calls, r->call_count); break;
    case STORE_LIST:
        if (r->filter.has_key)
            answer_owners(d, r, r->filter.key, false);
        else
            answer_list(d, r);
        break;
    case STORE_SHOW:       answer_show(d, r); break;
    case STORE_BLAME:      answer_owners(d, r, r->key, true); break;
    case STORE_AT:         answer_at(d, r); break;
    case STORE_DEPENDENTS: answer_dependents(d, r); break;
    case STORE_IDEM:       answer_token(d, r); break;
    case STORE_BACKUP:     write_backup(d, r); break;
    case STORE_GRAFT_PUT:  graft_put(d, &r->graft); break;
    case STORE_GRAFT_DEL:  graft_del(d, r->graft.name); break;
    case STORE_GRAFT_LIST: answer_grafts(d, r); break;
    }
}

/* The store */

static void finish(struct store_mem *s, struct store_request *r)
{
    enum err err = OK;

    if (s->dead) {
        fail(&r->why, s->dead_err, "the store has stopped");
    } else if (s->fail_armed && s->fail_kind == r->kind) {
        err = s->fail_err;
        s->fail_armed = false;
        if (s->fail_applied)
            perform(s->disk, r);
        fail(&r->why, err, "the test said so");
    } else {
        perform(s->disk, r);
    }
    if (err == ERR_UNKNOWN) {
        s->dead = true;
        s->dead_err = ERR_STORAGE;
    }
    r->done(r);
}

static void mem_submit(struct store *store, struct store_request *r)
{
    struct store_mem *s = mem(store);

    failure_clear(&r->why);
    r->link = (struct list){ 0 };
    list_push(&s->queue, &r->link);
    s->waiting++;
}

static void mem_poll(struct store *store)
{
    struct store_mem *s = mem(store);
    size_t n = s->waiting; /* what comes while these are answered waits for the next poll */

    if (n > 0 && ++s->polls < s->delay)
        return;
    s->polls = 0;
    for (; n > 0; n--) {
        struct store_request *r = list_entry(list_pop(&s->queue), struct store_request, link);
        s->waiting--;
        finish(s, r);
        if (s->delay > 1)
            return; /* one at a time when it is slow */
    }
}

static const struct store_facts *mem_facts(const struct store *store) { return &mem_const(store)->facts; }

static void mem_close(struct store *store)
{
    struct store_mem *s = mem(store);

    while (s->waiting > 0)
        mem_poll(store);
    s->disk->in_use = false;
    free(s);
}

struct store *store_mem_open(struct disk *d)
{
    static const struct store_ops ops = { mem_submit, mem_poll, mem_facts, mem_close };
    struct store_mem *s = calloc(1, sizeof *s);

    CHECK(s != NULL);
    CHECK(!d->in_use);
    d->in_use = true;
    s->store.ops = &ops;
    s->disk = d;
    s->delay = 1;
    list_init(&s->queue);
    s->facts = (struct store_facts){ .engine = "memory", .undone = recover(d), .txn_next = d->reserved + 1,
                                     .key_max = KEY_MAX, .value_max = VALUE_MAX };
    return &s->store;
}

void store_mem_set_delay(struct store *s, unsigned polls) { mem(s)->delay = polls; }

void store_mem_fail_next(struct store *s, enum store_kind kind, enum err err, bool applied)
{
    mem(s)->fail_armed = true;
    mem(s)->fail_kind = kind;
    mem(s)->fail_err = err;
    mem(s)->fail_applied = applied;
}

void store_mem_crash(struct store *store, size_t applied)
{
    struct store_mem *s = mem(store);

    list_each (node, &s->queue) {
        struct store_request *r = list_entry(node, struct store_request, link);
        if (applied-- == 0)
            break;
        if (r->kind == STORE_COMMIT || r->kind == STORE_UNDO)
            perform(s->disk, r);
    }
    s->dead = true;
    s->dead_err = ERR_UNKNOWN;
}

size_t store_mem_waiting(const struct store *s) { return mem_const(s)->waiting; }
