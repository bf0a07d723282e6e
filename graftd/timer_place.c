/*
 * Places: `limit timers` holds although calls arm at the same moment. A timer has its place from its arming on, before it
 * is stored, and keeps it until it is known as stored, or its transaction has come to nothing.
 *
 * The places of a transaction are a stack: what is taken back of it is always what it did last.
 */
#include "graftd/timer_impl.h"
#include "lib/check.h"

#include <stdlib.h>
#include <string.h>

struct timer_place {
    struct map_node node;      /* in timers.places, as long as it counts */
    struct timer_place *below; /* of the same transaction, or of those that are not read yet */
    bool counts;               /* else its timer does */
    uint64_t effects;          /* of its transaction, with the arming */
    char id[];
};

enum err timers_reserve(struct timers *t, struct bytes id, uint64_t effects, uint64_t max, uint64_t *used,
                        struct timer_place **places)
{
    struct timer_place *p;

    *used = t->all.count + t->places.count + 1;
    if (*used > max)
        return ERR_LIMIT;
    p = malloc(sizeof *p + id.len);
    if (p == NULL)
        return ERR_NOMEM;
    *p = (struct timer_place){ .below = *places, .counts = true, .effects = effects };
    memcpy(p->id, id.data, id.len);
    p->node.key = bytes_of(p->id, id.len);
    map_add(&t->places, &p->node);
    *places = p;
    return OK;
}

static void stop_counting(struct timers *t, struct timer_place *p)
{
    if (p->counts)
        map_remove(&t->places, &p->node);
    p->counts = false;
}

void timer_place_filled(struct timers *t, struct bytes id)
{
    struct map_node *node = map_find(&t->places, id);

    if (node != NULL)
        stop_counting(t, map_entry(node, struct timer_place, node));
}

static struct timer_place *pop(struct timer_place **places)
{
    struct timer_place *p = *places;

    *places = p->below;
    return p;
}

static void drop(struct timers *t, struct timer_place *p)
{
    stop_counting(t, p);
    free(p);
}

void timers_give_back(struct timers *t, uint64_t effects, struct timer_place **places)
{
    while (*places != NULL && (*places)->effects > effects)
        drop(t, pop(places));
}

void timers_settle(struct timers *t, bool committed, struct timer_place **places)
{
    while (*places != NULL) {
        struct timer_place *p = pop(places);
        if (committed && p->counts && (t->loading || t->stale)) {
            p->below = t->unread;
            t->unread = p;
        } else {
            drop(t, p);
        }
    }
}

void timer_places_read(struct timers *t)
{
    while (t->unread != NULL)
        drop(t, pop(&t->unread));
}
