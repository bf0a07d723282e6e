/* A graft on its way: bytes → object → template → manifest → grant → first worker → on record. */
#include "graftd/registry_impl.h"

#include "graftd/objects.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REVIVE_MS_MIN = 1000 }; /* a graft that fails sooner after it was ready is not loaded again by itself */

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

bool load_is_recording(const struct load *l) { return l->recording; }

/* ---- its end ---- */

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
        graft_move(g, GRAFT_FAILED);
    }
    if (l->done != NULL)
        l->done(l->owner, &l->why, l->why.err == OK ? g : NULL);
    if (g->state == GRAFT_LEAVING)
        graft_go(g);
    else if (!l->restoring && (l->why.err != OK || l->verify_only))
        graft_leave(g);
    if (l->restoring)
        registry_restored_one(r);
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
    struct failure meanwhile = g->why;

    failure_clear(&g->why);
    l->why = request->why;
    store_request_fini(request);
    if (l->why.err != OK || g->state == GRAFT_LEAVING) {
        load_end(l);
        return;
    }
    graft_name(g);
    graft_move(g, GRAFT_READY);
    log_line(LOG_INFO, "graft %s %s is loaded (%.16s…, %zu functions)", g->name, g->manifest.version, g->sha256,
             g->manifest.function_count);
    load_end(l);
    if (meanwhile.err != OK)
        pool_failed(g, &meanwhile);
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
        graft_move(g, GRAFT_READY);
        load_end(l);
        return;
    }
    if (l->registry->core->store == NULL) { /* who asked hung up, else the drain would have waited */
        load_fail(l, ERR_BUSY, "another graftd takes over, and has the store");
        return;
    }
    if (registry_record_is_busy(l->registry, g->name) ||
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

/* Its template died under it, killed from outside. It leaves, and is loaded again from the record of its loading. */
static void graft_revive(struct graft *g)
{
    struct store_graft row = { .size = g->size, .loaded_by = g->loaded_by, .loaded_us = g->loaded_us };

    snprintf(row.name, sizeof row.name, "%s", g->name);
    snprintf(row.version, sizeof row.version, "%s", g->manifest.version);
    snprintf(row.sha256, sizeof row.sha256, "%s", g->sha256);
    graft_leave(g);
    graft_restore(g->registry, &row);
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
    graft_move(g, GRAFT_FAILED);
}

static void pool_gone(void *owner)
{
    struct graft *g = owner;

    g->pool = NULL;
    graft_free(g);
}

static const struct pool_events pool_events = { pool_manifest, pool_ready, pool_failed, pool_gone };

/* ---- asking for it ---- */

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

static enum err check_load(struct registry *r, struct bytes name, struct bytes content, bool replace,
                           struct failure *why)
{
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
    return OK;
}

enum err graft_load(struct registry *r, struct bytes name, struct bytes content, bool replace, uint32_t uid,
                    graft_done *done, void *owner, struct failure *why)
{
    char text[MANIFEST_NAME_MAX + 1] = "";
    struct load *l;

    if (check_load(r, name, content, replace, why) != OK)
        return why->err;
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

void graft_restore(struct registry *r, const struct store_graft *row)
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
    graft_name(g);
    r->restoring++;
    if (r->core->port->ops->work(r->core->port, object_work, object_ready, l) != OK)
        load_fail(l, ERR_NOMEM, "no memory");
}
