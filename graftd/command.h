/*
 * The RPC commands: a table (command.def), and their handlers.
 *
 * A handler takes over the request: it ends in request_done() or request_fail(), now or later. What is sent is hostile; arity
 * was checked, nothing else.
 */
#ifndef GRAFTD_COMMAND_H
#define GRAFTD_COMMAND_H

#include "graftd/client.h"

struct command {
    const char *name, *usage;
    int args_min, args_max;
    int right; /* enum right, or -1 */
    void (*run)(struct request *);
};

/* Finds the command, checks arity and right, runs it. */
void command_run(struct request *r);

#define COMMAND(name, args_min, args_max, right, handler, usage) void handler(struct request *);
#include "graftd/command.def"
#undef COMMAND

/* For handlers. */
bool arg_is(struct bytes arg, const char *word); /* in any case */
/* True if the caller may; else the request has failed with NOPERM, which names the rule. */
bool command_may(struct request *r, enum right right, struct bytes subject);
void command_usage(struct request *r);          /* fails it: the words are off */
const char *iso_time(int64_t us, char out[32]); /* 2026-11-23T10:00:00.123Z */

#endif
