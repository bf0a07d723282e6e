#include "worker/template.h"

#include "policy/jail.h"
#include "worker/import.h"
#include "worker/load.h"
#include "worker/nursery.h"
#include "worker/serve.h"

#include <unistd.h>

enum { GRAFT_FD = NURSERY_CONTROL + 1 };

static struct graft graft;

static _Noreturn void be_worker(const struct wire_SPAWN *order, const int fds[]) { serve_run(order, &graft, fds[0]); }

static void send_manifest(struct bytes text)
{
    struct buf b;

    buf_init(&b, WIRE_ORDER_MAX);
    if (wire_add_MANIFEST(&b, &(struct wire_MANIFEST){ .text = text }) != OK)
        _exit(1);
    nursery_send(&b, -1);
}

static _Noreturn void refuse(const struct failure *f)
{
    struct buf b;

    buf_init(&b, WIRE_ORDER_MAX);
    if (wire_add_REFUSED(&b, &(struct wire_REFUSED){ .text = bytes_str(f->text) }) == OK)
        nursery_send(&b, -1);
    _exit(1);
}

/* Only what is ours stays open: 2 for last words of our own bugs, 3, 4. Received descriptors are above 3. */
static void keep_descriptors(const int fds[])
{
    if (dup2(fds[0], NURSERY_CONTROL) < 0 || dup2(fds[1], GRAFT_FD) < 0 || close_range(GRAFT_FD + 1, ~0u, 0) != 0)
        _exit(1);
}

_Noreturn void template_run(const struct wire_SPAWN *order, const int fds[])
{
    static struct nursery nursery = { .fd_count = 1, .child = be_worker };
    struct failure f = { .err = OK };

    (void)order; /* limits are the workers' */
    keep_descriptors(fds);
    if (jail_template(&f) != OK || graft_load(GRAFT_FD, import_find, &graft, &f) != OK)
        refuse(&f);
    close(GRAFT_FD);
    send_manifest(graft.manifest);
    nursery.nested_pids = jail_has_nested_pids();
    nursery_run(&nursery);
}
