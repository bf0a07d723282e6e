/* BEGIN, COMMIT, ROLLBACK, savepoints, MULTI and EXEC: from words to what session.h does. */
#include "graftd/command.h"
#include "graftd/session.h"
#include "lib/resp.h"

void command_begin(struct request *r)
{
    uint64_t timeout_ms = 0;
    bool good = r->argc == 1 || (r->argc == 3 && arg_is(r->argv[1], "TIMEOUT") &&
                                 bytes_to_u64(r->argv[2], &timeout_ms) && timeout_ms > 0 && timeout_ms <= INT32_MAX);

    if (good)
        session_begin(r, timeout_ms);
    else
        command_usage(r);
}

void command_commit(struct request *r) { session_commit(r); }

/* `[SAVEPOINT] name` from argv[at] to the end. */
static bool savepoint_name(const struct request *r, size_t at, struct bytes *name)
{
    size_t words = r->argc - at;

    *name = r->argv[r->argc - 1];
    return words == 1 || (words == 2 && arg_is(r->argv[at], "SAVEPOINT"));
}

void command_rollback(struct request *r)
{
    struct bytes name;

    if (r->argc == 1)
        session_roll_back(r);
    else if (r->argc > 2 && arg_is(r->argv[1], "TO") && savepoint_name(r, 2, &name))
        session_roll_back_to(r, name);
    else
        command_usage(r);
}

void command_savepoint(struct request *r) { session_savepoint(r, r->argv[1]); }

void command_release(struct request *r)
{
    struct bytes name;

    if (savepoint_name(r, 1, &name))
        session_release(r, name);
    else
        command_usage(r);
}

void command_multi(struct request *r) { session_multi(r); }

void command_exec(struct request *r) { session_exec(r); }

void command_discard(struct request *r) { session_discard(r); }

void command_watch(struct request *r)
{
    request_error(r, ERR_COMMAND,
                  "WATCH is not needed: what BEGIN reads stays as it is until COMMIT, and EXEC is one transaction");
}

void command_unwatch(struct request *r)
{
    resp_add_status(&r->reply, "OK");
    request_done(r);
}
