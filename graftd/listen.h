/*
 * The Unix socket that clients connect to. Who connects is known from the socket itself (SO_PEERCRED).
 *
 * Mode and owner are set before the first connection is possible; a socket that another daemon answers on is never taken
 * away from it. Out of descriptors, a reserve is given up to tell the newcomer so.
 */
#ifndef GRAFTD_LISTEN_H
#define GRAFTD_LISTEN_H

#include "graftd/core.h"

struct listener;

enum err listen_open(struct core *core, struct port *port, const char *path, mode_t mode, gid_t group,
                     struct listener **out, struct failure *why);
/* No further connection; the socket's file goes. */
void listen_close(struct listener **l);

#endif
