/* FCALL, FCALL_RO, CALL: from words to a call, and from its outcome to a reply. */
#include "graftd/call.h"
#include "graftd/command.h"
#include "graftd/history.h"
#include "graftd/idem.h"
#include "graftd/registry.h"
#include "graftd/session.h"
#include "lib/resp.h"

static void refuse(struct request *r, const struct failure *why)
{
    idem_end(r, NULL);
    request_fail(r, why);
}

static void call_sent(void *owner) { request_sent(owner); }

static void call_decided(void *owner) { request_decided(owner); }

static void call_done(void *owner, const struct failure *why, struct bytes value)
{
    struct request *r = owner;
    enum err err;

    r->call = NULL;
    if (why->err != OK) {
        refuse(r, why);
        return;
    }
    idem_end(r, &value);
    if (r->trial) { /* the reply is there, from call_tried */
        request_done(r);
        return;
    }
    err = value.len == 0 ? resp_add_nil(&r->reply, r->proto) : resp_add_value(&r->reply, value, r->proto);
    if (err == OK)
        request_done(r);
    else
        request_error(r, ERR_NOMEM, "the call is done and stays done, but there is no memory for its reply");
}

/* {reply, effects} */
static enum err call_tried(void *owner, struct bytes reply, const struct txn *t)
{
    struct request *r = owner;
    enum err err;

    buf_clear(&r->reply);
    resp_add_map(&r->reply, 2, r->proto);
    resp_add_bulk_str(&r->reply, "reply");
    err = reply.len == 0 ? resp_add_nil(&r->reply, r->proto) : resp_add_value(&r->reply, reply, r->proto);
    if (err == OK)
        err = resp_add_bulk_str(&r->reply, "effects");
    return err == OK ? history_add_effects_of(r, t) : err;
}

static const struct call_events call_events = {
    .sent = call_sent, .decided = call_decided, .tried = call_tried, .done = call_done
};

static void call_lost(struct request *r)
{
    if (r->call != NULL)
        call_cancel(r->call, ERR_LOST, "was left: its client hung up");
}

static enum err check_options(const struct call_request *call, struct failure *why)
{
    bool idem = call->token.len > 0;

    if (call->key_count > CALL_KEY_MAX || call->arg_count > CALL_ARG_MAX)
        return fail(why, ERR_BADARG, "a call has at most %d keys and %d arguments", CALL_KEY_MAX, CALL_ARG_MAX);
    if (call->hold != NULL && (idem || call->trial))
        return fail(why, ERR_BADARG,
                    "%s is for a call with a transaction of its own, not for one between BEGIN and COMMIT",
                    idem ? "IDEM" : "DRYRUN");
    if (idem && call->trial)
        return fail(why, ERR_BADARG,
                    "IDEM and DRYRUN exclude each other: a dry run leaves nothing that a repeat could stand for");
    return OK;
}

static void begin(struct request *r, struct call_request *call)
{
    struct failure why = { 0 };
    enum err err;

    call->who = request_principal(r);
    call->after = request_before(r);
    r->cancel = call_lost;
    r->trial = call->trial;
    err = check_options(call, &why);
    if (err == OK)
        err = registry_function(r->core, call->who, r->argv[1], &call->graft, &call->function, &why);
    if (err == OK)
        err = call_begin(r->core, call, &call_events, r, &r->call, &why);
    if (err == ERR_WAIT)
        request_park(r);
    else if (err != OK)
        refuse(r, &why);
}

static void fcall(struct request *r, bool readonly)
{
    struct call_request call = { .readonly = readonly };
    uint64_t n;

    if (!bytes_to_u64(r->argv[2], &n) || n > r->argc - 3) {
        request_error(r, ERR_BADARG, "numkeys must be a whole number, and no more than the arguments behind it");
        return;
    }
    call.keys = r->argv + 3;
    call.key_count = (size_t)n;
    call.args = r->argv + 3 + n;
    call.arg_count = r->argc - 3 - (size_t)n;
    if (session_enter(r, &call.hold))
        begin(r, &call);
}

void command_fcall(struct request *r) { fcall(r, false); }

void command_fcall_ro(struct request *r) { fcall(r, true); }

/* False: the words are off, or not allowed, and the request has failed. */
static bool call_words(struct request *r, struct call_request *call)
{
    uint64_t n;

    for (size_t i = 2; i < r->argc; i++) {
        size_t left = r->argc - i - 1;
        if (arg_is(r->argv[i], "KEYS") && left > 0 && bytes_to_u64(r->argv[i + 1], &n) && n <= left - 1) {
            call->keys = r->argv + i + 2;
            call->key_count = (size_t)n;
            i += 1 + (size_t)n;
        } else if (arg_is(r->argv[i], "TIMEOUT") && left > 0 && bytes_to_u64(r->argv[i + 1], &n) && n > 0 &&
                   n <= INT32_MAX) {
            call->timeout_ms = n;
            i++;
        } else if (arg_is(r->argv[i], "READONLY")) {
            call->readonly = true;
        } else if (arg_is(r->argv[i], "DRYRUN")) {
            call->trial = true;
        } else if (arg_is(r->argv[i], "IDEM") && left > 0) {
            call->token = r->argv[++i];
            if (call->token.len == 0 || call->token.len > STORE_TOKEN_MAX) {
                request_error(r, ERR_BADARG, "a token has 1 to %d bytes, this one %zu", STORE_TOKEN_MAX,
                              call->token.len);
                return false;
            }
        } else if (arg_is(r->argv[i], "ARGS")) {
            call->args = r->argv + i + 1;
            call->arg_count = left;
            break;
        } else {
            command_usage(r);
            return false;
        }
    }
    return true;
}

/* The token was never used: the call is made. The words were right before. */
static void call_for_token(struct request *r)
{
    struct call_request call = { 0 };
    struct failure why = { 0 };

    if (r->core->draining) {
        fail(&why, ERR_BUSY, "graftd is stopping");
        refuse(r, &why);
    } else if (call_words(r, &call)) {
        begin(r, &call);
    }
}

void command_call(struct request *r)
{
    struct call_request call = { 0 };
    struct failure why = { 0 };

    if (!call_words(r, &call) || !session_enter(r, &call.hold))
        return;
    if (call.token.len == 0)
        begin(r, &call);
    else if (request_before(r) != NULL)
        request_park(r); /* before its token is asked for: it follows nobody */
    else if (check_options(&call, &why) != OK)
        request_fail(r, &why);
    else
        idem_call(r, call.token, call.timeout_ms, call_for_token);
}
