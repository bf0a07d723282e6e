/*
 * What each user's connections have of the daemon: places and bytes, so that one user's flood is that user's alone (W6).
 *
 * A place is taken when a connection is accepted and given back when its last byte has left, so a connection that is
 * closed but still owes replies counts. Bytes are those of requests that arrive, of requests and replies in the works,
 * and of replies that wait to be read; small amounts are always granted, the rest is bounded twice.
 */
#ifndef GRAFTD_ACCOUNT_H
#define GRAFTD_ACCOUNT_H

#include "graftd/core.h"

enum {
    ACCOUNT_SMALL = 256 * 1024,           /* bytes that a connection may hold in any case */
    ACCOUNT_USER_MAX = 256 * 1024 * 1024, /* bytes of all connections of one user … */
    ACCOUNT_ALL_MAX = 512 * 1024 * 1024,  /* … and of everybody, beyond which nobody's grows past the small amount */
    ACCOUNT_TEXT_MAX = 256,               /* of a sentence */
};

struct account; /* of one uid; lives while it has a place */

/* NULL, and why in text: the limit, and how many there are. Else a place, to be given back. */
struct account *account_enter(struct core *core, uid_t uid, char text[ACCOUNT_TEXT_MAX]);
void account_leave(struct core *core, struct account **account);

/* A connection that held *held bytes holds now. */
void account_charge(struct core *core, struct account *account, size_t *held, size_t now);
/* Whether a connection that holds that much may. */
bool account_allows(const struct core *core, const struct account *account, size_t held);

#endif
