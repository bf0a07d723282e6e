#include "tests/sim/seen.h"

#include <stdio.h>

static struct super_stats seen;
static uint64_t unloads_seen; /* that found calls there */

void seen_count(const struct super *super, const struct client_sim *clients, unsigned client_count)
{
    struct super_stats s;

    super_stats(super, &s);
    seen.behind += s.behind;
    for (int reason = 0; reason < TAKEN_COUNT; reason++)
        seen.taken_back[reason] += s.taken_back[reason];
    for (unsigned i = 0; i < client_count; i++)
        unloads_seen += clients[i].unloads_seen;
}

bool seen_all(uint64_t count)
{
    const struct {
        const char *name;
        uint64_t seen, runs;
    } ways[] = {
        { "begun", seen.behind, SEEDS },
        { "not sent after all", seen.taken_back[TAKEN_UNSENT], SEEDS },
        { "taken back for a head that waits", seen.taken_back[TAKEN_WAITS], SEEDS },
        { "for a slow one", seen.taken_back[TAKEN_SLOW], SEEDS_FOR_RARE },
        { "for one that failed", seen.taken_back[TAKEN_FAILED], SEEDS },
        { "for one between that was ended", seen.taken_back[TAKEN_ENDED], SEEDS_FOR_RARE },
        { "there at an unload", unloads_seen, SEEDS_FOR_RARE },
    };
    bool all = true;

    printf("sim: calls behind others:");
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        printf("%s %llu %s", i == 0 ? "" : ",", (unsigned long long)ways[i].seen, ways[i].name);
        all &= ways[i].seen > 0 || count < ways[i].runs;
    }
    printf("\n");
    if (!all)
        fprintf(stderr, "sim: one of these never happened in %llu runs: the world is too kind\n",
                (unsigned long long)count);
    return all;
}
