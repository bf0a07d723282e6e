#include "tests/sim/client_sim.h"

#include "graftd/call.h"
#include "lib/check.h"
#include "tests/sim/client_judge.h"
#include "tests/sim/graft_sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    BUF_MAX = 1 << 20, /* bytes */
    WORDS_MAX = 40,
    WORD_MAX = 128,
    HANGUP_ONE_IN = 40,
};

/* One request on its way to being asked. */
struct words {
    char text[WORDS_MAX][WORD_MAX];
    unsigned count;
};

static void word(struct words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void word(struct words *w, const char *format, ...)
{
    va_list ap;

    CHECK(w->count < WORDS_MAX);
    va_start(ap, format);
    vsnprintf(w->text[w->count++], WORD_MAX, format, ap);
    va_end(ap);
}

/* ---- hearing ---- */

static void client_heard(struct peer *peer)
{
    static const struct resp_reply_limits limits = { .size_max = BUF_MAX, .nodes_max = 65536 };
    struct client_sim *c = (struct client_sim *)(void *)peer;
    struct failure why = { 0 };
    struct resp_node *reply;
    size_t used;
    enum err err = OK;

    while (buf_len(&peer->hear) > 0 &&
           (err = resp_reply_next(&c->parser, buf_bytes(&peer->hear), &limits, &reply, &used, &why)) == OK) {
        struct asked *a = &c->asked[c->asked_first % CLIENT_SIM_ASKED_MAX];
        buf_consume(&peer->hear, used);
        if (c->asked_count == 0) {
            model_wrong(c->model, "a reply came that nobody had asked for");
        } else {
            c->asked_first++;
            c->asked_count--;
            client_judge(c, a, reply);
        }
        resp_reply_free(&reply);
    }
    if (err != OK && err != ERR_AGAIN)
        model_wrong(c->model, "a reply is not RESP: %s", why.text);
    if (peer->eof && c->patient && c->asked_count > 0 && !c->core->draining)
        model_wrong(c->model, "%u requests of a client that waited for its replies were not answered", c->asked_count);
}

/* ---- asking ---- */

static void note(struct client_sim *c, enum question question, int number)
{
    c->asked[(c->asked_first + c->asked_count++) % CLIENT_SIM_ASKED_MAX] =
        (struct asked){ question, number, ++c->model->clock };
    if (question == ASKED_CHANGE && c->model->ops[number].asker == NULL) {
        c->model->ops[number].asker = c;
        c->model->ops[number].asked = c->model->clock;
    }
}

static void ask(struct client_sim *c, const struct words *w, enum question question, int number)
{
    struct buf *b = &c->peer.say;

    CHECK(buf_addf(b, "*%u\r\n", w->count) == OK);
    for (unsigned i = 0; i < w->count; i++)
        CHECK(buf_addf(b, "$%zu\r\n%s\r\n", strlen(w->text[i]), w->text[i]) == OK);
    note(c, question, number);
}

static unsigned below(struct client_sim *c, unsigned n) { return chance_below(c->chance, n); }

/* FCALL or CALL up to the number of keys, which the caller adds. */
static void call_words(struct client_sim *c, struct words *w, enum graft_sim_function function, bool keys)
{
    const char *graft = below(c, 8) == 0 ? "aux" : "bank";

    if (!keys && below(c, 3) == 0) {
        word(w, "CALL");
        word(w, "%s.%s", graft, graft_sim_functions[function]);
        word(w, "TIMEOUT");
        word(w, "%u", 1 + below(c, 100));
        word(w, "ARGS");
    } else {
        word(w, function <= FUNCTION_GLANCE && below(c, 2) == 0 ? "FCALL_RO" : "FCALL");
        word(w, "%s.%s", graft, graft_sim_functions[function]);
        word(w, keys ? "2" : "0");
    }
}

static void ask_transfer(struct client_sim *c, struct words *w)
{
    unsigned from = below(c, GRAFT_SIM_ACCOUNTS),
             to = (from + 1 + below(c, GRAFT_SIM_ACCOUNTS - 1)) % GRAFT_SIM_ACCOUNTS;
    unsigned amount = 1 + below(c, 50);
    bool keys = below(c, 2) == 0;
    int id = model_transfer(c->model, from, to, amount);

    if (id < 0)
        return;
    call_words(c, w, FUNCTION_TRANSFER, keys);
    if (keys) {
        word(w, "acct:%u", from);
        word(w, "acct:%u", to);
    }
    word(w, "%d", id);
    word(w, "1");
    word(w, "%u", amount);
    word(w, "acct:%u", from);
    word(w, "acct:%u", to);
    ask(c, w, ASKED_CHANGE, id);
}

static void ask_audit(struct client_sim *c, struct words *w)
{
    call_words(c, w, below(c, 2) == 0 ? FUNCTION_AUDIT : FUNCTION_GLANCE, false);
    ask(c, w, ASKED_SUM, 0);
}

static void ask_put(struct client_sim *c, struct words *w)
{
    static const enum graft_sim_function functions[] = { FUNCTION_PUT, FUNCTION_PUT, FUNCTION_PUT, FUNCTION_TWICE };
    unsigned parts = 1 + below(c, GRAFT_SIM_PARTS_MAX);
    bool refused = below(c, 10) == 0;
    int id = model_call(c->model, parts);

    if (id < 0)
        return;
    call_words(c, w, functions[below(c, c->honest ? 3 : 4)], false);
    if (refused && strcmp(w->text[0], "FCALL") == 0)
        strcpy(w->text[0], "FCALL_RO");
    else
        refused = false;
    word(w, "%d", id);
    word(w, "%u", parts);
    ask(c, w, refused ? ASKED_FAILURE : ASKED_CHANGE, id);
}

/* At one of the last changes, or at one that is asked for right behind. */
static void ask_look(struct client_sim *c, struct words *w)
{
    unsigned count = c->model->op_count, op, parts = 1 + below(c, GRAFT_SIM_PARTS_MAX);
    bool next = CLIENT_SIM_ASKED_MAX - c->asked_count > 2 && below(c, 3) == 0;
    int id = next ? model_call(c->model, parts) : -1;

    if (id < 0 && count == 0)
        return;
    op = id >= 0 ? (unsigned)id : count - 1 - below(c, count < 6 ? count : 6);
    if (c->model->ops[op].trace != TRACE_CALL)
        return;
    call_words(c, w, FUNCTION_LOOK, false);
    word(w, "%u", op);
    word(w, "%u", c->model->ops[op].parts);
    ask(c, w, ASKED_MARKS, (int)op);
    if (id < 0)
        return;
    *w = (struct words){ .count = 0 };
    call_words(c, w, FUNCTION_PUT, false);
    word(w, "%d", id);
    word(w, "%u", parts);
    ask(c, w, ASKED_CHANGE, id);
}

/* Of one of the last changes: it may not have taken place, or the timer has fired. */
static void ask_hush(struct client_sim *c, struct words *w)
{
    unsigned count = c->model->op_count, op = count > 0 ? count - 1 - below(c, count < 12 ? count : 12) : 0;

    if (count == 0 || c->model->ops[op].trace != TRACE_CALL || c->model->ops[op].parts <= GRAFT_SIM_TIMER_PART)
        return;
    call_words(c, w, FUNCTION_HUSH, false);
    word(w, "%u", op);
    word(w, "%u", GRAFT_SIM_TIMER_PART + 4 * below(c, c->model->ops[op].parts / 4));
    ask(c, w, ASKED_ANYTHING, 0);
}

static void ask_failure(struct client_sim *c, struct words *w)
{
    enum graft_sim_function function = FUNCTION_ABORT + below(c, FUNCTION_COUNT - FUNCTION_ABORT);
    unsigned parts = function == FUNCTION_GREEDY ? GRAFT_SIM_PARTS_MAX : below(c, GRAFT_SIM_PARTS_MAX);
    bool good = function != FUNCTION_CRASH && function != FUNCTION_LIE;
    int id = c->honest && !good ? -1 : model_call(c->model, parts);

    if (id < 0)
        return;
    call_words(c, w, function, false);
    word(w, "%d", id);
    word(w, "%u", parts);
    ask(c, w, ASKED_FAILURE, id);
}

static void ask_set(struct client_sim *c, struct words *w)
{
    unsigned parts = below(c, 2) == 0 ? 1 : 1 + below(c, GRAFT_SIM_PARTS_MAX);
    int id = model_marks(c->model, parts);

    if (id < 0)
        return;
    word(w, parts == 1 ? "SET" : "MSET");
    for (unsigned i = 0; i < parts; i++) {
        word(w, "op:%d:%u", id, i);
        word(w, "%d.%0*d", id, (int)below(c, 90), 0);
    }
    if (parts == 1 && below(c, 3) == 0)
        word(w, "NX"); /* it is new */
    ask(c, w, ASKED_CHANGE, id);
}

static void ask_word(struct client_sim *c, const char *text, enum question question, int number)
{
    struct words w = { .count = 0 };

    word(&w, "%s", text);
    ask(c, &w, question, number);
}

/* All marks of an op by one EXEC, in any order, with a call between them; or with a command that fails, and then none. */
static void ask_exec(struct client_sim *c, struct words *w)
{
    unsigned parts = 1 + below(c, 4), first = below(c, parts), fault = below(c, 3 * parts);
    int id;

    if (CLIENT_SIM_ASKED_MAX - c->asked_count < 4 + parts || (id = model_marks(c->model, parts)) < 0)
        return;
    ask_word(c, "MULTI", ASKED_ANYTHING, 0);
    for (unsigned i = 0; i < parts; i++) {
        *w = (struct words){ .count = 0 };
        word(w, "SET");
        word(w, "op:%d:%u", id, (first + i) % parts);
        word(w, i == fault ? "%d.x" : "%d.", id);
        ask(c, w, ASKED_ANYTHING, 0);
    }
    *w = (struct words){ .count = 0 };
    if (fault < parts) {
        word(w, "INCR");
        word(w, "op:%d:%u", id, (first + fault) % parts);
    } else {
        call_words(c, w, FUNCTION_AUDIT, false);
    }
    ask(c, w, ASKED_ANYTHING, 0);
    ask_word(c, "EXEC", fault < parts ? ASKED_EXEC_FAILURE : ASKED_EXEC, id);
}

/* What it did while it held a transaction is gone when it gives it back, or is lost. */
static void ask_session(struct client_sim *c, struct words *w)
{
    if (c->patient || CLIENT_SIM_ASKED_MAX - c->asked_count < 5)
        return; /* a BEGIN for which there is no memory closes the connection */
    ask_word(c, "BEGIN", ASKED_ANYTHING, 0);
    word(w, "SCAN");
    word(w, "0");
    ask(c, w, ASKED_ANYTHING, 0);
    *w = (struct words){ .count = 0 };
    call_words(c, w, FUNCTION_AUDIT, false);
    ask(c, w, ASKED_SUM, 0);
    ask_word(c, below(c, 2) == 0 ? "ROLLBACK" : "COMMIT", ASKED_ANYTHING, 0);
}

static void ask_add(struct client_sim *c, struct words *w)
{
    unsigned counter = below(c, MODEL_COUNTERS);
    int id = model_bit(c->model, counter);

    if (id < 0)
        return;
    word(w, "INCRBY");
    word(w, "ctr:%u", counter);
    word(w, "%" PRIu64, UINT64_C(1) << c->model->ops[id].bit);
    ask(c, w, ASKED_ADD, id);
}

static void ask_reading(struct client_sim *c, struct words *w)
{
    unsigned counter = below(c, MODEL_COUNTERS), op = c->model->op_count > 0 ? below(c, c->model->op_count) : 0;
    bool mark = c->model->op_count > 0 && c->model->ops[op].trace != TRACE_BIT && c->model->ops[op].parts > 0;

    switch (below(c, mark ? 5 : 3)) {
    case 0:
        word(w, "MGET");
        for (unsigned i = 0; i < GRAFT_SIM_ACCOUNTS; i++)
            word(w, "acct:%u", (counter + i) % GRAFT_SIM_ACCOUNTS);
        ask(c, w, ASKED_ACCOUNTS, 0);
        break;
    case 1:
        word(w, "GET");
        word(w, "ctr:%u", counter);
        ask(c, w, ASKED_COUNTER, (int)counter);
        break;
    case 2:
        word(w, below(c, 2) == 0 ? "EXISTS" : "DEL");
        word(w, "tmp:%u", below(c, 4));
        word(w, "tmp:%u", below(c, 4));
        ask(c, w, ASKED_NONE, 0);
        break;
    case 3:
        word(w, "GET");
        word(w, "op:%u:%u", op, below(c, c->model->ops[op].parts));
        ask(c, w, ASKED_MARK, (int)op);
        break;
    default:
        word(w, "EXISTS");
        for (unsigned i = 0; i < c->model->ops[op].parts; i++)
            word(w, "op:%u:%u", op, i);
        ask(c, w, ASKED_MARKS, (int)op);
        break;
    }
}

/* Calls that stand behind others now. */
static unsigned some_sent(const struct client_sim *c)
{
    struct call_view view;
    unsigned n = 0;

    list_each (node, &c->core->calls) {
        call_view(call_of(node), &view);
        n += strcmp(view.state, "sent") == 0;
    }
    return n;
}

static void ask_graft(struct client_sim *c, struct words *w)
{
    const char *name = below(c, 2) == 0 ? "bank" : "aux",
               *kind = graft_sim_kinds[c->honest || below(c, 2) == 0 ? 0 : below(c, graft_sim_kind_count)];

    word(w, "GRAFT");
    if (below(c, 5) < 3) {
        word(w, "LOAD");
        word(w, "%s", name);
        word(w, "%s 1.%u %s\n", name, below(c, 4), kind);
        if (below(c, 4) > 0)
            word(w, "REPLACE");
    } else if (below(c, 3) == 0) {
        word(w, "VERIFY");
        word(w, "%s 1.9 %s\n", name, kind);
    } else {
        word(w, "UNLOAD");
        word(w, "%s", name);
        if (below(c, 2) == 0) {
            word(w, "WAIT");
            word(w, "%u", below(c, 60));
        }
        if (below(c, 3) == 0)
            word(w, "FORCE");
        c->unloads_seen += some_sent(c);
    }
    ask(c, w, ASKED_ANYTHING, 0);
}

/* Any that runs, or none. */
static uint64_t some_transaction(struct client_sim *c)
{
    struct call_view view = { .txn = 1 };
    size_t n = c->core->call_count == 0 ? 0 : below(c, (unsigned)c->core->call_count);

    list_each (node, &c->core->calls)
        if (n-- == 0)
            call_view(call_of(node), &view);
    return view.txn;
}

static void ask_other(struct client_sim *c, struct words *w)
{
    int number = (int)below(c, 1000);

    switch (below(c, 8)) {
    case 0:
        word(w, "TXN");
        word(w, "LIST");
        break;
    case 1:
        word(w, "TXN");
        word(w, "SHOW");
        word(w, "%" PRIu64, 1 + some_transaction(c));
        break;
    case 2:
    case 3:
        word(w, "TXN");
        word(w, "KILL");
        word(w, "%" PRIu64, some_transaction(c));
        break;
    case 4:
        word(w, "GRAFT");
        word(w, below(c, 2) == 0 ? "LIST" : "INFO");
        if (below(c, 2) == 0)
            word(w, "bank");
        break;
    case 5:
        word(w, "SCAN");
        word(w, "0");
        word(w, "MATCH");
        word(w, "op:1*");
        word(w, "COUNT"); /* no cursor: its number would depend on the runs before */
        word(w, "1000");
        break;
    case 6:
        word(w, below(c, 2) == 0 ? "INFO" : "NONSENSE");
        word(w, "store"); /* all of it would tell our process id */
        break;
    default:
        word(w, "ECHO");
        word(w, "%d", number);
        ask(c, w, ASKED_ECHO, number);
        return;
    }
    ask(c, w, ASKED_ANYTHING, 0);
}

/* What nobody can understand: an error, and the end. */
static void say_nonsense(struct client_sim *c)
{
    CHECK(buf_add_str(&c->peer.say, "*1\r\n$x\r\n") == OK);
    note(c, ASKED_ANYTHING, 0);
    c->left = 0;
}

static void ask_something(struct client_sim *c)
{
    static void (*const asks[])(struct client_sim *, struct words *) = {
        ask_transfer, ask_transfer, ask_transfer, ask_audit,   ask_audit, ask_put, ask_put,
        ask_failure,  ask_failure,  ask_set,      ask_set,     ask_add,   ask_add, ask_add,
        ask_other,    ask_reading,  ask_reading,  ask_reading, ask_other, ask_exec, ask_exec, ask_session,
        ask_hush,     ask_hush,     ask_look, ask_look, ask_look, ask_look,
    };
    struct words w = { .count = 0 };

    c->left--;
    if (below(c, 400) == 0)
        say_nonsense(c);
    else if (c->honest && below(c, 2) == 0)
        ask_audit(c, &w); /* many quick calls that seldom wait: some of them are sent behind others */
    else if (below(c, 24) == 0)
        ask_graft(c, &w);
    else
        asks[below(c, sizeof asks / sizeof asks[0])](c, &w);
}

/* ---- acting ---- */

static bool client_can_act(struct peer *peer)
{
    const struct client_sim *c = (const struct client_sim *)(const void *)peer;

    if (peer->stream == NULL || peer->eof || peer->finish || peer->hangup)
        return false;
    return peer->deaf || c->left == 0 || c->asked_count < CLIENT_SIM_ASKED_MAX;
}

static void client_act(struct peer *peer)
{
    struct client_sim *c = (struct client_sim *)(void *)peer;

    if (peer->deaf || below(c, 16) == 0)
        peer->deaf = !peer->deaf && c->left > 0;
    else if (!c->patient && below(c, HANGUP_ONE_IN) == 0)
        peer->hangup = true;
    else if (c->left == 0)
        peer->finish = true;
    else if (c->asked_count < CLIENT_SIM_ASKED_MAX)
        ask_something(c);
}

void client_sim_init(struct client_sim *c, struct core *core, struct model *model, struct chance *chance,
                     unsigned requests)
{
    *c = (struct client_sim){ .core = core, .model = model, .chance = chance, .left = requests };
    c->patient = chance_below(chance, 3) > 0;
    c->peer = (struct peer){ .can_act = client_can_act, .act = client_act, .heard = client_heard };
    buf_init(&c->peer.say, BUF_MAX);
    buf_init(&c->peer.hear, BUF_MAX);
}

void client_sim_fini(struct client_sim *c)
{
    buf_fini(&c->peer.say);
    buf_fini(&c->peer.hear);
}

bool client_sim_done(const struct client_sim *c) { return c->peer.stream == NULL; }
