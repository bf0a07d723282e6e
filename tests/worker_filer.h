/*
 * A graft that does with files, events and timers what its first argument says and replies what came of it, a code or what
 * it got; a world in which it runs, with the test as the daemon; and what the daemon hears and answers.
 */
#ifndef GRAFTD_TESTS_WORKER_FILER_H
#define GRAFTD_TESTS_WORKER_FILER_H

#include "tests/worker_kit.h"

enum { MIB = 1 << 20 };

struct world {
    struct tree zygote;
    struct guest guest;
};

/* Of all tests; *state: the world. */
int filer_set_up(void **state);
int filer_tear_down(void **state);

/* ---- workers ---- */

struct worker ready(void **state);
void bye(void **state, struct worker *w);
void run(const struct worker *w, const char *args);
void assert_code(const struct worker *w, int code);
void assert_got(const struct worker *w, const char *text);

/* ---- answers ---- */

void answer_value(const struct worker *w, bool present, struct bytes value);
void answer_info(const struct worker *w, bool present, bool is_directory, uint64_t size, uint64_t mtime_us);
/* Names: what ends in "/" is a directory; each is 7 bytes long and 9 microseconds old. */
void answer_list(const struct worker *w, const char *const *names, bool more);

/* ---- what it asks ---- */

void assert_stats(const struct worker *w, const char *path, bool exclusive);
void assert_reads_part(const struct worker *w, const char *path, uint64_t offset, uint32_t len);
void assert_lists(const struct worker *w, const char *path, const char *from, size_t from_len);

#endif
