#include "graftd/reload.h"

#include "graftd/audit.h"
#include "graftd/command.h"
#include "graftd/registry.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct reload {
    struct core *core;
    const char *path;
    struct policy *policy; /* in force */
    bool running, again;

    /* Of the one that runs. */
    struct principal who;
    reload_done *done;
    void *owner;
    struct policy *new;
    struct buf text;
    enum err err;
};

enum err reload_new(struct core *core, const char *path, struct policy *p, struct reload **out)
{
    struct reload *r = calloc(1, sizeof *r);

    if (r == NULL)
        return ERR_NOMEM;
    *r = (struct reload){ .core = core, .path = path, .policy = p };
    buf_init(&r->text, RELOAD_TEXT_MAX);
    *out = r;
    return OK;
}

void reload_free(struct reload **r)
{
    if (*r == NULL)
        return;
    buf_fini(&(*r)->text);
    free(*r);
    *r = NULL;
}

/* On another thread. */
static void work(void *owner)
{
    struct reload *r = owner;

    r->err = policy_load(r->path, geteuid(), &r->new, &r->text);
}

static void put_in_force(struct reload *r)
{
    struct buf restart;

    buf_init(&restart, RELOAD_TEXT_MAX);
    r->err = policy_replace(r->policy, &r->new, &restart);
    if (r->err == OK) {
        buf_addf(&r->text, "policy reloaded: %zu rules\n", policy_rule_count(r->policy));
        if (buf_len(&restart) > 0)
            buf_addf(&r->text, "restart needed for: %.*s\n", (int)buf_len(&restart),
                     (const char *)buf_bytes(&restart).data);
        command_check_policy(r->policy, &r->text);
        if (r->core->registry != NULL && registry_count(r->core->registry) > 0) /* NULL: the start is not over */
            buf_addf(&r->text, "grafts that are loaded keep the rights and limits of when they were loaded\n");
    }
    buf_fini(&restart);
}

static void log_lines(enum log_level level, struct bytes text)
{
    while (text.len > 0) {
        const char *p = text.data, *end = memchr(p, '\n', text.len);
        size_t n = end == NULL ? text.len : (size_t)(end - p);
        log_line(level, "%.*s", (int)n, p);
        n += end != NULL;
        text = bytes_of(p + n, text.len - n);
    }
}

static void note(struct reload *r)
{
    audit(r->core->audit,
          &(struct audit_record){ .event = AUDIT_POLICY,
                                  .uid = r->who.uid,
                                  .gid = r->who.gid,
                                  .pid = r->who.pid,
                                  .action = "reload",
                                  .what = bytes_str(r->path),
                                  .verdict = r->err == OK ? "ok" : err_word(r->err),
                                  .why = r->err == OK ? NULL : "the policy has errors; the one in force stays" });
}

static void read_again(void *owner)
{
    struct reload *r = owner;

    if (r->err == OK)
        put_in_force(r);
    if (r->err != OK) {
        policy_free(&r->new);
        if (r->err == ERR_BADARG)
            buf_addf(&r->text, "the policy has errors; the one in force stays\n");
        else
            buf_addf(&r->text, "the policy cannot be read: %s; the one in force stays\n", err_sentence(r->err));
    }
    log_lines(r->err == OK ? LOG_INFO : LOG_WARNING, buf_bytes(&r->text));
    note(r);
    r->running = false;
    if (r->done != NULL)
        r->done(r->owner, r->err == OK, buf_bytes(&r->text));
    if (r->again)
        reload_hangup(r->core);
}

enum err reload_begin(struct core *core, const struct principal *who, reload_done *done, void *owner,
                      struct failure *why)
{
    const struct principal self = { .uid = geteuid(), .gid = getegid(), .pid = getpid() };
    struct reload *r = core->reload;

    if (r == NULL || r->path == NULL)
        return fail(why, ERR_BADARG, "graftd was started without --policy: there is no file to read again");
    if (r->running)
        return fail(why, ERR_BUSY, "the policy is being read already; try again in a moment");
    buf_clear(&r->text);
    if (core->port->ops->work(core->port, work, read_again, r) != OK)
        return fail(why, ERR_NOMEM, "no memory to read the policy");
    r->running = true;
    r->again = false;
    r->who = who != NULL ? *who : self;
    r->done = done;
    r->owner = owner;
    return OK;
}

void reload_hangup(struct core *core)
{
    struct failure why = { 0 };

    if (core->audit != NULL)
        audit_reopen(core->audit);
    if (core->reload != NULL && core->reload->running)
        core->reload->again = true;
    else if (reload_begin(core, NULL, NULL, NULL, &why) != OK)
        log_line(LOG_WARNING, "SIGHUP: %s", why.text);
}
