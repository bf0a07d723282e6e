/* What history.c, history_order.c and history_cycle.c share. */
#ifndef GRAFTD_TESTS_HISTORY_INSIDE_H
#define GRAFTD_TESTS_HISTORY_INSIDE_H

#include "tests/history/history.h"

enum { EDGE_WW = 1, EDGE_WR = 2, EDGE_RW = 4, EDGE_RT = 8 };

struct edge {
    uint32_t from, to;
    uint32_t kind;
};

struct graph {
    struct edge *edges; /* owned */
    size_t count, cap;
    size_t nodes;
};

void *history_grow(void *array, size_t *cap, size_t count, size_t size);
void history_find(struct history_findings *f, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* history_order.c: what lists tell. Adds ww, wr and rw. */
void history_order(const struct history *h, struct graph *g, struct history_findings *f);
/* history_cycle.c */
void history_realtime(const struct history *h, struct graph *g);
void history_cycles(const struct history *h, struct graph *g, struct history_findings *f);

static inline void graph_add(struct graph *g, size_t from, size_t to, uint32_t kind)
{
    if (from == to)
        return;
    g->edges = history_grow(g->edges, &g->cap, g->count, sizeof *g->edges);
    g->edges[g->count++] = (struct edge){ (uint32_t)from, (uint32_t)to, kind };
}

#endif
