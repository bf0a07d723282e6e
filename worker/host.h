/*
 * The host calls of include/graft.h: each becomes a message or a few. host.c: the call itself; host_kv.c: keys and
 * values; host_reply.c: replies; host_graft.c: calls of other grafts; host_file.c: files; host_event.c: events and
 * timers.
 *
 * There is one call at a time, in static memory; the pointer that a graft passes is never looked at. Without a call
 * (in graft_init) everything that needs one fails with GRAFT_BAD_ARG or answers empty. What a host call gives lives
 * in the graft's heap and so until the call ends; what does not fit is answered by GRAFT_NO_MEMORY. All of this runs
 * in the graft's own address space and protects nobody: the daemon believes none of it.
 */
#ifndef GRAFTD_WORKER_HOST_H
#define GRAFTD_WORKER_HOST_H

#include "include/graft.h"
#include "lib/value.h"
#include "lib/wire.h"
#include "worker/heap.h"

#include <stdbool.h>

enum {
    HOST_ABORT_MAX = 255,       /* bytes of graft_abort()'s sentence */
    HOST_LOG_MAX = 1024,        /* bytes of one line of graft_log() */
    HOST_RANDOM_MAX = 64 * 1024, /* bytes a time */
    HOST_PAGE = 64,             /* keys asked for at a time by a scan */
    HOST_KNOWN_SPARE = 32,      /* undeclared keys whose values are remembered during a call */
    HOST_DEPTH_MAX = VALUE_DEPTH_MAX - 1,
    HOST_FUNCTION_MAX = 127,         /* bytes of "graft.function" */
    HOST_ARGS_SIZE = VALUE_SIZE_MAX, /* bytes of a nested call's arguments, their lengths included */
    HOST_PATH_MAX = 1024,            /* bytes of a file's path */
    HOST_PATH_NAME_MAX = 255,        /* bytes of one component of it */
    HOST_PATH_DEPTH_MAX = 32,        /* components */
    HOST_FILE_PART = 1024 * 1024,    /* bytes of a file asked for at a time */
    HOST_TOPIC_MAX = 127,            /* bytes */
    HOST_TIMER_ARGS_SIZE = 64 * 1024, /* bytes of a timer's arguments, their lengths and their count included */
    HOST_TIMER_ID_MAX = 47,          /* bytes */
};
#define HOST_AFTER_MS_MAX (UINT64_C(0x7fffffff) * 1000) /* 68 years */

/* A key whose value needs no asking. */
struct known {
    struct bytes key; /* data NULL: free place */
    struct bytes value;
    enum { KNOWN_STALE, KNOWN_ABSENT, KNOWN_PRESENT } state; /* STALE: ask after all */
};

/* A scan under way: what is written behind the visited key makes its page stale. */
struct scan {
    struct bytes prefix, at;
    bool stale;
    struct scan *outer;
};

struct reply {
    struct buf bytes;               /* lent memory, VALUE_SIZE_MAX */
    uint64_t left[HOST_DEPTH_MAX];  /* values still missing in each open array or map */
    unsigned depth;
    bool done;
};

struct graft_call {
    bool running;
    uint32_t key_max, value_max; /* bytes */
    struct wire_CALL message;
    graft_bytes *keys, *args;
    size_t key_count, arg_count;
    uint8_t random[WIRE_SEED];
    bool aborted;
    char abort_text[HOST_ABORT_MAX + 1];
    bool memory_told; /* MEMORY was sent in this call */
    bool quiet;       /* an allocation that may fail without anyone being told */
    struct known *known;
    size_t known_places; /* a power of two, or 0 */
    size_t known_spare;  /* places that may still be taken */
    struct scan *scan;   /* innermost */
    uint64_t file_changes; /* that this call, or one inside it, may have made: a listing under way looks again */
    struct bytes nested_error; /* of the nested call that failed last, borrowed until the call ends */
    struct reply reply;
};

extern struct graft_call host_call;

/* reply_memory: VALUE_SIZE_MAX bytes, borrowed for good. */
void host_init(const struct wire_SPAWN *order, void *reply_memory);
/* The heap's `refused`. */
void host_memory_refused(const struct heap *heap, size_t wanted);
/* From now on MEMORY may be sent: graft_init is over. */
void host_ready(void);

/* m is kept, and what it borrows, until host_end(). ERR_PROTOCOL: the message is nonsense; ERR_NOMEM. */
enum err host_begin(const struct wire_CALL *m);
/* Sends DONE for what the function returned. True if the worker may be used again. */
bool host_end(int code);
/* The same for a call that did not fit the heap and was never begun. */
bool host_no_room(uint64_t txn);

/* ---- between these files ---- */

/* Where the call keeps its copies; NULL is told to the daemon unless quiet. */
void *host_alloc(size_t n);
void *host_alloc_quiet(size_t n);
/* The daemon's answer, which must be of that number; it lives until the call ends. GRAFT_NO_MEMORY: it did not fit. */
int host_receive(uint8_t expected, struct bytes *body);

enum err host_kv_begin(struct graft_call *call, struct reader *keys); /* fills keys and known */
/* Somebody else may have changed any key within the transaction: every value is to be asked for again. */
void host_kv_forget(struct graft_call *call);
/* These arguments as a list, owned: buf_fini. GRAFT_TOO_LARGE: there are too many, or the list has more bytes than that;
 * GRAFT_NO_MEMORY. */
int host_list(const graft_bytes *args, size_t count, size_t size_max, struct buf *list);
void host_reply_begin(struct reply *reply);
/* False: it was opened with more values than it got. Otherwise *value is the whole reply. */
bool host_reply_end(struct reply *reply, struct bytes *value);

#endif
