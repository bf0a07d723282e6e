/*
 * The kept inputs of the fuzzers, and for how long they run.
 *
 * tests/fuzz/corpus/NAME/ has small good inputs, a file each; every run tries each of them as it is, and bends them. GRAFTD_TOP: the
 * source tree, else ".". FUZZ_SECONDS in the environment: that long instead of a number of rounds.
 */
#ifndef TESTS_FUZZ_CORPUS_H
#define TESTS_FUZZ_CORPUS_H

#include "lib/buf.h"
#include "lib/check.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CORPUS_MAX = 64, CORPUS_FILE_MAX = 64 * 1024, CORPUS_ALARM_S = 600 };

struct corpus {
    struct dirent **names;
    struct bytes list[CORPUS_MAX];
    size_t count;
};

static inline struct bytes corpus_file(const char *dir, const char *name)
{
    static uint8_t room[CORPUS_FILE_MAX];
    char path[1024];
    uint8_t *data;
    size_t len;
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "re");
    CHECK(f != NULL);
    len = fread(room, 1, sizeof room, f);
    CHECK(len < sizeof room);
    fclose(f);
    data = malloc(len + (len == 0)); /* of its exact size, so that a step too far is seen */
    CHECK(data != NULL);
    memcpy(data, room, len);
    return bytes_of(data, len);
}

/* All files of corpus/name that begin with prefix, in the order of their names. At least one, or the test ends. */
static inline void corpus_open(struct corpus *c, const char *name, const char *prefix)
{
    const char *top = getenv("GRAFTD_TOP");
    char dir[512];
    int n;

    snprintf(dir, sizeof dir, "%s/tests/fuzz/corpus/%s", top != NULL ? top : ".", name);
    n = scandir(dir, &c->names, NULL, alphasort);
    c->count = 0;
    for (int i = 0; i < n; i++) {
        if (c->names[i]->d_name[0] != '.' && strncmp(c->names[i]->d_name, prefix, strlen(prefix)) == 0) {
            CHECK(c->count < CORPUS_MAX);
            c->list[c->count++] = corpus_file(dir, c->names[i]->d_name);
        }
        free(c->names[i]);
    }
    if (n >= 0)
        free(c->names);
    CHECK(c->count > 0);
}

static inline void corpus_close(struct corpus *c)
{
    for (size_t i = 0; i < c->count; i++)
        free((void *)(uintptr_t)c->list[i].data);
    c->count = 0;
}

/* Whether there is another round: below count, or until FUZZ_SECONDS have passed. */
static inline bool corpus_goes_on(uint64_t round, uint64_t count)
{
    static time_t end;
    const char *seconds = getenv("FUZZ_SECONDS");
    struct timespec now;

    if (seconds == NULL)
        return round < count;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (end == 0) {
        end = now.tv_sec + atoi(seconds);
        alarm((unsigned)atoi(seconds) + CORPUS_ALARM_S);
    }
    if (now.tv_sec < end)
        return true;
    printf("%llu rounds\n", (unsigned long long)round);
    return false;
}

#endif
