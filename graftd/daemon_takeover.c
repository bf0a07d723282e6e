/* The two ends of a takeover; what passes between them is in inherit.h. */
#include "graftd/daemon_impl.h"

#include "graftd/client.h"
#include "graftd/listen.h"
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* What can be wrong with us is found out before, so that the running one goes on if it is. */
enum err daemon_take_over(struct daemon *d, struct failure *why)
{
    enum err err = inherit_from_systemd(&d->inherited, why);

    if (err != OK || d->inherited.fd >= 0 || !d->options.takeover)
        return err;
    err = inherit_from_running(d->paths.socket, &d->inherited, why);
    if (err == OK && d->inherited.fd < 0)
        log_line(LOG_INFO, "nobody listens on %s: there is nothing to take over", d->paths.socket);
    inherit_wait(&d->inherited);
    return err;
}

enum err daemon_hand_over(struct core *core, struct request *r, struct failure *why)
{
    struct daemon *d = (struct daemon *)core;
    bool own_file;
    int fds[INHERIT_FDS];

    if (core->draining || d->listener == NULL)
        return fail(why, ERR_BUSY, "graftd is stopping");
    if (pipe2(d->life, O_CLOEXEC) != 0)
        return fail(why, ERR_BUSY, "no descriptors left to hand over with: %s", strerror(errno));
    fds[0] = listen_socket(d->listener, &own_file);
    fds[1] = d->life[0];
    if (request_give(r, bytes_str(own_file ? INHERIT_OWN : INHERIT_LENT), fds, INHERIT_FDS) != OK)
        fail(why, ERR_BUSY, "SHUTDOWN HANDOVER must be alone on its connection");
    close(d->life[0]);
    if (why->err != OK) {
        close(d->life[1]);
        return why->err;
    }
    log_line(LOG_INFO, "another graftd takes over");
    listen_keep_file(d->listener);
    return OK;
}
