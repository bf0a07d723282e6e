#include "tests/sim/client_judge.h"

#include "tests/sim/graft_sim.h"

#include <inttypes.h>

static bool is_ghost(const struct resp_node *r) /* what a worker said that had been asked for something else */
{
    return r->kind == RESP_STATUS && bytes_equal(r->text, bytes_str("GHOST"));
}

static void judge_change(struct client_sim *c, const struct asked *a, const struct resp_node *r)
{
    bool unknown = r->kind == RESP_ERROR && bytes_start_with(r->text, bytes_str("UNKNOWN"));
    bool ok = r->kind == RESP_STATUS && bytes_equal(r->text, bytes_str("OK"));

    if (r->kind != RESP_ERROR && !ok && !is_ghost(r))
        model_wrong(c->model, "op %d was answered with \"%.*s\"", a->number, (int)r->text.len,
                    (const char *)r->text.data);
    if (ok && a->question == ASKED_FAILURE)
        model_wrong(c->model, "op %d cannot succeed, and was answered OK", a->number);
    if (!unknown)
        model_answer(c->model, a->number, ok ? FATE_DONE : FATE_FAILED);
}

static void judge_exec(struct client_sim *c, const struct asked *a, const struct resp_node *r)
{
    bool unknown = r->kind == RESP_ERROR && bytes_start_with(r->text, bytes_str("UNKNOWN"));
    bool ok = r->kind == RESP_ARRAY;

    if (r->kind != RESP_ERROR && !ok)
        model_wrong(c->model, "the EXEC of op %d was answered with \"%.*s\"", a->number, (int)r->text.len,
                    (const char *)r->text.data);
    if (ok && a->question == ASKED_EXEC_FAILURE)
        model_wrong(c->model, "the EXEC of op %d cannot succeed, and did", a->number);
    if (!unknown)
        model_answer(c->model, a->number, ok ? FATE_DONE : FATE_FAILED);
}

static void judge_add(struct client_sim *c, const struct asked *a, const struct resp_node *r)
{
    struct op *op = &c->model->ops[a->number];

    if (r->kind == RESP_INTEGER) {
        model_answer(c->model, a->number, FATE_DONE);
        model_shows_counter(c->model, op->counter, r->integer, a->when);
        if ((r->integer >> op->bit & 1) == 0)
            model_wrong(c->model, "op %d added to counter %u and was answered %" PRId64, a->number, op->counter,
                        r->integer);
    } else {
        judge_change(c, a, r);
    }
}

static void judge_counter(struct client_sim *c, const struct asked *a, const struct resp_node *r)
{
    int64_t n = 0;

    if (r->kind == RESP_NIL || (r->kind == RESP_STRING && bytes_to_i64(r->text, &n)))
        model_shows_counter(c->model, (unsigned)a->number, n, a->when);
    else if (r->kind != RESP_ERROR)
        model_wrong(c->model, "counter %d is not a number", a->number);
}

/* What a client asks for takes effect in the order in which it asks. */
static void judge_order(struct client_sim *c, const struct asked *a, bool present)
{
    const struct op *op = &c->model->ops[a->number];

    if (op->asker != c)
        return;
    if (present && op->asked > a->when)
        model_wrong(c->model, "a reply shows op %d, which the same client asked for later", a->number);
    if (!present && op->asked < a->when && op->fate == FATE_DONE)
        model_wrong(c->model, "a reply does not show op %d, which the same client asked for before", a->number);
}

static void judge_marks(struct client_sim *c, const struct asked *a, const struct resp_node *r)
{
    if (r->kind != RESP_INTEGER)
        return;
    if (r->integer != 0 && r->integer != c->model->ops[a->number].parts)
        model_wrong(c->model, "a reply shows %" PRId64 " of the %u marks of op %d", r->integer,
                    c->model->ops[a->number].parts, a->number);
    model_shows(c->model, a->number, r->integer != 0, a->when);
    judge_order(c, a, r->integer != 0);
}

static void judge_sum(struct client_sim *c, int64_t sum)
{
    if (sum != GRAFT_SIM_ACCOUNTS * GRAFT_SIM_BALANCE)
        model_wrong(c->model, "a reply says that all accounts hold %" PRId64 " together", sum);
}

static void judge_accounts(struct client_sim *c, const struct resp_node *r)
{
    int64_t sum = 0, n = 0;

    if (r->kind != RESP_ARRAY)
        return;
    for (size_t i = 0; i < r->count; i++)
        if (bytes_to_i64(r->items[i].text, &n))
            sum += n;
    judge_sum(c, sum);
}

void client_judge(struct client_sim *c, const struct asked *a, const struct resp_node *r)
{
    int64_t n = 0;

    if (c->honest && r->kind == RESP_ERROR && bytes_start_with(r->text, bytes_str("CRASHED")))
        model_wrong(c->model, "among honest grafts one was answered: %.*s", (int)r->text.len,
                    (const char *)r->text.data);
    switch (a->question) {
    case ASKED_ANYTHING:
        break;
    case ASKED_ECHO:
        if (r->kind != RESP_STRING || !bytes_to_i64(r->text, &n) || n != a->number)
            model_wrong(c->model, "the reply to ECHO %d is the reply to something else", a->number);
        break;
    case ASKED_CHANGE:
    case ASKED_FAILURE:
        judge_change(c, a, r);
        break;
    case ASKED_EXEC:
    case ASKED_EXEC_FAILURE:
        judge_exec(c, a, r);
        break;
    case ASKED_ADD:
        judge_add(c, a, r);
        break;
    case ASKED_COUNTER:
        judge_counter(c, a, r);
        break;
    case ASKED_MARK:
        if (r->kind == RESP_NIL || r->kind == RESP_STRING)
            model_shows(c->model, a->number, r->kind == RESP_STRING, a->when);
        break;
    case ASKED_MARKS:
        judge_marks(c, a, r);
        break;
    case ASKED_NONE:
        if (r->kind == RESP_INTEGER && r->integer != 0)
            model_wrong(c->model, "a reply shows what a call put and took back itself");
        break;
    case ASKED_SUM:
        if (r->kind == RESP_INTEGER)
            judge_sum(c, r->integer);
        else if (r->kind != RESP_ERROR && !is_ghost(r))
            model_wrong(c->model, "an audit was answered with something else");
        break;
    case ASKED_ACCOUNTS:
        judge_accounts(c, r);
        break;
    }
}
