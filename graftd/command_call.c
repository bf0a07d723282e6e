/* FCALL, FCALL_RO, CALL: from words to a call, and from its outcome to a reply. */
#include "graftd/call.h"
#include "graftd/command.h"
#include "graftd/registry.h"
#include "lib/resp.h"

#include <string.h>

enum { NAME_SHOWN = 2 * MANIFEST_NAME_MAX + 8 };

static void call_decided(void *owner) { request_decided(owner); }

static void call_done(void *owner, const struct failure *why, struct bytes value)
{
    struct request *r = owner;
    enum err err;

    r->call = NULL;
    if (why->err != OK) {
        request_fail(r, why);
        return;
    }
    err = value.len == 0 ? resp_add_nil(&r->reply, r->proto) : resp_add_value(&r->reply, value, r->proto);
    if (err == OK)
        request_done(r);
    else
        request_error(r, ERR_NOMEM, "the call is done and stays done, but there is no memory for its reply");
}

static const struct call_events call_events = { call_decided, call_done };

static void call_lost(struct request *r)
{
    if (r->call != NULL)
        call_cancel(r->call, ERR_LOST, "was left: its client hung up");
}

/* "graft.function" → both, or the request has failed. */
static bool find_function(struct request *r, struct bytes name, struct call_request *call)
{
    const char *dot = name.len == 0 ? NULL : memchr(name.data, '.', name.len);
    char shown[NAME_SHOWN];
    struct bytes function;

    bytes_show(name, shown, sizeof shown);
    if (dot == NULL) {
        request_error(r, ERR_BADARG, "a function is named graft.function, and \"%s\" has no dot", shown);
        return false;
    }
    if (!command_may(r, RIGHT_CALL, name))
        return false;
    function = bytes_of(dot + 1, name.len - (size_t)(dot + 1 - (const char *)name.data));
    call->graft = registry_find(r->core->registry, bytes_of(name.data, (size_t)(dot - (const char *)name.data)));
    if (call->graft == NULL) {
        request_error(r, ERR_NOGRAFT, "no graft is loaded for \"%s\"; GRAFT LIST shows what is", shown);
        return false;
    }
    if (call->graft->state == GRAFT_LOADING) {
        request_error(r, ERR_BUSY, "%s is being loaded; try again in a moment", call->graft->name);
        return false;
    }
    if (call->graft->state != GRAFT_READY) {
        request_error(r, ERR_BADGRAFT, "%s is %s: %s", call->graft->name, graft_state_name(call->graft), call->graft->why.text);
        return false;
    }
    if (call->graft->unload != NULL) {
        request_error(r, ERR_BUSY, "%s is being unloaded", call->graft->name);
        return false;
    }
    call->function = manifest_find(&call->graft->manifest, function);
    if (call->function < 0) {
        request_error(r, ERR_NOFUNC, "%s %s has no function \"%s\"; GRAFT INFO %s lists them", call->graft->name,
                      call->graft->manifest.version, shown + strlen(call->graft->name) + 1, call->graft->name);
        return false;
    }
    return true;
}

static void begin(struct request *r, struct call_request *call)
{
    struct failure why = { 0 };

    if (r->core->draining) {
        request_error(r, ERR_BUSY, "graftd is stopping");
        return;
    }
    if (call->key_count > CALL_KEY_MAX || call->arg_count > CALL_ARG_MAX) {
        request_error(r, ERR_BADARG, "a call has at most %d keys and %d arguments", CALL_KEY_MAX, CALL_ARG_MAX);
        return;
    }
    if (!find_function(r, r->argv[1], call))
        return;
    call->who = request_principal(r);
    r->cancel = call_lost;
    if (call_begin(r->core, call, &call_events, r, &r->call, &why) != OK)
        request_fail(r, &why);
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
    begin(r, &call);
}

void command_fcall(struct request *r) { fcall(r, false); }

void command_fcall_ro(struct request *r) { fcall(r, true); }

void command_call(struct request *r)
{
    struct call_request call = { 0 };
    uint64_t n;

    for (size_t i = 2; i < r->argc; i++) {
        size_t left = r->argc - i - 1;
        if (arg_is(r->argv[i], "KEYS") && left > 0 && bytes_to_u64(r->argv[i + 1], &n) && n <= left - 1) {
            call.keys = r->argv + i + 2;
            call.key_count = (size_t)n;
            i += 1 + (size_t)n;
        } else if (arg_is(r->argv[i], "TIMEOUT") && left > 0 && bytes_to_u64(r->argv[i + 1], &n) && n > 0 && n <= INT32_MAX) {
            call.timeout_ms = n;
            i++;
        } else if (arg_is(r->argv[i], "READONLY")) {
            call.readonly = true;
        } else if (arg_is(r->argv[i], "ARGS")) {
            call.args = r->argv + i + 1;
            call.arg_count = left;
            break;
        } else {
            command_usage(r);
            return;
        }
    }
    begin(r, &call);
}
