/* BACKUP: a consistent copy of the store while everything runs. */
#include "graftd/command.h"
#include "graftd/history.h"
#include "lib/resp.h"

#include <stdlib.h>
#include <string.h>

static void backup_done(struct store_request *s)
{
    struct request *r = s->owner;

    free((void *)(uintptr_t)s->path);
    s->path = NULL;
    if (history_failed(r))
        return;
    store_request_fini(s);
    resp_add_status(&r->reply, "OK");
    request_done(r);
}

/* With `backup "/dir"` in the policy: below it, and no way back up. */
static bool backup_may_go(const char *dir, const char *path)
{
    size_t n = strlen(dir);

    while (n > 0 && dir[n - 1] == '/')
        n--;
    return strncmp(path, dir, n) == 0 && path[n] == '/' && strstr(path + n, "/../") == NULL;
}

/* The daemon writes the file with its own rights, which is why this takes the right to administer. */
void command_backup(struct request *r)
{
    const char *dir = policy_backup(r->core->policy);
    char *path;

    if (r->argv[1].len == 0 || ((const char *)r->argv[1].data)[0] != '/' ||
        memchr(r->argv[1].data, '\0', r->argv[1].len) != NULL) {
        request_error(r, ERR_BADARG, "BACKUP takes an absolute path, as the daemon sees it");
        return;
    }
    path = bytes_dup(r->argv[1]);
    if (path == NULL) {
        request_error(r, ERR_NOMEM, "no memory for a backup");
        return;
    }
    if (dir != NULL && !backup_may_go(dir, path)) {
        request_error(r, ERR_DENIED, "backups are written below %s alone (`backup` in the policy), and %s is not there",
                      dir, path);
        free(path);
        return;
    }
    r->store = (struct store_request){ .kind = STORE_BACKUP, .path = path };
    history_look(r, backup_done);
}
