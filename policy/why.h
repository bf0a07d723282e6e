/*
 * POLICY WHY: which rule decides a question, and what would have to stand in the policy if none does (P1).
 */
#ifndef GRAFTD_POLICY_WHY_H
#define GRAFTD_POLICY_WHY_H

#include "policy/grant.h"

enum { QUESTION_WORDS_MAX = 3, QUESTION_COMMAND_MAX = 64 };

/* "write kv acct:1", "call bank.transfer", "undo", "command graft load". */
struct question {
    enum right right;
    struct bytes subject;               /* borrowed from the words, or from command */
    char command[QUESTION_COMMAND_MAX]; /* of `command`: both words, in small letters */
};

/* Words in any case, then a subject where the right has one. ERR_BADARG: they ask nothing, and how it goes. */
enum err question_read(const struct bytes *words, size_t count, bool of_graft, struct question *q, struct failure *why);

/* Adds lines: the first begins with "allowed: " or "denied: ", and has the deciding rule's place and the rule. If none
 * decides, a line to paste follows. name: as the caller is named there, a user's name or number. ERR_LIMIT, ERR_NOMEM. */
enum err policy_why_caller(const struct policy *p, const struct principal *who, const char *name,
                           const struct question *q, struct buf *out);
/* frozen: the grant of the graft if it is loaded, else NULL; it decides, and what p says now is added if that differs. */
enum err policy_why_graft(const struct policy *p, const char *graft, const struct grant *frozen,
                          const struct question *q, struct buf *out);

/* The user of this name or number, and its groups, as the system's data base has them; asks it, which may take a while.
 * A number that is not there has no groups. ERR_BADARG: there is no such user. */
enum err principal_find(const char *name, struct principal *who, struct failure *why);

#endif
