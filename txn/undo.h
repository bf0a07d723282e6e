/*
 * The undo log of one transaction: append an inverse with each change, play back newest first.
 *
 * A record pins its entry and refers to the images before and after. T5: playing takes each record off as it is taken
 * back, so twice is the same as once.
 */
#ifndef GRAFTD_TXN_UNDO_H
#define GRAFTD_TXN_UNDO_H

#include "txn/kv.h"
#include "txn/store.h"

struct undo_record {
    struct kv_entry *entry;      /* pinned by the record */
    struct blob *before, *after; /* owned references; NULL: absent */
    uint64_t before_batch;       /* what made `before` durable */
};

enum { UNDO_INLINE = 8 }; /* records that cost no allocation */

struct undo_log {
    struct undo_record *records; /* small, or owned; oldest first */
    size_t count, cap;
    uint64_t bytes; /* what the records keep in memory; the manager bounds it */
    struct undo_record small[UNDO_INLINE];
};

void undo_init(struct undo_log *log);
/* Empty: frees what growth took. */
void undo_fini(struct undo_log *log);
/* Changes the known entry's image to `after` (the reference is taken; NULL: deleted) and records how to take that back.
 * ERR_NOMEM: nothing changed, nothing taken. */
enum err undo_append(struct undo_log *log, struct kv *kv, struct kv_entry *e, struct blob *after);
/* Takes everything back, newest first. Returns how many records there were; the log is empty then. */
size_t undo_play(struct undo_log *log, struct kv *kv);
/* The same down to the oldest `keep` records, which stay. */
size_t undo_play_to(struct undo_log *log, struct kv *kv, size_t keep);
/* The images made now belong to that batch. */
void undo_assign(struct undo_log *log, uint64_t batch);
/* The entries need not be kept in memory when nobody uses them any more. */
void undo_let_go(struct undo_log *log);
/* The changes stay: only the records go. */
void undo_drop(struct undo_log *log, struct kv *kv);
/* Moves all records to an empty log. */
void undo_move(struct undo_log *to, struct undo_log *from);
/* Writes count effects for the store, borrowed from the records. */
void undo_show(const struct undo_log *log, struct store_effect *out);
/* Visits the same, oldest first. */
void undo_each(const struct undo_log *log, void (*visit)(const struct store_effect *, void *user), void *user);

#endif
