/*
 * The rules as loaded from a policy file: who may do what, with the place of each rule (P1, P3).
 *
 * A policy changes as a whole, by policy_replace(), or not at all. Loading reads everything, lists all errors, and gives
 * a policy only if there were none. With no file there is a safe default: the user who started graftd (and root) may do
 * everything, nobody else anything; grafts may use all keys, files of the roots, topics and timers, within limits.
 */
#ifndef GRAFTD_POLICY_POLICY_H
#define GRAFTD_POLICY_POLICY_H

#include "lib/buf.h"
#include "policy/layer.h"

#include <stdint.h>
#include <sys/types.h>

/* Where a rule stands. line 0: no rule (the default, or nothing allows it). */
struct place {
    const char *file;      /* borrowed from the policy */
    unsigned line, column; /* from 1; column in bytes */
};
/* "graftd.scfg:12:5", or "no rule" when line is 0. Returns out. */
const char *place_show(struct place place, char *out, size_t size);

enum durability { DURABILITY_FULL, DURABILITY_NORMAL, DURABILITY_OFF };

/* What a caller may do (C) as words in `caller … { allow … }`, and a graft (G) in `graft … { allow … }`. */
enum right {
    RIGHT_CALL,       /* C: call "graft.function": FCALL, CALL; subject: graft.function */
    RIGHT_KV_READ,    /* C, G: read kv "prefix*": GET, SCAN, …; subject: the key */
    RIGHT_KV_WRITE,   /* C, G: write kv: SET, DEL, … */
    RIGHT_FILE_READ,  /* G: read file "root/prefix*"; subject: root/path */
    RIGHT_FILE_WRITE, /* G: write file */
    RIGHT_EVENT_READ, /* C: read event "bank.*"; subject: the topic */
    RIGHT_EMIT,       /* G: emit "bank.*"; subject: the topic */
    RIGHT_TIMER,      /* G: timer "bank.*"; subject: the graft.function that the timer calls */
    RIGHT_LOAD,       /* C: GRAFT LOAD; subject: the graft's name */
    RIGHT_UNLOAD,     /* C */
    RIGHT_UNDO,       /* C; subject: none */
    RIGHT_KILL,       /* C: TXN KILL */
    RIGHT_INFO,       /* C: GRAFT LIST/INFO, TXN LIST/SHOW, INFO */
    RIGHT_ADMIN,      /* C: SHUTDOWN, BACKUP, POLICY */
    RIGHT_COMMAND,    /* C: deny command "graft load"; subject: "graft", "graft load"; see policy_command_may() */
    RIGHT_COUNT,
};
const char *right_name(enum right right); /* "call", "read kv", … */

enum { PRINCIPAL_GROUP_MAX = 64 };
/* Who is asking, from SO_PEERCRED and SO_PEERGROUPS. */
struct principal {
    uid_t uid;
    gid_t gid;
    pid_t pid;
    size_t group_count;
    gid_t groups[PRINCIPAL_GROUP_MAX];
};

struct policy; /* opaque */

/* path NULL: the safe default. A directory: its *.scfg files in byte order, as one policy. errors collects, one per
 * line block, all errors with file:line:column, the line, a caret, and a did-you-mean; ERR_BADARG then (ERR_NOMEM).
 * On success *p is owned by the caller: policy_free(). owner is the user who started graftd. */
enum err policy_load(const char *path, uid_t owner, struct policy **p, struct buf *errors);
void policy_free(struct policy **p);
/* The same from text that is in memory, as one file called name. */
enum err policy_parse(const char *name, struct bytes text, uid_t owner, struct policy **p, struct buf *errors);
/* p becomes what *by says, which is gone then: whoever holds p, or policy_limits(p), has the new one. Places that were
 * borrowed from p are void; paths, and names of roots, are not. What only a start can change stays as it is; restart
 * gets the names of those settings that differ, such as "socket, limit key". ERR_LIMIT, ERR_NOMEM: nothing happened. */
enum err policy_replace(struct policy *p, struct policy **by, struct buf *restart);
size_t policy_rule_count(const struct policy *p);
/* For `graftd --check`: adds "policy ok: 12 rules" (OK) or all errors (ERR_BADARG). ERR_NOMEM. */
enum err policy_check(const char *path, uid_t owner, struct buf *out);

/* Daemon-wide settings. Strings are borrowed from the policy, NULL when the policy does not say. */
const char *policy_data(const struct policy *p);
enum durability policy_durability(const struct policy *p);
const char *durability_name(enum durability d);
const char *policy_socket(const struct policy *p);
mode_t policy_socket_mode(const struct policy *p);    /* default 0600 */
gid_t policy_socket_group(const struct policy *p);    /* (gid_t)-1: leave it */
const struct layer_rules *policy_layers(const struct policy *p); /* `sandbox degraded`, `require`, `allow-missing` */
bool policy_daemon_walled(const struct policy *p);               /* unless `sandbox daemon off` */
const char *policy_backup(const struct policy *p);               /* `backup "/dir"`: backups are written there alone */
/* Whether grafts have shares of the CPU, by control groups: if there is a `limit cpu-weight` anywhere, or `sandbox require
 * cgroup`. They cost each call something, so it is not done unasked. */
bool policy_shares_cpu(const struct policy *p);

/* Bounds of the whole daemon, `limit …` at the top level; each has a documented default. */
struct policy_limits {
    uint64_t key_max;       /* limit key 4K (at most) */
    uint64_t value_max;     /* limit value 16M (at most) */
    uint64_t client_max;    /* limit clients 1024 */
    uint64_t client_user_max; /* limit clients-per-user 256: of the same uid */
    uint64_t queue_max;     /* limit queue 1024: calls waiting per graft; one more gets BUSY */
    uint64_t lock_wait_ms;  /* limit lock-wait 5s: then CONFLICT */
    uint64_t cache_bytes;   /* limit cache 64M: values kept in memory */
    uint64_t spill_bytes;   /* txn spill 8M: a transaction larger than this is written early, with its undo records */
    uint64_t history_ms;    /* history keep 24h … */
    uint64_t history_bytes; /* … or 1G */
    uint64_t events_ms;     /* events keep 7d … */
    uint64_t events_bytes;  /* … or size 256M */
    uint64_t drain_ms;      /* limit drain 10s: how long SIGTERM waits for running calls */
    uint64_t idle_ms;       /* limit idle 10s: how long a connection's transaction may wait for the next request */
    uint64_t timer_max;     /* limit timers 65536: armed or parked at once */
    uint64_t timer_tries;   /* timers tries 10: calls of one that may fail before it is parked … */
    uint64_t timer_backoff_ms; /* … backoff 1s: from the first of them to the next, then twice as long each time */
    uint64_t locks_bytes;      /* limit locks 16M: bytes of keys and ranges that one transaction may hold locks on */
};
const struct policy_limits *policy_limits(const struct policy *p);

/* `root statements "/srv/statements"`: a directory whose files grafts may use as statements/…, as their rules say. No
 * two have a name or a directory in common, and none lies inside another. */
struct policy_root {
    const char *name; /* borrowed from the policy; [a-z0-9_-]{1,63} */
    const char *path; /* borrowed from the policy; absolute, without . .. // or a / at the end */
    struct place place;
};
size_t policy_root_count(const struct policy *p);
const struct policy_root *policy_root(const struct policy *p, size_t i); /* i < count; in the order of the files */

/* True if the rules allow it. *place is the deciding rule (deny wins over allow; line 0 if no rule speaks). root and
 * the owner may do everything. subject may be empty. */
bool policy_caller_may(const struct policy *p, const struct principal *who, enum right right, struct bytes subject,
                       struct place *place);

/* Commands are the other way round: true unless a rule denies it. command: in small letters, with its second word if it
 * has one: "backup", "graft load". `deny command "graft"` denies both. */
bool policy_command_may(const struct policy *p, const struct principal *who, struct bytes command, struct place *place);

struct policy_rule;
/* All `deny command` rules. For whoever knows the commands: a name that is none denies nothing. */
void policy_each_command(const struct policy *p, void (*visit)(const struct policy_rule *, void *user), void *user);

/* The rules in force as scfg text, complete with defaults, for POLICY SHOW and for people. Reading it gives the same
 * policy. ERR_LIMIT, ERR_NOMEM. */
enum err policy_show(const struct policy *p, struct buf *out);

/* ---- for policy/grant.h: what the rules say about one graft ---- */

/* One line of rights, as far as it speaks of one pattern. */
struct policy_rule {
    bool allow;
    unsigned rights; /* bit 1u << enum right */
    bool prefix;     /* the pattern ended in "*": every subject that begins with the text, else only the text itself */
    char *text;      /* owned; "" with prefix: everything */
    size_t len;
    struct place place;
};

struct policy_rules {
    struct policy_rule *list; /* owned */
    size_t count, cap;
};

enum item {
    ITEM_CPU,    /* ms */
    ITEM_WALL,   /* ms */
    ITEM_MEMORY, /* bytes of heap */
    ITEM_STACK,  /* bytes */
    ITEM_EFFECTS,
    ITEM_RETRIES,
    ITEM_HOLD, /* ms */
    ITEM_DISK, /* bytes of file content */
    ITEM_CPU_WEIGHT,
    ITEM_WORKER_MIN,
    ITEM_WORKER_MAX,
    ITEM_WORKER_FRESH, /* 1: each call gets a new worker */
    ITEM_COUNT,
};

struct setting {
    uint64_t value;
    struct place place; /* who says so; line 0: nobody, it is the standard */
};

/* `graft NAME` over `graft default` over what is built in, item by item. */
void policy_graft_settings(const struct policy *p, const char *graft, struct setting settings[ITEM_COUNT]);
/* The rules of `graft NAME` if it has any, else those of `graft default`. Borrowed from p. */
const struct policy_rules *policy_graft_rules(const struct policy *p, const char *graft);
/* What rules say about a subject: deny wins, no rule is a no. *place as in policy_caller_may. */
bool policy_rules_allow(const struct policy_rules *rules, enum right right, struct bytes subject, struct place *place);
/* The rule itself, NULL when none speaks. */
const struct policy_rule *policy_rules_decide(const struct policy_rules *rules, enum right right, struct bytes subject);
enum err policy_rules_copy(const struct policy_rules *from, struct policy_rules *to); /* places stay borrowed */
void policy_rules_free(struct policy_rules *rules);
/* Adds lines as policy files have them, each with its place behind it: the rules; one item, such as
 * "limit cpu 50ms  # graftd.scfg:4:11", or "# built in". ERR_LIMIT, ERR_NOMEM. */
enum err policy_rules_show(const struct policy_rules *rules, const char *indent, struct buf *out);
enum err policy_setting_show(const struct setting *s, enum item item, struct buf *out);

#endif
