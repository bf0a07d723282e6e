/*
 * EVENTS READ and TOPICS: reading what was told, and waiting for it.
 *
 *     (listen) → ask the store → answer, if there are some or nobody waits → (news) → ask again …
 */
#include "graftd/command.h"
#include "graftd/event.h"
#include "graftd/history.h"
#include "graftd/session.h"
#include "graftd/subscribe.h"
#include "lib/resp.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    COUNT_DEFAULT = 100,
    BLOCK_MS_MAX = 3600 * 1000,
    TOPIC_SHOWN = 64,
};

/* READ with BLOCK: what waits. */
struct event_wait {
    struct request *r;
    struct event_listener listener;
    struct port_timer *timer;
    bool asking; /* the store has the request */
    bool news;   /* came while it was asking */
    bool over;   /* the time is: the next answer is the last */
};

static void wait_end(struct request *r)
{
    struct event_wait *w = r->event_wait;

    if (w == NULL)
        return;
    r->event_wait = NULL;
    event_ignore(r->core->events, &w->listener);
    r->core->port->ops->timer_free(&w->timer);
    free(w);
}

static enum err add_event(struct request *r, const struct store_event *e)
{
    enum err err = resp_add_array(&r->reply, 4);

    if (err == OK)
        err = resp_add_i64(&r->reply, (int64_t)e->id);
    if (err == OK)
        err = resp_add_bulk(&r->reply, e->data);
    if (err == OK)
        err = resp_add_i64(&r->reply, (int64_t)e->txn);
    return err == OK ? resp_add_i64(&r->reply, e->at_us) : err;
}

static void answer(struct request *r)
{
    const struct store_request *s = &r->store;
    enum err err = resp_add_array(&r->reply, s->event_count);

    for (size_t i = 0; i < s->event_count && err == OK; i++)
        err = add_event(r, &s->events[i]);
    store_request_fini(&r->store);
    wait_end(r);
    if (err == OK)
        request_done(r);
    else
        request_error(r, err, "there is no memory for so many events; ask for fewer with COUNT");
}

/* What lies between the reader's place and the oldest event is gone: it must know. */
static bool refuse_gap(struct request *r)
{
    const struct store_topic *t = r->store.topics;
    char shown[TOPIC_SHOWN];
    uint64_t forgotten = r->store.topic_count > 0 ? t->forgotten : 0, first = forgotten > 0 ? t->first : 0;

    if (r->store.after == 0 || r->store.after >= forgotten)
        return false;
    store_request_fini(&r->store);
    wait_end(r);
    request_error(r, ERR_LIMIT,
                  "events of \"%s\" up to %" PRIu64
                  " are no longer kept (events keep, in the policy); AFTER 0 reads on "
                  "from the oldest that is. forgotten=%" PRIu64 " first=%" PRIu64,
                  bytes_show(r->store.key, shown, sizeof shown), forgotten, forgotten, first);
    return true;
}

/* What came while it waited is read by the policy that is in force now. */
static bool refuse_changed(struct request *r)
{
    struct event_wait *w = r->event_wait;

    if (w == NULL || r->store.event_count == 0 ||
        policy_caller_may(r->core->policy, request_principal(r), RIGHT_EVENT_READ, r->store.key, &(struct place){ 0 }))
        return false;
    store_request_fini(&r->store);
    wait_end(r);
    command_may(r, RIGHT_EVENT_READ, r->argv[2]);
    return true;
}

static void ask(struct request *r);

static void asked(struct store_request *s)
{
    struct request *r = s->owner;
    struct event_wait *w = r->event_wait;

    if (s->why.err != OK || r->client == NULL) {
        wait_end(r);
        history_failed(r);
        return;
    }
    if (refuse_gap(r) || refuse_changed(r))
        return;
    if (w == NULL || s->event_count > 0 || w->over || r->core->draining) {
        answer(r);
        return;
    }
    w->asking = false;
    store_request_fini(s);
    if (w->news)
        ask(r);
}

static void ask(struct request *r)
{
    struct event_wait *w = r->event_wait;

    if (w != NULL) {
        w->asking = true;
        w->news = false;
    }
    r->store = (struct store_request){
        .kind = STORE_EVENTS, .key = r->store.key, .after = r->store.after, .count_max = r->store.count_max
    };
    history_ask(r, asked);
}

static void wait_news(void *owner)
{
    struct event_wait *w = owner;

    w->news = true;
    if (!w->asking)
        ask(w->r);
}

static void wait_over(void *owner)
{
    struct event_wait *w = owner;

    w->over = true;
    if (!w->asking)
        answer(w->r);
}

static void wait_lost(struct request *r)
{
    if (r->event_wait == NULL || r->event_wait->asking)
        return; /* the answer finds the client gone */
    wait_end(r);
    request_error(r, ERR_LOST, "its client hung up");
}

static enum err wait_begin(struct request *r, uint64_t ms)
{
    struct port *port = r->core->port;
    struct event_wait *w = calloc(1, sizeof *w);

    if (w == NULL)
        return ERR_NOMEM;
    *w = (struct event_wait){ .r = r, .listener = { .news = wait_news, .owner = w } };
    r->event_wait = w;
    r->cancel = wait_lost;
    w->timer = port->ops->timer_new(port, wait_over, w);
    if (w->timer == NULL || event_listen(r->core->events, r->store.key, &w->listener) != OK) {
        wait_end(r);
        return ERR_NOMEM;
    }
    port->ops->timer_start(w->timer, ms);
    return OK;
}

/* READ topic AFTER id [COUNT n] [BLOCK ms] */
static bool read_words(struct request *r, uint64_t *block_ms)
{
    uint64_t *number = NULL, count = COUNT_DEFAULT;

    if (!arg_is(r->argv[3], "AFTER") || !bytes_to_u64(r->argv[4], &r->store.after) || r->store.after > INT64_MAX)
        return false;
    for (size_t i = 5; i < r->argc; i += 2) {
        number = arg_is(r->argv[i], "COUNT") ? &count : arg_is(r->argv[i], "BLOCK") ? block_ms : NULL;
        if (number == NULL || i + 1 == r->argc || !bytes_to_u64(r->argv[i + 1], number) || *number == 0)
            return false;
    }
    r->store.count_max = count > HISTORY_PAGE_MAX ? HISTORY_PAGE_MAX : (size_t)count;
    *block_ms = *block_ms > BLOCK_MS_MAX ? BLOCK_MS_MAX : *block_ms;
    return true;
}

static void events_read(struct request *r)
{
    uint64_t block_ms = 0;
    char shown[TOPIC_SHOWN];

    if (r->argc < 5 || !read_words(r, &block_ms)) {
        command_usage(r);
        return;
    }
    if (!event_topic_valid(r->argv[2])) {
        request_error(r, ERR_BADARG, "\"%s\" is no topic: it has 1 to %d letters, digits and . _ - : /",
                      bytes_show(r->argv[2], shown, sizeof shown), TXN_TOPIC_MAX);
        return;
    }
    if (!command_may(r, RIGHT_EVENT_READ, r->argv[2]))
        return;
    if (block_ms > 0 && client_session(r->client) != NULL) {
        request_error(r, ERR_BADARG,
                      "BLOCK would keep the connection's transaction waiting; read without it, or COMMIT "
                      "first");
        return;
    }
    r->store.key = r->argv[2];
    if (block_ms > 0 && wait_begin(r, block_ms) != OK) {
        request_error(r, ERR_NOMEM, "no memory to wait for events");
        return;
    }
    ask(r);
    if (block_ms == 0)
        request_decided(r);
}

/* ---- TOPICS ---- */

static void topics_asked(struct store_request *s)
{
    struct request *r = s->owner;
    enum err err;

    if (history_failed(r))
        return;
    err = resp_add_array(&r->reply, s->topic_count);
    for (size_t i = 0; i < s->topic_count && err == OK; i++) {
        const struct store_topic *t = &s->topics[i];
        err = resp_add_map(&r->reply, 5, r->proto);
        if (err == OK)
            err = resp_add_bulk_str(&r->reply, "topic");
        if (err == OK)
            err = resp_add_bulk(&r->reply, t->name);
        if (err == OK) {
            history_add_number(r, "events", t->count);
            history_add_number(r, "first", t->first);
            history_add_number(r, "last", t->last);
            history_add_number(r, "forgotten", t->forgotten);
        }
    }
    store_request_fini(s);
    if (err == OK)
        request_done(r);
    else
        request_error(r, err, "there is no memory for so many topics; ask for fewer with COUNT");
}

static void events_topics(struct request *r)
{
    r->store = (struct store_request){ .kind = STORE_TOPICS };
    if (!history_page(r)) {
        command_usage(r);
        return;
    }
    if (!command_may(r, RIGHT_INFO, bytes_of(NULL, 0)))
        return;
    history_look(r, topics_asked);
}

void command_events(struct request *r)
{
    if (arg_is(r->argv[1], "READ"))
        events_read(r);
    else if (arg_is(r->argv[1], "TOPICS"))
        events_topics(r);
    else
        command_usage(r);
}
