/*
 * From lists to edges. The longest list of a key that an answered transaction read is the order of its versions; every
 * other read must be the beginning of it. What a transaction appended itself is taken off its reads first.
 */
#include "tests/history/history_inside.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NOBODY = UINT32_MAX };

/* Who appended a value. */
struct write {
    int64_t value; /* 0: an empty place */
    uint32_t txn, key;
    bool undone;
    bool final; /* the last that this transaction leaves in the key */
};

/* A read, without the reader's own values. */
struct view {
    uint32_t txn, key;
    const int64_t *list;
    size_t count;
    bool at_least_one; /* all that is known; count is 0 */
};

struct order {
    const struct history *h;
    struct history_findings *f;
    struct write *writes; /* owned: a hash table */
    size_t mask;
    struct view *views; /* owned */
    size_t view_count, view_cap;
    struct view *longest; /* owned: of each key */
    size_t keys;
};

static size_t place(const struct order *o, int64_t value)
{
    size_t i = (size_t)((uint64_t)value * 0x9e3779b97f4a7c15 >> 20) & o->mask;

    while (o->writes[i].value != 0 && o->writes[i].value != value)
        i = (i + 1) & o->mask;
    return i;
}

static struct write *writer(const struct order *o, int64_t value)
{
    struct write *w = &o->writes[place(o, value)];

    return w->value == 0 ? NULL : w;
}

static void note_writes(struct order *o, uint32_t number)
{
    const struct history_txn *t = o->h->txns[number];

    for (size_t i = 0; i < t->count; i++) {
        const struct history_op *op = &t->ops[i];
        if (op->kind != HISTORY_APPEND)
            continue;
        if (writer(o, op->value) != NULL)
            abort(); /* our own mistake: values are unique */
        for (size_t j = 0; j < i && !op->undone; j++)
            if (t->ops[j].kind == HISTORY_APPEND && t->ops[j].key == op->key)
                writer(o, t->ops[j].value)->final = false;
        o->writes[place(o, op->value)] = (struct write){ op->value, number, op->key, op->undone, !op->undone };
    }
}

/* Sizes the tables and fills the one of writes. */
static void index_writes(struct order *o)
{
    size_t appends = 0;

    for (size_t i = 0; i < o->h->count; i++)
        for (size_t j = 0; j < o->h->txns[i]->count; j++) {
            const struct history_op *op = &o->h->txns[i]->ops[j];
            appends += op->kind == HISTORY_APPEND;
            o->keys = op->key >= o->keys ? op->key + 1 : o->keys;
        }
    for (o->mask = 15; o->mask < appends * 2; o->mask = o->mask * 2 + 1)
        ;
    o->writes = calloc(o->mask + 1, sizeof *o->writes);
    o->longest = calloc(o->keys + 1, sizeof *o->longest);
    if (o->writes == NULL || o->longest == NULL)
        abort();
    for (size_t i = 0; i < o->h->count; i++)
        note_writes(o, (uint32_t)i);
}

/* The read number `at` of t must end with what t itself had appended by then: how many values that is, or -1. */
static int64_t own_tail(const struct history_txn *t, size_t at)
{
    const struct history_op *read = &t->ops[at];
    size_t left = read->count, own = 0;

    for (size_t i = at; i-- > 0;) {
        const struct history_op *op = &t->ops[i];
        if (op->kind != HISTORY_APPEND || op->key != read->key || (op->undone && !read->undone))
            continue;
        if (left > 0 && read->list[left - 1] == op->value) {
            left--;
            own++;
        } else if (!op->undone) {
            return -1;
        }
    }
    return (int64_t)own;
}

static bool appended_before(const struct history_txn *t, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (t->ops[i].kind == HISTORY_APPEND && t->ops[i].key == t->ops[at].key)
            return true;
    return false;
}

static void add_view(struct order *o, struct view v)
{
    for (size_t i = o->view_count; i-- > 0 && o->views[i].txn == v.txn;)
        if (o->views[i].key == v.key && !o->views[i].at_least_one && !v.at_least_one && o->views[i].count != v.count)
            history_find(o->f, "internal", "transaction %u read key %u twice, with %zu and then %zu values of others",
                         v.txn, v.key, o->views[i].count, v.count);
    o->views = history_grow(o->views, &o->view_cap, o->view_count, sizeof *o->views);
    o->views[o->view_count++] = v;
}

static void note_views(struct order *o, uint32_t number)
{
    const struct history_txn *t = o->h->txns[number];

    for (size_t i = 0; i < t->count; i++) {
        const struct history_op *op = &t->ops[i];
        int64_t own;
        if (op->kind == HISTORY_EXISTS && !appended_before(t, i))
            add_view(o, (struct view){ number, op->key, NULL, 0, true });
        if (op->kind != HISTORY_READ)
            continue;
        own = own_tail(t, i);
        if (own < 0)
            history_find(o->f, "internal", "transaction %u does not see its own work in key %u", number, op->key);
        else
            add_view(o, (struct view){ number, op->key, op->list, op->count - (size_t)own, false });
    }
}

/* What is wrong with one list alone. */
static void judge_list(struct order *o, const struct view *v)
{
    for (size_t i = 0; i < v->count; i++) {
        const struct write *w = writer(o, v->list[i]);
        for (size_t j = 0; j < i; j++)
            if (v->list[j] == v->list[i])
                history_find(o->f, "duplicate", "key %u has %" PRId64 " twice, read by transaction %u", v->key,
                             v->list[i], v->txn);
        if (w == NULL || w->key != v->key)
            history_find(o->f, "phantom-value", "transaction %u read %" PRId64 " in key %u, where nobody appended it",
                         v->txn, v->list[i], v->key);
        else if (w->undone || o->h->txns[w->txn]->status == HISTORY_FAILED)
            history_find(o->f, "G1a", "transaction %u read %" PRId64 " in key %u, of transaction %u, which %s", v->txn,
                         v->list[i], v->key, w->txn, w->undone ? "took it back" : "failed");
        else if (i + 1 == v->count && !w->final && w->txn != v->txn)
            history_find(o->f, "G1b", "transaction %u read key %u up to %" PRId64 ", in the middle of transaction %u",
                         v->txn, v->key, v->list[i], w->txn);
    }
}

static void judge_views(struct order *o)
{
    for (size_t i = 0; i < o->view_count; i++) {
        struct view *v = &o->views[i];
        if (v->count > o->longest[v->key].count)
            o->longest[v->key] = *v;
        judge_list(o, v);
    }
    for (size_t i = 0; i < o->view_count; i++) {
        const struct view *v = &o->views[i], *all = &o->longest[v->key];
        if (v->count > 0 && memcmp(v->list, all->list, v->count * sizeof *v->list) != 0)
            history_find(o->f, "incompatible",
                         "key %u: transactions %u and %u read lists of which neither begins the other", v->key, v->txn,
                         all->txn);
    }
}

/* What was answered must be in what was read last. */
static void judge_lost(struct order *o)
{
    const struct history_txn *last = o->h->txns[o->h->count - 1];
    bool *there = calloc(o->mask + 1, sizeof *there);

    if (there == NULL)
        abort();
    for (size_t i = 0; i < last->count; i++)
        for (size_t j = 0; last->ops[i].kind == HISTORY_READ && j < last->ops[i].count; j++)
            there[place(o, last->ops[i].list[j])] = true;
    for (size_t i = 0; i <= o->mask; i++) {
        const struct write *w = &o->writes[i];
        if (w->value != 0 && !w->undone && !there[i] && o->h->txns[w->txn]->status == HISTORY_OK)
            history_find(o->f, "lost", "%" PRId64 ", appended to key %u by transaction %u, is not there at the end",
                         w->value, w->key, w->txn);
    }
    free(there);
}

static size_t writer_at(const struct order *o, uint32_t key, size_t version)
{
    const struct view *all = &o->longest[key];
    const struct write *w = version < all->count ? writer(o, all->list[version]) : NULL;

    return w == NULL ? NOBODY : w->txn;
}

static void draw_edges(struct order *o, struct graph *g)
{
    for (uint32_t key = 0; key < o->keys; key++)
        for (size_t i = 1; i < o->longest[key].count; i++)
            if (writer_at(o, key, i - 1) != NOBODY && writer_at(o, key, i) != NOBODY)
                graph_add(g, writer_at(o, key, i - 1), writer_at(o, key, i), EDGE_WW);
    for (size_t i = 0; i < o->view_count; i++) {
        const struct view *v = &o->views[i];
        size_t seen = v->at_least_one ? 1 : v->count;
        if (seen > 0 && writer_at(o, v->key, seen - 1) != NOBODY)
            graph_add(g, writer_at(o, v->key, seen - 1), v->txn, EDGE_WR);
        for (size_t next = seen; !v->at_least_one && next < o->longest[v->key].count; next++)
            if (writer_at(o, v->key, next) != v->txn) { /* behind its own values */
                if (writer_at(o, v->key, next) != NOBODY)
                    graph_add(g, v->txn, writer_at(o, v->key, next), EDGE_RW);
                break;
            }
    }
}

void history_order(const struct history *h, struct graph *g, struct history_findings *f)
{
    struct order o = { .h = h, .f = f };

    if (h->count == 0)
        return;
    index_writes(&o);
    for (size_t i = 0; i < h->count; i++)
        if (h->txns[i]->status == HISTORY_OK)
            note_views(&o, (uint32_t)i);
    judge_views(&o);
    judge_lost(&o);
    draw_edges(&o, g);
    free(o.writes);
    free(o.views);
    free(o.longest);
}
