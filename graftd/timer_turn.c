/*
 * Turns: of the calls that timers make at a time, one graft's may be so many and no more. Else one graft whose calls are
 * slow, with many timers due, keeps the timers of all others waiting (W6).
 *
 * A turn is there while a call of its graft runs. Timers of that graft that find no place are held at it, outside the
 * queue, and go back there as calls end: as many as there are places, and all of them with the last call. One that goes
 * back and turns out to be gone leaves its place to the next end; none is held where no call runs.
 */
#include "graftd/timer_impl.h"
#include "lib/check.h"

#include <stdlib.h>
#include <string.h>

struct timer_turn {
    struct list link;
    size_t firing;    /* 1 to TIMER_GRAFT_MAX */
    struct list held; /* struct armed */
    size_t name_len;
    char name[];
};

static struct bytes graft_of(struct bytes function)
{
    const char *dot = function.len == 0 ? NULL : memchr(function.data, '.', function.len);

    return bytes_of(function.data, dot == NULL ? function.len : (size_t)(dot - (const char *)function.data));
}

/* At most TIMER_FIRING_MAX of them. */
static struct timer_turn *turn_find(struct timers *t, struct bytes graft)
{
    list_each (node, &t->turns) {
        struct timer_turn *turn = list_entry(node, struct timer_turn, link);
        if (bytes_equal(bytes_of(turn->name, turn->name_len), graft))
            return turn;
    }
    return NULL;
}

static struct timer_turn *turn_new(struct timers *t, struct bytes graft)
{
    struct timer_turn *turn = malloc(sizeof *turn + graft.len);

    if (turn == NULL)
        return NULL;
    *turn = (struct timer_turn){ .name_len = graft.len };
    if (graft.len > 0)
        memcpy(turn->name, graft.data, graft.len);
    list_init(&turn->held);
    list_push(&t->turns, &turn->link);
    return turn;
}

enum err timer_turn_take(struct timers *t, struct bytes function, struct armed *a, struct timer_turn **out)
{
    struct bytes graft = graft_of(function);
    struct timer_turn *turn = turn_find(t, graft);

    if (turn == NULL && (turn = turn_new(t, graft)) == NULL)
        return ERR_NOMEM;
    if (turn->firing < TIMER_GRAFT_MAX) {
        turn->firing++;
        *out = turn;
        return OK;
    }
    if (a != NULL) {
        a->firing = false;
        list_push(&turn->held, &a->held);
    }
    return ERR_WAIT;
}

void timer_turn_end(struct timers *t, struct timer_turn **turn)
{
    struct timer_turn *old = *turn;
    struct list *node;
    size_t places;

    *turn = NULL;
    if (old == NULL)
        return;
    CHECK(old->firing > 0);
    old->firing--;
    places = old->firing == 0 ? SIZE_MAX : TIMER_GRAFT_MAX - old->firing;
    for (; places > 0 && (node = list_pop(&old->held)) != NULL; places--)
        timer_queue(t, list_entry(node, struct armed, held));
    if (old->firing > 0)
        return;
    list_remove(&old->link);
    free(old);
}
