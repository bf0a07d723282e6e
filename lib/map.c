#include "lib/map.h"

#include "lib/check.h"
#include "lib/hash.h"

#include <stdlib.h>

enum {
    MAP_BUCKETS_MIN = 16,
    MAP_MOVES_PER_ADD = 4, /* old buckets emptied by each insertion: done long before the next doubling */
};

enum err map_init(struct map *m)
{
    *m = (struct map){ .bucket_count = MAP_BUCKETS_MIN };
    m->buckets = calloc(m->bucket_count, sizeof(struct map_node *));
    return m->buckets == NULL ? ERR_NOMEM : OK;
}

void map_fini(struct map *m)
{
    free(m->buckets);
    free(m->old);
    *m = (struct map){ 0 };
}

static struct map_node **bucket(const struct map *m, uint64_t hash)
{
    if (m->old != NULL) {
        size_t i = hash & (m->old_count - 1);
        if (i >= m->moved)
            return &m->old[i];
    }
    return &m->buckets[hash & (m->bucket_count - 1)];
}

static void move_some(struct map *m)
{
    struct map_node *node;

    for (int i = 0; i < MAP_MOVES_PER_ADD && m->old != NULL; i++) {
        while ((node = m->old[m->moved]) != NULL) {
            struct map_node **to = &m->buckets[node->hash & (m->bucket_count - 1)];
            m->old[m->moved] = node->next;
            node->next = *to;
            *to = node;
        }
        if (++m->moved == m->old_count) {
            free(m->old);
            m->old = NULL;
        }
    }
}

static void grow(struct map *m)
{
    struct map_node **buckets;

    if (m->old != NULL || m->count < m->bucket_count)
        return;
    buckets = calloc(2 * m->bucket_count, sizeof(struct map_node *));
    if (buckets == NULL)
        return;
    m->old = m->buckets;
    m->old_count = m->bucket_count;
    m->moved = 0;
    m->buckets = buckets;
    m->bucket_count *= 2;
}

struct map_node *map_find(struct map *m, struct bytes key)
{
    uint64_t hash = hash_bytes(key);

    for (struct map_node *node = *bucket(m, hash); node != NULL; node = node->next)
        if (node->hash == hash && bytes_equal(node->key, key))
            return node;
    return NULL;
}

void map_add(struct map *m, struct map_node *node)
{
    struct map_node **head;

    grow(m);
    move_some(m);
    node->hash = hash_bytes(node->key);
    head = bucket(m, node->hash);
    node->next = *head;
    *head = node;
    m->count++;
}

void map_remove(struct map *m, struct map_node *node)
{
    struct map_node **at = bucket(m, node->hash);

    while (*at != node) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = node->next;
    node->next = NULL;
    m->count--;
}

static void each_in(struct map_node *node, void (*visit)(struct map_node *, void *), void *user)
{
    while (node != NULL) {
        struct map_node *next = node->next;
        visit(node, user);
        node = next;
    }
}

void map_each(struct map *m, void (*visit)(struct map_node *node, void *user), void *user)
{
    for (size_t i = m->moved; m->old != NULL && i < m->old_count; i++)
        each_in(m->old[i], visit, user);
    for (size_t i = 0; i < m->bucket_count; i++)
        each_in(m->buckets[i], visit, user);
}
