#include "graftd/core.h"

#include "graftd/event.h"
#include "graftd/timer.h"

void core_stored(void *core, char resource, struct bytes key, const struct bytes *now)
{
    struct core *c = core;

    if (resource == RESOURCE_EVENT && now != NULL)
        event_stored(c->events, key);
    if (resource == RESOURCE_TIMER)
        timers_stored(c->timers, key, now);
    if (resource != 0)
        return;
    event_stored_any(c->events);
    timers_stored_any(c->timers);
}
