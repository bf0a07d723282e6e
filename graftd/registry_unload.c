/* A graft on its way out: its calls end, the record of its loading goes, then it leaves. */
#include "graftd/registry_impl.h"

#include "graftd/call.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>

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

void unload_step(struct unload *u)
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
    if (registry_record_is_busy(r, g->name))
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
