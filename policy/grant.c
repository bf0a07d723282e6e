/*
 * One graft's rules, copied out of the policy: a later policy does not change what a loaded graft may do (P2).
 */
#include "policy/grant.h"

#include <stdlib.h>
#include <string.h>

struct grant {
    struct grant_limits limits;
    struct setting settings[ITEM_COUNT]; /* the same, for showing */
    bool shares_cpu;                     /* the weight is one of them */
    struct policy_rules rules;           /* owned */
    char **files;                        /* owned, each too: what the places name */
    size_t file_count;
};

static const enum right right_of[GRANT_RIGHT_COUNT] = {
    [GRANT_KV_READ] = RIGHT_KV_READ,       [GRANT_KV_WRITE] = RIGHT_KV_WRITE, [GRANT_FILE_READ] = RIGHT_FILE_READ,
    [GRANT_FILE_WRITE] = RIGHT_FILE_WRITE, [GRANT_EMIT] = RIGHT_EMIT,         [GRANT_TIMER] = RIGHT_TIMER,
};

const char *grant_right_name(enum grant_right right) { return right_name(right_of[right]); }

/* Makes the place name a file of the grant's own. There is room for one per rule and setting. */
static enum err place_own(struct grant *g, struct place *place)
{
    if (place->line == 0)
        return OK;
    for (size_t i = 0; i < g->file_count; i++) {
        if (strcmp(g->files[i], place->file) == 0) {
            place->file = g->files[i];
            return OK;
        }
    }
    g->files[g->file_count] = strdup(place->file);
    if (g->files[g->file_count] == NULL)
        return ERR_NOMEM;
    place->file = g->files[g->file_count++];
    return OK;
}

static enum err places_own(struct grant *g)
{
    enum err err = OK;

    g->files = calloc(g->rules.count + ITEM_COUNT, sizeof g->files[0]);
    if (g->files == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < g->rules.count && err == OK; i++)
        err = place_own(g, &g->rules.list[i].place);
    for (size_t i = 0; i < ITEM_COUNT && err == OK; i++)
        err = place_own(g, &g->settings[i].place);
    return err;
}

static struct grant_limits limits_of(const struct setting s[ITEM_COUNT])
{
    return (struct grant_limits){
        .cpu_ms = (uint32_t)s[ITEM_CPU].value,
        .wall_ms = (uint32_t)s[ITEM_WALL].value,
        .memory = s[ITEM_MEMORY].value,
        .stack = s[ITEM_STACK].value,
        .effects = s[ITEM_EFFECTS].value,
        .retries = (uint32_t)s[ITEM_RETRIES].value,
        .hold_ms = (uint32_t)s[ITEM_HOLD].value,
        .disk = s[ITEM_DISK].value,
        .cpu_weight = (uint32_t)s[ITEM_CPU_WEIGHT].value,
        .worker_min = (uint32_t)s[ITEM_WORKER_MIN].value,
        .worker_max = (uint32_t)s[ITEM_WORKER_MAX].value,
        .fresh = s[ITEM_WORKER_FRESH].value != 0,
        .cpu_place = s[ITEM_CPU].place,
        .wall_place = s[ITEM_WALL].place,
        .memory_place = s[ITEM_MEMORY].place,
        .effects_place = s[ITEM_EFFECTS].place,
        .disk_place = s[ITEM_DISK].place,
    };
}

enum err grant_new(const struct policy *p, const struct manifest *m, struct grant **g)
{
    struct grant *new = calloc(1, sizeof *new);
    enum err err;

    if (new == NULL)
        return ERR_NOMEM;
    policy_graft_settings(p, m->name, new->settings);
    err = policy_rules_copy(policy_graft_rules(p, m->name), &new->rules);
    if (err == OK)
        err = places_own(new);
    if (err != OK) {
        grant_free(&new);
        return err;
    }
    new->limits = limits_of(new->settings);
    new->shares_cpu = policy_shares_cpu(p);
    *g = new;
    return OK;
}

void grant_free(struct grant **g)
{
    if (*g == NULL)
        return;
    policy_rules_free(&(*g)->rules);
    for (size_t i = 0; i < (*g)->file_count; i++)
        free((*g)->files[i]);
    free((*g)->files);
    free(*g);
    *g = NULL;
}

const struct policy_rules *grant_rules(const struct grant *g) { return &g->rules; }
const struct grant_limits *grant_limits(const struct grant *g) { return &g->limits; }

bool grant_may(const struct grant *g, enum grant_right right, struct bytes subject, struct place *place)
{
    return policy_rules_allow(&g->rules, right_of[right], subject, place);
}

enum err grant_show(const struct grant *g, struct buf *out)
{
    enum err err = OK;

    for (int i = 0; i < ITEM_COUNT && err == OK; i++)
        if (i != ITEM_CPU_WEIGHT || g->shares_cpu)
            err = policy_setting_show(&g->settings[i], (enum item)i, out);
    return err == OK ? policy_rules_show(&g->rules, "", out) : err;
}
