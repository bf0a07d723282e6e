#include "worker/template.h"

#include "policy/jail.h"
#include "worker/import.h"
#include "worker/load.h"
#include "worker/nursery.h"
#include "worker/serve.h"

#include <unistd.h>

enum { GRAFT_FD = NURSERY_CONTROL + 1 };

static struct graft graft;

/* What is not written any more: code, and constants behind their relocation. */
static enum err seal_image(struct failure *f)
{
    enum err err = OK;

    for (size_t i = 0; i < graft.fixed_count && err == OK; i++)
        err = jail_seal(graft.image + graft.fixed[i].start, graft.fixed[i].size, f);
    return err;
}

static _Noreturn void be_worker(const struct wire_SPAWN *order, const int fds[]) { serve_run(order, &graft, fds[0]); }

/* Only what is ours stays open: 2 for last words of our own bugs, 3, 4. Received descriptors are above 3. */
static void keep_descriptors(const int fds[])
{
    if (dup2(fds[0], NURSERY_CONTROL) < 0 || dup2(fds[1], GRAFT_FD) < 0 || close_range(GRAFT_FD + 1, ~0u, 0) != 0)
        _exit(1);
}

_Noreturn void template_run(const struct wire_SPAWN *order, const int fds[])
{
    static struct nursery nursery = { .fd_count = 1, .prepare = serve_prepare, .child = be_worker };
    struct failure f = { .err = OK };

    (void)order; /* limits are the workers' */
    keep_descriptors(fds);
    if (jail_template(&f) != OK || graft_load(GRAFT_FD, import_find, &graft, &f) != OK ||
        seal_image(&f) != OK)
        nursery_refuse(&f);
    close(GRAFT_FD);
    nursery_introduce(graft.manifest);
    nursery.nested_pids = jail_has_nested_pids();
    nursery_run(&nursery);
}
