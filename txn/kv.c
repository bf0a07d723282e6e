#include "txn/kv.h"

#include "lib/check.h"

#include <stdlib.h>
#include <string.h>

struct blob *blob_new(struct bytes b)
{
    struct blob *blob;

    if (b.len > SIZE_MAX - sizeof *blob)
        return NULL;
    blob = malloc(sizeof *blob + b.len);
    if (blob == NULL)
        return NULL;
    blob->refs = 1;
    blob->len = b.len;
    if (b.len > 0)
        memcpy(blob->data, b.data, b.len);
    return blob;
}

void blob_drop(struct blob **b)
{
    if (*b != NULL && --(*b)->refs == 0)
        free(*b);
    *b = NULL;
}

enum err kv_init(struct kv *kv, uint64_t bytes_max)
{
    *kv = (struct kv){ .bytes_max = bytes_max };
    list_init(&kv->pinned);
    list_init(&kv->clean);
    return map_init(&kv->entries);
}

static uint64_t weight(const struct kv_entry *e)
{
    return sizeof *e + e->node.key.len + (e->value == NULL ? 0 : sizeof *e->value + e->value->len);
}

static void entry_free(struct kv *kv, struct kv_entry *e)
{
    CHECK(list_empty(&e->waiters));
    map_remove(&kv->entries, &e->node);
    blob_drop(&e->value);
    free(e);
}

static void evict_until(struct kv *kv, uint64_t bytes)
{
    while (kv->clean_bytes > bytes) {
        struct kv_entry *e = list_entry(list_pop(&kv->clean), struct kv_entry, link);
        kv->clean_bytes -= weight(e);
        entry_free(kv, e);
    }
}

void kv_fini(struct kv *kv)
{
    CHECK(list_empty(&kv->pinned));
    evict_until(kv, 0);
    CHECK(kv->entries.count == 0);
    map_fini(&kv->entries);
}

struct kv_entry *kv_find(struct kv *kv, struct bytes key)
{
    struct map_node *node = map_find(&kv->entries, key);

    return node == NULL ? NULL : map_entry(node, struct kv_entry, node);
}

static struct kv_entry *entry_new(struct kv *kv, struct bytes key)
{
    struct kv_entry *e = malloc(sizeof *e + key.len);

    if (e == NULL)
        return NULL;
    *e = (struct kv_entry){ .pins = 1 };
    list_init(&e->waiters);
    memcpy(e->key, key.data, key.len);
    e->node.key = bytes_of(e->key, key.len);
    map_add(&kv->entries, &e->node);
    list_push(&kv->pinned, &e->link);
    kv->pinned_count++;
    return e;
}

enum err kv_pin_key(struct kv *kv, struct bytes key, struct kv_entry **e)
{
    struct kv_entry *found = kv_find(kv, key);

    if (found != NULL)
        kv_pin(kv, found);
    else if ((found = entry_new(kv, key)) == NULL)
        return ERR_NOMEM;
    *e = found;
    return OK;
}

void kv_pin(struct kv *kv, struct kv_entry *e)
{
    if (e->pins++ > 0)
        return;
    list_remove(&e->link);
    kv->clean_bytes -= weight(e);
    list_push(&kv->pinned, &e->link);
    kv->pinned_count++;
}

void kv_unpin(struct kv *kv, struct kv_entry *e)
{
    CHECK(e->pins > 0);
    if (--e->pins > 0)
        return;
    list_remove(&e->link);
    kv->pinned_count--;
    CHECK(!e->known || kv_durable(kv, e));
    if (!e->known || e->fleeting) {
        entry_free(kv, e);
        return;
    }
    list_push(&kv->clean, &e->link);
    kv->clean_bytes += weight(e);
    evict_until(kv, kv->bytes_max);
}

void kv_set(struct kv_entry *e, struct blob *value, uint64_t batch)
{
    CHECK(e->pins > 0);
    blob_drop(&e->value);
    e->value = value;
    e->batch = batch;
    e->known = true;
}

void kv_forget(struct kv *kv, struct kv_entry *e)
{
    kv_pin(kv, e);
    blob_drop(&e->value);
    e->batch = 0;
    e->known = false;
    kv_unpin(kv, e);
}

size_t kv_dirty_range(struct kv *kv, struct bytes prefix, struct bytes from, const struct bytes *last,
                      struct kv_entry **out)
{
    size_t n = 0;

    list_each (node, &kv->pinned) {
        struct kv_entry *e = list_entry(node, struct kv_entry, link);
        struct bytes key = e->node.key;
        if (e->known && !kv_durable(kv, e) && bytes_start_with(key, prefix) && bytes_compare(key, from) >= 0 &&
            (last == NULL || bytes_compare(key, *last) <= 0))
            out[n++] = e;
    }
    return n;
}
