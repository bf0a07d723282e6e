#include "graftd/idem.h"

#include "graftd/history.h"
#include "lib/map.h"
#include "lib/resp.h"
#include "lib/value.h"

#include <stdlib.h>
#include <string.h>

/* A token that a request works for now. */
struct slot {
    struct map_node node;
    struct list waiters; /* of struct idem, oldest first */
    size_t waiter_count;
    uint8_t key[sizeof(uint32_t) + STORE_TOKEN_MAX]; /* uid, token */
};

/* A request's part: it works for a slot, or waits for one. */
struct idem {
    struct request *r;
    void (*run)(struct request *);
    uint32_t uid;
    struct bytes token; /* in r's argv */
    uint64_t wait_ms;
    struct slot *slot, *waits_for; /* one of them */
    struct list link;              /* waits_for->waiters */
    struct port_timer *timer;      /* NULL until it waits */
};

static struct map slots; /* empty memory while there is none */

static void attempt(struct idem *i);

static struct bytes slot_key(const struct idem *i, uint8_t key[sizeof(uint32_t) + STORE_TOKEN_MAX])
{
    memcpy(key, &i->uid, sizeof i->uid);
    memcpy(key + sizeof i->uid, i->token.data, i->token.len);
    return bytes_of(key, sizeof i->uid + i->token.len);
}

static struct slot *slot_find(const struct idem *i)
{
    uint8_t key[sizeof(uint32_t) + STORE_TOKEN_MAX];
    struct map_node *node = slots.count == 0 ? NULL : map_find(&slots, slot_key(i, key));

    return node == NULL ? NULL : map_entry(node, struct slot, node);
}

static enum err slot_new(struct idem *i)
{
    struct slot *s = calloc(1, sizeof *s);

    if (s == NULL || (slots.count == 0 && map_init(&slots) != OK)) {
        free(s);
        return ERR_NOMEM;
    }
    list_init(&s->waiters);
    s->node.key = slot_key(i, s->key);
    map_add(&slots, &s->node);
    i->slot = s;
    return OK;
}

static void slot_free(struct slot *s)
{
    map_remove(&slots, &s->node);
    free(s);
    if (slots.count == 0)
        map_fini(&slots);
}

static void idem_free(struct idem *i)
{
    list_remove(&i->link);
    if (i->waits_for != NULL)
        i->waits_for->waiter_count--;
    if (i->timer != NULL)
        i->r->core->port->ops->timer_free(&i->timer);
    i->r->idem = NULL;
    free(i);
}

static void answer(struct request *r, struct bytes value)
{
    enum err err = ERR_STORAGE;

    if (value.len == 0)
        err = resp_add_nil(&r->reply, r->proto);
    else if (value_valid(value))
        err = resp_add_value(&r->reply, value, r->proto);
    if (err == OK)
        request_done(r);
    else if (err == ERR_STORAGE)
        request_error(r, err, "the reply that was kept for this token cannot be read; the call has taken effect");
    else
        request_error(r, err, "the call has taken effect, but there is no memory for its reply");
}

void idem_end(struct request *r, const struct bytes *reply)
{
    struct slot *s = r->idem == NULL ? NULL : r->idem->slot;
    struct list waiters, *node;

    if (r->idem == NULL)
        return;
    idem_free(r->idem);
    if (s == NULL)
        return;
    list_init(&waiters);
    while ((node = list_pop(&s->waiters)) != NULL) {
        list_entry(node, struct idem, link)->waits_for = NULL;
        list_push(&waiters, node);
    }
    slot_free(s);
    while ((node = list_pop(&waiters)) != NULL) {
        struct idem *i = list_entry(node, struct idem, link);
        struct request *other = i->r;
        if (reply == NULL) {
            attempt(i);
            continue;
        }
        idem_free(i);
        answer(other, *reply);
    }
}

static void looked_up(struct store_request *s)
{
    struct request *r = s->owner;
    struct bytes reply = s->idem.reply;
    bool found = s->why.err == OK && s->idem.found;
    struct store_request answer_memory;

    if (s->why.err != OK || r->client == NULL) {
        idem_end(r, NULL);
        history_failed(r);
        return;
    }
    if (!found) {
        store_request_fini(s);
        r->idem->run(r);
        return;
    }
    answer_memory = *s; /* outlives the request, for those who wait */
    r->store = (struct store_request){ 0 };
    idem_end(r, &reply);
    answer(r, reply);
    store_request_fini(&answer_memory);
}

static void wait_lost(struct request *r)
{
    if (r->idem == NULL || r->idem->slot != NULL)
        return; /* the store is asked: looked_up() finds the client gone */
    idem_free(r->idem);
    request_error(r, ERR_LOST, "its client hung up");
}

static void wait_timed_out(void *owner)
{
    struct idem *i = owner;
    struct request *r = i->r;
    unsigned long long ms = i->wait_ms;

    idem_free(i);
    request_error(r, ERR_BUSY,
                  "the first call with this token has been running for longer than %llu ms; try again later", ms);
}

static void wait_for(struct idem *i, struct slot *s)
{
    struct request *r = i->r;
    struct port *port = r->core->port;

    if (s->waiter_count == IDEM_WAITER_MAX) {
        idem_free(i);
        request_error(r, ERR_BUSY,
                      "%d repeats wait already for the first call with this token; try again later. limit=%d",
                      IDEM_WAITER_MAX, IDEM_WAITER_MAX);
        return;
    }
    if (i->timer == NULL && (i->timer = port->ops->timer_new(port, wait_timed_out, i)) != NULL)
        port->ops->timer_start(i->timer, i->wait_ms);
    if (i->timer == NULL) {
        idem_free(i);
        request_error(r, ERR_NOMEM, "no memory to wait for the first call with this token");
        return;
    }
    i->waits_for = s;
    s->waiter_count++;
    list_push(&s->waiters, &i->link);
}

/* As if it had just come. */
static void attempt(struct idem *i)
{
    struct request *r = i->r;
    struct slot *s = slot_find(i);

    if (s != NULL) {
        wait_for(i, s);
        return;
    }
    if (slot_new(i) != OK) {
        idem_free(i);
        request_error(r, ERR_NOMEM, "no memory for another call");
        return;
    }
    if (i->timer != NULL)
        r->core->port->ops->timer_free(&i->timer);
    r->store = (struct store_request){ .kind = STORE_IDEM, .uid = i->uid, .token = i->token };
    history_ask(r, looked_up);
}

void idem_call(struct request *r, struct bytes token, uint64_t timeout_ms, void (*run)(struct request *))
{
    struct idem *i = calloc(1, sizeof *i);

    if (i == NULL) {
        request_error(r, ERR_NOMEM, "no memory for another call");
        return;
    }
    *i = (struct idem){ .r = r, .run = run, .uid = request_principal(r)->uid, .token = token };
    i->wait_ms = timeout_ms != 0 && timeout_ms < IDEM_WAIT_MS_MAX ? timeout_ms : IDEM_WAIT_MS_MAX;
    r->idem = i;
    r->cancel = wait_lost;
    attempt(i);
}
