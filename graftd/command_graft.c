/* GRAFT …: the life of a graft, as seen from outside. */
#include "graftd/audit.h"
#include "graftd/command.h"
#include "graftd/registry.h"
#include "lib/resp.h"

#include <string.h>

static void add_text(struct request *r, const char *name, const char *value)
{
    resp_add_bulk_str(&r->reply, name);
    resp_add_bulk_str(&r->reply, value);
}

static void add_number(struct request *r, const char *name, uint64_t value)
{
    resp_add_bulk_str(&r->reply, name);
    resp_add_i64(&r->reply, (int64_t)value);
}

static void add_functions(struct request *r, const struct manifest *m)
{
    resp_add_bulk_str(&r->reply, "functions");
    resp_add_array(&r->reply, m->function_count);
    for (size_t i = 0; i < m->function_count; i++) {
        resp_add_map(&r->reply, 3, r->proto);
        add_text(r, "name", m->functions[i].name);
        add_text(r, "access", m->functions[i].readonly ? "read" : "write");
        add_text(r, "parameters", m->functions[i].parameters);
    }
}

static void loaded(void *owner, const struct failure *why, struct graft *g)
{
    struct request *r = owner;

    audit_asked(r, AUDIT_LOAD, RIGHT_LOAD, r->argv[2], why);
    if (g == NULL) {
        request_fail(r, why);
        return;
    }
    resp_add_map(&r->reply, 4, r->proto);
    add_text(r, "name", g->name);
    add_text(r, "version", g->manifest.version);
    add_text(r, "sha256", g->sha256);
    resp_add_bulk_str(&r->reply, "functions");
    resp_add_array(&r->reply, g->manifest.function_count);
    for (size_t i = 0; i < g->manifest.function_count; i++)
        resp_add_bulk_str(&r->reply, g->manifest.functions[i].name);
    request_done(r);
}

static void graft_cmd_load(struct request *r)
{
    bool replace = r->argc == 5 && arg_is(r->argv[4], "REPLACE");
    struct failure why = { 0 };

    if (r->argc < 4 || (r->argc > 4 && !replace) || r->argv[2].len == 0) {
        command_usage(r);
        return;
    }
    if (!command_may(r, RIGHT_LOAD, r->argv[2]))
        return;
    if (r->core->draining) {
        request_error(r, ERR_BUSY, "graftd is stopping");
        return;
    }
    if (graft_load(r->core->registry, r->argv[2], r->argv[3], replace, request_principal(r)->uid, loaded, r, &why) !=
        OK) {
        audit_asked(r, AUDIT_LOAD, RIGHT_LOAD, r->argv[2], &why);
        request_fail(r, &why);
    }
}

static void verified(void *owner, const struct failure *why, struct graft *g)
{
    struct request *r = owner;

    if (g == NULL) {
        request_fail(r, why);
        return;
    }
    resp_add_map(&r->reply, 7, r->proto);
    add_text(r, "name", g->manifest.name);
    add_text(r, "version", g->manifest.version);
    add_text(r, "about", g->manifest.about);
    add_number(r, "abi", g->manifest.abi);
    add_text(r, "sha256", g->sha256);
    add_number(r, "size", g->size);
    add_functions(r, &g->manifest);
    request_done(r);
}

static void graft_cmd_verify(struct request *r)
{
    struct failure why = { 0 };

    if (r->argc != 3)
        command_usage(r);
    else if (command_may(r, RIGHT_LOAD, bytes_of(NULL, 0)) &&
             graft_load(r->core->registry, bytes_of(NULL, 0), r->argv[2], false, request_principal(r)->uid, verified, r,
                        &why) != OK)
        request_fail(r, &why);
}

static void unloaded(void *owner, const struct failure *why, struct graft *g)
{
    struct request *r = owner;

    (void)g;
    audit_asked(r, AUDIT_UNLOAD, RIGHT_UNLOAD, r->argv[2], why);
    if (why->err != OK) {
        request_fail(r, why);
        return;
    }
    resp_add_status(&r->reply, "OK");
    request_done(r);
}

static void graft_cmd_unload(struct request *r)
{
    struct failure why = { 0 };
    uint64_t wait_ms = 0;
    bool force = false;

    for (size_t i = 3; i < r->argc; i++) {
        if (arg_is(r->argv[i], "FORCE")) {
            force = true;
        } else if (arg_is(r->argv[i], "WAIT") && i + 1 < r->argc && bytes_to_u64(r->argv[i + 1], &wait_ms) &&
                   wait_ms <= INT32_MAX) {
            i++;
        } else {
            command_usage(r);
            return;
        }
    }
    if (r->argc < 3)
        command_usage(r);
    else if (command_may(r, RIGHT_UNLOAD, r->argv[2]) &&
             graft_unload(r->core->registry, r->argv[2], wait_ms, force, unloaded, r, &why) != OK) {
        audit_asked(r, AUDIT_UNLOAD, RIGHT_UNLOAD, r->argv[2], &why);
        request_fail(r, &why);
    }
}

static void list_one(struct graft *g, void *user)
{
    struct request *r = user;

    resp_add_map(&r->reply, 8, r->proto);
    add_text(r, "name", g->name);
    add_text(r, "version", g->manifest.version);
    add_text(r, "state", graft_state_name(g));
    add_number(r, "functions", g->manifest.function_count);
    add_number(r, "workers", g->pool != NULL ? pool_worker_count(g->pool) : 0);
    add_number(r, "calls", g->calls);
    add_number(r, "failed", g->failed);
    add_text(r, "sha256", g->sha256);
}

static void graft_cmd_list(struct request *r)
{
    if (!command_may(r, RIGHT_INFO, bytes_of(NULL, 0)))
        return;
    resp_add_array(&r->reply, registry_count(r->core->registry));
    registry_each(r->core->registry, list_one, r);
    request_done(r);
}

static void add_lines(struct request *r, const struct buf *text)
{
    struct bytes rest = buf_bytes(text);
    const char *p = rest.data, *end = p + rest.len, *line_end;
    size_t lines = 0;

    for (const char *q = p; q < end; q++)
        lines += *q == '\n';
    resp_add_array(&r->reply, lines);
    for (; p < end && (line_end = memchr(p, '\n', (size_t)(end - p))) != NULL; p = line_end + 1)
        resp_add_bulk(&r->reply, bytes_of(p, (size_t)(line_end - p)));
}

static void graft_cmd_info(struct request *r)
{
    struct graft *g;
    struct buf grant;
    char time[32], shown[MANIFEST_NAME_MAX + 1];

    if (r->argc != 3) {
        command_usage(r);
        return;
    }
    if (!command_may(r, RIGHT_INFO, bytes_of(NULL, 0)))
        return;
    g = registry_find(r->core->registry, r->argv[2]);
    if (g == NULL) {
        request_error(r, ERR_NOGRAFT, "no graft \"%s\" is loaded", bytes_show(r->argv[2], shown, sizeof shown));
        return;
    }
    buf_init(&grant, 1024 * 1024);
    if (g->grant != NULL)
        (void)grant_show(g->grant, &grant);
    resp_add_map(&r->reply, 15, r->proto);
    add_text(r, "name", g->name);
    add_text(r, "version", g->manifest.version);
    add_text(r, "about", g->manifest.about);
    add_number(r, "abi", g->manifest.abi);
    add_text(r, "state", graft_state_name(g));
    add_text(r, "why", g->why.text);
    add_text(r, "sha256", g->sha256);
    add_number(r, "size", g->size);
    add_number(r, "loaded_by", g->loaded_by);
    add_text(r, "loaded_at", iso_time(g->loaded_us, time));
    add_number(r, "workers", g->pool != NULL ? pool_worker_count(g->pool) : 0);
    add_number(r, "calls", g->calls);
    add_number(r, "failed", g->failed);
    add_functions(r, &g->manifest);
    resp_add_bulk_str(&r->reply, "grant");
    add_lines(r, &grant);
    buf_fini(&grant);
    request_done(r);
}

void command_graft(struct request *r)
{
    static const struct {
        const char *word;
        void (*run)(struct request *);
    } words[] = {
        { "LOAD", graft_cmd_load }, { "UNLOAD", graft_cmd_unload }, { "LIST", graft_cmd_list },
        { "INFO", graft_cmd_info }, { "VERIFY", graft_cmd_verify },
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (arg_is(r->argv[1], words[i].word)) {
            words[i].run(r);
            return;
        }
    command_usage(r);
}
