/* BLAME and GETAT: the past of a key, a file, a timer. */
#include "graftd/command.h"
#include "graftd/history.h"
#include "lib/resp.h"
#include "txn/timer_image.h"

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

    resp_add_map(&r->reply, HISTORY_ROW_FIELDS + 4, r->proto);
    history_add_row(r, row);
    history_add_id(r, "undoes", row->undoes);
    history_add_id(r, "undone_by", row->undone_by);
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

    if (s->why.err == OK && r->client != NULL && history_goes_on(r, blame_done))
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
    uint64_t count = HISTORY_COUNT, before = 0;
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
                                       .count_max = (size_t)(count > HISTORY_PAGE_MAX ? HISTORY_PAGE_MAX : count) };
    history_look(r, blame_done);
}

/* ---- GETAT ---- */

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
    history_look(r, getat_done);
}
