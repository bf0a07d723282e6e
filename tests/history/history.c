#include "tests/history/history_inside.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for one more. */
void *history_grow(void *array, size_t *cap, size_t count, size_t size)
{
    if (count < *cap)
        return array;
    *cap = *cap == 0 ? 8 : *cap * 2;
    array = reallocarray(array, *cap, size);
    if (array == NULL)
        abort();
    return array;
}

struct history_txn *history_begin(struct history *h, int64_t now_ns)
{
    struct history_txn *t = calloc(1, sizeof *t);

    if (t == NULL)
        abort();
    t->begun_ns = now_ns;
    t->ended_ns = INT64_MAX;
    h->txns = history_grow(h->txns, &h->cap, h->count, sizeof *h->txns);
    h->txns[h->count++] = t;
    return t;
}

static struct history_op *add(struct history_txn *t, enum history_kind kind, uint32_t key)
{
    t->ops = history_grow(t->ops, &t->cap, t->count, sizeof *t->ops);
    t->ops[t->count] = (struct history_op){ .kind = kind, .key = key };
    return &t->ops[t->count++];
}

void history_append(struct history_txn *t, uint32_t key, int64_t value) { add(t, HISTORY_APPEND, key)->value = value; }

void history_read(struct history_txn *t, uint32_t key, const int64_t *list, size_t count)
{
    struct history_op *op = add(t, HISTORY_READ, key);

    op->list = calloc(count + 1, sizeof *list);
    if (op->list == NULL)
        abort();
    if (count > 0)
        memcpy(op->list, list, count * sizeof *list);
    op->count = count;
}

void history_exists(struct history_txn *t, uint32_t key) { add(t, HISTORY_EXISTS, key); }

void history_undo(struct history_txn *t, size_t count)
{
    for (size_t i = count; i < t->count; i++)
        t->ops[i].undone = true;
}

/* Nobody was told when an unknown one ended. */
void history_end(struct history_txn *t, enum history_status status, int64_t now_ns)
{
    t->status = status;
    t->ended_ns = status == HISTORY_OK ? now_ns : INT64_MAX;
}

void history_merge(struct history *to, struct history *from)
{
    for (size_t i = 0; i < from->count; i++) {
        to->txns = history_grow(to->txns, &to->cap, to->count, sizeof *to->txns);
        to->txns[to->count++] = from->txns[i];
    }
    free(from->txns);
    *from = (struct history){ 0 };
}

void history_free(struct history *h)
{
    for (size_t i = 0; i < h->count; i++) {
        for (size_t j = 0; j < h->txns[i]->count; j++)
            free(h->txns[i]->ops[j].list);
        free(h->txns[i]->ops);
        free(h->txns[i]);
    }
    free(h->txns);
    *h = (struct history){ 0 };
}

void history_find(struct history_findings *f, const char *name, const char *format, ...)
{
    va_list ap;

    if (f->count < HISTORY_FINDINGS_MAX) {
        f->finding[f->count].name = name;
        va_start(ap, format);
        vsnprintf(f->finding[f->count].text, HISTORY_TEXT_MAX, format, ap);
        va_end(ap);
    }
    f->count++;
}

void history_check(const struct history *h, struct history_findings *f)
{
    struct graph g = { .nodes = h->count };

    *f = (struct history_findings){ .txns = h->count };
    history_order(h, &g, f);
    history_realtime(h, &g);
    f->edges = g.count;
    history_cycles(h, &g, f);
    free(g.edges);
}
