/* TXN LIST: the transactions that run, and those of the past, newest first. */
#include "graftd/call.h"
#include "graftd/command.h"
#include "graftd/history.h"
#include "graftd/session.h"
#include "lib/resp.h"

#include <stdlib.h>
#include <string.h>

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
static size_t tell_running(struct core *core, struct request *r, const struct store_filter *f)
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
            resp_add_map(&r->reply, HISTORY_ROW_FIELDS, r->proto);
            history_add_running(r, &view);
        }
    }
    return count;
}

/* What runs comes first, newest first as the rest; a page of the past (BEFORE) is past alone. */
static void list_done(struct store_request *s)
{
    struct request *r = s->owner;
    size_t running;

    if (s->why.err == OK && r->client != NULL && history_goes_on(r, list_done))
        return;
    running = r->number != 0 ? 0 : tell_running(r->core, NULL, &s->filter);
    if (s->why.err == OK) {
        resp_add_array(&r->reply, running + s->row_count);
        if (running > 0)
            tell_running(r->core, r, &s->filter);
        for (size_t i = 0; i < s->row_count; i++) {
            resp_add_map(&r->reply, HISTORY_ROW_FIELDS, r->proto);
            history_add_row(r, &s->rows[i]);
        }
    }
    filter_fini(&s->filter);
    if (history_failed(r))
        return;
    store_request_fini(s);
    request_done(r);
}

static bool text_word(struct bytes word, const char **text)
{
    if (*text != NULL || word.len == 0 || word.len >= HISTORY_NAME_MAX || memchr(word.data, '\0', word.len) != NULL)
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
        return iso_time_read(value, &f->since_us);
    if (arg_is(name, "UNTIL"))
        return iso_time_read(value, &f->until_us);
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

void history_list(struct request *r)
{
    struct store_request *s = &r->store;
    uint64_t count = HISTORY_COUNT;
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
    s->count_max = (size_t)(count > HISTORY_PAGE_MAX ? HISTORY_PAGE_MAX : count);
    r->number = (int64_t)s->txn;
    history_look(r, list_done);
}
