/*
 * The jail's self-test: see jail_self_test() in jail.h, which notes its outcome.
 */
#ifndef GRAFTD_POLICY_JAIL_CANARY_H
#define GRAFTD_POLICY_JAIL_CANARY_H

#include "lib/err.h"

/* ERR_UNKNOWN with a sentence that names the first canary that did not end as it must. */
enum err canary_test(struct failure *f);

#endif
