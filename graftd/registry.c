#include "graftd/registry.h"

#include "graftd/audit.h"
#include "graftd/call.h"
#include "graftd/objects.h"
#include "lib/log.h"
#include "lib/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct state graft_states[] = {
    [GRAFT_LOADING] = { "loading", STATE_BIT(GRAFT_READY) | STATE_BIT(GRAFT_FAILED) | STATE_BIT(GRAFT_LEAVING) },
    [GRAFT_READY] = { "ready", STATE_BIT(GRAFT_FAILED) | STATE_BIT(GRAFT_LEAVING) },
    [GRAFT_FAILED] = { "failed", STATE_BIT(GRAFT_LEAVING) },
    [GRAFT_LEAVING] = { "leaving", 0 },
};

enum { REVIVE_MS_MIN = 1000 }; /* a graft that fails sooner after it was ready is not loaded again by itself */

struct registry {
    struct core *core;
    struct map names;
    struct list grafts; /* all, in order of loading */
    size_t count;
    size_t restoring; /* grafts of before that have not come up or failed yet, and one for the list of them itself */
    void (*ready)(void *owner);
    void (*gone)(void *owner);
    void *owner;
    struct store_request list;
};

/* One load on its way: bytes → object → template → manifest → grant → first worker → on record. */
struct load {
    struct registry *registry;
    struct graft *graft;
    bool restoring, verify_only, replace;
    bool recording; /* the store has its record */
    void *content;  /* owned */
    size_t content_len;
    int file;
    graft_done *done;
    void *owner;
    struct failure why;
    struct store_request record;
};

const char *graft_state_name(const struct graft *g) { return graft_states[g->state].name; }

/* ---- the life of a graft object ---- */

static void graft_free(struct graft *g)
{
    struct registry *r = g->registry;

    list_remove(&g->link);
    r->count--;
    manifest_fini(&g->manifest);
    grant_free(&g->grant);
    free(g);
    if (r->gone != NULL && r->count == 0)
        r->gone(r->owner);
}

static void forget_name(struct graft *g)
{
    if (map_find(&g->registry->names, bytes_str(g->name)) == &g->node)
        map_remove(&g->registry->names, &g->node);
}

static void graft_go(struct graft *g)
{
    if (g->running > 0 || g->load != NULL || g->unload != NULL)
        return;
    if (g->pool != NULL)
        pool_close(g->pool);
    else
        graft_free(g);
}

/* Its name means it no more; it is gone when its last call has ended. */
static void graft_leave(struct graft *g)
{
    if (g->state == GRAFT_LEAVING)
        return;
    forget_name(g);
    state_move(graft_states, &g->state, GRAFT_LEAVING);
    graft_go(g);
}

void graft_hold(struct graft *g) { g->running++; }

static void pool_gone(void *owner)
{
    struct graft *g = owner;

    g->pool = NULL;
    graft_free(g);
}

/* ---- loading ---- */

/* Told once: a graft that is revived later counts too, but nobody waits for it. */
static void restored_one(struct registry *r)
{
    if (--r->restoring > 0 || r->ready == NULL)
        return;
    r->ready(r->owner);
    r->ready = NULL;
}

/* Tells whoever asked, and ends the load. A graft that did not make it leaves, unless it was there before a restart. */
static void load_end(struct load *l)
{
    struct graft *g = l->graft;
    struct registry *r = l->registry;

    if (l->file >= 0)
        close(l->file);
    g->load = NULL;
    if (g->state == GRAFT_LEAVING)
        fail(&l->why, ERR_BUSY, "graftd is stopping");
    else if (l->why.err != OK)
        log_line(LOG_WARNING, "graft %s is not loaded: %s", g->name[0] != '\0' ? g->name : "?", l->why.text);
    if (l->restoring && l->why.err != OK && g->state == GRAFT_LOADING) {
        g->why = l->why;
        state_move(graft_states, &g->state, GRAFT_FAILED);
    }
    if (l->done != NULL)
        l->done(l->owner, &l->why, l->why.err == OK ? g : NULL);
    if (g->state == GRAFT_LEAVING)
        graft_go(g);
    else if (!l->restoring && (l->why.err != OK || l->verify_only))
        graft_leave(g);
    if (l->restoring)
        restored_one(r);
    free(l->content);
    free(l);
}

static void load_fail(struct load *l, enum err err, const char *why)
{
    fail(&l->why, err, "%s", why);
    load_end(l);
}

static void pool_failed(void *owner, const struct failure *why);

static void recorded(struct store_request *request)
{
    struct load *l = request->owner;
    struct graft *g = l->graft;
    struct map_node *old = map_find(&l->registry->names, bytes_str(g->name));
    struct failure meanwhile = g->why;

    failure_clear(&g->why);
    l->why = request->why;
    store_request_fini(request);
    if (l->why.err != OK || g->state == GRAFT_LEAVING) {
        load_end(l);
        return;
    }
    if (old != NULL)
        graft_leave(map_entry(old, struct graft, node));
    g->node.key = bytes_str(g->name);
    map_add(&l->registry->names, &g->node);
    state_move(graft_states, &g->state, GRAFT_READY);
    log_line(LOG_INFO, "graft %s %s is loaded (%.16s…, %zu functions)", g->name, g->manifest.version, g->sha256,
             g->manifest.function_count);
    load_end(l);
    if (meanwhile.err != OK)
        pool_failed(g, &meanwhile);
}

/* The record of that name is being written or taken away: who comes second would undo the first in memory or on disk. */
static bool record_is_busy(struct registry *r, const char *name)
{
    list_each (node, &r->grafts) {
        struct graft *g = list_entry(node, struct graft, link);
        if (strcmp(g->name, name) == 0 && (g->unload != NULL || (g->load != NULL && g->load->recording)))
            return true;
    }
    return false;
}

static void pool_ready(void *owner)
{
    struct graft *g = owner;
    struct load *l = g->load;

    if (g->state == GRAFT_LEAVING) {
        load_end(l);
        return;
    }
    g->ready_ms = port_now_ms(l->registry->core->port);
    if (l->restoring) {
        state_move(graft_states, &g->state, GRAFT_READY);
        load_end(l);
        return;
    }
    if (record_is_busy(l->registry, g->name) ||
        (!l->replace && registry_find(l->registry, bytes_str(g->name)) != NULL)) {
        load_fail(l, ERR_BUSY, "another one of this name was loaded meanwhile, or is being loaded or unloaded");
        return;
    }
    l->recording = true;
    l->record = (struct store_request){ .kind = STORE_GRAFT_PUT, .done = recorded, .owner = l };
    snprintf(l->record.graft.name, sizeof l->record.graft.name, "%s", g->name);
    snprintf(l->record.graft.version, sizeof l->record.graft.version, "%s", g->manifest.version);
    snprintf(l->record.graft.sha256, sizeof l->record.graft.sha256, "%s", g->sha256);
    l->record.graft.size = g->size;
    l->record.graft.loaded_by = g->loaded_by;
    l->record.graft.loaded_us = g->loaded_us;
    l->registry->core->store->ops->submit(l->registry->core->store, &l->record);
}

static void pool_manifest(void *owner, struct bytes text)
{
    struct graft *g = owner;
    struct load *l = g->load;
    const struct policy *policy = l->registry->core->policy;

    if (g->state == GRAFT_LEAVING || manifest_read(text, &g->manifest, &l->why) != OK) {
        load_end(l);
        return;
    }
    if (l->verify_only) {
        snprintf(g->name, sizeof g->name, "%s", g->manifest.name);
        load_end(l);
        return;
    }
    if (strcmp(g->manifest.name, g->name) != 0) {
        fail(&l->why, ERR_BADGRAFT, "the object says that its name is %s, not %s", g->manifest.name, g->name);
        load_end(l);
        return;
    }
    if (grant_new(policy, &g->manifest, &g->grant) != OK) {
        load_fail(l, ERR_NOMEM, "no memory for its grant");
        return;
    }
    pool_start(g->pool, grant_limits(g->grant), policy_limits(policy));
}

static void restore_one(struct registry *r, const struct store_graft *row);

/* Its template died under it, killed from outside. It leaves, and is loaded again from the record of its loading. */
static void graft_revive(struct graft *g)
{
    struct store_graft row = { .size = g->size, .loaded_by = g->loaded_by, .loaded_us = g->loaded_us };

    snprintf(row.name, sizeof row.name, "%s", g->name);
    snprintf(row.version, sizeof row.version, "%s", g->manifest.version);
    snprintf(row.sha256, sizeof row.sha256, "%s", g->sha256);
    graft_leave(g);
    restore_one(g->registry, &row);
}

static void pool_failed(void *owner, const struct failure *why)
{
    struct graft *g = owner;

    if (g->load != NULL && g->load->recording) {
        g->why = *why; /* the load ends first */
        return;
    }
    if (g->load != NULL) {
        load_fail(g->load, why->err, why->text);
        return;
    }
    if (g->state != GRAFT_READY)
        return;
    log_line(LOG_ERROR, "graft %s has failed: %s", g->name, why->text);
    if (g->unload == NULL && port_now_ms(g->registry->core->port) - g->ready_ms >= REVIVE_MS_MIN) {
        graft_revive(g);
        return;
    }
    g->why = *why;
    state_move(graft_states, &g->state, GRAFT_FAILED);
}

static const struct pool_events pool_events = { pool_manifest, pool_ready, pool_failed, pool_gone };

static void object_work(void *owner)
{
    struct load *l = owner;
    struct objects *objects = l->registry->core->objects;

    if (l->verify_only)
        object_temporary(bytes_of(l->content, l->content_len), &l->file, &l->why);
    else if (l->restoring)
        objects_get(objects, l->graft->sha256, &l->file, &l->why);
    else
        objects_put(objects, l->graft->sha256, bytes_of(l->content, l->content_len), &l->file, &l->why);
}

static void object_ready(void *owner)
{
    struct load *l = owner;
    struct graft *g = l->graft;

    if (l->why.err == OK && g->state == GRAFT_LOADING)
        (void)pool_open(l->registry->core->super, l->file, g->name, &pool_events, g, &g->pool, &l->why);
    if (g->pool == NULL)
        load_end(l);
}

static struct load *load_new(struct registry *r, const char *name, graft_done *done, void *owner)
{
    struct load *l = calloc(1, sizeof *l);
    struct graft *g = calloc(1, sizeof *g);

    if (l == NULL || g == NULL) {
        free(l);
        free(g);
        return NULL;
    }
    *l = (struct load){ .registry = r, .graft = g, .file = -1, .done = done, .owner = owner };
    *g = (struct graft){ .registry = r, .load = l, .state = GRAFT_LOADING };
    snprintf(g->name, sizeof g->name, "%s", name);
    list_push(&r->grafts, &g->link);
    r->count++;
    return l;
}

enum err graft_load(struct registry *r, struct bytes name, struct bytes content, bool replace, uint32_t uid,
                    graft_done *done, void *owner, struct failure *why)
{
    char text[MANIFEST_NAME_MAX + 1] = "";
    struct load *l;

    if (name.len > 0 && !manifest_name_valid(name))
        return fail(why, ERR_BADARG, "a graft's name is 1 to %d of a-z, 0-9 and _, and begins with a letter",
                    MANIFEST_NAME_MAX);
    if (content.len > OBJECT_SIZE_MAX)
        return fail(why, ERR_BADGRAFT, "the object has %zu bytes; at most %d are allowed", content.len,
                    OBJECT_SIZE_MAX);
    if (r->count >= GRAFT_MAX)
        return fail(why, ERR_BUSY, "%d grafts are loaded already; unload one first", GRAFT_MAX);
    if (name.len > 0 && !replace && registry_find(r, name) != NULL)
        return fail(why, ERR_BUSY, "%.*s is loaded already; load it with REPLACE to put this one in its place",
                    (int)name.len, (const char *)name.data);
    if (name.len > 0)
        memcpy(text, name.data, name.len);
    l = load_new(r, text, done, owner);
    if (l == NULL)
        return fail(why, ERR_NOMEM, "no memory for another graft");
    l->verify_only = name.len == 0;
    l->replace = replace;
    l->content = bytes_dup(content);
    l->content_len = content.len;
    l->graft->size = content.len;
    l->graft->loaded_by = uid;
    l->graft->loaded_us = port_wall_us(r->core->port);
    hash_sha256(content, l->graft->sha256);
    if (l->content == NULL || r->core->port->ops->work(r->core->port, object_work, object_ready, l) != OK) {
        l->done = NULL;
        load_fail(l, ERR_NOMEM, "no memory");
        return fail(why, ERR_NOMEM, "no memory for another graft");
    }
    return OK;
}

/* ---- unloading ---- */

struct unload {
    struct graft *graft;
    bool force, recording;
    struct port_timer *timer;
    graft_done *done;
    void *owner;
    struct store_request record;
};

static void unload_end(struct unload *u, const struct failure *why)
{
    struct graft *g = u->graft;

    g->unload = NULL;
    g->registry->core->port->ops->timer_free(&u->timer);
    if (why->err == OK)
        log_line(LOG_INFO, "graft %s %s is unloaded", g->name, g->manifest.version);
    if (g->state == GRAFT_LEAVING)
        graft_go(g);
    else if (why->err == OK)
        graft_leave(g);
    u->done(u->owner, why, NULL);
    free(u);
}

static void unload_recorded(struct store_request *request)
{
    struct failure why = request->why;

    store_request_fini(request);
    unload_end(request->owner, &why);
}

static void unload_step(struct unload *u)
{
    struct store *store = u->graft->registry->core->store;

    if (u->recording || u->graft->running > 0)
        return;
    u->recording = true;
    u->record = (struct store_request){ .kind = STORE_GRAFT_DEL, .done = unload_recorded, .owner = u };
    snprintf(u->record.graft.name, sizeof u->record.graft.name, "%s", u->graft->name);
    store->ops->submit(store, &u->record);
}

static void unload_waited(void *owner)
{
    struct unload *u = owner;
    struct failure why = { 0 };

    if (u->recording)
        return;
    if (u->force) {
        call_cancel_all(u->graft->registry->core, u->graft, ERR_KILLED, "was ended: its graft is being unloaded");
        return;
    }
    fail(&why, ERR_BUSY, "%zu calls of %s still run; wait longer, or add FORCE to end them", u->graft->running,
         u->graft->name);
    unload_end(u, &why);
}

enum err graft_unload(struct registry *r, struct bytes name, uint64_t wait_ms, bool force, graft_done *done,
                      void *owner, struct failure *why)
{
    struct graft *g = registry_find(r, name);
    char shown[MANIFEST_NAME_MAX + 1];
    struct unload *u;

    if (g == NULL)
        return fail(why, ERR_NOGRAFT, "no graft \"%s\" is loaded", bytes_show(name, shown, sizeof shown));
    if (g->unload != NULL)
        return fail(why, ERR_BUSY, "%s is being unloaded already", g->name);
    if (record_is_busy(r, g->name))
        return fail(why, ERR_BUSY, "another %s is being loaded in its place; try again", g->name);
    if (g->running > 0 && wait_ms == 0 && !force)
        return fail(why, ERR_BUSY, "%zu calls of %s run; WAIT for them, or add FORCE to end them", g->running, g->name);
    u = calloc(1, sizeof *u);
    if (u == NULL || (u->timer = r->core->port->ops->timer_new(r->core->port, unload_waited, u)) == NULL) {
        free(u);
        return fail(why, ERR_NOMEM, "no memory to unload %s", g->name);
    }
    u->graft = g;
    u->force = force;
    u->done = done;
    u->owner = owner;
    g->unload = u;
    if (g->running > 0)
        r->core->port->ops->timer_start(u->timer, wait_ms);
    unload_step(u);
    return OK;
}

void graft_drop(struct graft *g)
{
    g->running--;
    if (g->unload != NULL)
        unload_step(g->unload);
    if (g->state == GRAFT_LEAVING)
        graft_go(g);
}

/* ---- all of them ---- */

static void restore_one(struct registry *r, const struct store_graft *row)
{
    struct load *l = load_new(r, row->name, NULL, NULL);
    struct graft *g;

    if (l == NULL) {
        log_line(LOG_ERROR, "graft %s is not loaded: no memory", row->name);
        return;
    }
    g = l->graft;
    l->restoring = true;
    snprintf(g->sha256, sizeof g->sha256, "%s", row->sha256);
    snprintf(g->manifest.version, sizeof g->manifest.version, "%s", row->version);
    g->size = row->size;
    g->loaded_by = row->loaded_by;
    g->loaded_us = row->loaded_us;
    g->node.key = bytes_str(g->name);
    map_add(&r->names, &g->node);
    r->restoring++;
    if (r->core->port->ops->work(r->core->port, object_work, object_ready, l) != OK)
        load_fail(l, ERR_NOMEM, "no memory");
}

static void listed(struct store_request *request)
{
    struct registry *r = request->owner;

    if (request->why.err != OK)
        log_line(LOG_ERROR, "cannot read which grafts were loaded: %s", request->why.text);
    for (size_t i = 0; i < request->graft_count; i++)
        restore_one(r, &request->grafts[i]);
    store_request_fini(request);
    restored_one(r);
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
    r->owner = owner;
    r->restoring = 1;
    list_init(&r->grafts);
    *out = r;
    r->list = (struct store_request){ .kind = STORE_GRAFT_LIST, .done = listed, .owner = r };
    core->store->ops->submit(core->store, &r->list);
    return OK;
}

void registry_close(struct registry *r, void (*gone)(void *owner))
{
    if (r->count == 0) {
        gone(r->owner);
        return;
    }
    r->gone = gone;
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
    char shown[2 * MANIFEST_NAME_MAX + 8], where[256];
    struct bytes function;
    struct place place;
    struct graft *g;
    int found;

    if (dot == NULL)
        return fail(why, ERR_BADARG, "a function is named graft.function, and \"%s\" has no dot",
                    bytes_show(name, shown, sizeof shown));
    if (!policy_caller_may(core->policy, who, RIGHT_CALL, name, &place)) {
        audit_denied(core->audit, who, right_name(RIGHT_CALL), name, place);
        return fail(why, ERR_NOPERM, "user %u may not %s \"%s\": %s", (unsigned)who->uid, right_name(RIGHT_CALL),
                    bytes_show(name, shown, sizeof shown),
                    place.line == 0 ? "no rule allows it" : place_show(place, where, sizeof where));
    }
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
