/*
 * The Unix socket that clients connect to. Who connects is known from the socket itself (SO_PEERCRED).
 *
 * Mode and owner are set before the first connection is possible; a socket that another daemon answers on is never taken
 * away from it. Who cannot be let in is told why: too many clients, or descriptors, of which some are kept for the store
 * and for workers. A flood is logged once in a while, with its count.
 */
#ifndef GRAFTD_LISTEN_H
#define GRAFTD_LISTEN_H

#include "graftd/core.h"

struct listener;
struct inherited;

struct listen_options {
    const char *path;            /* of the socket, when none is inherited */
    mode_t mode;                 /* the same */
    gid_t group;                 /* the same; -1: leave it */
    struct inherited *inherited; /* its descriptor is taken over if there is one, also by a failure */
};

enum err listen_open(struct core *core, struct port *port, const struct listen_options *options, struct listener **out,
                     struct failure *why);
/* Where clients connect. Borrowed until it is closed. */
const char *listen_path(const struct listener *l);
/* For who takes over: the socket (borrowed), and whether its file is ours. */
int listen_socket(const struct listener *l, bool *own_file);
/* It was given away: nobody is let in, and the socket's file is not ours to remove; until it goes on. */
void listen_rest(struct listener *l);
void listen_go_on(struct listener *l);
/* No further connection. The socket's file goes if it is ours. */
void listen_close(struct listener **l);

#endif
