/* TXN … and BACKUP: what runs, what was, and how to end or keep it. */
#include "graftd/call.h"
#include "graftd/command.h"
#include "lib/resp.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIST_COUNT_DEFAULT = 20, LIST_COUNT_MAX = 1000, ROW_FIELDS = 9, NAME_MAX_BYTES = 160 };

static void add_text(struct request *r, const char *name, const char *value)
{
    resp_add_bulk_str(&r->reply, name);
    if (value != NULL)
        resp_add_bulk_str(&r->reply, value);
    else
        resp_add_nil(&r->reply, r->proto);
}

static void add_number(struct request *r, const char *name, uint64_t value)
{
    resp_add_bulk_str(&r->reply, name);
    resp_add_i64(&r->reply, (int64_t)value);
}

struct row {
    uint64_t id, effects;
    const char *outcome, *graft, *function, *version, *error;
    uint32_t uid;
    int64_t begun_us;
    double ms;
};

/* ROW_FIELDS pairs. */
static void add_row(struct request *r, const struct row *row)
{
    char time[32], name[NAME_MAX_BYTES];

    snprintf(name, sizeof name, "%s%s%s", row->graft != NULL ? row->graft : "", row->graft != NULL ? "." : "", row->function);
    add_number(r, "id", row->id);
    add_text(r, "outcome", row->outcome);
    add_text(r, "function", name);
    add_text(r, "version", row->version);
    add_number(r, "uid", row->uid);
    add_text(r, "begun", iso_time(row->begun_us, time));
    resp_add_bulk_str(&r->reply, "ms");
    resp_add_double(&r->reply, row->ms, r->proto);
    add_number(r, "effects", row->effects);
    add_text(r, "error", row->error);
}

static void add_stored(struct request *r, const struct store_row *s)
{
    struct row row = {
        .id = s->txn,
        .effects = s->effect_count,
        .outcome = s->outcome,
        .graft = s->graft,
        .function = s->function != NULL ? s->function : "",
        .version = s->version,
        .error = s->error,
        .uid = s->uid,
        .begun_us = s->begun_us,
        .ms = (double)(s->ended_us - s->begun_us) / 1000,
    };

    add_row(r, &row);
}

static void add_running(struct request *r, const struct call_view *v, int64_t now_us)
{
    struct row row = {
        .id = v->txn,
        .effects = v->effects,
        .outcome = v->state,
        .graft = v->graft,
        .function = v->function,
        .uid = v->uid,
        .begun_us = v->begun_us,
        .ms = (double)(now_us - v->begun_us) / 1000,
    };

    add_row(r, &row);
}

static bool store_failed(struct request *r)
{
    struct failure why = r->store.why;

    if (why.err == OK)
        return false;
    store_request_fini(&r->store);
    request_fail(r, &why);
    return true;
}

static void submit(struct request *r, void (*done)(struct store_request *))
{
    r->store.done = done;
    r->store.owner = r;
    r->core->store->ops->submit(r->core->store, &r->store);
    request_decided(r);
}

/* What runs comes first, newest first as the rest; a page of the past (BEFORE) is past alone. */
static void list_done(struct store_request *s)
{
    struct request *r = s->owner;
    size_t running = s->txn == 0 ? r->core->call_count : 0;
    int64_t now = port_wall_us(r->core->port);

    if (store_failed(r))
        return;
    resp_add_array(&r->reply, running + s->row_count);
    for (struct list *node = r->core->calls.prev; running > 0 && node != &r->core->calls; node = node->prev) {
        struct call_view view;
        call_view(call_of(node), &view);
        resp_add_map(&r->reply, ROW_FIELDS, r->proto);
        add_running(r, &view, now);
    }
    for (size_t i = 0; i < s->row_count; i++) {
        resp_add_map(&r->reply, ROW_FIELDS, r->proto);
        add_stored(r, &s->rows[i]);
    }
    store_request_fini(s);
    request_done(r);
}

/* Ids are SQLite's, which end at 2^63 - 1. */
static bool read_id(struct bytes arg, uint64_t *id) { return bytes_to_u64(arg, id) && *id <= INT64_MAX; }

static void txn_cmd_list(struct request *r)
{
    uint64_t count = LIST_COUNT_DEFAULT, before = 0;

    for (size_t i = 2; i < r->argc; i += 2) {
        bool good = i + 1 < r->argc && ((arg_is(r->argv[i], "COUNT") && bytes_to_u64(r->argv[i + 1], &count) && count > 0) ||
                                        (arg_is(r->argv[i], "BEFORE") && read_id(r->argv[i + 1], &before)));
        if (!good) {
            command_usage(r);
            return;
        }
    }
    if (!command_may(r, RIGHT_INFO, bytes_of(NULL, 0)))
        return;
    r->store = (struct store_request){
        .kind = STORE_LIST, .txn = before, .count_max = (size_t)(count > LIST_COUNT_MAX ? LIST_COUNT_MAX : count),
    };
    submit(r, list_done);
}

static void add_image(struct request *r, const char *name, const struct image *image)
{
    resp_add_bulk_str(&r->reply, name);
    if (image->present)
        resp_add_bulk(&r->reply, image->value);
    else
        resp_add_nil(&r->reply, r->proto);
}

static void show_done(struct store_request *s)
{
    struct request *r = s->owner;
    struct call *running = call_find(r->core, s->txn);
    struct call_view view;

    if (store_failed(r))
        return;
    if (s->row_count == 0 && running == NULL) {
        store_request_fini(s);
        request_error(r, ERR_COMMAND, "transaction %llu is not in the history: it changed nothing, is too old, or never was",
                      (unsigned long long)r->number);
        return;
    }
    resp_add_map(&r->reply, ROW_FIELDS + 1, r->proto);
    if (s->row_count > 0) {
        add_stored(r, &s->rows[0]);
    } else {
        call_view(running, &view);
        add_running(r, &view, port_wall_us(r->core->port));
    }
    resp_add_bulk_str(&r->reply, "effects_list");
    resp_add_array(&r->reply, s->effect_count);
    for (size_t i = 0; i < s->effect_count; i++) {
        resp_add_map(&r->reply, 5, r->proto);
        add_number(r, "seq", i);
        add_text(r, "resource", s->effects[i].resource == 'k' ? "kv" : "?");
        resp_add_bulk_str(&r->reply, "key");
        resp_add_bulk(&r->reply, s->effects[i].key);
        add_image(r, "before", &s->effects[i].before);
        add_image(r, "after", &s->effects[i].after);
    }
    store_request_fini(s);
    request_done(r);
}

static bool id_argument(struct request *r, uint64_t *id)
{
    if (r->argc == 3 && read_id(r->argv[2], id) && *id > 0)
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
    submit(r, show_done);
}

static void txn_cmd_kill(struct request *r)
{
    struct call *c;
    uint64_t id;

    if (!id_argument(r, &id) || !command_may(r, RIGHT_KILL, bytes_of(NULL, 0)))
        return;
    c = call_find(r->core, id);
    if (c == NULL) {
        request_error(r, ERR_COMMAND, "no transaction %llu runs; TXN LIST shows what does", (unsigned long long)id);
        return;
    }
    call_cancel(c, ERR_KILLED, "was ended by TXN KILL");
    resp_add_status(&r->reply, "OK");
    request_done(r);
}

void command_txn(struct request *r)
{
    if (arg_is(r->argv[1], "LIST"))
        txn_cmd_list(r);
    else if (arg_is(r->argv[1], "SHOW"))
        txn_cmd_show(r);
    else if (arg_is(r->argv[1], "KILL"))
        txn_cmd_kill(r);
    else
        command_usage(r);
}

static void backup_done(struct store_request *s)
{
    struct request *r = s->owner;

    free((void *)(uintptr_t)s->path);
    s->path = NULL;
    if (store_failed(r))
        return;
    store_request_fini(s);
    resp_add_status(&r->reply, "OK");
    request_done(r);
}

/* The daemon writes the file with its own rights, which is why this takes the right to administer. */
void command_backup(struct request *r)
{
    char *path;

    if (r->argv[1].len == 0 || ((const char *)r->argv[1].data)[0] != '/' || memchr(r->argv[1].data, '\0', r->argv[1].len) != NULL) {
        request_error(r, ERR_BADARG, "BACKUP takes an absolute path, as the daemon sees it");
        return;
    }
    path = bytes_dup(r->argv[1]);
    if (path == NULL) {
        request_error(r, ERR_NOMEM, "no memory for a backup");
        return;
    }
    r->store = (struct store_request){ .kind = STORE_BACKUP, .path = path };
    submit(r, backup_done);
}
