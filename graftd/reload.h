/*
 * The policy, read again while everything runs (P3): by POLICY RELOAD, or SIGHUP. With any error the one in force stays.
 * Files are read on another thread (W5), one reload at a time.
 */
#ifndef GRAFTD_RELOAD_H
#define GRAFTD_RELOAD_H

#include "graftd/core.h"

struct reload;

enum { RELOAD_TEXT_MAX = 1024 * 1024 }; /* bytes of what is told of one */

/* path: the policy's, NULL: there is none. p: what is in force, core->policy. Both borrowed. ERR_NOMEM. */
enum err reload_new(struct core *core, const char *path, struct policy *p, struct reload **out);
void reload_free(struct reload **r);

/* good: it is in force. text: for people, lines; all errors if it is not. Borrowed until this returns. */
typedef void reload_done(void *owner, bool good, struct bytes text);
/* done() comes later, once; NULL: nobody waits. What happens is logged either way. who: for the audit log, copied; NULL:
 * graftd itself. ERR_BADARG: there is no file; ERR_BUSY: one is under way; ERR_NOMEM. */
enum err reload_begin(struct core *core, const struct principal *who, reload_done *done, void *owner,
                      struct failure *why);
/* SIGHUP: begins one, or another one when that which is under way has ended; and opens the audit log anew. */
void reload_hangup(struct core *core);

#endif
