/*
 * What one graft may do: the operator's rules for it, frozen at load (P2). A grant outlives its policy.
 */
#ifndef GRAFTD_POLICY_GRANT_H
#define GRAFTD_POLICY_GRANT_H

#include "policy/manifest.h"
#include "policy/policy.h"

/* Subjects: a key; root/path; a topic; the graft.function that a timer calls. */
enum grant_right {
    GRANT_KV_READ,
    GRANT_KV_WRITE,
    GRANT_FILE_READ,
    GRANT_FILE_WRITE,
    GRANT_EMIT,
    GRANT_TIMER,
    GRANT_RIGHT_COUNT
};
const char *grant_right_name(enum grant_right right); /* "read kv", "write file", "emit", … */

/* `limit cpu 50ms wall 1s memory 64M effects 10000 stack 1M retries 10 hold 1s` and `workers min 1 max 4`. */
struct grant_limits {
    uint32_t cpu_ms;     /* of one call; default 50 */
    uint32_t wall_ms;    /* default 1000 */
    uint64_t memory;     /* bytes of heap; default 64 MiB */
    uint64_t stack;      /* bytes; default 1 MiB */
    uint64_t effects;    /* changes one call may make; default 10000 */
    uint32_t retries;    /* of a call that lost a deadlock, unseen by its client; default 10 */
    uint32_t hold_ms;    /* how long it may hold a lock that others wait for; default 1000 */
    uint64_t disk;       /* bytes of file content one call may write; default 256 MiB */
    uint32_t cpu_weight; /* beside other grafts, 1 to 10000, if policy_shares_cpu(); default 100 */
    uint32_t worker_min; /* kept warm; default 1 */
    uint32_t worker_max; /* default: processors online, at least 2 */
    bool fresh;          /* each call gets a new worker; default: no */
    struct place cpu_place, wall_place, memory_place, effects_place, disk_place; /* who says so; line 0: built in */
};

struct grant; /* opaque, owned by whoever made it */

/* `graft NAME { … }` over `graft default { … }` over what is built in. Copies all that it needs from p. */
enum err grant_new(const struct policy *p, const struct manifest *m, struct grant **g);
void grant_free(struct grant **g);
const struct policy_rules *grant_rules(const struct grant *g); /* borrowed from g */
const struct grant_limits *grant_limits(const struct grant *g);
/* True if allowed; *place is the deciding rule either way (deny wins; line 0: no rule speaks). */
bool grant_may(const struct grant *g, enum grant_right right, struct bytes subject, struct place *place);
/* One line per rule and limit with its place, for GRAFT INFO. */
enum err grant_show(const struct grant *g, struct buf *out);

#endif
