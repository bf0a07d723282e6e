#include "graftd/subscribe.h"

#include "graftd/audit.h"
#include "graftd/command.h"
#include "graftd/event.h"
#include "graftd/history.h"
#include "lib/resp.h"

#include <stdlib.h>
#include <string.h>

enum { TOPIC_SHOWN = 64 };

struct subscription {
    struct list link;      /* the client's; on none when it has ended and the store is still asked */
    struct client *client; /* NULL: it has ended */
    struct core *core;
    struct event_listener listener;
    struct store_request store;
    uint64_t seen; /* id of the last event that was sent */
    bool asking;   /* the store has the request */
    bool sending;  /* a page is on its way to the peer */
    bool news;     /* came meanwhile */
    size_t topic_len;
    char topic[];
};

static struct bytes topic_of(const struct subscription *s) { return bytes_of(s->topic, s->topic_len); }

static struct subscription *subscription_find(struct client *c, struct bytes topic)
{
    list_each (node, client_subscriptions(c)) {
        struct subscription *s = list_entry(node, struct subscription, link);
        if (bytes_equal(topic_of(s), topic))
            return s;
    }
    return NULL;
}

static size_t subscription_count(struct client *c)
{
    size_t n = 0;

    list_each (node, client_subscriptions(c))
        n++;
    return n;
}

/* It has ended and nobody is at work with it. */
static void subscription_release(struct subscription *s)
{
    if (s->client == NULL && !s->asking && !s->sending)
        free(s);
}

static void subscription_end(struct subscription *s)
{
    list_remove(&s->link);
    event_ignore(s->core->events, &s->listener);
    s->client = NULL;
    subscription_release(s);
}

void subscribe_end_all(struct client *c)
{
    struct list *node;

    while ((node = list_first(client_subscriptions(c))) != NULL)
        subscription_end(list_entry(node, struct subscription, link));
}

/* ---- messages ---- */

static void ask(struct subscription *s);

/* One page of one subscription at a time, each in its turn: a peer that does not read has no more of our memory. */
static void ask_next(struct client *c)
{
    struct list *subscriptions = client_subscriptions(c);

    list_each (node, subscriptions) {
        struct subscription *s = list_entry(node, struct subscription, link);
        if (s->asking || s->sending)
            return;
    }
    list_each (node, subscriptions) {
        struct subscription *s = list_entry(node, struct subscription, link);
        if (!s->news)
            continue;
        list_remove(&s->link);
        list_push(subscriptions, &s->link);
        ask(s);
        return;
    }
}

static void page_sent(void *owner)
{
    struct subscription *s = owner;

    s->sending = false;
    if (s->client != NULL)
        ask_next(s->client);
    subscription_release(s);
}

static enum err add_message(struct buf *b, const struct subscription *s, const struct store_event *e, int proto)
{
    enum err err = resp_add_push(b, 4, proto);

    if (err == OK)
        err = resp_add_bulk_str(b, "message");
    if (err == OK)
        err = resp_add_bulk(b, topic_of(s));
    if (err == OK)
        err = resp_add_bulk(b, e->data);
    return err == OK ? resp_add_i64(b, (int64_t)e->id) : err;
}

/* What does not fit now is read again when this is sent. */
static void send_page(struct subscription *s)
{
    const struct store_request *r = &s->store;
    struct buf page;
    enum err err = OK;

    buf_init(&page, CLIENT_OUT_MAX);
    s->news = r->more || s->news;
    for (size_t i = 0; i < r->event_count && err == OK; i++) {
        if (buf_len(&page) >= SUBSCRIPTION_PAGE_BYTES) {
            s->news = true;
            break;
        }
        size_t before = buf_len(&page);
        err = add_message(&page, s, &r->events[i], client_proto(s->client));
        if (err == OK)
            s->seen = r->events[i].id;
        else
            page.len = page.off + before;
    }
    s->news = s->news || err != OK;
    s->sending = true; /* first: it may be sent at once, and the client may go */
    if (buf_len(&page) == 0 || client_push(s->client, &page, page_sent, s) != OK) {
        s->sending = false;
        client_quit(s->client); /* no memory to tell it: it will read on from where it was */
    }
    buf_fini(&page);
}

static void add_confirmation(struct buf *b, const char *what, struct bytes topic, size_t count, int proto)
{
    resp_add_push(b, 3, proto);
    resp_add_bulk_str(b, what);
    resp_add_bulk(b, topic);
    resp_add_i64(b, (int64_t)count);
}

static bool may_still(const struct subscription *s)
{
    const struct principal *who = client_principal(s->client);
    struct place place;

    if (policy_caller_may(s->core->policy, who, RIGHT_EVENT_READ, topic_of(s), &place))
        return true;
    audit_denied(s->core->audit, who, right_name(RIGHT_EVENT_READ), topic_of(s), place);
    return false;
}

/* The policy has changed. The client may be gone when this returns; s is held by its asking. */
static void expel(struct subscription *s)
{
    struct client *c = s->client;
    struct buf b;

    buf_init(&b, CLIENT_OUT_MAX);
    subscription_end(s);
    add_confirmation(&b, "unsubscribe", topic_of(s), subscription_count(c), client_proto(c));
    ask_next(c);
    if (b.failed != OK || client_push(c, &b, NULL, NULL) != OK)
        client_quit(c);
    buf_fini(&b);
}

/* asking holds it to the end of this: whatever is sent may end its client. */
static void asked(struct store_request *r)
{
    struct subscription *s = r->owner;

    if (s->client != NULL && r->why.err != OK)
        client_quit(s->client);
    else if (s->client != NULL && r->event_count > 0 && !may_still(s))
        expel(s);
    else if (s->client != NULL && r->event_count > 0)
        send_page(s);
    store_request_fini(r);
    s->asking = false;
    if (s->client != NULL)
        ask_next(s->client);
    subscription_release(s);
}

static void ask(struct subscription *s)
{
    s->asking = true;
    s->news = false;
    s->store = (struct store_request){ .kind = STORE_EVENTS,
                                       .key = topic_of(s),
                                       .after = s->seen,
                                       .count_max = SUBSCRIPTION_PAGE,
                                       .done = asked,
                                       .owner = s };
    s->core->store->ops->submit(s->core->store, &s->store);
}

static void news(void *owner)
{
    struct subscription *s = owner;

    s->news = true;
    ask_next(s->client);
}

/* ---- SUBSCRIBE topic [topic …] [AFTER id] ---- */

static enum err subscription_new(struct request *r, struct bytes topic, uint64_t seen)
{
    struct subscription *s = calloc(1, sizeof *s + topic.len);

    if (s == NULL)
        return ERR_NOMEM;
    s->core = r->core;
    s->client = r->client;
    s->seen = seen;
    s->news = true;
    s->listener = (struct event_listener){ .news = news, .owner = s };
    s->topic_len = topic.len;
    memcpy(s->topic, topic.data, topic.len);
    if (event_listen(r->core->events, topic, &s->listener) != OK) {
        free(s);
        return ERR_NOMEM;
    }
    list_push(client_subscriptions(r->client), &s->link);
    return OK;
}

static size_t topic_end(const struct request *r)
{
    return r->argc > 3 && arg_is(r->argv[r->argc - 2], "AFTER") ? r->argc - 2 : r->argc;
}

static bool has_after(const struct request *r) { return topic_end(r) < r->argc; }

/* Where the new ones begin. Without AFTER at the newest event of which r has heard (ids rise over all topics). */
static uint64_t begin_of(const struct request *r)
{
    uint64_t after = (uint64_t)r->number;

    if (has_after(r))
        bytes_to_u64(r->argv[r->argc - 1], &after);
    return after;
}

/* Events that it asks for by AFTER are gone: it must know. */
static bool refuse_gap(struct request *r)
{
    uint64_t forgotten = r->store.topic_count > 0 ? r->store.topics[0].forgotten : 0, after = begin_of(r);
    char shown[TOPIC_SHOWN];

    if (!has_after(r) || after == 0 || after >= forgotten || subscription_find(r->client, r->argv[r->at]) != NULL)
        return false;
    store_request_fini(&r->store);
    request_error(r, ERR_LIMIT,
                  "events of the topic %s up to %llu are no longer kept (events keep, in the policy), and nothing was "
                  "subscribed; AFTER 0 reads on from the oldest that is. forgotten=%llu",
                  bytes_show(r->argv[r->at], shown, sizeof shown), (unsigned long long)forgotten,
                  (unsigned long long)forgotten);
    return true;
}

/* The new ones stand at the end of the list. */
static void take_back(struct client *c, size_t count)
{
    while (count-- > 0)
        subscription_end(list_entry(client_subscriptions(c)->prev, struct subscription, link));
}

/* All of them or none. */
static void subscribe_all(struct request *r)
{
    struct client *c = r->client;
    size_t added = 0;

    for (size_t i = 1; i < topic_end(r); i++) {
        if (subscription_find(c, r->argv[i]) == NULL) {
            if (subscription_new(r, r->argv[i], begin_of(r)) != OK) {
                take_back(c, added);
                request_error(r, ERR_NOMEM, "no memory for a subscription");
                return;
            }
            added++;
        }
        add_confirmation(&r->reply, "subscribe", r->argv[i], subscription_count(c), r->proto);
    }
    ask_next(c); /* their first answers come after this one's reply took its place */
    request_done(r);
}

static void subscribe_next(struct request *r);

static void place_known(struct store_request *q)
{
    struct request *r = q->owner;
    uint64_t last = q->topic_count > 0 ? q->topics[0].last : 0;

    if (history_failed(r) || refuse_gap(r))
        return;
    store_request_fini(q);
    if (last > (uint64_t)r->number)
        r->number = (int64_t)last;
    r->at++;
    subscribe_next(r);
}

/* One topic after the other: where it stands now, and whether what is behind AFTER is there. */
static void subscribe_next(struct request *r)
{
    if (r->at == topic_end(r)) {
        subscribe_all(r);
        return;
    }
    r->store =
        (struct store_request){ .kind = STORE_EVENTS, .key = r->argv[r->at], .after = INT64_MAX, .count_max = 1 };
    history_ask(r, place_known);
}

static bool topics_allowed(struct request *r)
{
    char shown[TOPIC_SHOWN];

    for (size_t i = 1; i < topic_end(r); i++) {
        if (!event_topic_valid(r->argv[i])) {
            request_error(r, ERR_BADARG, "\"%s\" is no topic: it has 1 to %d letters, digits and . _ - : /",
                          bytes_show(r->argv[i], shown, sizeof shown), TXN_TOPIC_MAX);
            return false;
        }
        if (!command_may(r, RIGHT_EVENT_READ, r->argv[i]))
            return false;
    }
    return true;
}

void command_subscribe(struct request *r)
{
    uint64_t after;

    if (topic_end(r) < r->argc && (!bytes_to_u64(r->argv[r->argc - 1], &after) || after > INT64_MAX)) {
        command_usage(r);
        return;
    }
    if (!topics_allowed(r))
        return;
    if (client_session(r->client) != NULL || r->part_done != NULL) {
        request_error(r, ERR_BADARG, "a connection cannot subscribe while it holds a transaction; COMMIT first");
        return;
    }
    if (subscription_count(r->client) + topic_end(r) - 1 > SUBSCRIPTION_MAX) {
        request_error(r, ERR_LIMIT, "a connection has at most %d subscriptions. limit=%d", SUBSCRIPTION_MAX,
                      SUBSCRIPTION_MAX);
        return;
    }
    r->at = 1;
    subscribe_next(r);
}

void command_unsubscribe(struct request *r)
{
    struct client *c = r->client;
    struct list *node;

    if (r->argc == 1 && list_empty(client_subscriptions(c))) {
        resp_add_push(&r->reply, 3, r->proto);
        resp_add_bulk_str(&r->reply, "unsubscribe");
        resp_add_nil(&r->reply, r->proto);
        resp_add_i64(&r->reply, 0);
    }
    while (r->argc == 1 && (node = list_first(client_subscriptions(c))) != NULL) {
        struct subscription *s = list_entry(node, struct subscription, link);
        add_confirmation(&r->reply, "unsubscribe", topic_of(s), subscription_count(c) - 1, r->proto);
        subscription_end(s);
    }
    for (size_t i = 1; i < r->argc; i++) {
        struct subscription *s = subscription_find(c, r->argv[i]);
        add_confirmation(&r->reply, "unsubscribe", r->argv[i], subscription_count(c) - (s != NULL), r->proto);
        if (s != NULL)
            subscription_end(s);
    }
    ask_next(c); /* the one whose turn it was may have ended */
    request_done(r);
}

bool subscribe_refuses(struct request *r)
{
    static const char *const allowed[] = { "subscribe", "unsubscribe", "ping", "quit", "reset", "hello" };

    if (r->proto == 3 || list_empty(client_subscriptions(r->client)))
        return false;
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        if (strcmp(r->command->name, allowed[i]) == 0)
            return false;
    request_error(
        r, ERR_COMMAND,
        "Can't execute '%s': only SUBSCRIBE / UNSUBSCRIBE / PING / QUIT / RESET are allowed on a RESP2 connection "
        "that is subscribed; HELLO 3 lifts that",
        r->command->name);
    return true;
}
