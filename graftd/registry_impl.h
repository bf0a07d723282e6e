/*
 * What the files of the registry share, and nobody else sees: registry.c has names, states and the end of a graft,
 * registry_load.c how it comes to be there, registry_unload.c how it is made to leave.
 */
#ifndef GRAFTD_REGISTRY_IMPL_H
#define GRAFTD_REGISTRY_IMPL_H

#include "graftd/registry.h"

struct registry {
    struct core *core;
    struct map names;
    struct list grafts; /* all, in order of loading */
    size_t count;
    size_t restoring; /* grafts of before that have not come up or failed yet, and one for the list of them itself */
    void (*ready)(void *owner);
    void *ready_owner;
    void (*gone)(void *owner);
    void *gone_owner;
    struct store_request list;
};

/* registry.c */
void graft_move(struct graft *g, enum graft_state next);
/* Its name means it from now on, and no other. */
void graft_name(struct graft *g);
/* Its name means it no more; it is gone when its last call has ended. */
void graft_leave(struct graft *g);
/* LEAVING: it goes if nothing holds it any more, and may be gone when this returns. */
void graft_go(struct graft *g);
/* It has no pool. */
void graft_free(struct graft *g);
/* The record of that name is being written or taken away: who comes second would undo the first in memory or on disk. */
bool registry_record_is_busy(struct registry *r, const char *name);
/* One of before has come up or failed. Told once: one that is revived later counts too, but nobody waits for it. */
void registry_restored_one(struct registry *r);

/* registry_load.c */
/* What was loaded before, from the record of its loading. */
void graft_restore(struct registry *r, const struct store_graft *row);
bool load_is_recording(const struct load *l); /* the store has its record */

/* registry_unload.c */
/* One of its calls has ended. */
void unload_step(struct unload *u);

#endif
