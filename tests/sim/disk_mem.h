/*
 * What the files of tests/sim/store_mem share: the disk as it is (disk_mem.c), the answers from it (answer_mem.c), and
 * the store that brings requests to both (store_mem.c). Nothing else includes this.
 */
#ifndef GRAFTD_TESTS_SIM_DISK_MEM_H
#define GRAFTD_TESTS_SIM_DISK_MEM_H

#include "tests/sim/store_mem.h"

struct slot { /* owned copies */
    struct bytes key, value;
};

struct table { /* in byte order of keys */
    struct slot *slots;
    size_t count, cap;
};

struct told { /* an event; owned */
    struct store_event event;
    struct bytes topic;
};

struct past { /* a row of history and its effects, all owned */
    struct store_row row;
    struct store_effect *effects;
    size_t count, cap;
    struct store_nested *nested;
    size_t nested_count;
    uint64_t serial; /* of its newest entry: the order of commits */
    bool applied;    /* what it changed of files is on disk */
};

struct token { /* owned copies */
    uint32_t uid;
    struct bytes token, reply;
    uint64_t txn;
};

struct disk {
    struct table kv, timers;
    struct file_mem *files; /* owned */
    struct told *told;
    size_t told_count, told_cap;
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

/* disk_mem.c */
/* The first slot whose key is not below. */
size_t table_seek(const struct table *t, struct bytes key);
struct image table_get(const struct table *t, struct bytes key);
/* Where the images of a resource are; NULL: elsewhere. */
struct table *table_of(struct disk *d, char resource);
struct past *past_find(const struct disk *d, uint64_t txn);
bool past_committed(const struct past *p);
const struct token *token_find(const struct disk *d, uint32_t uid, struct bytes token);
bool same_item(const struct store_effect *a, char resource, struct bytes key);
void disk_apply_entry(struct disk *d, const struct store_entry *e);
void disk_apply_files(struct disk *d, struct store_request *r);
void disk_undo(struct disk *d, const struct store_request *r);
uint64_t disk_recover(struct disk *d); /* how many transactions were undone */

/* answer_mem.c: each fills the out side. A failed allocation has set r->why. */
void answer_get(struct disk *d, struct store_request *r);
void answer_scan(struct disk *d, struct store_request *r);
void answer_file_read(struct disk *d, struct store_request *r);
void answer_list(const struct disk *d, struct store_request *r);
/* Who changed the key, in the order of commits; blame: with the changes, and only what committed. */
void answer_owners(const struct disk *d, struct store_request *r, struct bytes key, bool blame);
void answer_at(const struct disk *d, struct store_request *r);
void answer_dependents(const struct disk *d, struct store_request *r);
void answer_token(const struct disk *d, struct store_request *r);
void answer_show(const struct disk *d, struct store_request *r);
void answer_events(const struct disk *d, struct store_request *r);
void answer_topics(const struct disk *d, struct store_request *r);
void answer_grafts(const struct disk *d, struct store_request *r);

#endif
