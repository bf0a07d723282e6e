/*
 * Cycles, by name. A pass looks for an edge of one kind that closes a cycle over edges of some kinds; the passes stand in
 * order of gravity, and the first that finds one is told. Strongly connected components (Tarjan) tell where to look.
 */
#include "tests/history/history_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NONE = UINT32_MAX, TRIES_MAX = 1000 };

/* A graph ready for walking. */
struct web {
    const struct graph *g;
    size_t *first;                     /* owned: edges of node n are first[n] up to first[n + 1] */
    uint32_t mask;                     /* kinds of edges that count */
    uint32_t *component, *low, *index; /* owned, of each node; index NONE: not seen */
    uint32_t *stack, *path;            /* owned */
    size_t *next;                      /* owned: the edge to be followed next */
    size_t stacked, deep;
    uint32_t seen, components;
    bool *on_stack; /* owned */
};

static int by_from(const void *a, const void *b)
{
    const struct edge *x = a, *y = b;

    return x->from < y->from ? -1 : x->from > y->from;
}

static void *table(size_t count, size_t size)
{
    void *p = calloc(count + 2, size);

    if (p == NULL)
        abort();
    return p;
}

static void web_init(struct web *w, struct graph *g)
{
    *w = (struct web){ .g = g };
    if (g->count > 0)
        qsort(g->edges, g->count, sizeof *g->edges, by_from);
    w->first = table(g->nodes, sizeof *w->first);
    w->component = table(g->nodes, sizeof *w->component);
    w->low = table(g->nodes, sizeof *w->low);
    w->index = table(g->nodes, sizeof *w->index);
    w->stack = table(g->nodes, sizeof *w->stack);
    w->path = table(g->nodes, sizeof *w->path);
    w->next = table(g->nodes, sizeof *w->next);
    w->on_stack = table(g->nodes, sizeof *w->on_stack);
    for (size_t i = 0; i < g->count; i++)
        w->first[g->edges[i].from + 1]++;
    for (size_t n = 0; n < g->nodes; n++)
        w->first[n + 1] += w->first[n];
}

static void web_fini(struct web *w)
{
    free(w->first);
    free(w->component);
    free(w->low);
    free(w->index);
    free(w->stack);
    free(w->path);
    free(w->next);
    free(w->on_stack);
}

/* ---- components ---- */

static void enter(struct web *w, uint32_t node)
{
    w->index[node] = w->low[node] = w->seen++;
    w->next[node] = w->first[node];
    w->stack[w->stacked++] = node;
    w->on_stack[node] = true;
    w->path[w->deep++] = node;
}

static void leave(struct web *w, uint32_t node)
{
    uint32_t other;

    w->deep--;
    if (w->deep > 0 && w->low[node] < w->low[w->path[w->deep - 1]])
        w->low[w->path[w->deep - 1]] = w->low[node];
    if (w->low[node] != w->index[node])
        return;
    do {
        other = w->stack[--w->stacked];
        w->on_stack[other] = false;
        w->component[other] = w->components;
    } while (other != node);
    w->components++;
}

static void walk(struct web *w, uint32_t root)
{
    enter(w, root);
    while (w->deep > 0) {
        uint32_t node = w->path[w->deep - 1];
        const struct edge *e;
        if (w->next[node] == w->first[node + 1]) {
            leave(w, node);
            continue;
        }
        e = &w->g->edges[w->next[node]++];
        if ((e->kind & w->mask) == 0)
            continue;
        if (w->index[e->to] == NONE)
            enter(w, e->to);
        else if (w->on_stack[e->to] && w->index[e->to] < w->low[node])
            w->low[node] = w->index[e->to];
    }
}

static void find_components(struct web *w, uint32_t mask)
{
    w->mask = mask;
    w->seen = w->components = 0;
    memset(w->index, 0xff, w->g->nodes * sizeof *w->index);
    for (uint32_t n = 0; n < w->g->nodes; n++)
        if (w->index[n] == NONE)
            walk(w, n);
}

/* ---- one cycle ---- */

/* Breadth first from `from` to `to` within the component, over edges of mask. came[n]: the edge by which n was reached.
 * Borrows low, index and stack. */
static bool reach(struct web *w, uint32_t from, uint32_t to, uint32_t mask)
{
    size_t head = 0, tail = 0;

    memset(w->index, 0xff, w->g->nodes * sizeof *w->index);
    w->stack[tail++] = from;
    w->index[from] = from;
    while (head < tail && w->index[to] == NONE) {
        uint32_t node = w->stack[head++];
        for (size_t i = w->first[node]; i < w->first[node + 1]; i++) {
            const struct edge *e = &w->g->edges[i];
            if ((e->kind & mask) == 0 || w->index[e->to] != NONE || w->component[e->to] != w->component[from])
                continue;
            w->index[e->to] = node;
            w->low[e->to] = e->kind;
            w->stack[tail++] = e->to;
        }
    }
    return w->index[to] != NONE;
}

static const char *kind_name(uint32_t kind)
{
    return kind == EDGE_WW ? "ww" : kind == EDGE_WR ? "wr" : kind == EDGE_RW ? "rw" : "rt";
}

/* The path that reach() found, behind its closing edge: told from its end to its beginning. */
static void tell(const struct web *w, const struct edge *closing, const char *name, struct history_findings *f)
{
    char text[HISTORY_TEXT_MAX];
    int n = snprintf(text, sizeof text, "%u -%s-> %u", closing->from, kind_name(closing->kind), closing->to);
    char tail[HISTORY_TEXT_MAX] = "", one[64];

    for (uint32_t at = closing->from; at != closing->to && strlen(tail) < sizeof tail - 64; at = w->index[at]) {
        snprintf(one, sizeof one, " -%s-> %u", kind_name(w->low[at]), at);
        memmove(tail + strlen(one), tail, strlen(tail) + 1);
        memcpy(tail, one, strlen(one));
    }
    history_find(f, name, "a cycle of transactions: %.*s%s", n, text, tail);
}

static bool pass(struct web *w, uint32_t start, uint32_t mask, const char *name, struct history_findings *f)
{
    unsigned tries = 0;

    find_components(w, start | mask);
    for (size_t i = 0; i < w->g->count && tries < TRIES_MAX; i++) {
        const struct edge *e = &w->g->edges[i];
        if (e->kind != start || w->component[e->from] != w->component[e->to])
            continue;
        tries++;
        if (reach(w, e->to, e->from, mask)) {
            tell(w, e, name, f);
            return true;
        }
    }
    return false;
}

void history_cycles(const struct history *h, struct graph *g, struct history_findings *f)
{
    static const struct {
        const char *name;
        uint32_t start, mask;
    } passes[] = {
        { "G0", EDGE_WW, EDGE_WW },
        { "G1c", EDGE_WR, EDGE_WW | EDGE_WR },
        { "G-single", EDGE_RW, EDGE_WW | EDGE_WR },
        { "G2", EDGE_RW, EDGE_WW | EDGE_WR | EDGE_RW },
        { "G0-realtime", EDGE_WW, EDGE_WW | EDGE_RT },
        { "G1c-realtime", EDGE_WR, EDGE_WW | EDGE_WR | EDGE_RT },
        { "G-single-realtime", EDGE_RW, EDGE_WW | EDGE_WR | EDGE_RT },
        { "G2-realtime", EDGE_RW, EDGE_WW | EDGE_WR | EDGE_RW | EDGE_RT },
    };
    struct web w;

    (void)h;
    web_init(&w, g);
    for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++)
        if (pass(&w, passes[i].start, passes[i].mask, passes[i].name, f))
            break;
    web_fini(&w);
}

/* ---- the order of the clock ---- */

struct moment {
    int64_t ns;
    uint32_t txn;
    bool end;
};

static int by_time(const void *a, const void *b)
{
    const struct moment *x = a, *y = b;

    if (x->ns != y->ns)
        return x->ns < y->ns ? -1 : 1;
    return x->end - y->end; /* at the same instant: they overlap */
}

/* Those that ended last, and are before nobody in the list: one that begins comes after these, and so after all. */
static void begins(struct graph *g, const uint32_t *front, size_t count, uint32_t txn)
{
    for (size_t i = 0; i < count; i++)
        graph_add(g, front[i], txn, EDGE_RT);
}

static size_t ends(const struct history *h, uint32_t *front, size_t count, uint32_t txn)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++)
        if (h->txns[front[i]]->ended_ns >= h->txns[txn]->begun_ns)
            front[kept++] = front[i];
    front[kept++] = txn;
    return kept;
}

/* Failed ones did nothing; unknown ones begin, and nobody comes after them. */
void history_realtime(const struct history *h, struct graph *g)
{
    struct moment *moments = table(h->count * 2, sizeof *moments);
    uint32_t *front = table(h->count, sizeof *front);
    size_t count = 0, fronts = 0;

    for (uint32_t i = 0; i < h->count; i++) {
        if (h->txns[i]->status == HISTORY_FAILED)
            continue;
        moments[count++] = (struct moment){ h->txns[i]->begun_ns, i, false };
        if (h->txns[i]->status == HISTORY_OK)
            moments[count++] = (struct moment){ h->txns[i]->ended_ns, i, true };
    }
    if (count > 0)
        qsort(moments, count, sizeof *moments, by_time);
    for (size_t i = 0; i < count; i++)
        if (moments[i].end)
            fronts = ends(h, front, fronts, moments[i].txn);
        else
            begins(g, front, fronts, moments[i].txn);
    free(moments);
    free(front);
}
