/* What the tests of the policy share: one file of it, t.scfg, and what it must say. */
#ifndef GRAFTD_TESTS_POLICY_KIT_H
#define GRAFTD_TESTS_POLICY_KIT_H

#include "policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { OWNER = 500, APP = 1000, OPS = 2000, TEXT_MAX = 1 << 20 };

extern const struct principal app; /* the user APP */

/* Ended by a NUL now; borrowed. */
const char *text_of(struct buf *b);
/* Owned by the caller. */
struct policy *parse(const char *text);
/* All of its errors, as they are listed. */
void expect_errors(const char *text, const char *expected);
/* The sentence of the only error in text. */
void expect_error(const char *text, const char *sentence);
/* rule: its place, or "no rule". */
void expect_answer(const struct policy *p, const struct principal *who, enum right right, const char *subject,
                   bool allowed, const char *rule);
void expect_graft(const struct policy *p, const char *graft, enum right right, const char *key, bool allowed,
                  const char *rule);
/* Without the places, which differ between a file and what is shown of it. Owned by the caller. */
char *show(const struct policy *p);

#endif
