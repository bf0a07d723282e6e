/* The table of commands, the way to their handlers, and those that clients send on their own. */
#include "graftd/audit.h"
#include "graftd/command.h"
#include "graftd/session.h"
#include "graftd/subscribe.h"

#include "lib/resp.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { RIGHT_NONE = -1, NAME_MAX_SHOWN = 64 };

static const struct command command_table[] = {
#define COMMAND(name, args_min, args_max, right, handler, usage) \
    { name, sizeof name - 1, usage, args_min, args_max, RIGHT_##right, handler },
#include "graftd/command.def"
#undef COMMAND
};
static const size_t command_count = sizeof command_table / sizeof command_table[0];

bool arg_is(struct bytes arg, const char *word)
{
    return arg.len == strlen(word) && strncasecmp(arg.data, word, arg.len) == 0;
}

bool command_may(struct request *r, enum right right, struct bytes subject)
{
    struct failure why = { 0 };

    if (core_may(r->core, request_principal(r), right, subject, &why) == OK)
        return true;
    request_fail(r, &why);
    return false;
}

void command_usage(struct request *r) { request_error(r, ERR_COMMAND, "syntax error; it is: %s", r->command->usage); }

static const struct command *command_find(struct bytes name)
{
    for (size_t i = 0; i < command_count; i++)
        if (name.len == command_table[i].name_len && strncasecmp(name.data, command_table[i].name, name.len) == 0)
            return &command_table[i];
    return NULL;
}

bool command_is_call(struct bytes name)
{
    const struct command *c = command_find(name);

    return c != NULL && (c->run == command_fcall || c->run == command_fcall_ro || c->run == command_call);
}

/* Commands whose usage has a word in capitals behind the name: "GRAFT LOAD …". */
static bool has_second_word(const struct command *c)
{
    const char *word = strchr(c->usage, ' ');

    return word != NULL && word[1] >= 'A' && word[1] <= 'Z' && word[2] >= 'A' && word[2] <= 'Z';
}

/* `deny command`: "backup", "graft load". A second word that is none is for the handler to refuse. */
static bool command_is_allowed(struct request *r)
{
    char name[NAME_MAX_SHOWN], shown[NAME_MAX_SHOWN], where[256];
    size_t n = strlen(r->command->name);
    struct place place;

    memcpy(name, r->command->name, n);
    if (has_second_word(r->command) && r->argc > 1 && n + 1 + r->argv[1].len < sizeof name) {
        const char *word = r->argv[1].data;
        name[n++] = ' ';
        for (size_t i = 0; i < r->argv[1].len; i++)
            name[n++] = (char)(word[i] >= 'A' && word[i] <= 'Z' ? word[i] - 'A' + 'a' : word[i]);
    }
    if (policy_command_may(r->core->policy, request_principal(r), bytes_of(name, n), &place))
        return true;
    audit_denied(r->core->audit, request_principal(r), "command", bytes_of(name, n), place);
    request_error(r, ERR_NOPERM, "user %u may not use the command \"%s\": %s denies it",
                  (unsigned)request_principal(r)->uid, bytes_show(bytes_of(name, n), shown, sizeof shown),
                  place_show(place, where, sizeof where));
    return false;
}

/* Whether the pattern is, or begins, this command's name, or its name and a word of its usage. */
static bool pattern_meets(const struct policy_rule *rule, const struct command *c)
{
    size_t n = strlen(c->name), len;

    if (rule->len <= n)
        return strncmp(c->name, rule->text, rule->len) == 0 && (rule->prefix || rule->len == n);
    if (strncmp(c->name, rule->text, n) != 0 || rule->text[n] != ' ' || !has_second_word(c))
        return false;
    len = rule->len - n - 1;
    for (const char *word = strchr(c->usage, ' '); word != NULL; word = strchr(word + 1, ' '))
        if (strncasecmp(word + 1, rule->text + n + 1, len) == 0 &&
            (rule->prefix || strchr(" |", word[1 + len]) != NULL))
            return true;
    return false;
}

static void check_rule(const struct policy_rule *rule, void *user)
{
    char shown[NAME_MAX_SHOWN], where[256];

    for (size_t i = 0; i < command_count; i++)
        if (pattern_meets(rule, &command_table[i]))
            return;
    buf_addf(user, "%s: warning: no command is named \"%s%s\", so this denies nothing\n",
             place_show(rule->place, where, sizeof where),
             bytes_show(bytes_of(rule->text, rule->len), shown, sizeof shown), rule->prefix ? "*" : "");
}

void command_check_policy(const struct policy *p, struct buf *out) { policy_each_command(p, check_rule, out); }

void command_run(struct request *r)
{
    char shown[NAME_MAX_SHOWN];

    if (r->command == NULL) /* else it was looked at before */
        r->core->stats.commands++;
    r->command = command_find(r->argv[0]);
    if (r->command == NULL) {
        request_error(r, ERR_COMMAND, "unknown command '%s'", bytes_show(r->argv[0], shown, sizeof shown));
        return;
    }
    if ((int)r->argc < r->command->args_min || (r->command->args_max >= 0 && (int)r->argc > r->command->args_max)) {
        request_error(r, ERR_COMMAND, "wrong number of arguments for '%s'; it is: %s", r->command->name,
                      r->command->usage);
        return;
    }
    if (!command_is_allowed(r))
        return;
    if (r->command->right != RIGHT_NONE && !command_may(r, (enum right)r->command->right, bytes_of(NULL, 0)))
        return;
    if (!subscribe_refuses(r) && !session_queues(r))
        r->command->run(r);
}

/* ---- what clients send on their own ---- */

static void reply_ok(struct request *r)
{
    resp_add_status(&r->reply, "OK");
    request_done(r);
}

void command_ping(struct request *r)
{
    if (r->proto == 2 && r->part_done == NULL && !list_empty(client_subscriptions(r->client))) {
        resp_add_array(&r->reply, 2);
        resp_add_bulk_str(&r->reply, "pong");
        resp_add_bulk(&r->reply, r->argc == 2 ? r->argv[1] : bytes_of("", 0));
    } else if (r->argc == 2) {
        resp_add_bulk(&r->reply, r->argv[1]);
    } else {
        resp_add_status(&r->reply, "PONG");
    }
    request_done(r);
}

void command_echo(struct request *r)
{
    resp_add_bulk(&r->reply, r->argv[1]);
    request_done(r);
}

static void add_pair(struct request *r, const char *name, const char *value)
{
    resp_add_bulk_str(&r->reply, name);
    resp_add_bulk_str(&r->reply, value);
}

void command_hello(struct request *r)
{
    uint64_t proto = (uint64_t)r->proto;

    if (r->argc > 1 && (!bytes_to_u64(r->argv[1], &proto) || proto < 2 || proto > 3)) {
        resp_add_error(&r->reply, "NOPROTO", "unsupported protocol version");
        request_done(r);
        return;
    }
    for (size_t i = 2; i < r->argc; i++) {
        if (arg_is(r->argv[i], "AUTH") && i + 2 < r->argc) {
            i += 2;
        } else if (arg_is(r->argv[i], "SETNAME") && i + 1 < r->argc) {
            client_set_name(r->client, r->argv[++i]);
        } else {
            command_usage(r);
            return;
        }
    }
    r->proto = (int)proto;
    client_set_proto(r->client, (int)proto);
    resp_add_map(&r->reply, 7, r->proto);
    add_pair(r, "server", "graftd");
    add_pair(r, "version", PACKAGE_VERSION);
    resp_add_bulk_str(&r->reply, "proto");
    resp_add_i64(&r->reply, r->proto);
    resp_add_bulk_str(&r->reply, "id");
    resp_add_i64(&r->reply, (int64_t)client_id(r->client));
    add_pair(r, "mode", "standalone");
    add_pair(r, "role", "master");
    resp_add_bulk_str(&r->reply, "modules");
    resp_add_array(&r->reply, 0);
    request_done(r);
}

/* Who is asking comes from the socket; a password neither adds to that nor takes from it. */
void command_auth(struct request *r) { reply_ok(r); }

void command_select(struct request *r)
{
    if (arg_is(r->argv[1], "0"))
        reply_ok(r);
    else
        request_error(r, ERR_COMMAND, "DB index is out of range: there is only database 0");
}

void command_quit(struct request *r)
{
    struct client *c = r->client;

    resp_add_status(&r->reply, "OK");
    client_quit(c);
    request_done(r);
}

void command_reset(struct request *r)
{
    if (client_session(r->client) != NULL)
        session_close(client_session(r->client), "RESET ended it");
    subscribe_end_all(r->client);
    client_set_proto(r->client, 2);
    client_set_name(r->client, bytes_of("", 0));
    resp_add_status(&r->reply, "RESET");
    request_done(r);
}

static void add_command(struct request *r, const struct command *c)
{
    resp_add_array(&r->reply, 6);
    resp_add_bulk_str(&r->reply, c->name);
    resp_add_i64(&r->reply, c->args_min == c->args_max ? c->args_min : -c->args_min);
    resp_add_array(&r->reply, 0);
    resp_add_i64(&r->reply, 0);
    resp_add_i64(&r->reply, 0);
    resp_add_i64(&r->reply, 0);
}

void command_command(struct request *r)
{
    if (r->argc > 1 && arg_is(r->argv[1], "COUNT")) {
        resp_add_i64(&r->reply, (int64_t)command_count);
    } else if (r->argc > 1 && arg_is(r->argv[1], "DOCS")) {
        resp_add_map(&r->reply, 0, r->proto);
    } else if (r->argc > 1 && arg_is(r->argv[1], "LIST")) {
        resp_add_array(&r->reply, command_count);
        for (size_t i = 0; i < command_count; i++)
            resp_add_bulk_str(&r->reply, command_table[i].name);
    } else if (r->argc > 1 && !arg_is(r->argv[1], "INFO")) {
        command_usage(r);
        return;
    } else {
        resp_add_array(&r->reply, command_count);
        for (size_t i = 0; i < command_count; i++)
            add_command(r, &command_table[i]);
    }
    request_done(r);
}

/* The settings are in the policy; clients only ask for a few of Redis's to know what they talk to. */
void command_config(struct request *r)
{
    if (arg_is(r->argv[1], "GET")) {
        resp_add_map(&r->reply, 0, r->proto);
        request_done(r);
    } else {
        request_error(r, ERR_COMMAND, "the configuration is the policy file; CONFIG only answers GET");
    }
}

static void add_client_line(struct request *r)
{
    struct buf line;

    buf_init(&line, 512);
    buf_addf(&line, "id=%" PRIu64 " name=%s uid=%u pid=%d resp=%d\n", client_id(r->client), client_name(r->client),
             (unsigned)request_principal(r)->uid, (int)request_principal(r)->pid, r->proto);
    resp_add_verbatim(&r->reply, buf_bytes(&line), r->proto);
    buf_fini(&line);
}

void command_client(struct request *r)
{
    struct bytes word = r->argv[1];

    if (arg_is(word, "ID")) {
        resp_add_i64(&r->reply, (int64_t)client_id(r->client));
    } else if (arg_is(word, "GETNAME")) {
        resp_add_bulk_str(&r->reply, client_name(r->client));
    } else if (arg_is(word, "SETNAME") && r->argc == 3) {
        client_set_name(r->client, r->argv[2]);
        resp_add_status(&r->reply, "OK");
    } else if (arg_is(word, "SETINFO") || arg_is(word, "NO-EVICT") || arg_is(word, "NO-TOUCH")) {
        resp_add_status(&r->reply, "OK");
    } else if (arg_is(word, "INFO") || arg_is(word, "LIST")) {
        add_client_line(r);
    } else {
        command_usage(r);
        return;
    }
    request_done(r);
}
