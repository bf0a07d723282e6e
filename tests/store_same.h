/*
 * Whether two stores answered the same: an assertion of cmocka fails where they did not.
 */
#ifndef GRAFTD_TESTS_STORE_SAME_H
#define GRAFTD_TESTS_STORE_SAME_H

#include "txn/store.h"

void same_answer(const struct store_request *a, const struct store_request *b);

#endif
