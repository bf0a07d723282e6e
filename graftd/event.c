#include "graftd/event.h"

#include "lib/check.h"
#include "lib/map.h"
#include "txn/txn.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* A topic that somebody listens to. */
struct event_topic {
    struct map_node node;
    struct list listeners;
    char name[];
};

struct events {
    struct map topics;
    size_t listener_count;
};

enum err events_new(struct events **out)
{
    struct events *e = calloc(1, sizeof *e);

    if (e == NULL || map_init(&e->topics) != OK) {
        free(e);
        return ERR_NOMEM;
    }
    *out = e;
    return OK;
}

void events_free(struct events **e)
{
    if (*e == NULL)
        return;
    CHECK((*e)->listener_count == 0);
    map_fini(&(*e)->topics);
    free(*e);
    *e = NULL;
}

bool event_topic_valid(struct bytes topic)
{
    const unsigned char *p = topic.data;

    for (size_t i = 0; i < topic.len; i++)
        if (!(p[i] < 0x80 && isalnum(p[i])) && (p[i] == '\0' || strchr("._-:/", p[i]) == NULL))
            return false;
    return topic.len > 0 && topic.len <= TXN_TOPIC_MAX;
}

static struct event_topic *topic_find(struct events *e, struct bytes name)
{
    struct map_node *node = map_find(&e->topics, name);

    return node == NULL ? NULL : map_entry(node, struct event_topic, node);
}

static struct event_topic *topic_new(struct events *e, struct bytes name)
{
    struct event_topic *t = malloc(sizeof *t + name.len);

    if (t == NULL)
        return NULL;
    memcpy(t->name, name.data, name.len);
    t->node.key = bytes_of(t->name, name.len);
    list_init(&t->listeners);
    map_add(&e->topics, &t->node);
    return t;
}

enum err event_listen(struct events *e, struct bytes topic, struct event_listener *l)
{
    struct event_topic *t = topic_find(e, topic);

    CHECK(l->topic == NULL);
    if (t == NULL && (t = topic_new(e, topic)) == NULL)
        return ERR_NOMEM;
    l->topic = t;
    list_push(&t->listeners, &l->link);
    e->listener_count++;
    return OK;
}

void event_ignore(struct events *e, struct event_listener *l)
{
    struct event_topic *t = l->topic;

    if (t == NULL)
        return;
    l->topic = NULL;
    list_remove(&l->link);
    e->listener_count--;
    if (!list_empty(&t->listeners))
        return;
    map_remove(&e->topics, &t->node);
    free(t);
}

size_t events_listener_count(const struct events *e) { return e->listener_count; }

static void topic_tell(struct event_topic *t)
{
    list_each (node, &t->listeners) {
        struct event_listener *l = list_entry(node, struct event_listener, link);
        l->news(l->owner);
    }
}

void event_stored(struct events *e, struct bytes key)
{
    struct event_topic *t = topic_find(e, bytes_of(key.data, strnlen(key.data, key.len)));

    if (t != NULL)
        topic_tell(t);
}

static void tell(struct map_node *node, void *user)
{
    (void)user;
    topic_tell(map_entry(node, struct event_topic, node));
}

void event_stored_any(struct events *e) { map_each(&e->topics, tell, NULL); }
