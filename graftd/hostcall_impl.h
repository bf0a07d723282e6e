/*
 * What hostcall.c, hostcall_file.c and hostcall_event.c share, and nobody else sees.
 *
 *     hostcall.c       the table; keys, the log, memory      hostcall_file.c   files
 *     hostcall_event.c events and timers
 */
#ifndef GRAFTD_HOSTCALL_IMPL_H
#define GRAFTD_HOSTCALL_IMPL_H

#include "graftd/hostcall.h"
#include "lib/wire.h"

enum {
    HOSTCALL_SHOWN = 64,                        /* bytes of a key or a path in a message */
    HOSTCALL_PAGE_BYTES_MAX = 48 * 1024 * 1024, /* of one page of a scan */
};

/* ERR_CRASHED: what came is no message of that name. */
enum err hostcall_malformed(const char *name, struct failure *why);
/* ERR_DENIED, naming the rule or that there is none (P1). */
enum err hostcall_may(struct hostcall_context *h, enum grant_right right, struct bytes subject, struct failure *why);
/* So many more effects: ERR_READONLY, ERR_LIMIT. */
enum err hostcall_may_change(struct hostcall_context *h, uint64_t effects, struct failure *why);
/* A value of so many bytes. what: "put a value", for the sentence. ERR_LIMIT. */
enum err hostcall_fits(struct hostcall_context *h, const char *what, size_t len, struct failure *why);
/* Sends the frame that was built with that result, and frees it. ERR_NOMEM: the daemon's memory, not the graft's fault. */
enum err hostcall_answer(struct hostcall_context *h, struct buf *b, enum err err, struct failure *why);
/* Answers with a VALUE. */
enum err hostcall_answer_value(struct hostcall_context *h, bool present, struct bytes value, struct failure *why);

/* Entries of the table, as hostcall_do(). */
typedef enum err hostcall_run(struct hostcall_context *h, struct bytes body, struct failure *why);
hostcall_run hostcall_file_stat, hostcall_file_read, hostcall_file_write, hostcall_file_append, hostcall_file_remove,
    hostcall_file_rename, hostcall_file_list, hostcall_emit, hostcall_timer_arm, hostcall_timer_cancel;

#endif
