#include "graftd/handover.h"

#include "graftd/client.h"
#include "graftd/inherit.h"
#include "graftd/port_uv.h"
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct handover {
    const struct handover_events *events;
    void *owner;
    int life;  /* closed when the store is free */
    int ready; /* read from: the other one's word */
    struct watch *watch;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void handover_release(struct handover *h) { close_fd(&h->life); }

void handover_end(struct handover **handover)
{
    struct handover *h = *handover;

    if (h == NULL)
        return;
    watch_free(&h->watch);
    close_fd(&h->life);
    close_fd(&h->ready);
    free(h);
    *handover = NULL;
}

/* The end without a byte: it died, whatever it was about to do. */
static void heard(void *owner, int events)
{
    struct handover *h = owner;
    char byte;
    ssize_t n = read(h->ready, &byte, sizeof byte);

    (void)events;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    watch_set(h->watch, 0);
    if (n > 0)
        h->events->taken(h->owner);
    else
        h->events->lost(h->owner);
}

/* Gives the far ends of both pipes away, and closes ours of them. */
static enum err give(struct listener *l, struct request *r, int life, int ready, struct failure *why)
{
    bool own_file;
    int fds[INHERIT_FDS] = { listen_socket(l, &own_file), life, ready };

    if (request_give(r, bytes_str(own_file ? INHERIT_OWN : INHERIT_LENT), fds, INHERIT_FDS) != OK)
        return fail(why, ERR_BUSY, "SHUTDOWN HANDOVER must be alone on its connection");
    return OK;
}

enum err handover_begin(struct port *port, struct listener *l, struct request *r, const struct handover_events *events,
                        void *owner, struct handover **out, struct failure *why)
{
    struct handover *h = calloc(1, sizeof *h);
    int life[2] = { -1, -1 }, ready[2] = { -1, -1 };

    if (h == NULL)
        return fail(why, ERR_BUSY, "no memory to hand over with");
    *h = (struct handover){ .events = events, .owner = owner, .life = -1, .ready = -1 };
    if (pipe2(life, O_CLOEXEC) != 0 || pipe2(ready, O_CLOEXEC | O_NONBLOCK) != 0 ||
        watch_new(port, ready[0], heard, h, &h->watch) != OK)
        fail(why, ERR_BUSY, "no descriptors left to hand over with: %s", strerror(errno));
    else
        give(l, r, life[0], ready[1], why);
    h->life = life[1];
    h->ready = ready[0];
    close_fd(&life[0]);
    close_fd(&ready[1]);
    if (why->err != OK) {
        handover_end(&h);
        return why->err;
    }
    watch_set(h->watch, WATCH_READ);
    listen_rest(l);
    *out = h;
    return OK;
}
