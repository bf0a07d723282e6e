/* POLICY …, AUDIT: what is in force, why, what would be, and who asked for what. */
#include "graftd/audit.h"
#include "graftd/command.h"
#include "graftd/registry.h"
#include "graftd/reload.h"
#include "lib/resp.h"
#include "policy/why.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { POLICY_MAX = 4 * 1024 * 1024, WHY_MAX = 1024 * 1024, NAME_MAX_SHOWN = 64, AUDIT_COUNT_DEFAULT = 20 };

static void reply_text(struct request *r, enum err err, struct buf *text)
{
    if (err == OK)
        err = resp_add_verbatim(&r->reply, buf_bytes(text), r->proto);
    buf_fini(text);
    if (err == OK)
        request_done(r);
    else
        request_error(r, err, "that is more than one reply can hold");
}

static void reply_status(struct request *r, bool good, const char *bad, struct bytes text)
{
    resp_add_map(&r->reply, 2, r->proto);
    resp_add_bulk_str(&r->reply, "status");
    resp_add_bulk_str(&r->reply, good ? "ok" : bad);
    resp_add_bulk_str(&r->reply, "text");
    resp_add_verbatim(&r->reply, text, r->proto);
    request_done(r);
}

static void policy_cmd_show(struct request *r)
{
    struct buf b;

    if (r->argc != 2) {
        command_usage(r);
        return;
    }
    buf_init(&b, POLICY_MAX);
    reply_text(r, policy_show(r->core->policy, &b), &b);
}

/* ---- WHY ---- */

/* Looking up a user may take a while, so it happens on another thread. */
struct why {
    struct request *r;
    char *name; /* owned */
    struct question question;
    struct principal who;
    struct failure failure;
};

static void why_free(struct why *w)
{
    free(w->name);
    free(w);
}

static void why_work(void *owner)
{
    struct why *w = owner;

    principal_find(w->name, &w->who, &w->failure);
}

static void why_done(void *owner)
{
    struct why *w = owner;
    struct request *r = w->r;
    struct buf b;
    enum err err;

    if (w->failure.err != OK) {
        request_fail(r, &w->failure);
        why_free(w);
        return;
    }
    buf_init(&b, WHY_MAX);
    err = policy_why_caller(r->core->policy, &w->who, w->name, &w->question, &b);
    why_free(w);
    reply_text(r, err, &b);
}

static void why_caller(struct request *r)
{
    struct why *w = calloc(1, sizeof *w);
    struct failure why = { 0 };

    if (w == NULL) {
        request_error(r, ERR_NOMEM, "no memory to find the rule");
        return;
    }
    w->r = r;
    w->name = bytes_dup(r->argv[2]);
    if (w->name == NULL)
        fail(&why, ERR_NOMEM, "no memory to find the rule");
    else if (question_read(r->argv + 3, r->argc - 3, false, &w->question, &why) == OK &&
             r->core->port->ops->work(r->core->port, why_work, why_done, w) != OK)
        fail(&why, ERR_NOMEM, "no memory to find the rule");
    if (why.err == OK)
        return; /* w is the other thread's now */
    why_free(w);
    request_fail(r, &why);
}

static void why_graft(struct request *r)
{
    struct question q;
    struct failure why = { 0 };
    char shown[NAME_MAX_SHOWN];
    const struct graft *g;
    struct buf b;

    if (r->argc < 4 || !manifest_name_valid(r->argv[3]))
        fail(&why, ERR_BADARG, "\"%s\" is not a graft's name",
             bytes_show(r->argc < 4 ? bytes_of(NULL, 0) : r->argv[3], shown, sizeof shown));
    if (why.err != OK || question_read(r->argv + 4, r->argc - 4, true, &q, &why) != OK) {
        request_fail(r, &why);
        return;
    }
    g = registry_find(r->core->registry, r->argv[3]);
    bytes_show(r->argv[3], shown, sizeof shown);
    buf_init(&b, WHY_MAX);
    reply_text(r, policy_why_graft(r->core->policy, shown, g == NULL ? NULL : g->grant, &q, &b), &b);
}

static void policy_cmd_why(struct request *r)
{
    if (r->argc < 4)
        command_usage(r);
    else if (arg_is(r->argv[2], "graft"))
        why_graft(r);
    else
        why_caller(r);
}

/* ---- CHECK ---- */

struct check {
    struct request *r;
    struct buf text;
    enum err err;
};

static void check_work(void *owner)
{
    struct check *c = owner;
    struct policy *p = NULL;

    c->err = policy_parse("policy", c->r->argv[2], geteuid(), &p, &c->text);
    if (c->err == OK)
        c->err = buf_addf(&c->text, "policy ok: %zu rules\n", policy_rule_count(p));
    policy_free(&p);
}

static void check_done(void *owner)
{
    struct check *c = owner;

    if (c->err == OK || c->err == ERR_BADARG)
        reply_status(c->r, c->err == OK, "refused", buf_bytes(&c->text));
    else
        request_error(c->r, c->err, "no memory to check the policy");
    buf_fini(&c->text);
    free(c);
}

static void policy_cmd_check(struct request *r)
{
    struct check *c;

    if (r->argc != 3) {
        command_usage(r);
        return;
    }
    c = calloc(1, sizeof *c);
    if (c != NULL) {
        c->r = r;
        buf_init(&c->text, RELOAD_TEXT_MAX);
    }
    if (c == NULL || r->core->port->ops->work(r->core->port, check_work, check_done, c) != OK) {
        free(c);
        request_error(r, ERR_NOMEM, "no memory to check the policy");
    }
}

/* ---- RELOAD ---- */

static void reloaded(void *owner, bool good, struct bytes text) { reply_status(owner, good, "refused", text); }

static void policy_cmd_reload(struct request *r)
{
    struct failure why = { 0 };

    if (r->argc != 2)
        command_usage(r);
    else if (reload_begin(r->core, request_principal(r), reloaded, r, &why) != OK)
        request_fail(r, &why);
}

void command_policy(struct request *r)
{
    static const struct {
        const char *word;
        enum right right;
        void (*run)(struct request *);
    } words[] = {
        { "SHOW", RIGHT_INFO, policy_cmd_show },
        { "WHY", RIGHT_INFO, policy_cmd_why },
        { "CHECK", RIGHT_INFO, policy_cmd_check },
        { "RELOAD", RIGHT_ADMIN, policy_cmd_reload },
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (arg_is(r->argv[1], words[i].word)) {
            if (command_may(r, words[i].right, bytes_of(NULL, 0)))
                words[i].run(r);
            return;
        }
    command_usage(r);
}

/* ---- AUDIT ---- */

static void tail_is_read(void *owner, enum err err, struct bytes text)
{
    struct request *r = owner;
    const char *p = text.data, *end;
    size_t lines = 0;

    if (err != OK) {
        request_error(r, err, "the audit log cannot be read");
        return;
    }
    for (size_t i = 0; i < text.len; i++)
        lines += p[i] == '\n';
    err = resp_add_array(&r->reply, lines);
    for (; lines > 0 && err == OK; lines--) {
        end = memchr(p, '\n', text.len);
        err = resp_add_bulk(&r->reply, bytes_of(p, (size_t)(end - p)));
        text.len -= (size_t)(end + 1 - p);
        p = end + 1;
    }
    if (err == OK)
        request_done(r);
    else
        request_error(r, err, "that is more than one reply can hold; ask for fewer with COUNT");
}

void command_audit(struct request *r)
{
    uint64_t count = AUDIT_COUNT_DEFAULT;

    if (r->argc != 1 && (r->argc != 3 || !arg_is(r->argv[1], "COUNT") || !bytes_to_u64(r->argv[2], &count))) {
        command_usage(r);
        return;
    }
    if (count > AUDIT_COUNT_MAX)
        count = AUDIT_COUNT_MAX;
    if (r->core->audit == NULL)
        request_error(r, ERR_BADARG, "there is no audit log here");
    else if (audit_tail(r->core->audit, (size_t)count, tail_is_read, r) != OK)
        request_error(r, ERR_NOMEM, "no memory to read the audit log");
}
