/*
 * The audit log: who loaded, unloaded, undid, killed, changed the policy, or was denied what, and by which rule (P1). One
 * JSON object a line in <data>/audit.log, appended to and never read back by the daemon but for AUDIT.
 *
 * W5: lines go into a bounded queue, and from there to the disk on another thread. What does not fit, or cannot be
 * written, is counted, and the count is a line as soon as there is room. Denials that are the same within a second are one
 * line with a count, and come out when the second is over.
 */
#ifndef GRAFTD_AUDIT_H
#define GRAFTD_AUDIT_H

#include "graftd/port.h"
#include "policy/policy.h"

struct audit;
struct request;

enum {
    AUDIT_QUEUE_MAX = 1024 * 1024, /* bytes that wait to be written */
    AUDIT_LINE_MAX = 2048,         /* bytes of one line */
    AUDIT_REPEAT_MS = 1000,        /* how long a denial waits for others like it */
    AUDIT_HELD_MAX = 64,           /* denials that wait so */
    AUDIT_DENIED_MAX = 100,        /* different denials in a second; more are counted as lost */
    AUDIT_TAIL_MAX = 1024 * 1024,  /* bytes at the end of the file that AUDIT looks at */
    AUDIT_COUNT_MAX = 1000,        /* lines of one answer */
};

enum audit_event {
    AUDIT_LOAD,
    AUDIT_UNLOAD,
    AUDIT_ATTACH,
    AUDIT_DETACH,
    AUDIT_DENIED,
    AUDIT_KILL,
    AUDIT_UNDO,
    AUDIT_POLICY
};

struct audit_record {
    enum audit_event event;
    uid_t uid;
    gid_t gid;
    pid_t pid;
    const char *graft;   /* graft.function that did it; NULL: none */
    const char *action;  /* goes before what: "write kv"; NULL: nothing */
    struct bytes what;   /* a key, a graft, a transaction; cut when it is long */
    const char *verdict; /* "ok", "denied", the word of an error */
    bool ruled;          /* rule is who decided; line 0: no rule did */
    struct place rule;
    const char *why; /* a sentence, NULL: none */
};

/* data_fd: the data directory, borrowed until audit_close(). ERR_STORAGE: the file cannot be opened, or is no plain one
 * of ours. */
enum err audit_open(struct port *port, int data_fd, struct audit **out, struct failure *why);
/* Writes what waits, on this thread; after the loop has ended. */
void audit_close(struct audit **a);
/* The file is opened anew, for those who move it away. */
void audit_reopen(struct audit *a);

/* Everything is copied. a NULL: no notes are taken. */
void audit(struct audit *a, const struct audit_record *record);
/* What a client asked for that takes that right, and how it went: why->err is OK, or why not; NULL: OK. (In
 * audit_asked.c, as it knows clients.) */
void audit_asked(struct request *r, enum audit_event event, enum right right, struct bytes what,
                 const struct failure *why);
/* A caller may not: the rule as policy_caller_may() told it. */
void audit_denied(struct audit *a, const struct principal *who, const char *action, struct bytes what,
                  struct place rule);
/* A graft may not, in a call that this caller made. label: "bank.transfer". */
void audit_graft_denied(struct audit *a, const struct principal *who, const char *label, const char *action,
                        struct bytes what, struct place rule);

/* The last lines, count at most, of what was noted so far: text ends with a line end, and is borrowed until done()
 * returns. err: ERR_STORAGE, ERR_NOMEM. done() comes later, once. ERR_NOMEM: it does not. */
typedef void audit_tail_done(void *owner, enum err err, struct bytes text);
enum err audit_tail(struct audit *a, size_t count, audit_tail_done *done, void *owner);

#endif
