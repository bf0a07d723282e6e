/*
 * Spare workers. A call that fails costs its worker its life (W4), and so does every call with `worker fresh call`. As many
 * workers as were used up within the last second or two are kept ready, so that the next call finds one that was born behind
 * its back. They count against the pool's most like any other (W6); a graft whose calls do not fail has none.
 */
#include "graftd/super_impl.h"

enum {
    SPARE_MAX = 16,  /* workers */
    SPEND_MS = 1000, /* so long those that were used up are counted; what they come to holds as long again */
};

static void await_spending(struct pool *p)
{
    if (!p->spender_armed)
        pool_port(p)->ops->timer_start(p->spender, SPEND_MS);
    p->spender_armed = true;
}

static void want_spares(struct pool *p, size_t count)
{
    pool_stats(p)->spares += count - p->spares;
    p->spares = count;
}

void pool_spend(struct pool *p)
{
    if (p->closing || p->spent == SPARE_MAX)
        return;
    p->spent++;
    if (p->spares < p->spent)
        want_spares(p, p->spent);
    await_spending(p);
}

/* Those that never served are what nobody needed. */
static void dismiss_spares(struct pool *p)
{
    struct list *node;

    while (p->idle_count > p->spares && p->live > p->worker_min && (node = list_last(&p->idle)) != NULL &&
           list_entry(node, struct worker, link)->served == 0)
        worker_end(list_entry(node, struct worker, link), "was a spare, and is not needed any more", LOG_DEBUG);
}

void pool_spent_lately(void *pool)
{
    struct pool *p = pool;

    p->spender_armed = false;
    want_spares(p, p->spent);
    p->spent = 0;
    if (p->spares > 0)
        await_spending(p);
    dismiss_spares(p);
}

void spares_fini(struct pool *p) { want_spares(p, 0); }
