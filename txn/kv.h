/*
 * The items in memory: for each that somebody works with or lately worked with, what it holds now.
 *
 * An image is *open* while the transaction that made it is (it has the key locked exclusively), then belongs to the
 * numbered batch that carries it, and is *durable* once that batch is on disk. Invariants:
 *
 *  1. An image that is not durable is pinned (by the undo record that made it): it is never evicted, and an entry that
 *     is not in memory is on disk as the store reads it.
 *  2. Unpinned entries are known and durable; the least recently used go when together they pass bytes_max, fleeting
 *     ones at once.
 *
 * Values are shared, never copied: the entry, undo records and the batch hold references to one immutable blob.
 * Must never know: who waits, what a transaction is.
 */
#ifndef GRAFTD_TXN_KV_H
#define GRAFTD_TXN_KV_H

#include "lib/buf.h"
#include "lib/list.h"
#include "lib/map.h"

/* Immutable bytes with a count of who refers to them. */
struct blob {
    uint32_t refs;
    size_t len;
    uint8_t data[];
};

struct blob *blob_new(struct bytes b); /* one reference, the caller's; NULL: no memory */
static inline struct blob *blob_ref(struct blob *b) /* one more; NULL gives NULL */
{
    if (b != NULL)
        b->refs++;
    return b;
}
void blob_drop(struct blob **b); /* gives up one reference and clears it; NULL inside is fine */
static inline struct bytes blob_bytes(const struct blob *b) { return bytes_of(b->data, b->len); }

#define KV_OPEN UINT64_MAX /* batch of an image whose transaction has not ended */

struct kv_entry {
    struct map_node node; /* its key is .key */
    struct list link;     /* kv.pinned or kv.clean */
    struct list waiters;  /* the manager's: who waits for the image to be read */
    struct blob *value;   /* owned reference; NULL: absent, or not known */
    uint64_t batch;       /* that makes the image durable; 0: it came from disk */
    uint32_t pins;
    bool known;    /* the image has been read or set */
    bool loading;  /* the manager's: a read is under way */
    bool fleeting; /* the manager's: not kept when nobody uses it */
    char key[];
};

struct kv {
    struct map entries;
    struct list pinned, clean; /* clean: most recently used last */
    size_t pinned_count;
    uint64_t clean_bytes, bytes_max;
    uint64_t durable; /* batches up to this are on disk */
};

enum err kv_init(struct kv *kv, uint64_t bytes_max);
void kv_fini(struct kv *kv); /* nothing is pinned */

/* NULL: not in memory. Borrowed until the entry is unpinned or another may evict it. */
struct kv_entry *kv_find(struct kv *kv, struct bytes key);
/* Finds or adds (not known then), and pins. ERR_NOMEM. */
enum err kv_pin_key(struct kv *kv, struct bytes key, struct kv_entry **e);
void kv_pin(struct kv *kv, struct kv_entry *e);
void kv_unpin(struct kv *kv, struct kv_entry *e); /* now the most recently used. May free it and others */

/* The new image of a pinned entry; takes the reference. */
void kv_set(struct kv_entry *e, struct blob *value, uint64_t batch);
/* The image is no longer what the disk holds: it must be read again. May free the entry if it is not pinned. */
void kv_forget(struct kv *kv, struct kv_entry *e);
static inline bool kv_durable(const struct kv *kv, const struct kv_entry *e) { return e->batch <= kv->durable; }

/* Entries whose image is not durable, with keys that begin with prefix, from `from` to `last` (both inclusive, last
 * NULL: no end), in no order. out has room for kv->pinned_count. Returns how many. */
size_t kv_dirty_range(struct kv *kv, struct bytes prefix, struct bytes from, const struct bytes *last,
                      struct kv_entry **out);

#endif
