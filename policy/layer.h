/*
 * The walls by name: what each is for, whether a machine may lack it, and what to do when it does. One table, for the
 * policy's words (`sandbox require …`, `sandbox allow-missing …`), for the jail that puts them up, and for `doctor`.
 */
#ifndef GRAFTD_POLICY_LAYER_H
#define GRAFTD_POLICY_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum layer {
    LAYER_SECCOMP,
    LAYER_NO_NEW_PRIVS,
    LAYER_PIDFD,
    LAYER_SELF_TEST,
    LAYER_CAPABILITIES,
    LAYER_LIMITS,
    LAYER_UNDUMPABLE,
    LAYER_USER,
    LAYER_USERNS,
    LAYER_MNTNS,
    LAYER_PIDNS,
    LAYER_NETNS,
    LAYER_IPCNS,
    LAYER_UTSNS,
    LAYER_CGROUPNS,
    LAYER_ROOT,
    LAYER_LANDLOCK,
    LAYER_MDWE,
    LAYER_MSEAL,
    LAYER_CGROUP, /* not of the jail: graftd's own, if policy_shares_cpu(); see cgroup.h */
    LAYER_COUNT,
    LAYER_NONE = LAYER_COUNT, /* of what is no layer */
};

enum layer_need {
    NEED_ALWAYS,   /* no word of the policy waives it */
    NEED_STANDARD, /* required unless the policy says that it may be missing */
    NEED_IF_THERE, /* put up where the machine has it; required if the policy says so */
};

struct layer_row {
    const char *name; /* the policy's word */
    enum layer_need need;
    const char *purpose; /* what it keeps a worker from */
    const char *hint;    /* what to do when a machine lacks it */
};

extern const struct layer_row layer_rows[LAYER_COUNT];

/* A set of layers. */
typedef uint32_t layer_set;

static inline layer_set layer_bit(enum layer l) { return (layer_set)1 << l; }

/* What the operator says about walls that this machine lacks. A layer is in one of the two sets at most. */
struct layer_rules {
    bool degraded;      /* `sandbox degraded allow`: each that may be missing, may */
    layer_set required; /* `sandbox require …` */
    layer_set may_lack; /* `sandbox allow-missing …` */
};

/* Whether graftd goes on without the layer; stands: those that stand already. Landlock is needed where the worker's
 * root is not empty. */
bool layer_may_lack(const struct layer_rules *rules, enum layer l, layer_set stands);

enum { LAYER_LIST_MAX = 256 }; /* bytes of layer_list() */

/* "userns,landlock", or "" for none. Returns out. */
const char *layer_list(layer_set set, char *out, size_t size);
/* The reverse. False when a word of it is no layer. */
bool layer_list_read(const char *text, layer_set *set);

#endif
