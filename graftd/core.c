#include "graftd/core.h"

#include "graftd/audit.h"
#include "graftd/event.h"
#include "graftd/timer.h"

enum { SUBJECT_SHOWN = 136, RULE_SHOWN = 256 }; /* bytes in a sentence */

enum err core_may(struct core *core, const struct principal *who, enum right right, struct bytes subject,
                  struct failure *why)
{
    char shown[SUBJECT_SHOWN], where[RULE_SHOWN];
    struct place place;

    if (policy_caller_may(core->policy, who, right, subject, &place))
        return OK;
    audit_denied(core->audit, who, right_name(right), subject, place);
    bytes_show(subject, shown, sizeof shown);
    if (place.line == 0)
        return fail(why, ERR_NOPERM, "user %u may not %s \"%s\": no rule allows it", (unsigned)who->uid,
                    right_name(right), shown);
    return fail(why, ERR_NOPERM, "user %u may not %s \"%s\": %s denies it", (unsigned)who->uid, right_name(right),
                shown, place_show(place, where, sizeof where));
}

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
