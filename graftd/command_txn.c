/* TXN, BLAME, GETAT and BACKUP: what runs, what was, and how to end, take back or keep it. */
#include "graftd/audit.h"
#include "graftd/call.h"
#include "graftd/command.h"
#include "graftd/history.h"
#include "graftd/session.h"
#include "lib/resp.h"
#include "txn/timer_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LIST_COUNT_DEFAULT = 20, LIST_COUNT_MAX = 1000, ROW_FIELDS = 9, NAME_MAX_BYTES = 160, TIME_TEXT_MAX = 40 };

struct row {
    uint64_t id, effects;
    const char *outcome, *graft, *function, *version, *error;
    uint32_t uid;
    int64_t begun_us;
    double ms;
};

static const char *full_name(const char *graft, const char *function, char out[NAME_MAX_BYTES])
{
    snprintf(out, NAME_MAX_BYTES, "%s%s%s", graft != NULL ? graft : "", graft != NULL ? "." : "",
             function != NULL ? function : "");
    return out;
}

/* ROW_FIELDS pairs. */
static void add_row(struct request *r, const struct row *row)
{
    char time[32], name[NAME_MAX_BYTES];

    history_add_number(r, "id", row->id);
    history_add_text(r, "outcome", row->outcome);
    history_add_text(r, "function", full_name(row->graft, row->function, name));
    history_add_text(r, "version", row->version);
    history_add_number(r, "uid", row->uid);
    history_add_text(r, "begun", iso_time(row->begun_us, time));
    resp_add_bulk_str(&r->reply, "ms");
    resp_add_double(&r->reply, row->ms, r->proto);
    history_add_number(r, "effects", row->effects);
    history_add_text(r, "error", row->error);
}

static void add_stored(struct request *r, const struct store_row *s)
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

static void submit(struct request *r, void (*done)(struct store_request *))
{
    history_ask(r, done);
    request_decided(r);
}

/* ---- LIST ---- */

static void filter_fini(struct store_filter *f)
{
    free((void *)(uintptr_t)f->graft);
    free((void *)(uintptr_t)f->function);
    free((void *)(uintptr_t)f->outcome);
    f->graft = f->function = f->outcome = NULL;
}

static bool same(const char *a, const char *b) { return a != NULL && strcmp(a, b) == 0; }

/* What runs has no outcome yet; its state stands for one. Which keys it will have changed is not known. */
static bool matches(const struct store_filter *f, const struct call_view *v)
{
    return !f->has_key && (f->graft == NULL || same(v->graft, f->graft)) &&
           (f->function == NULL || same(v->function, f->function)) &&
           (f->outcome == NULL || same(v->state, f->outcome)) && (!f->has_uid || v->uid == f->uid) &&
           (f->since_us == 0 || v->begun_us >= f->since_us) && (f->until_us == 0 || v->begun_us < f->until_us);
}

/* Writes what runs, newest first, or with r NULL only counts it. */
static size_t tell_running(struct core *core, struct request *r, const struct store_filter *f, int64_t now_us)
{
    struct list *const lists[] = { &core->calls, &core->sessions };
    struct call_view view;
    size_t count = 0;

    for (size_t i = 0; i < 2; i++) {
        for (struct list *node = lists[i]->prev; node != lists[i]; node = node->prev) {
            if (i == 0)
                call_view(call_of(node), &view);
            else
                session_view(session_of(node), &view);
            if (!matches(f, &view))
                continue;
            count++;
            if (r == NULL)
                continue;
            resp_add_map(&r->reply, ROW_FIELDS, r->proto);
            add_running(r, &view, now_us);
        }
    }
    return count;
}

/* A page may be empty and have more behind it: what was asked for goes on there. */
static bool page_goes_on(struct request *r, void (*done)(struct store_request *))
{
    struct store_request *s = &r->store;
    uint64_t next = s->next;

    if (s->row_count > 0 || !s->more)
        return false;
    store_request_fini(s);
    s->txn = next;
    history_ask(r, done);
    return true;
}

/* What runs comes first, newest first as the rest; a page of the past (BEFORE) is past alone. */
static void list_done(struct store_request *s)
{
    struct request *r = s->owner;
    int64_t now = port_wall_us(r->core->port);
    size_t running;

    if (s->why.err == OK && r->client != NULL && page_goes_on(r, list_done))
        return;
    running = r->number != 0 ? 0 : tell_running(r->core, NULL, &s->filter, now);
    if (s->why.err == OK) {
        resp_add_array(&r->reply, running + s->row_count);
        if (running > 0)
            tell_running(r->core, r, &s->filter, now);
        for (size_t i = 0; i < s->row_count; i++) {
            resp_add_map(&r->reply, ROW_FIELDS, r->proto);
            add_stored(r, &s->rows[i]);
        }
    }
    filter_fini(&s->filter);
    if (history_failed(r))
        return;
    store_request_fini(s);
    request_done(r);
}

/* Seconds since 1970, or 2026-11-23T10:00:00.5Z, whose end may be missing from the T on or anywhere behind it. */
static bool time_word(struct bytes word, int64_t *us)
{
    static const char *const forms[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d" };
    char text[TIME_TEXT_MAX];
    const char *end = NULL;
    struct tm tm;
    uint64_t seconds;
    int64_t unit = 100000;

    if (word.len == 0 || word.len >= sizeof text || memchr(word.data, '\0', word.len) != NULL)
        return false;
    if (bytes_to_u64(word, &seconds)) {
        *us = (int64_t)(seconds % (INT64_MAX / 1000000)) * 1000000;
        return seconds < INT64_MAX / 1000000;
    }
    memcpy(text, word.data, word.len);
    text[word.len] = '\0';
    for (size_t i = 0; i < 3 && end == NULL; i++) {
        tm = (struct tm){ .tm_mday = 1 };
        end = strptime(text, forms[i], &tm);
        if (end != NULL && i > 0 && *end != '\0' && *end != 'Z')
            end = NULL;
    }
    if (end == NULL)
        return false;
    *us = (int64_t)timegm(&tm) * 1000000;
    for (end += *end == '.'; *end >= '0' && *end <= '9' && unit > 0; end++, unit /= 10)
        *us += (*end - '0') * unit;
    end += *end == 'Z';
    return *end == '\0' && *us > 0;
}

static bool text_word(struct bytes word, const char **text)
{
    if (*text != NULL || word.len == 0 || word.len >= NAME_MAX_BYTES || memchr(word.data, '\0', word.len) != NULL)
        return false;
    *text = bytes_dup(word);
    return *text != NULL;
}

static bool filter_word(struct store_request *s, struct bytes name, struct bytes value, uint64_t *count)
{
    struct store_filter *f = &s->filter;
    uint64_t n;

    if (arg_is(name, "COUNT"))
        return bytes_to_u64(value, count) && *count > 0;
    if (arg_is(name, "BEFORE"))
        return bytes_to_u64(value, &s->txn) && s->txn <= INT64_MAX;
    if (arg_is(name, "GRAFT"))
        return text_word(value, &f->graft);
    if (arg_is(name, "FUNCTION"))
        return text_word(value, &f->function);
    if (arg_is(name, "OUTCOME"))
        return text_word(value, &f->outcome);
    if (arg_is(name, "SINCE"))
        return time_word(value, &f->since_us);
    if (arg_is(name, "UNTIL"))
        return time_word(value, &f->until_us);
    if (arg_is(name, "UID") && bytes_to_u64(value, &n) && n <= UINT32_MAX) {
        f->has_uid = true;
        f->uid = (uint32_t)n;
        return true;
    }
    if (!arg_is(name, "KEY") || value.len == 0)
        return false;
    f->has_key = true;
    f->key = value;
    return true;
}

static void txn_cmd_list(struct request *r)
{
    struct store_request *s = &r->store;
    uint64_t count = LIST_COUNT_DEFAULT;
    bool good = r->argc % 2 == 0;

    if (!command_may(r, RIGHT_INFO, bytes_of(NULL, 0)))
        return;
    *s = (struct store_request){ .kind = STORE_LIST };
    for (size_t i = 2; i < r->argc && good; i += 2)
        good = filter_word(s, r->argv[i], r->argv[i + 1], &count);
    if (!good) {
        filter_fini(&s->filter);
        command_usage(r);
        return;
    }
    s->count_max = (size_t)(count > LIST_COUNT_MAX ? LIST_COUNT_MAX : count);
    r->number = (int64_t)s->txn;
    submit(r, list_done);
}

/* ---- SHOW ---- */

static void add_optional_id(struct request *r, const char *name, uint64_t id)
{
    if (id != 0)
        history_add_number(r, name, id);
    else
        history_add_text(r, name, NULL);
}

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
    char time[32], name[NAME_MAX_BYTES];

    resp_add_bulk_str(&r->reply, "nested");
    resp_add_array(&r->reply, s->nested_count);
    for (size_t i = 0; i < s->nested_count; i++) {
        const struct store_nested *n = &s->nested[i];
        resp_add_map(&r->reply, 10, r->proto);
        history_add_number(r, "depth", depth_of(s, i));
        history_add_text(r, "function", full_name(n->graft, n->function, name));
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
    add_optional_id(r, "undoes", row->undoes);
    add_optional_id(r, "undone_by", row->undone_by);
}

enum { PAST_FIELDS = 7 };

static void show_stored(struct request *r, const struct store_request *s)
{
    enum err err;

    resp_add_map(&r->reply, ROW_FIELDS + PAST_FIELDS + 2, r->proto);
    add_stored(r, &s->rows[0]);
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
    resp_add_map(&r->reply, ROW_FIELDS + 2, r->proto);
    add_running(r, view, port_wall_us(r->core->port));
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
    submit(r, show_done);
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
    submit(r, status_done);
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

void command_txn(struct request *r)
{
    static const struct {
        const char *word;
        void (*run)(struct request *);
    } words[] = { { "LIST", txn_cmd_list }, { "SHOW", txn_cmd_show }, { "STATUS", txn_cmd_status },
                  { "KILL", txn_cmd_kill }, { "UNDO", history_undo }, { "REDO", history_redo } };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (arg_is(r->argv[1], words[i].word)) {
            words[i].run(r);
            return;
        }
    }
    command_usage(r);
}

/* ---- the past of a key, a file, a timer ---- */

static bool key_argument(struct request *r)
{
    const struct policy_limits *limits = policy_limits(r->core->policy);

    if (r->argv[1].len > 0 && r->argv[1].len <= limits->key_max)
        return command_may(r, RIGHT_KV_READ, r->argv[1]);
    request_error(r, ERR_BADARG, "a key is 1 to %llu bytes, and this one %zu", (unsigned long long)limits->key_max,
                  r->argv[1].len);
    return false;
}

/* What is asked about, and whether it may be. Of files and timers no more is told than TXN SHOW does. */
static bool blame_may(struct request *r, char resource)
{
    size_t max = resource == RESOURCE_FILE ? FILE_PATH_MAX : TIMER_ID_MAX;
    struct bytes name = r->argv[1];

    if (!command_may(r, RIGHT_INFO, bytes_of(NULL, 0)))
        return false;
    if (resource == RESOURCE_KV)
        return key_argument(r);
    if (name.len > 0 && name.len <= max)
        return true;
    request_error(r, ERR_BADARG, "%s is 1 to %zu bytes, and this one %zu",
                  resource == RESOURCE_FILE ? "a path" : "a timer's id", max, name.len);
    return false;
}

static enum err add_owner(struct request *r, const struct store_row *row, const struct store_effect *e)
{
    enum err err;

    resp_add_map(&r->reply, ROW_FIELDS + 4, r->proto);
    add_stored(r, row);
    add_optional_id(r, "undoes", row->undoes);
    add_optional_id(r, "undone_by", row->undone_by);
    resp_add_bulk_str(&r->reply, "before");
    err = history_add_image(r, r->store.resource, &e->before);
    if (err == OK)
        err = resp_add_bulk_str(&r->reply, "after");
    return err == OK ? history_add_image(r, r->store.resource, &e->after) : err;
}

static void blame_done(struct store_request *s)
{
    struct request *r = s->owner;
    enum err err;

    if (s->why.err == OK && r->client != NULL && page_goes_on(r, blame_done))
        return;
    if (history_failed(r))
        return;
    err = resp_add_array(&r->reply, s->row_count);
    for (size_t i = 0; i < s->row_count && err == OK; i++)
        err = add_owner(r, &s->rows[i], &s->effects[i]);
    store_request_fini(s);
    if (err == OK)
        request_done(r);
    else
        request_error(r, err, "that is more than one reply can hold; ask for fewer with COUNT");
}

/* [FILE | TIMER] [COUNT n] [BEFORE id], from the second word on. */
static bool blame_words(struct request *r, char *resource, uint64_t *count, uint64_t *before)
{
    size_t i = 2;

    if (i < r->argc && (arg_is(r->argv[i], "FILE") || arg_is(r->argv[i], "TIMER")))
        *resource = arg_is(r->argv[i++], "FILE") ? RESOURCE_FILE : RESOURCE_TIMER;
    for (; i < r->argc; i += 2) {
        bool good =
            i + 1 < r->argc && ((arg_is(r->argv[i], "COUNT") && bytes_to_u64(r->argv[i + 1], count) && *count > 0) ||
                                (arg_is(r->argv[i], "BEFORE") && history_id(r->argv[i + 1], before)));
        if (!good)
            return false;
    }
    return true;
}

void command_blame(struct request *r)
{
    uint64_t count = LIST_COUNT_DEFAULT, before = 0;
    char resource = RESOURCE_KV;

    if (!blame_words(r, &resource, &count, &before)) {
        command_usage(r);
        return;
    }
    if (!blame_may(r, resource))
        return;
    r->store = (struct store_request){ .kind = STORE_BLAME,
                                       .resource = resource,
                                       .key = r->argv[1],
                                       .txn = before,
                                       .count_max = (size_t)(count > LIST_COUNT_MAX ? LIST_COUNT_MAX : count) };
    submit(r, blame_done);
}

static void getat_done(struct store_request *s)
{
    struct request *r = s->owner;
    enum err err;

    if (history_failed(r))
        return;
    err = history_add_image(r, RESOURCE_KV, &s->pairs[0].value);
    store_request_fini(s);
    if (err == OK)
        request_done(r);
    else
        request_error(r, err, "no memory for the value");
}

void command_getat(struct request *r)
{
    uint64_t id;

    if (!history_id(r->argv[2], &id)) {
        command_usage(r);
        return;
    }
    if (!key_argument(r))
        return;
    r->store = (struct store_request){ .kind = STORE_AT, .key = r->argv[1], .txn = id };
    submit(r, getat_done);
}

/* ---- BACKUP ---- */

static void backup_done(struct store_request *s)
{
    struct request *r = s->owner;

    free((void *)(uintptr_t)s->path);
    s->path = NULL;
    if (history_failed(r))
        return;
    store_request_fini(s);
    resp_add_status(&r->reply, "OK");
    request_done(r);
}

/* With `backup "/dir"` in the policy: below it, and no way back up. */
static bool backup_may_go(const char *dir, const char *path)
{
    size_t n = strlen(dir);

    while (n > 0 && dir[n - 1] == '/')
        n--;
    return strncmp(path, dir, n) == 0 && path[n] == '/' && strstr(path + n, "/../") == NULL;
}

/* The daemon writes the file with its own rights, which is why this takes the right to administer. */
void command_backup(struct request *r)
{
    const char *dir = policy_backup(r->core->policy);
    char *path;

    if (r->argv[1].len == 0 || ((const char *)r->argv[1].data)[0] != '/' ||
        memchr(r->argv[1].data, '\0', r->argv[1].len) != NULL) {
        request_error(r, ERR_BADARG, "BACKUP takes an absolute path, as the daemon sees it");
        return;
    }
    path = bytes_dup(r->argv[1]);
    if (path == NULL) {
        request_error(r, ERR_NOMEM, "no memory for a backup");
        return;
    }
    if (dir != NULL && !backup_may_go(dir, path)) {
        request_error(r, ERR_DENIED, "backups are written below %s alone (`backup` in the policy), and %s is not there", dir, path);
        free(path);
        return;
    }
    r->store = (struct store_request){ .kind = STORE_BACKUP, .path = path };
    submit(r, backup_done);
}
