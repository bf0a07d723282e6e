/*
 * A listening socket that this process did not make: from systemd (LISTEN_FDS), or from the daemon that it takes over from.
 *
 *     new graftd ── SHUTDOWN HANDOVER ──► old graftd: gives its listening socket, drains as on SIGTERM, closes the store
 *                ◄── life hangs up ──────           waits
 *     opens the store, loads the grafts, serves ── ready: a byte ──► ends; or, when ready hangs up without: serves again
 *
 * Meanwhile the kernel keeps those who connect in the socket's queue: nobody is refused. The other side is handover.h.
 */
#ifndef GRAFTD_INHERIT_H
#define GRAFTD_INHERIT_H

#include "lib/err.h"

#include <stdbool.h>

struct inherited {
    int fd;        /* owned; listening, non-blocking; -1: nothing was inherited */
    int life;      /* owned; hangs up when the giver has closed the store, or is gone; -1: nobody to wait for */
    int ready;     /* owned; the giver waits for a byte on it; -1: nobody waits */
    bool own_file; /* the socket's file is ours to remove at the end */
};

/* What systemd passed to this very process, if anything: LISTEN_PID, LISTEN_FDS, which are taken out of the environment.
 * ERR_BADARG: it is not one listening Unix stream socket. */
enum err inherit_from_systemd(struct inherited *out, struct failure *why);
/* From whoever listens on path. Nobody does: OK, and nothing is inherited. ERR_NOPERM, ERR_BUSY, …: its refusal. */
enum err inherit_from_running(const char *path, struct inherited *out, struct failure *why);
/* Until the store is free. As long as its drain takes; says so every 10 s. */
void inherit_wait(struct inherited *i);
/* This one serves: the giver may go. */
void inherit_ready(struct inherited *i);
void inherit_close(struct inherited *i);

/* The other side: what is sent with the descriptors. */
#define INHERIT_OWN "+HANDOVER own\r\n"
#define INHERIT_LENT "+HANDOVER lent\r\n" /* the file is somebody else's, such as systemd's */
enum { INHERIT_FDS = 3 };                 /* the socket, life, ready */

#endif
