/*
 * The grafts: loading, replacing, unloading, and which one a name means.
 *
 *     LOADING → READY → LEAVING → gone          LOADING, READY → FAILED → LEAVING → gone
 *     LOADING → LEAVING, when its load was refused or only verified
 *
 * A load is answered when the graft's first worker is ready and the load is on disk; a restart loads the same grafts
 * again. With REPLACE the old version serves until the new one is ready, then leaves when its last call has ended. A graft
 * that cannot be loaded at a restart stays listed as failed, with the reason; its calls say so. One whose template is killed from outside
 * is loaded again by itself.
 */
#ifndef GRAFTD_REGISTRY_H
#define GRAFTD_REGISTRY_H

#include "graftd/core.h"
#include "graftd/super.h"
#include "lib/hash.h"
#include "lib/map.h"
#include "policy/grant.h"

struct load;
struct unload;

enum { GRAFT_MAX = 4096 }; /* loaded at a time */

enum graft_state { GRAFT_LOADING, GRAFT_READY, GRAFT_FAILED, GRAFT_LEAVING };

struct graft {
    struct map_node node; /* in the registry while its name means it */
    struct list link;     /* of all */
    struct registry *registry;
    unsigned state;
    char name[MANIFEST_NAME_MAX + 1];
    char sha256[SHA256_HEX + 1];
    size_t size;
    uint32_t loaded_by;
    int64_t loaded_us;
    struct manifest manifest; /* empty until its template spoke */
    struct grant *grant;
    struct pool *pool;     /* NULL when failed */
    int64_t ready_ms;      /* monotonic */
    struct failure why;    /* when failed */
    struct load *load;     /* while LOADING */
    struct unload *unload; /* while it is being unloaded: no new call begins */
    size_t running;        /* calls that hold it */
    uint64_t calls, failed;
};

/* Loads what was loaded before; ready() when each has come up or failed. */
enum err registry_new(struct core *core, void (*ready)(void *owner), void *owner, struct registry **out,
                      struct failure *why);
/* Everything leaves; gone() when it has. */
void registry_close(struct registry *r, void (*gone)(void *owner), void *owner);
void registry_free(struct registry **r);

/* What the name means now. NULL: nothing. */
struct graft *registry_find(struct registry *r, struct bytes name);
/* "graft.function" that who may call now: the graft and the function's index. ERR_BADARG, NOPERM, NOGRAFT, NOFUNC, BUSY, BADGRAFT. */
enum err registry_function(struct core *core, const struct principal *who, struct bytes name, struct graft **graft,
                           int *index, struct failure *why);
/* In order of their loading. Visit may not change the registry. */
void registry_each(struct registry *r, void (*visit)(struct graft *, void *user), void *user);
size_t registry_count(const struct registry *r);

/* Told once, later. graft is NULL on failure; after GRAFT VERIFY it is gone when this returns. */
typedef void graft_done(void *owner, const struct failure *why, struct graft *g);
/* content is copied. Without replace, a name in use is ERR_BUSY. name empty: only verified, not kept. */
enum err graft_load(struct registry *r, struct bytes name, struct bytes content, bool replace, uint32_t uid,
                    graft_done *done, void *owner, struct failure *why);
/* Waits for its calls up to wait_ms; then ERR_BUSY, or with force they are ended. Told when its leaving is on disk. ERR_NOGRAFT. */
enum err graft_unload(struct registry *r, struct bytes name, uint64_t wait_ms, bool force, graft_done *done,
                      void *owner, struct failure *why);

/* A call holds its graft from beginning to end. */
void graft_hold(struct graft *g);
void graft_drop(struct graft *g);

const char *graft_state_name(const struct graft *g);

#endif
