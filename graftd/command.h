/*
 * The RPC commands: a table (command.def), and their handlers.
 *
 * A handler takes over the request: it ends in request_done() or request_fail(), now or later. What is sent is hostile; arity
 * was checked, nothing else.
 */
#ifndef GRAFTD_COMMAND_H
#define GRAFTD_COMMAND_H

#include "graftd/client.h"
#include "lib/iso_time.h"

struct command {
    const char *name;
    size_t name_len;
    const char *usage;
    int args_min, args_max;
    int right; /* enum right, or -1 */
    void (*run)(struct request *);
};

/* It calls a graft. */
bool command_is_call(struct bytes name);
/* Finds the command, checks arity and right, runs it. */
void command_run(struct request *r);
/* Adds a line for each `deny command` that no command meets, as far as out has room. */
void command_check_policy(const struct policy *p, struct buf *out);

#define COMMAND(name, args_min, args_max, right, handler, usage) void handler(struct request *);
#include "graftd/command.def"
#undef COMMAND

/* For handlers. */
bool arg_is(struct bytes arg, const char *word); /* in any case */
/* True if the caller may; else the request has failed with NOPERM, which names the rule. */
bool command_may(struct request *r, enum right right, struct bytes subject);
/* A small transaction of r's own, or work in the one that its connection holds: step() does what it can with r->txn,
 * remembers in r->at how far it came, is entered again after ERR_WAIT, and appends to the reply only what is final. The
 * victim of a deadlock begins anew with r->at 0, unseen. */
void command_transact(struct request *r, enum err (*step)(struct request *, struct failure *why));
void command_usage(struct request *r);          /* fails it: the words are off */

#endif
