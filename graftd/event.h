/*
 * Who waits for events: told when there may be new ones of their topic, and then they ask the store.
 *
 * Nothing of an event is kept here. It is in the store when its transaction has committed and is on disk, and who listens
 * keeps the id of the last one that it has seen; so nothing is lost or doubled by being told too often (at least once,
 * in the order of commits).
 */
#ifndef GRAFTD_EVENT_H
#define GRAFTD_EVENT_H

#include "lib/buf.h"
#include "lib/list.h"

struct events; /* opaque */
struct event_topic;

/* Embedded in who listens. */
struct event_listener {
    struct list link;          /* private, as the next */
    struct event_topic *topic; /* NULL: does not listen */
    /* There may be news, or graftd is stopping. Must not listen or ignore. */
    void (*news)(void *owner);
    void *owner;
};

enum err events_new(struct events **out); /* ERR_NOMEM */
void events_free(struct events **e);      /* nobody listens */

/* Letters, digits and . _ - : /, 1 to TXN_TOPIC_MAX of them. */
bool event_topic_valid(struct bytes topic);
/* news and owner are set. Listens before asking, so that nothing is missed in between. ERR_NOMEM. */
enum err event_listen(struct events *e, struct bytes topic, struct event_listener *l);
void event_ignore(struct events *e, struct event_listener *l); /* harmless when it does not listen */
size_t events_listener_count(const struct events *e);

/* An event is on disk; key as in txn/resource.h. */
void event_stored(struct events *e, struct bytes key);
/* Some may be; or everybody is to look whether graftd is stopping. */
void event_stored_any(struct events *e);

#endif
