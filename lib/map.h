/*
 * Intrusive hash map from bytes to nodes. The node lies in the object it finds, and its key is
 * borrowed from that object. Chained; grows by doubling a few buckets at a time, so that no single
 * insertion pays for the whole. Hashes are keyed (hash.h), so hostile keys cannot pile up.
 */
#ifndef GRAFTD_LIB_MAP_H
#define GRAFTD_LIB_MAP_H

#include "lib/buf.h"

struct map_node {
    struct map_node *next; /* the map's */
    uint64_t hash;
    struct bytes key; /* borrowed from the object around the node; unchanged while in the map */
};

struct map {
    struct map_node **buckets; /* owned; count is a power of two */
    size_t bucket_count, count;
    struct map_node **old; /* owned; the smaller table being emptied, NULL when none is */
    size_t old_count, moved;
};

#define map_entry(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

enum err map_init(struct map *m); /* ERR_NOMEM */
void map_fini(struct map *m);     /* the nodes are the caller's */
struct map_node *map_find(struct map *m, struct bytes key); /* NULL: not there */
/* node->key is set by the caller and not in the map yet. A growth that finds no memory is put off: never fails. */
void map_add(struct map *m, struct map_node *node);
void map_remove(struct map *m, struct map_node *node);
/* Any order; visit may remove the node it is given, and no other. */
void map_each(struct map *m, void (*visit)(struct map_node *node, void *user), void *user);

#endif
