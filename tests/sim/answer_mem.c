/*
 * The answers of tests/sim/store_mem, found by looking at everything.
 */
#include "tests/sim/disk_mem.h"

#include "lib/check.h"

#include <stdlib.h>
#include <string.h>

static bool answer_pair(struct store_request *r, struct bytes key, struct image value)
{
    struct bytes k = bytes_of(store_request_copy(r, key), key.len);
    struct bytes v = bytes_of(value.present ? store_request_copy(r, value.value) : NULL, value.value.len);

    if (r->why.err != OK)
        return false;
    r->pairs[r->pair_count++] = (struct store_pair){ k, { value.present, v } };
    return true;
}

static char resource_asked(const struct store_request *r) { return r->resource == 0 ? RESOURCE_KV : r->resource; }

static bool answer_file(struct store_request *r, struct bytes path, const struct file_image *i)
{
    struct buf b;
    bool added;

    buf_init(&b, FILE_IMAGE_MAX);
    CHECK(file_image_add(&b, i));
    added = answer_pair(r, path, (struct image){ true, buf_bytes(&b) });
    buf_fini(&b);
    return added;
}

static void answer_get_files(const struct disk *d, struct store_request *r)
{
    struct file_image image;

    for (size_t i = 0; r->pairs != NULL && i < r->key_count && r->why.err == OK; i++) {
        switch (file_mem_stat(d->files, r->keys[i], &image, &r->why)) {
        case OK:
            answer_file(r, r->keys[i], &image);
            break;
        case ERR_ABSENT:
            answer_pair(r, r->keys[i], (struct image){ 0 });
            break;
        default:
            return;
        }
    }
}

void answer_get(struct disk *d, struct store_request *r)
{
    r->pairs = store_request_alloc(r, r->key_count * sizeof r->pairs[0]);
    if (resource_asked(r) == RESOURCE_FILE) {
        answer_get_files(d, r);
        return;
    }
    for (size_t i = 0; r->pairs != NULL && i < r->key_count; i++)
        if (!answer_pair(r, r->keys[i], table_get(table_of(d, resource_asked(r)), r->keys[i])))
            return;
}

static enum err answer_listed(struct bytes path, const struct file_image *i, void *user)
{
    struct store_request *r = user;

    return answer_file(r, path, i) ? OK : r->why.err;
}

void answer_scan(struct disk *d, struct store_request *r)
{
    const struct table *t = table_of(d, resource_asked(r));
    size_t i;

    r->pairs = store_request_alloc(r, r->count_max * sizeof r->pairs[0]);
    if (t == NULL && r->pairs != NULL)
        file_mem_list(d->files, r->prefix, r->from, r->count_max, answer_listed, r, &r->more);
    if (t == NULL)
        return;
    i = table_seek(t, bytes_compare(r->from, r->prefix) > 0 ? r->from : r->prefix);
    for (; r->pairs != NULL && i < t->count && bytes_start_with(t->slots[i].key, r->prefix); i++) {
        if (r->pair_count == r->count_max) {
            r->more = true;
            return;
        }
        if (!answer_pair(r, t->slots[i].key, (struct image){ true, t->slots[i].value }))
            return;
    }
}

void answer_file_read(struct disk *d, struct store_request *r)
{
    struct file_image image;
    struct buf b;

    CHECK(file_image_read(r->data, &image));
    buf_init(&b, r->count_max);
    r->pairs = store_request_alloc(r, sizeof r->pairs[0]);
    if (r->pairs != NULL && file_mem_read(d->files, r->txn, &image, r->offset, r->count_max, &b, &r->why) == OK)
        answer_pair(r, r->key, (struct image){ true, buf_bytes(&b) });
    buf_fini(&b);
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
static bool changes(const struct past *p, char resource, struct bytes key, const struct store_effect **first,
                    const struct store_effect **last)
{
    *first = *last = NULL;
    for (size_t i = 0; i < p->count; i++)
        if (same_item(&p->effects[i], resource, key)) {
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
void answer_list(const struct disk *d, struct store_request *r)
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
static const struct past *owner_before(const struct disk *d, char resource, struct bytes key, uint64_t serial)
{
    const struct store_effect *first, *last;
    const struct past *owner = NULL;

    for (size_t i = 0; i < d->past_count; i++) {
        const struct past *p = &d->past[i];
        if (p->serial < serial && (owner == NULL || p->serial > owner->serial) &&
            changes(p, resource, key, &first, &last))
            owner = p;
    }
    return owner;
}

void answer_owners(const struct disk *d, struct store_request *r, struct bytes key, bool blame)
{
    const struct past *from = past_find(d, r->txn), *p;
    const struct store_effect *first, *last;
    uint64_t serial = r->txn == 0 ? UINT64_MAX : 0;
    char resource = resource_asked(r);

    r->rows = store_request_alloc(r, r->count_max * sizeof r->rows[0]);
    if (blame)
        r->effects = store_request_alloc(r, r->count_max * sizeof r->effects[0]);
    if (from != NULL && changes(from, resource, key, &first, &last))
        serial = from->serial;
    while (r->why.err == OK && (p = owner_before(d, resource, key, serial)) != NULL) {
        serial = p->serial;
        if ((blame && !past_committed(p)) || !matches(&r->filter, &p->row))
            continue;
        if (!answer_match(r, p))
            return;
        if (blame && changes(p, resource, key, &first, &last))
            r->effects[r->effect_count++] =
                (struct store_effect){ resource, answer_bytes(r, key), answer_image(r, first->before),
                                       answer_image(r, last->after) };
    }
}

/* The transaction that is asked about, when it committed. */
static const struct past *asked(const struct disk *d, struct store_request *r)
{
    const struct past *p = past_find(d, r->txn);

    if (p == NULL)
        fail(&r->why, ERR_ABSENT, "not in the history");
    else if (!past_committed(p))
        fail(&r->why, ERR_BADARG, "it did not commit");
    return r->why.err == OK ? p : NULL;
}

void answer_at(const struct disk *d, struct store_request *r)
{
    const struct past *p = asked(d, r), *owner;
    const struct store_effect *first, *last;
    struct image image = disk_get(d, r->key);
    uint64_t serial = UINT64_MAX;

    while (p != NULL && (owner = owner_before(d, RESOURCE_KV, r->key, serial)) != NULL &&
           (owner->row.outcome == NULL || owner->serial > p->serial)) {
        changes(owner, RESOURCE_KV, r->key, &first, &last);
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
        if (a->effects[i].resource != RESOURCE_EVENT &&
            changes(b, a->effects[i].resource, a->effects[i].key, &first, &last))
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

void answer_dependents(const struct disk *d, struct store_request *r)
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
        for (size_t k = 0; k < n && past_committed(p) && p->row.undone_by == 0; k++)
            builds = builds || builds_on(d, p, found[k]);
        if (builds)
            found[n++] = p;
    }
    r->rows = store_request_alloc(r, n * sizeof r->rows[0]);
    while (r->rows != NULL && --n > 0)
        answer_row(r, &found[n]->row);
    free(by_age);
}

void answer_token(const struct disk *d, struct store_request *r)
{
    const struct token *t = token_find(d, r->uid, r->token);

    r->idem.found = t != NULL;
    if (t == NULL)
        return;
    r->idem.txn = t->txn;
    r->idem.reply = answer_bytes(r, t->reply);
}

static void topic_read(const struct disk *d, struct bytes name, struct store_topic *topic)
{
    for (size_t i = 0; i < d->told_count; i++) {
        if (!bytes_equal(d->told[i].topic, name))
            continue;
        topic->first = topic->first == 0 ? d->told[i].event.id : topic->first;
        topic->last = d->told[i].event.id;
        topic->count++;
    }
}

void answer_events(const struct disk *d, struct store_request *r)
{
    r->topics = store_request_alloc(r, sizeof r->topics[0]);
    r->events = store_request_alloc(r, r->count_max * sizeof r->events[0]);
    if (r->topics == NULL || r->events == NULL)
        return;
    r->topics[r->topic_count++].name = answer_bytes(r, r->key);
    topic_read(d, r->key, &r->topics[0]);
    for (size_t i = 0; i < d->told_count && r->why.err == OK; i++) {
        const struct told *t = &d->told[i];
        if (!bytes_equal(t->topic, r->key) || t->event.id <= r->after)
            continue;
        r->more = r->event_count == r->count_max;
        if (r->more)
            return;
        r->events[r->event_count] = t->event;
        r->events[r->event_count++].data = answer_bytes(r, t->event.data);
    }
}

/* The first topic from this one on; false: there is none. above: this one itself does not count. */
static bool topic_next(const struct disk *d, struct bytes from, bool above, struct bytes *out)
{
    bool found = false;

    for (size_t i = 0; i < d->told_count; i++) {
        int c = bytes_compare(d->told[i].topic, from);
        if (c < 0 || (c == 0 && above) || (found && bytes_compare(d->told[i].topic, *out) >= 0))
            continue;
        *out = d->told[i].topic;
        found = true;
    }
    return found;
}

void answer_topics(const struct disk *d, struct store_request *r)
{
    struct bytes name = r->from;
    bool above = false;

    r->topics = store_request_alloc(r, r->count_max * sizeof r->topics[0]);
    for (; r->topics != NULL && topic_next(d, name, above, &name); above = true) {
        r->more = r->topic_count == r->count_max;
        if (r->more)
            return;
        r->topics[r->topic_count].name = answer_bytes(r, name);
        topic_read(d, name, &r->topics[r->topic_count++]);
    }
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

void answer_show(const struct disk *d, struct store_request *r)
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

void answer_grafts(const struct disk *d, struct store_request *r)
{
    r->grafts = store_request_alloc(r, d->graft_count * sizeof r->grafts[0]);
    for (; r->grafts != NULL && r->graft_count < d->graft_count; r->graft_count++)
        r->grafts[r->graft_count] = d->grafts[r->graft_count];
}
