/* Events and timers from the command line: events, topics, timers, timer show, release and drop. */
#include "graftctl/ask.h"
#include "graftctl/show.h"
#include "graftctl/table.h"
#include "lib/iso_time.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { EVENT_FIELDS = 4, EVENTS_PAGE = 1000, TIMERS_PAGE = 1000 };

static const char follow_ms[] = "60000"; /* one wait; then it asks again */

/* ---- events ---- */

static enum err add_event(struct table *t, const graft_reply *event)
{
    char time[32];
    enum err err = table_add(t, reply_bytes(graft_client_item(event, 0)), true);

    if (err == OK)
        err = table_add(t, bytes_str(iso_time(graft_client_integer(graft_client_item(event, 3)), time)), false);
    if (err == OK)
        err = table_add(t, reply_bytes(graft_client_item(event, 2)), true);
    return err == OK ? table_add(t, reply_bytes(graft_client_item(event, 1)), false) : err;
}

static enum outcome show_events(const graft_reply *events, bool json, bool titled)
{
    static const char *const titles[EVENT_FIELDS] = { "ID", "AT", "TXN", "EVENT" };
    enum outcome outcome = OUTCOME_DONE;
    struct table t;
    enum err err = OK;

    for (size_t i = 0; json && i < graft_client_count(events) && outcome == OUTCOME_DONE; i++)
        outcome = show_json(graft_client_item(events, i));
    if (json)
        return outcome;
    table_init(&t, EVENT_FIELDS);
    for (size_t i = 0; i < graft_client_count(events) && err == OK; i++)
        err = add_event(&t, graft_client_item(events, i));
    if (err == OK)
        table_print(&t, titled ? titles : NULL);
    table_fini(&t);
    return err == OK ? OUTCOME_DONE : complain("the events: %s", err_sentence(err));
}

/* One page; *after moves on to the last event of it, *count says how many there were. */
static enum outcome read_page(struct invocation *in, const char *count_max, int64_t *after, size_t *count, bool titled)
{
    bool follow = option_given(in, "follow");
    graft_reply *reply = NULL;
    char id[24];
    enum outcome outcome;

    snprintf(id, sizeof id, "%" PRId64, *after);
    outcome = ask(in, &reply, "EVENTS", "READ", in->args[0], "AFTER", id, "COUNT", count_max, follow ? "BLOCK" : NULL,
                  follow_ms, NULL);
    if (outcome != OUTCOME_DONE)
        return outcome;
    *count = graft_client_count(reply);
    if (*count > 0) {
        *after = graft_client_integer(graft_client_item(graft_client_item(reply, *count - 1), 0));
        outcome = show_events(reply, option_given(in, "json"), titled);
        fflush(stdout);
    }
    graft_client_free_reply(&reply);
    return outcome;
}

enum outcome command_events(struct invocation *in)
{
    uint64_t after = 0, left = UINT64_MAX;
    int64_t at;
    size_t count = 1;
    bool titled = true;
    char ask_for[24];
    enum outcome outcome = option_number(in, "after", INT64_MAX, &after);

    if (outcome == OUTCOME_DONE)
        outcome = option_number(in, "count", INT64_MAX, &left);
    at = (int64_t)after;
    while (outcome == OUTCOME_DONE && left > 0 && (count > 0 || option_given(in, "follow"))) {
        snprintf(ask_for, sizeof ask_for, "%" PRIu64, left < EVENTS_PAGE ? left : (uint64_t)EVENTS_PAGE);
        outcome = read_page(in, ask_for, &at, &count, titled);
        left -= count < left ? count : left;
        titled = titled && count == 0;
    }
    return outcome;
}

enum outcome command_topics(struct invocation *in)
{
    static const struct field fields[] = { { "TOPIC", "topic" },
                                           { "EVENTS", "events" },
                                           { "FIRST", "first" },
                                           { "LAST", "last" },
                                           { "FORGOTTEN", "forgotten" } };
    graft_reply *reply = NULL;
    enum outcome outcome = ask(in, &reply, "EVENTS", "TOPICS", NULL);

    if (outcome == OUTCOME_DONE)
        outcome = option_given(in, "json") ? show_json(reply)
                                           : show_rows(reply, fields, sizeof fields / sizeof fields[0], "-");
    graft_client_free_reply(&reply);
    return outcome;
}

/* ---- timers ---- */

enum outcome command_timers(struct invocation *in)
{
    static const struct field fields[] = { { "ID", "id" },      { "STATE", "state" }, { "FUNCTION", "function" },
                                           { "DUE", "due" },    { "UID", "uid" },     { "TRIES", "tries" },
                                           { "ERROR", "error" } };
    graft_reply *reply = NULL;
    enum outcome outcome = ask(in, &reply, "TIMER", "LIST", NULL);

    if (outcome == OUTCOME_DONE)
        outcome = option_given(in, "json") ? show_json(reply)
                                           : show_rows(reply, fields, sizeof fields / sizeof fields[0], "-");
    if (outcome == OUTCOME_DONE && graft_client_count(reply) == TIMERS_PAGE)
        complain("these are the first %d; TIMER LIST FROM id tells the others", TIMERS_PAGE);
    graft_client_free_reply(&reply);
    return outcome;
}

enum outcome command_timer_show(struct invocation *in)
{
    static const struct field fields[] = {
        { "id", "id" },   { "function", "function" }, { "args", "args" },   { "state", "state" }, { "due", "due" },
        { "uid", "uid" }, { "armed by", "armed_by" }, { "tries", "tries" }, { "error", "error" }
    };
    graft_reply *reply = NULL;
    enum outcome outcome = ask(in, &reply, "TIMER", "SHOW", in->args[0], NULL);

    if (outcome == OUTCOME_DONE)
        outcome =
            option_given(in, "json") ? show_json(reply) : show_fields(reply, fields, sizeof fields / sizeof fields[0]);
    graft_client_free_reply(&reply);
    return outcome;
}

static enum outcome change_timer(struct invocation *in, const char *how)
{
    graft_reply *reply = NULL;
    enum outcome outcome = ask(in, &reply, "TIMER", how, in->args[0], NULL);

    if (outcome == OUTCOME_DONE)
        outcome = show_reply(reply);
    graft_client_free_reply(&reply);
    return outcome;
}

enum outcome command_timer_release(struct invocation *in) { return change_timer(in, "RELEASE"); }

enum outcome command_timer_drop(struct invocation *in) { return change_timer(in, "DROP"); }
