/* Which graft a name means, the states of a graft, and its end. */
#include "graftd/registry_impl.h"

#include "lib/log.h"
#include "lib/state.h"

#include <stdlib.h>
#include <string.h>

static const struct state graft_states[] = {
    [GRAFT_LOADING] = { "loading", STATE_BIT(GRAFT_READY) | STATE_BIT(GRAFT_FAILED) | STATE_BIT(GRAFT_LEAVING) },
    [GRAFT_READY] = { "ready", STATE_BIT(GRAFT_FAILED) | STATE_BIT(GRAFT_LEAVING) },
    [GRAFT_FAILED] = { "failed", STATE_BIT(GRAFT_LEAVING) },
    [GRAFT_LEAVING] = { "leaving", 0 },
};

const char *graft_state_name(const struct graft *g) { return graft_states[g->state].name; }

void graft_move(struct graft *g, enum graft_state next) { state_move(graft_states, &g->state, next); }

/* ---- its end ---- */

void graft_free(struct graft *g)
{
    struct registry *r = g->registry;

    list_remove(&g->link);
    r->count--;
    manifest_fini(&g->manifest);
    grant_free(&g->grant);
    free(g);
    if (r->gone != NULL && r->count == 0)
        r->gone(r->gone_owner);
}

static void forget_name(struct graft *g)
{
    if (map_find(&g->registry->names, bytes_str(g->name)) == &g->node)
        map_remove(&g->registry->names, &g->node);
}

void graft_go(struct graft *g)
{
    if (g->running > 0 || g->load != NULL || g->unload != NULL)
        return;
    if (g->pool != NULL)
        pool_close(g->pool);
    else
        graft_free(g);
}

void graft_leave(struct graft *g)
{
    if (g->state == GRAFT_LEAVING)
        return;
    forget_name(g);
    graft_move(g, GRAFT_LEAVING);
    graft_go(g);
}

void graft_hold(struct graft *g) { g->running++; }

void graft_drop(struct graft *g)
{
    g->running--;
    if (g->unload != NULL)
        unload_step(g->unload);
    if (g->state == GRAFT_LEAVING)
        graft_go(g);
}

/* ---- names ---- */

void graft_name(struct graft *g)
{
    struct registry *r = g->registry;
    struct map_node *old = map_find(&r->names, bytes_str(g->name));

    if (old != NULL)
        graft_leave(map_entry(old, struct graft, node));
    g->node.key = bytes_str(g->name);
    map_add(&r->names, &g->node);
}

bool registry_record_is_busy(struct registry *r, const char *name)
{
    list_each (node, &r->grafts) {
        struct graft *g = list_entry(node, struct graft, link);
        if (strcmp(g->name, name) == 0 && (g->unload != NULL || (g->load != NULL && load_is_recording(g->load))))
            return true;
    }
    return false;
}

struct graft *registry_find(struct registry *r, struct bytes name)
{
    struct map_node *node = map_find(&r->names, name);

    return node == NULL ? NULL : map_entry(node, struct graft, node);
}

enum err registry_function(struct core *core, const struct principal *who, struct bytes name, struct graft **graft,
                           int *index, struct failure *why)
{
    const char *dot = name.len == 0 ? NULL : memchr(name.data, '.', name.len);
    size_t head = dot == NULL ? 0 : (size_t)(dot - (const char *)name.data);
    char shown[2 * MANIFEST_NAME_MAX + 8];
    struct bytes function;
    struct graft *g;
    int found;

    if (dot == NULL)
        return fail(why, ERR_BADARG, "a function is named graft.function, and \"%s\" has no dot",
                    bytes_show(name, shown, sizeof shown));
    if (core_may(core, who, RIGHT_CALL, name, why) != OK)
        return why->err;
    g = registry_find(core->registry, bytes_of(name.data, head));
    if (g == NULL)
        return fail(why, ERR_NOGRAFT, "no graft is loaded for \"%s\"; GRAFT LIST shows what is",
                    bytes_show(name, shown, sizeof shown));
    if (g->state == GRAFT_LOADING)
        return fail(why, ERR_BUSY, "%s is being loaded; try again in a moment", g->name);
    if (g->state != GRAFT_READY)
        return fail(why, ERR_BADGRAFT, "%s is %s: %s", g->name, graft_state_name(g), g->why.text);
    if (g->unload != NULL)
        return fail(why, ERR_BUSY, "%s is being unloaded", g->name);
    function = bytes_of(dot + 1, name.len - head - 1);
    found = manifest_find(&g->manifest, function);
    if (found < 0)
        return fail(why, ERR_NOFUNC, "%s %s has no function \"%s\"; GRAFT INFO %s lists them", g->name,
                    g->manifest.version, bytes_show(function, shown, sizeof shown), g->name);
    *graft = g;
    *index = found;
    return OK;
}

void registry_each(struct registry *r, void (*visit)(struct graft *, void *user), void *user)
{
    list_each (node, &r->grafts) {
        struct graft *g = list_entry(node, struct graft, link);
        if (map_find(&r->names, bytes_str(g->name)) == &g->node)
            visit(g, user);
    }
}

size_t registry_count(const struct registry *r) { return r->names.count; }

/* ---- all of them ---- */

void registry_restored_one(struct registry *r)
{
    if (--r->restoring > 0 || r->ready == NULL)
        return;
    r->ready(r->ready_owner);
    r->ready = NULL;
}

static void listed(struct store_request *request)
{
    struct registry *r = request->owner;

    if (request->why.err != OK)
        log_line(LOG_ERROR, "cannot read which grafts were loaded: %s", request->why.text);
    for (size_t i = 0; i < request->graft_count; i++)
        graft_restore(r, &request->grafts[i]);
    store_request_fini(request);
    registry_restored_one(r);
}

enum err registry_new(struct core *core, void (*ready)(void *owner), void *owner, struct registry **out,
                      struct failure *why)
{
    struct registry *r = calloc(1, sizeof *r);

    if (r == NULL || map_init(&r->names) != OK) {
        free(r);
        return fail(why, ERR_NOMEM, "no memory for the registry of grafts");
    }
    r->core = core;
    r->ready = ready;
    r->ready_owner = owner;
    r->restoring = 1;
    list_init(&r->grafts);
    *out = r;
    r->list = (struct store_request){ .kind = STORE_GRAFT_LIST, .done = listed, .owner = r };
    core->store->ops->submit(core->store, &r->list);
    return OK;
}

void registry_close(struct registry *r, void (*gone)(void *owner), void *owner)
{
    if (r->count == 0) {
        gone(owner);
        return;
    }
    r->gone = gone;
    r->gone_owner = owner;
    list_each (node, &r->grafts)
        graft_leave(list_entry(node, struct graft, link));
}

void registry_free(struct registry **r)
{
    if (*r == NULL)
        return;
    map_fini(&(*r)->names);
    free(*r);
    *r = NULL;
}
