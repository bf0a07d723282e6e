/* One transaction as the listings tell it, whether it runs or is of the past. */
#include "graftd/history.h"

#include "graftd/call.h"
#include "graftd/command.h"
#include "lib/resp.h"

#include <stdio.h>

/* What the store tells of the past, and a call of itself while it runs. */
struct row {
    uint64_t id, effects;
    const char *outcome, *graft, *function, *version, *error;
    uint32_t uid;
    int64_t begun_us;
    double ms;
};

const char *history_name(const char *graft, const char *function, char out[HISTORY_NAME_MAX])
{
    snprintf(out, HISTORY_NAME_MAX, "%s%s%s", graft != NULL ? graft : "", graft != NULL ? "." : "",
             function != NULL ? function : "");
    return out;
}

/* HISTORY_ROW_FIELDS pairs. */
static void add_row(struct request *r, const struct row *row)
{
    char time[32], name[HISTORY_NAME_MAX];

    history_add_number(r, "id", row->id);
    history_add_text(r, "outcome", row->outcome);
    history_add_text(r, "function", history_name(row->graft, row->function, name));
    history_add_text(r, "version", row->version);
    history_add_number(r, "uid", row->uid);
    history_add_text(r, "begun", iso_time(row->begun_us, time));
    resp_add_bulk_str(&r->reply, "ms");
    resp_add_double(&r->reply, row->ms, r->proto);
    history_add_number(r, "effects", row->effects);
    history_add_text(r, "error", row->error);
}

void history_add_row(struct request *r, const struct store_row *s)
{
    struct row row = {
        .id = s->txn,
        .effects = s->effect_count,
        .outcome = s->outcome != NULL ? s->outcome : "running",
        .graft = s->graft,
        .function = s->function,
        .version = s->version,
        .error = s->error,
        .uid = s->uid,
        .begun_us = s->begun_us,
        .ms = s->ended_us > s->begun_us ? (double)(s->ended_us - s->begun_us) / 1000 : 0,
    };

    add_row(r, &row);
}

void history_add_running(struct request *r, const struct call_view *v)
{
    struct row row = {
        .id = v->txn,
        .effects = v->effects,
        .outcome = v->state,
        .graft = v->graft,
        .function = v->function,
        .uid = v->uid,
        .begun_us = v->begun_us,
        .ms = (double)(port_wall_us(r->core->port) - v->begun_us) / 1000,
    };

    add_row(r, &row);
}
