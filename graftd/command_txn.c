/* TXN SHOW, STATUS and KILL: one transaction, by its id. TXN's other words are in command_txn_list.c and command_undo.c. */
#include "graftd/audit.h"
#include "graftd/call.h"
#include "graftd/command.h"
#include "graftd/history.h"
#include "graftd/session.h"
#include "lib/resp.h"

#include <string.h>

/* ---- SHOW ---- */

/* Which of the calls before it made it; one with a number that is not there is the hostile store's. */
static uint32_t depth_of(const struct store_request *s, size_t i)
{
    uint32_t depth = 1, parent = s->nested[i].parent_seq;

    while (parent != 0 && parent <= i && depth <= s->nested_count) {
        depth++;
        parent = s->nested[parent - 1].parent_seq;
    }
    return depth;
}

/* In the order in which they began: each stands behind its caller, one deeper. */
static void add_nested(struct request *r, const struct store_request *s)
{
    char time[32], name[HISTORY_NAME_MAX];

    resp_add_bulk_str(&r->reply, "nested");
    resp_add_array(&r->reply, s->nested_count);
    for (size_t i = 0; i < s->nested_count; i++) {
        const struct store_nested *n = &s->nested[i];
        resp_add_map(&r->reply, 10, r->proto);
        history_add_number(r, "depth", depth_of(s, i));
        history_add_text(r, "function", history_name(n->graft, n->function, name));
        history_add_text(r, "version", n->version);
        history_add_text(r, "outcome", n->outcome);
        history_add_text(r, "begun", iso_time(n->begun_us, time));
        history_add_ms(r, "ms", n->ended_us > n->begun_us ? (uint64_t)(n->ended_us - n->begun_us) : 0);
        history_add_ms(r, "cpu_ms", n->cpu_us);
        history_add_number(r, "first_effect", n->first_effect);
        history_add_number(r, "effects", n->effect_count);
        history_add_text(r, "error", n->error);
    }
}

/* What only the past knows: 0 of what runs. */
static void add_past(struct request *r, const struct store_row *row)
{
    char time[32];

    history_add_text(r, "ended", row->outcome == NULL ? NULL : iso_time(row->ended_us, time));
    history_add_ms(r, "cpu_ms", row->cpu_us);
    history_add_ms(r, "lock_wait_ms", row->lock_wait_us);
    history_add_number(r, "pid", row->pid);
    history_add_number(r, "gid", row->gid);
    history_add_id(r, "undoes", row->undoes);
    history_add_id(r, "undone_by", row->undone_by);
}

enum { PAST_FIELDS = 7 };

static void show_stored(struct request *r, const struct store_request *s)
{
    enum err err;

    resp_add_map(&r->reply, HISTORY_ROW_FIELDS + PAST_FIELDS + 2, r->proto);
    history_add_row(r, &s->rows[0]);
    add_past(r, &s->rows[0]);
    add_nested(r, s);
    resp_add_bulk_str(&r->reply, "effects_list");
    err = resp_add_array(&r->reply, s->effect_count);
    for (size_t i = 0; i < s->effect_count && err == OK; i++)
        err = history_add_effect(r, i, &s->effects[i]);
    store_request_fini(&r->store);
    if (err == OK)
        request_done(r);
    else
        request_error(r, err, "what transaction %llu did is more than one reply can hold",
                      (unsigned long long)r->number);
}

/* A call, or what a connection holds. */
static bool find_running(struct core *core, uint64_t txn, struct call_view *view)
{
    struct call *call = call_find(core, txn);
    struct session *session = call == NULL ? session_find(core, txn) : NULL;

    if (call != NULL)
        call_view(call, view);
    else if (session != NULL)
        session_view(session, view);
    return call != NULL || session != NULL;
}

static void show_running(struct request *r, const struct call_view *view)
{
    resp_add_map(&r->reply, HISTORY_ROW_FIELDS + 2, r->proto);
    history_add_running(r, view);
    resp_add_bulk_str(&r->reply, "nested");
    resp_add_array(&r->reply, 0);
    resp_add_bulk_str(&r->reply, "effects_list");
    resp_add_array(&r->reply, 0);
    request_done(r);
}

static void show_done(struct store_request *s)
{
    struct request *r = s->owner;
    struct call_view view;
    bool past = s->row_count > 0 && s->rows[0].outcome != NULL;

    if (history_failed(r))
        return;
    if (!past && find_running(r->core, s->txn, &view)) {
        store_request_fini(s);
        show_running(r, &view);
    } else if (s->row_count > 0) {
        show_stored(r, s);
    } else {
        store_request_fini(s);
        request_error(r, ERR_COMMAND,
                      "transaction %llu is not in the history: it changed nothing, is too old, or never was",
                      (unsigned long long)r->number);
    }
}

static bool id_argument(struct request *r, uint64_t *id)
{
    if (r->argc == 3 && history_id(r->argv[2], id))
        return true;
    command_usage(r);
    return false;
}

static void txn_cmd_show(struct request *r)
{
    uint64_t id;

    if (!id_argument(r, &id) || !command_may(r, RIGHT_INFO, bytes_of(NULL, 0)))
        return;
    r->number = (int64_t)id;
    r->store = (struct store_request){ .kind = STORE_SHOW, .txn = id };
    history_look(r, show_done);
}

/* ---- STATUS ---- */

static const char *status_of(const struct store_row *row)
{
    if (row->outcome == NULL)
        return "running";
    if (strcmp(row->outcome, "committed") != 0)
        return "rolled back";
    return row->undone_by != 0 ? "undone" : "committed";
}

static void status_done(struct store_request *s)
{
    struct request *r = s->owner;
    bool found = s->row_count > 0 && s->rows[0].txn == (uint64_t)r->number;
    const char *status = found ? status_of(&s->rows[0]) : "unknown";
    struct call_view view;

    if (history_failed(r))
        return;
    if (!found && find_running(r->core, (uint64_t)r->number, &view))
        status = "running";
    store_request_fini(s);
    resp_add_bulk_str(&r->reply, status);
    request_done(r);
}

static void txn_cmd_status(struct request *r)
{
    uint64_t id;

    if (!id_argument(r, &id) || !command_may(r, RIGHT_INFO, bytes_of(NULL, 0)))
        return;
    r->number = (int64_t)id;
    r->store = history_row(id);
    history_look(r, status_done);
}

/* ---- KILL ---- */

static void txn_cmd_kill(struct request *r)
{
    struct session *session;
    struct call *call;
    uint64_t id;

    if (!id_argument(r, &id) || !command_may(r, RIGHT_KILL, bytes_of(NULL, 0)))
        return;
    session = session_find(r->core, id);
    call = call_find(r->core, id);
    if (session != NULL)
        session_end(session, ERR_KILLED, "the transaction was ended by TXN KILL");
    else if (call != NULL)
        call_cancel(call, ERR_KILLED, "was ended by TXN KILL");
    if (session == NULL && call == NULL) {
        request_error(r, ERR_COMMAND, "no transaction %llu runs; TXN LIST shows what does", (unsigned long long)id);
        return;
    }
    audit_asked(r, AUDIT_KILL, RIGHT_KILL, r->argv[2], NULL);
    resp_add_status(&r->reply, "OK");
    request_done(r);
}

/* ---- its words ---- */

void command_txn(struct request *r)
{
    static const struct {
        const char *word;
        void (*run)(struct request *);
    } words[] = { { "LIST", history_list }, { "SHOW", txn_cmd_show }, { "STATUS", txn_cmd_status },
                  { "KILL", txn_cmd_kill }, { "UNDO", history_undo }, { "REDO", history_redo } };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (arg_is(r->argv[1], words[i].word)) {
            words[i].run(r);
            return;
        }
    }
    command_usage(r);
}
