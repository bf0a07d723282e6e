/* What clients asked for, for the audit log. */
#include "graftd/audit.h"
#include "graftd/client.h"

void audit_asked(struct request *r, enum audit_event event, enum right right, struct bytes what,
                 const struct failure *why)
{
    struct audit_record record = { .event = event, .uid = r->uid, .gid = r->gid, .pid = r->pid, .what = what };
    bool good = why == NULL || why->err == OK;

    record.verdict = good ? "ok" : err_word(why->err);
    record.why = good ? NULL : why->text;
    if (r->client != NULL) /* root and the owner need no rule, and have none */
        record.ruled = policy_caller_may(r->core->policy, request_principal(r), right, what, &record.rule) &&
                       record.rule.line != 0;
    audit(r->core->audit, &record);
}
