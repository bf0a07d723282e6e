/*
 * The policy as it is filled (policy_loader.h) and answers (policy.c). No other file includes this.
 */
#ifndef GRAFTD_POLICY_POLICY_IMPL_H
#define GRAFTD_POLICY_POLICY_IMPL_H

#include "policy/policy.h"
#include "policy/quantity.h"

enum {
    POLICY_FILE_MAX = 64,     /* files, those of a directory and what they include */
    POLICY_DEPTH_MAX = 8,     /* files that include each other */
    POLICY_RULE_MAX = 65536,  /* rules of one block */
    POLICY_GRAFT_MAX = 1024,  /* graft blocks */
    POLICY_CALLER_MAX = 4096, /* caller blocks */
    POLICY_SOCKET_MODE = 0600,
    POLICY_SOCKET_MAX = 107,   /* bytes: what a socket's address holds */
    POLICY_ROOT_MAX = 64,      /* roots */
    POLICY_ROOT_NAME_MAX = 63, /* bytes of a root's name */
};

/* `limit`, `txn`, `history` and `events` at the top level, in the order of daemon_quantities. */
enum daemon_item {
    DAEMON_KEY,
    DAEMON_VALUE,
    DAEMON_CLIENTS,
    DAEMON_CLIENTS_PER_USER,
    DAEMON_QUEUE,
    DAEMON_LOCK_WAIT,
    DAEMON_CACHE,
    DAEMON_DRAIN,
    DAEMON_IDLE,
    DAEMON_TIMERS,
    DAEMON_LOCKS,
    DAEMON_SPILL,
    DAEMON_HISTORY_KEEP,
    DAEMON_HISTORY_SIZE,
    DAEMON_EVENTS_KEEP,
    DAEMON_EVENTS_SIZE,
    DAEMON_TIMER_TRIES,
    DAEMON_TIMER_BACKOFF,
    DAEMON_ITEM_COUNT,
};

extern const struct quantity daemon_quantities[DAEMON_ITEM_COUNT];
extern const struct quantity item_quantities[ITEM_COUNT]; /* in the order of enum item */

/* `graft NAME { … }`, and `graft default { … }`. */
struct graft_block {
    char *name; /* owned; "default" */
    struct place place;
    struct setting settings[ITEM_COUNT]; /* value is 0 where the place is none */
    struct policy_rules rules;
};

enum caller_kind { CALLER_ANY, CALLER_USER, CALLER_GROUP };

/* `caller … { … }` */
struct caller_block {
    enum caller_kind kind;
    uint32_t id; /* uid or gid */
    struct place place;
    struct policy_rules rules;
};

struct policy {
    uid_t owner;
    char *files[POLICY_FILE_MAX]; /* owned; places point here */
    size_t file_count;
    char *data, *socket, *backup; /* owned */
    mode_t socket_mode;
    gid_t socket_group;
    enum durability durability;
    struct layer_rules layers;
    bool daemon_open; /* `sandbox daemon off` */
    bool shares_cpu;  /* see policy_shares_cpu() */
    struct place data_place, socket_place, backup_place, durability_place, sandbox_place, daemon_place;
    struct setting settings[DAEMON_ITEM_COUNT];
    struct policy_limits limits; /* the same, for those who ask */
    struct graft_block standard; /* `graft default`; line 0: not in the file */
    struct graft_block *grafts;  /* owned */
    size_t graft_count, graft_cap;
    struct caller_block *callers; /* owned */
    size_t caller_count, caller_cap;
    struct policy_root roots[POLICY_ROOT_MAX]; /* name and path owned */
    size_t root_count;
};

/* The rule that decides, NULL when none speaks; for those whom rules bind. */
const struct policy_rule *policy_caller_rule(const struct policy *p, const struct principal *who, enum right right,
                                             struct bytes subject);
bool policy_is_free(const struct policy *p, const struct principal *who); /* root, and who started graftd */
const struct graft_block *policy_graft_block(const struct policy *p, const char *graft); /* NULL: it has none */
void policy_limits_fill(struct policy *p);                           /* limits from settings (policy_load.c) */
enum err rule_show(const struct policy_rule *rule, struct buf *out); /* as in a file (policy_show.c) */
/* Whether a path has a component that is "", "." or "..", not counting what stands behind its last slash if it is open
 * (the beginning of a name) (policy_root.c). */
bool path_is_crooked(const char *path, size_t len, bool open);
/* Frees its name and path (policy_root.c). */
void root_free(struct policy_root *r);
/* What POLICY SHOW says of `sandbox`, but for `sandbox degraded`. */
enum err sandbox_show(const struct policy *p, struct buf *out);

#endif
