/*
 * The order of one connection's calls. A call of a pipeline need not wait until the one before it is decided: it may be
 * sent behind it, to the same worker, which runs them one after the other.
 *
 *     P ← F ← G     each with its `after`, the one before it, until that is decided
 *
 * 1. F has a worker only while P is decided, or stands before it in the same worker.
 * 2. So when F is taken back while P is not decided, it waits (QUEUED, in no queue), and so does G, behind F.
 * 3. Whoever ends early lets the one after it wait for the one before it.
 */
#include "graftd/call_impl.h"

static bool has_room(const struct call *c)
{
    return (c->state == SENT || c->state == RUNNING) && seat_takes_follower(&c->seat);
}

bool call_takes_follower(const struct call *c) { return c->hold == &c->own && c->follower == NULL && has_room(c); }

bool call_may_follow(const struct call_request *request)
{
    return request->hold == NULL && !request->trial && request->token.len == 0 &&
           request->after->graft == request->graft && call_takes_follower(request->after);
}

void call_join_order(struct call *c)
{
    c->after = c->request.after;
    c->after->follower = c;
}

bool call_follow(struct call *c)
{
    if (c->after == NULL || !has_room(c->after))
        return false;
    seat_follow(&c->seat, &c->after->seat);
    return true;
}

void call_leave_order(struct call *c)
{
    struct call *before = c->after, *next = c->follower;

    c->after = c->follower = NULL;
    if (before != NULL)
        before->follower = next;
    if (next == NULL)
        return;
    next->after = before;
    if (before == NULL && next->state == QUEUED)
        call_queue(next);
}
