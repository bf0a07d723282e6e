/*
 * Who runs next: VINO's scheduling graft. A client that waits for a server gives it its turn, and that one perhaps to
 * another; the turn goes along until somebody can use it.
 *
 *     graftctl call schedule.delegate --key turns 5 9 9 2       5 gives to 9, 9 gives to 2
 *     graftctl call schedule.next --key turns 5 1 2 3 4         5's turn, and who can run: 2
 */
#include "numbers.h"

GRAFT_MODULE("schedule", "1.0.0", "passes a turn on to who can use it");

#define STEPS_MAX 16 /* a circle ends there */

GRAFT_FUNCTION(delegate, "from to …")
{
    if (graft_arg_count(call) % 2 != 0)
        return graft_abort(call, "threads come in pairs: who gives, and to whom");
    return numbers_put_args(call, graft_key(call, 0));
}

/* To whom a thread gives its turn; itself when to nobody. */
static uint32_t receiver(struct numbers turns, uint32_t thread)
{
    for (size_t i = 0; i + 1 < turns.count; i += 2)
        if (turns.at[i] == thread)
            return turns.at[i + 1];
    return thread;
}

/* The threads that can run stand behind the first argument. */
static int read_runnable(graft_call *call, uint32_t *list, size_t *count)
{
    int err;

    *count = graft_arg_count(call) - 1;
    if (*count > NUMBERS_MAX)
        return graft_abort(call, "at most %d threads, not %zu", NUMBERS_MAX, *count);
    for (size_t i = 0; i < *count; i++)
        if ((err = numbers_arg(call, i + 1, &list[i])) != GRAFT_OK)
            return err;
    return GRAFT_OK;
}

/* Replies who gets the turn. ABORTED when nobody along the way can run: then the scheduler's own choice holds. */
GRAFT_FUNCTION_RO(next, "thread runnable …")
{
    uint32_t list[NUMBERS_MAX], thread = 0, to;
    struct numbers turns, runnable = { list, 0 };
    int err;

    if ((err = numbers_arg(call, 0, &thread)) != GRAFT_OK ||
        (err = numbers_get(call, graft_key(call, 0), &turns)) != GRAFT_OK ||
        (err = read_runnable(call, list, &runnable.count)) != GRAFT_OK)
        return err;
    for (int step = 0; step < STEPS_MAX; step++, thread = to) {
        if (numbers_find(runnable, 0, thread) < runnable.count)
            return graft_reply_i64(call, thread);
        if ((to = receiver(turns, thread)) == thread)
            break;
    }
    return graft_abort(call, "nobody that thread %u stands for can run", thread);
}
