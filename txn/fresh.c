#include "txn/fresh.h"

#include "lib/check.h"
#include "lib/hash.h"

#include <stdlib.h>
#include <string.h>

enum { HEIGHT_BITS = 2 /* of the hash for each level: one node in four goes on to the next */ };

/* The links that lead to the place of a key: on each level, the last one before it. */
struct path {
    struct fresh_node **link[FRESH_HEIGHT_MAX];
};

enum err fresh_init(struct fresh *f)
{
    *f = (struct fresh){ .bytes = 0 };
    list_init(&f->touched);
    return map_init(&f->by_key);
}

static uint64_t node_bytes(const struct fresh_node *n)
{
    return sizeof *n + (size_t)n->height * sizeof n->next[0] + n->by_key.key.len;
}

static uint64_t item_bytes(const struct fresh_item *i) { return i == NULL ? 0 : sizeof *i + i->image.value.len; }

/* --- places --- */

/* The first node that is not below the key. */
static struct fresh_node *search(const struct fresh *f, struct bytes key)
{
    struct fresh_node *const *links = f->first, *past = NULL;

    for (int level = FRESH_HEIGHT_MAX - 1; level >= 0; level--) {
        while (links[level] != past && bytes_compare(links[level]->by_key.key, key) < 0)
            links = links[level]->next;
        past = links[level]; /* known not to be below: no level further down has to compare it again */
    }
    return past;
}

static void path_find(struct fresh *f, struct bytes key, struct path *path)
{
    struct fresh_node **links = f->first, *past = NULL;

    for (int level = FRESH_HEIGHT_MAX - 1; level >= 0; level--) {
        while (links[level] != past && bytes_compare(links[level]->by_key.key, key) < 0)
            links = links[level]->next;
        past = links[level];
        path->link[level] = &links[level];
    }
}

static struct fresh_node *find(struct fresh *f, struct bytes key)
{
    struct map_node *node = f->by_key.count == 0 ? NULL : map_find(&f->by_key, key);

    return node == NULL ? NULL : map_entry(node, struct fresh_node, by_key);
}

static struct fresh_node *skip_dropped(struct fresh_node *n)
{
    while (n != NULL && n->item == NULL)
        n = n->next[0];
    return n;
}

struct fresh_node *fresh_from(const struct fresh *f, struct bytes key) { return skip_dropped(search(f, key)); }
struct fresh_node *fresh_after(const struct fresh_node *node) { return skip_dropped(node->next[0]); }

const struct fresh_item *fresh_get(struct fresh *f, struct bytes key)
{
    const struct fresh_node *n = find(f, key);

    return n == NULL ? NULL : n->item;
}

/* --- nodes --- */

/* The map takes its buckets from the lower half of the hash. */
static int height_of(uint64_t hash)
{
    int height = 1;

    hash >>= 32;

    for (; height < FRESH_HEIGHT_MAX && (hash & ((1 << HEIGHT_BITS) - 1)) == 0; hash >>= HEIGHT_BITS)
        height++;
    return height;
}

static struct fresh_node *node_new(struct bytes key)
{
    uint64_t hash = hash_bytes(key);
    int height = height_of(hash);
    size_t size = sizeof(struct fresh_node) + (size_t)height * sizeof(struct fresh_node *);
    struct fresh_node *n = malloc(size + key.len);

    if (n == NULL)
        return NULL;
    *n = (struct fresh_node){ .by_key.key = { (char *)n + size, key.len }, .height = height };
    if (key.len > 0)
        memcpy((char *)n + size, key.data, key.len);
    return n;
}

static void node_add(struct fresh *f, struct fresh_node *n)
{
    struct path path;

    path_find(f, n->by_key.key, &path);
    for (int level = 0; level < n->height; level++) {
        n->next[level] = *path.link[level];
        *path.link[level] = n;
    }
    map_add(&f->by_key, &n->by_key);
    f->bytes += node_bytes(n);
}

/* What it holds was freed, and it is on no list. */
static void node_remove(struct fresh *f, struct fresh_node *n)
{
    struct path path;

    path_find(f, n->by_key.key, &path);
    for (int level = 0; level < n->height; level++) {
        CHECK(*path.link[level] == n);
        *path.link[level] = n->next[level];
    }
    map_remove(&f->by_key, &n->by_key);
    f->bytes -= node_bytes(n);
    free(n);
}

static struct fresh_item *item_new(const struct image *image, struct spot head, enum head_place stored)
{
    size_t len = image->present ? image->value.len : 0;
    struct fresh_item *i = malloc(sizeof *i + len);

    if (i == NULL)
        return NULL;
    *i = (struct fresh_item){ { image->present, { i + 1, len } }, head, stored };
    if (len > 0)
        memcpy(i + 1, image->value.data, len);
    return i;
}

/* --- changes --- */

static void item_set(struct fresh *f, struct fresh_node *n, struct fresh_item *item)
{
    f->bytes += item_bytes(item) - item_bytes(n->item);
    if (!list_linked(&n->touched)) {
        n->before = n->item;
        list_push(&f->touched, &n->touched);
    } else {
        free(n->item);
    }
    n->item = item;
}

enum err fresh_put(struct fresh *f, struct bytes key, const struct image *image, struct spot head,
                   enum head_place stored)
{
    struct fresh_item *item = item_new(image, head, stored);
    struct fresh_node *n = find(f, key);
    bool added = n == NULL;

    if (added && item != NULL)
        n = node_new(key);
    if (item == NULL || n == NULL) {
        free(item);
        return ERR_NOMEM;
    }
    if (added)
        node_add(f, n);
    item_set(f, n, item);
    return OK;
}

void fresh_drop(struct fresh *f, struct bytes key)
{
    struct fresh_node *n = find(f, key);

    if (n != NULL && n->item != NULL)
        item_set(f, n, NULL);
}

void fresh_commit(struct fresh *f)
{
    struct list *node;

    while ((node = list_pop(&f->touched)) != NULL) {
        struct fresh_node *n = list_entry(node, struct fresh_node, touched);
        free(n->before);
        n->before = NULL;
        if (n->item == NULL)
            node_remove(f, n);
    }
}

void fresh_rollback(struct fresh *f)
{
    struct list *node;

    while ((node = list_pop(&f->touched)) != NULL) {
        struct fresh_node *n = list_entry(node, struct fresh_node, touched);
        f->bytes += item_bytes(n->before) - item_bytes(n->item);
        free(n->item);
        n->item = n->before;
        n->before = NULL;
        if (n->item == NULL)
            node_remove(f, n);
    }
}

void fresh_fini(struct fresh *f)
{
    struct fresh_node *n, *next;

    for (n = f->first[0]; n != NULL; n = next) {
        next = n->next[0];
        free(n->item);
        free(n->before);
        free(n);
    }
    map_fini(&f->by_key);
    *f = (struct fresh){ .bytes = 0 };
}
