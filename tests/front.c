#include "tests/front.h"

#include "lib/check.h"
#include "tests/fault_alloc.h"

enum { QUEUE_MAX = 256 };

static struct {
    struct store store; /* first */
    struct store *back;
    struct {
        struct store_request *request;
        void (*done)(struct store_request *);
    } queue[QUEUE_MAX];
    bool armed; /* before the poll */
} front;

static void front_done(struct store_request *r)
{
    for (size_t i = 0; i < QUEUE_MAX; i++) {
        if (front.queue[i].request != r)
            continue;
        front.queue[i].request = NULL;
        armed = front.armed;
        front.queue[i].done(r);
        armed = false;
        return;
    }
    CHECK(!"a request that nobody made");
}

static void front_submit(struct store *s, struct store_request *r)
{
    size_t i = 0;

    (void)s;
    while (front.queue[i].request != NULL)
        CHECK(++i < QUEUE_MAX);
    front.queue[i].request = r;
    front.queue[i].done = r->done;
    r->done = front_done;
    SPARED(front.back->ops->submit(front.back, r));
}

static void front_poll(struct store *s)
{
    (void)s;
    front.armed = armed;
    SPARED(front.back->ops->poll(front.back));
}

static const struct store_facts *front_facts(const struct store *s)
{
    (void)s;
    return front.back->ops->facts(front.back);
}

static void front_close(struct store *s)
{
    (void)s;
    SPARED(front.back->ops->close(front.back));
}

static const struct store_ops front_ops = { front_submit, front_poll, front_facts, front_close };

struct store *front_open(struct store *back)
{
    front.store.ops = &front_ops;
    front.back = back;
    return &front.store;
}
