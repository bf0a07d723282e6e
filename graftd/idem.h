/*
 * CALL … IDEM token: of all calls by one user with the same token, one takes effect, and all are told its reply.
 *
 * A call that fails leaves nothing, its token neither: the next one runs. Who repeats a token while its first call still
 * runs waits for that. The store keeps the token with the commit (T2, T7), so this holds over a crash. Only the token
 * counts: a repeat may name another function, and is told the first reply all the same.
 */
#ifndef GRAFTD_IDEM_H
#define GRAFTD_IDEM_H

#include "graftd/client.h"

enum {
    IDEM_WAITER_MAX = 64,     /* repeats that wait for one first call; more are told BUSY */
    IDEM_WAIT_MS_MAX = 60000, /* for as long as this, if their TIMEOUT is not shorter */
};

/* Takes over r, whose token lies in its argv. Answers it from the store or from the call that it waits for; or, when it is
 * the one that counts, run(r) makes the call, which ends in idem_end. */
void idem_call(struct request *r, struct bytes token, uint64_t timeout_ms, void (*run)(struct request *));
/* The call of r has ended: reply is its value (lib/value.h), committed; NULL: it failed. Harmless without a token. The
 * reply of r itself is the caller's. */
void idem_end(struct request *r, const struct bytes *reply);

#endif
