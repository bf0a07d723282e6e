/*
 * Calls inside calls: a graft calls another, in its own worker and under its own grant, as a nested transaction (T8).
 *
 * The caller's worker waits with its message held; when the nested call has ended, the message comes again and is
 * answered. The caller's deadlines go on, and count what the nested call uses. The principal needs the right to call the
 * inner function as well: a graft lends nobody its own.
 */
#include "graftd/call_impl.h"

#include "lib/wire.h"

#include <stdio.h>
#include <stdlib.h>

static void answer_error(struct call *c, const struct failure *why)
{
    char text[FAILURE_TEXT_MAX + 16];
    struct wire_RESULT m = { .ok = 0 };

    snprintf(text, sizeof text, "%s %s", err_word(why->err), why->text);
    m.error = bytes_str(text);
    if (wire_add_RESULT(&c->child_answer, &m) != OK)
        fail(&c->why, ERR_NOMEM, "called another graft, and there is no memory for its answer");
}

static void child_decided(void *owner) { (void)owner; }

static void child_done(void *owner, const struct failure *why, struct bytes value)
{
    struct call *c = owner;
    struct wire_RESULT m = { .ok = 1, .reply = value };

    c->children_cpu_us += c->child->cpu_us;
    c->child = NULL;
    c->child_ended = true;
    if (why->err != OK)
        answer_error(c, why);
    else if (wire_add_RESULT(&c->child_answer, &m) != OK)
        fail(&c->why, ERR_NOMEM, "called another graft, and there is no memory for its answer");
    if (!c->starting_child)
        c->core->port->ops->process_resume(seat_process(&c->seat));
}

static const struct call_events child_events = { .decided = child_decided, .done = child_done };

static bool read_args(struct call *c, struct bytes list, struct call_request *request)
{
    struct reader r = reader_of(list);
    size_t count = read_u32(&r);

    if (r.bad || count > CALL_ARG_MAX || count > r.left / sizeof(uint32_t))
        return false;
    free(c->child_args);
    c->child_args = calloc(count + 1, sizeof *c->child_args);
    if (c->child_args == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        c->child_args[i] = read_bytes(&r);
    request->args = c->child_args;
    request->arg_count = count;
    return reader_done(&r);
}

static enum err begin_child(struct call *c, const struct wire_GRAFT_CALL *m, struct failure *why)
{
    struct call_request request = {
        .who = &c->who, .readonly = c->host.readonly, .hold = c->hold, .inner = true, .parent = c->nested
    };
    enum err err;

    if (c->hold->depth + 1 > HOLD_DEPTH_MAX)
        return fail(why, ERR_LIMIT, "calls nest to a depth of %d, and no deeper. limit=%d", HOLD_DEPTH_MAX,
                    HOLD_DEPTH_MAX);
    if (!read_args(c, m->args, &request))
        return fail(why, ERR_BADARG, "a nested call has at most %d arguments", CALL_ARG_MAX);
    err = registry_function(c->core, &c->who, m->function, &request.graft, &request.function, why);
    if (err != OK)
        return err;
    c->starting_child = true;
    err = call_begin(c->core, &request, &child_events, c, &c->child, why);
    c->starting_child = false;
    return err;
}

static void send_answer(struct call *c)
{
    c->child_ended = false;
    if (c->why.err == OK &&
        c->core->port->ops->process_send(seat_process(&c->seat), buf_bytes(&c->child_answer)) != OK)
        fail(&c->why, ERR_NOMEM, "called another graft, and there is no memory for its answer");
    buf_fini(&c->child_answer);
    if (c->why.err != OK)
        call_abort(c);
}

bool call_nest(struct call *c, struct bytes body)
{
    struct wire_GRAFT_CALL m;
    struct failure why = { 0 };

    if (!c->child_ended) {
        if (c->child != NULL)
            return false;
        if (!wire_read_GRAFT_CALL(body, &m)) {
            fail(&c->why, ERR_CRASHED, "sent a malformed GRAFT_CALL");
            call_abort(c);
            return true;
        }
        if (begin_child(c, &m, &why) != OK)
            answer_error(c, &why);
        else if (!c->child_ended)
            return false;
    }
    send_answer(c);
    return true;
}

void call_nest_drop(struct call *c)
{
    struct call *child = c->child;

    c->child = NULL;
    if (child != NULL)
        call_discard(child);
}
