/*
 * MULTI, EXEC, DISCARD: what other servers run in a row becomes one transaction, all or nothing.
 *
 * Requests are put aside as they come, and run by EXEC, one after the other, as statements of one transaction. The
 * first that fails ends it: all is rolled back, and EXEC is answered EXECABORT with that error. The victim of a deadlock
 * runs again from its first part, unseen (T6).
 */
#include "graftd/session_impl.h"

#include "lib/resp.h"

#include <stdio.h>
#include <strings.h>

/* What works in a transaction, or does nothing. */
static const char *const queued[] = {
    "fcall", "fcall_ro", "call",   "get",  "set",  "del",  "unlink", "exists", "mget",
    "mset",  "incrby",   "decrby", "incr", "decr", "scan", "ping",   "echo",   "unwatch",
};

/* What is about the queue itself, or ends it. */
static const char *const controls[] = { "multi", "exec", "discard", "watch", "reset", "quit" };

static bool is_among(const struct command *c, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(c->name, names[i]) == 0)
            return true;
    return false;
}

void session_refused(struct session *s)
{
    if (s->state == QUEUING)
        s->broken = true;
}

static void exec_run(struct session *s);

static size_t request_size(const struct request *r)
{
    size_t size = sizeof *r;

    for (size_t i = 0; i < r->argc; i++)
        size += sizeof r->argv[i] + r->argv[i].len;
    return size;
}

/* A part's; false: the session has ended. */
static bool add_reply(struct session *s, struct bytes reply)
{
    enum err err = reply.len == 0 ? ERR_NOMEM : buf_add(&s->exec->reply, reply.data, reply.len);

    if (err == ERR_NOMEM)
        session_end(s, err, "there is no memory for all these replies");
    else if (err != OK)
        session_end(s, err, "these replies are too large together");
    return err == OK;
}

static void part_done(struct request *part)
{
    struct session *s = client_session(part->client);
    char text[FAILURE_TEXT_MAX + 80];

    if (s->statement == part)
        s->statement = NULL;
    if (part->failed != NULL) {
        snprintf(text, sizeof text, "%s, command %zu of %zu: %s", part->command->name, s->part_number, s->part_count,
                 part->failed->text);
        session_end(s, part->failed->err, text);
        return;
    }
    if (!add_reply(s, buf_bytes(&part->reply)))
        return;
    buf_fini(&part->reply);
    buf_init(&part->reply, CLIENT_OUT_MAX);
    exec_run(s);
}

bool session_queues(struct request *r)
{
    struct session *s = client_session(r->client);
    size_t size;

    if (s == NULL || s->state != QUEUING || is_among(r->command, controls, sizeof controls / sizeof controls[0]))
        return false;
    size = request_size(r);
    if (!is_among(r->command, queued, sizeof queued / sizeof queued[0])) {
        request_error(r, ERR_COMMAND, "%s is no part of a transaction: not inside MULTI", r->command->name);
    } else if (s->part_count == MULTI_MAX || size > MULTI_BYTES_MAX - s->part_bytes) {
        request_error(r, ERR_LIMIT, "MULTI takes at most %d commands and %d bytes. limit=%d used=%zu", MULTI_MAX,
                      MULTI_BYTES_MAX, MULTI_MAX, s->part_count);
    } else if (request_part(r, &s->parts, part_done) == NULL) {
        request_error(r, ERR_NOMEM, "no memory to put this aside");
    } else {
        s->part_count++;
        s->part_bytes += size;
        resp_add_status(&r->reply, "QUEUED");
        request_done(r);
    }
    return true;
}

/* One part after the other, also where each ends before it returns. */
static void exec_run(struct session *s)
{
    if (s->stepping) {
        s->again = true;
        return;
    }
    s->stepping = true;
    do {
        struct request *part = list_entry(s->next, struct request, link);
        s->again = false;
        if (s->next == &s->parts)
            break;
        s->next = s->next->next;
        s->part_number++;
        command_run(part);
    } while (s->again);
    s->stepping = false;
    if (s->state == OPEN && s->next == &s->parts && s->statement == NULL)
        session_give_commit(s, s->exec);
}

/* True: it runs. */
static bool exec_start(struct session *s, struct failure *why)
{
    if (session_open(s, "EXEC", why) != OK)
        return false;
    buf_clear(&s->exec->reply);
    if (resp_add_array(&s->exec->reply, s->part_count) != OK) {
        session_end(s, ERR_NOMEM, "there is no memory for all these replies");
        return true;
    }
    s->next = s->parts.next;
    s->part_number = 0;
    exec_run(s);
    return true;
}

static void drop(struct session *s)
{
    session_detach(s);
    session_free(s);
}

void exec_again(struct session *s)
{
    struct failure why = { 0 };
    struct request *r = s->exec;

    s->retrying = false;
    s->retries++;
    s->core->stats.retries++;
    s->waiting = NULL;
    failure_clear(&s->why);
    list_each (node, &s->parts)
        request_part_reset(list_entry(node, struct request, link));
    if (exec_start(s, &why))
        return;
    drop(s);
    request_fail(r, &why);
}

void session_multi(struct request *r)
{
    struct failure why = { 0 };

    if (client_session(r->client) != NULL) {
        request_error(r, ERR_COMMAND, "MULTI inside MULTI or BEGIN: end that first");
    } else if (session_new(r) == NULL) {
        fail(&why, ERR_NOMEM, "no memory for another transaction");
        session_cannot(r, &why);
    } else {
        resp_add_status(&r->reply, "OK");
        request_done(r);
    }
}

/* The queue; NULL: r is told that there is none. */
static struct session *queue_wanted(struct request *r)
{
    struct session *s = client_session(r->client);

    if (s != NULL && s->state == QUEUING)
        return s;
    request_error(r, ERR_COMMAND, "%s without MULTI", r->command->name);
    return NULL;
}

void session_exec(struct request *r)
{
    struct session *s = queue_wanted(r);
    struct failure why = { 0 };

    if (s == NULL)
        return;
    if (s->broken) {
        drop(s);
        resp_add_error(&r->reply, "EXECABORT", "a command since MULTI was refused, and so none was run");
        request_done(r);
    } else if (r->core->draining) {
        drop(s);
        request_error(r, ERR_BUSY, "graftd is stopping");
    } else {
        s->exec = r;
        if (exec_start(s, &why))
            return;
        drop(s);
        request_fail(r, &why);
    }
}

void session_discard(struct request *r)
{
    struct session *s = queue_wanted(r);

    if (s == NULL)
        return;
    drop(s);
    resp_add_status(&r->reply, "OK");
    request_done(r);
}
