/*
 * Asking graftd, and telling people on stderr what went wrong.
 */
#ifndef GRAFTD_GRAFTCTL_ASK_H
#define GRAFTD_GRAFTCTL_ASK_H

#include "graftctl/command.h"
#include "lib/err.h"

/* "graftctl: …" on stderr, made safe for a terminal. OUTCOME_FAILED. */
enum outcome complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same with a failure's text. */
enum outcome complain_failure(const struct failure *why);
/* The daemon's own sentence on stderr. OUTCOME_DENIED for DENIED and NOPERM, else OUTCOME_FAILED. */
enum outcome complain_reply(const graft_reply *error);
/* What a failed client says. OUTCOME_UNREACHABLE. */
enum outcome complain_client(const graft_client *client);

/* Connects unless it is done already. */
enum outcome ask_connect(struct invocation *in);
/* Sends one command. OUTCOME_DONE: *reply is no error, and owned by the caller. Else the reason is on stderr. */
enum outcome ask_bytes(struct invocation *in, graft_reply **reply, size_t count, const graft_client_bytes *words);
/* The same with C strings, ended by NULL, at most 16. */
enum outcome ask(struct invocation *in, graft_reply **reply, const char *word, ...) __attribute__((sentinel));

#endif
