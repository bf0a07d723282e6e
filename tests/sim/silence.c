#include "tests/sim/silence.h"

#include "graftd/registry.h"
#include "graftd/super.h"

#include <string.h>

static void grafts_listed(struct store_request *r) { *(bool *)r->owner = true; }

static void check_graft(struct graft *g, void *user)
{
    struct store_request *r = user;
    bool found = false;

    for (size_t i = 0; i < r->graft_count; i++)
        found |= strcmp(r->grafts[i].name, g->name) == 0 && strcmp(r->grafts[i].sha256, g->sha256) == 0;
    if (!found)
        r->more = true; /* one is not on disk */
}

/* The grafts that serve are those that a restart would bring back. */
static void check_grafts(const struct silence *s)
{
    bool listed = false;
    struct store_request r = { .kind = STORE_GRAFT_LIST, .done = grafts_listed, .owner = &listed };

    s->store->ops->submit(s->store, &r);
    while (!listed)
        s->store->ops->poll(s->store);
    registry_each(s->core->registry, check_graft, &r);
    if (r.why.err == OK && (r.more || r.graft_count != registry_count(s->core->registry)))
        model_wrong(s->model, "%zu grafts are loaded and %zu on disk, or not the same ones",
                    registry_count(s->core->registry), r.graft_count);
    store_request_fini(&r);
}

void silence_check(const struct silence *s)
{
    struct super_stats workers;
    struct txn_stats stats;

    for (unsigned i = 0; i < s->client_count; i++)
        if (!client_sim_done(&s->clients[i]))
            model_wrong(s->model, "client %u is still connected in silence, %u of its requests unanswered", i,
                        s->clients[i].asked_count);
    txn_stats(s->core->txns, &stats);
    if (s->core->call_count > 0 || s->core->client_count > 0 || stats.open > 0)
        model_wrong(s->model, "silence, and there are %zu calls, %zu clients, %llu transactions", s->core->call_count,
                    s->core->client_count, (unsigned long long)stats.open);
    super_stats(s->core->super, &workers);
    if (workers.spares > 0)
        model_wrong(s->model, "silence, and %llu spare workers are wanted", (unsigned long long)workers.spares);
    if (s->model->wrong[0] == '\0' && !s->core->draining)
        check_grafts(s);
}
