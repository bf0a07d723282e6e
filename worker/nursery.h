/*
 * A process that forks others on order: the zygote forks templates, a template forks workers. Each order of the
 * daemon (SPAWN) is answered by BORN with the child's pidfd, or by STILLBORN; when a child is reaped, by an OBITUARY.
 * When the daemon closes the control socket the nursery ends, and all below it die with it.
 */
#ifndef GRAFTD_WORKER_NURSERY_H
#define GRAFTD_WORKER_NURSERY_H

#include "lib/wire.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    NURSERY_CONTROL = 3,        /* descriptor of the control socket, in every nursery */
    NURSERY_CHILDREN_MAX = 4096, /* alive at a time; one more is STILLBORN with EAGAIN */
    NURSERY_FDS_MAX = 2,        /* beside one order */
};

struct nursery {
    size_t fd_count;  /* descriptors that belong to an order; another number is STILLBORN with EINVAL */
    bool nested_pids; /* each child gets a process namespace of its own */
    /* In the nursery itself, before each birth: what all children can inherit. NULL: nothing. */
    void (*prepare)(const struct wire_SPAWN *order);
    /* The child's life, tied to the nursery's already; fds are owned by it. Must not return. */
    void (*child)(const struct wire_SPAWN *order, const int fds[]);
};

/* One message to the daemon on the control socket, fd beside it unless -1. Ends the process if the daemon is gone. */
void nursery_send(struct buf *message, int fd);

/* What a nursery says first: who it is (text records, see policy/manifest.h), or why it cannot be, and ends. */
void nursery_introduce(struct bytes text);
_Noreturn void nursery_refuse(const struct failure *f);

_Noreturn void nursery_run(const struct nursery *nursery);

#endif
