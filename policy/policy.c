/*
 * What a policy answers. Filled by policy_load.c, and not changed afterwards; shown by policy_show.c.
 *
 * P1: each answer names the rule that decided, or says that none did. P2: without a rule there is no right.
 */
#include "policy/policy.h"

#include "lib/check.h"
#include "policy/cgroup.h"
#include "policy/policy_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KIB = 1 << 10, MIB = 1 << 20, GIB = 1 << 30, SECOND = 1000, HOUR = 3600 * SECOND, DAY = 24 * HOUR };

const struct quantity item_quantities[ITEM_COUNT] = {
    [ITEM_CPU] = { "limit", "cpu", UNIT_DURATION, 1, HOUR, 50 },
    [ITEM_WALL] = { "limit", "wall", UNIT_DURATION, 1, DAY, SECOND },
    [ITEM_MEMORY] = { "limit", "memory", UNIT_SIZE, 64 * KIB, 16ull * GIB, 64 * MIB },
    [ITEM_STACK] = { "limit", "stack", UNIT_SIZE, 64 * KIB, 64 * MIB, MIB },
    [ITEM_EFFECTS] = { "limit", "effects", UNIT_COUNT, 1, 1000000000, 10000 },
    [ITEM_RETRIES] = { "limit", "retries", UNIT_COUNT, 0, 100, 10 },
    [ITEM_HOLD] = { "limit", "hold", UNIT_DURATION, 1, HOUR, SECOND },
    [ITEM_DISK] = { "limit", "disk", UNIT_SIZE, 1, 1024ull * GIB, 256 * MIB },
    [ITEM_CPU_WEIGHT] = { "limit", "cpu-weight", UNIT_COUNT, 1, CGROUP_WEIGHT_MAX, CGROUP_WEIGHT_STANDARD },
    [ITEM_WORKER_MIN] = { "workers", "min", UNIT_COUNT, 0, 64, 1 },
    [ITEM_WORKER_MAX] = { "workers", "max", UNIT_COUNT, 1, 64, 0 },
    [ITEM_WORKER_FRESH] = { "worker", "fresh", UNIT_OCCASION, 0, 1, 0 },
};

const struct quantity daemon_quantities[DAEMON_ITEM_COUNT] = {
    [DAEMON_KEY] = { "limit", "key", UNIT_SIZE, 1, 4 * KIB, 4 * KIB },
    [DAEMON_VALUE] = { "limit", "value", UNIT_SIZE, 1, 16 * MIB, 16 * MIB },
    [DAEMON_CLIENTS] = { "limit", "clients", UNIT_COUNT, 1, 65536, 1024 },
    [DAEMON_CLIENTS_PER_USER] = { "limit", "clients-per-user", UNIT_COUNT, 1, 65536, 256 },
    [DAEMON_QUEUE] = { "limit", "queue", UNIT_COUNT, 1, 1000000, 1024 },
    [DAEMON_LOCK_WAIT] = { "limit", "lock-wait", UNIT_DURATION, 1, HOUR, 5 * SECOND },
    [DAEMON_CACHE] = { "limit", "cache", UNIT_SIZE, MIB, 1024ull * GIB, 64 * MIB },
    [DAEMON_DRAIN] = { "limit", "drain", UNIT_DURATION, 0, HOUR, 10 * SECOND },
    [DAEMON_IDLE] = { "limit", "idle", UNIT_DURATION, 10, HOUR, 10 * SECOND },
    [DAEMON_TIMERS] = { "limit", "timers", UNIT_COUNT, 1, 1000000, 65536 },
    [DAEMON_LOCKS] = { "limit", "locks", UNIT_SIZE, 64 * KIB, GIB, 16 * MIB },
    [DAEMON_SPILL] = { "txn", "spill", UNIT_SIZE, 64 * KIB, GIB, 8 * MIB },
    [DAEMON_HISTORY_KEEP] = { "history", "keep", UNIT_DURATION, SECOND, 3650ull * DAY, DAY },
    [DAEMON_HISTORY_SIZE] = { "history", "size", UNIT_SIZE, 64 * KIB, 1024ull * GIB, GIB },
    [DAEMON_EVENTS_KEEP] = { "events", "keep", UNIT_DURATION, SECOND, 3650ull * DAY, 7 * DAY },
    [DAEMON_EVENTS_SIZE] = { "events", "size", UNIT_SIZE, 64 * KIB, 1024ull * GIB, 256 * MIB },
    [DAEMON_TIMER_TRIES] = { "timers", "tries", UNIT_COUNT, 1, 1000, 10 },
    [DAEMON_TIMER_BACKOFF] = { "timers", "backoff", UNIT_DURATION, 1, DAY, SECOND },
};

static const char *const right_names[RIGHT_COUNT] = {
    [RIGHT_CALL] = "call",
    [RIGHT_KV_READ] = "read kv",
    [RIGHT_KV_WRITE] = "write kv",
    [RIGHT_FILE_READ] = "read file",
    [RIGHT_FILE_WRITE] = "write file",
    [RIGHT_EVENT_READ] = "read event",
    [RIGHT_EMIT] = "emit",
    [RIGHT_TIMER] = "timer",
    [RIGHT_LOAD] = "load",
    [RIGHT_UNLOAD] = "unload",
    [RIGHT_UNDO] = "undo",
    [RIGHT_KILL] = "kill",
    [RIGHT_INFO] = "info",
    [RIGHT_ADMIN] = "admin",
    [RIGHT_COMMAND] = "command",
};

static const char *const durability_names[] = {
    [DURABILITY_FULL] = "full",
    [DURABILITY_NORMAL] = "normal",
    [DURABILITY_OFF] = "off",
};

const char *right_name(enum right right) { return right_names[right]; }
const char *durability_name(enum durability d) { return durability_names[d]; }

const char *place_show(struct place place, char *out, size_t size)
{
    if (place.line == 0)
        snprintf(out, size, "no rule");
    else
        snprintf(out, size, "%s:%u:%u", place.file, place.line, place.column);
    return out;
}

/* ---- memory ---- */

void policy_rules_free(struct policy_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        free(rules->list[i].text);
    free(rules->list);
    *rules = (struct policy_rules){ 0 };
}

enum err policy_rules_copy(const struct policy_rules *from, struct policy_rules *to)
{
    struct policy_rules copy = { 0 };

    if (from->count == 0) {
        *to = copy;
        return OK;
    }
    copy.list = calloc(from->count, sizeof copy.list[0]);
    if (copy.list == NULL)
        return ERR_NOMEM;
    copy.cap = from->count;
    for (; copy.count < from->count; copy.count++) {
        struct policy_rule rule = from->list[copy.count];
        rule.text = bytes_dup(bytes_of(rule.text, rule.len));
        if (rule.text == NULL) {
            policy_rules_free(&copy);
            return ERR_NOMEM;
        }
        copy.list[copy.count] = rule;
    }
    *to = copy;
    return OK;
}

static void graft_block_fini(struct graft_block *b)
{
    free(b->name);
    policy_rules_free(&b->rules);
}

void policy_free(struct policy **p)
{
    struct policy *old = *p;

    if (old == NULL)
        return;
    graft_block_fini(&old->standard);
    for (size_t i = 0; i < old->graft_count; i++)
        graft_block_fini(&old->grafts[i]);
    for (size_t i = 0; i < old->caller_count; i++)
        policy_rules_free(&old->callers[i].rules);
    for (size_t i = 0; i < old->root_count; i++)
        root_free(&old->roots[i]);
    for (size_t i = 0; i < old->file_count; i++)
        free(old->files[i]);
    free(old->grafts);
    free(old->callers);
    free(old->data);
    free(old->socket);
    free(old->backup);
    free(old);
    *p = NULL;
}

/* ---- settings ---- */

const char *policy_data(const struct policy *p) { return p->data; }
enum durability policy_durability(const struct policy *p) { return p->durability; }
const char *policy_socket(const struct policy *p) { return p->socket; }
mode_t policy_socket_mode(const struct policy *p) { return p->socket_mode; }
gid_t policy_socket_group(const struct policy *p) { return p->socket_group; }
const struct layer_rules *policy_layers(const struct policy *p) { return &p->layers; }
bool policy_daemon_walled(const struct policy *p) { return !p->daemon_open; }
const char *policy_backup(const struct policy *p) { return p->backup; }
bool policy_shares_cpu(const struct policy *p) { return p->shares_cpu; }
const struct policy_limits *policy_limits(const struct policy *p) { return &p->limits; }
size_t policy_root_count(const struct policy *p) { return p->root_count; }

const struct policy_root *policy_root(const struct policy *p, size_t i)
{
    CHECK(i < p->root_count);
    return &p->roots[i];
}

const struct graft_block *policy_graft_block(const struct policy *p, const char *graft)
{
    for (size_t i = 0; i < p->graft_count; i++)
        if (strcmp(p->grafts[i].name, graft) == 0)
            return &p->grafts[i];
    return NULL;
}

void policy_graft_settings(const struct policy *p, const char *graft, struct setting settings[ITEM_COUNT])
{
    const struct graft_block *own = policy_graft_block(p, graft);
    struct setting *min = &settings[ITEM_WORKER_MIN], *max = &settings[ITEM_WORKER_MAX];

    memcpy(settings, p->standard.settings, sizeof p->standard.settings);
    for (int i = 0; own != NULL && i < ITEM_COUNT; i++)
        if (own->settings[i].place.line != 0)
            settings[i] = own->settings[i];
    /* Said in one block they fit; from two, the nearer one carries the other along. */
    if (min->value > max->value && own != NULL && own->settings[ITEM_WORKER_MIN].place.line != 0)
        max->value = min->value;
    if (min->value > max->value)
        min->value = max->value;
}

/* ---- rules ---- */

const struct policy_rules *policy_graft_rules(const struct policy *p, const char *graft)
{
    const struct graft_block *own = policy_graft_block(p, graft);

    return own != NULL && own->rules.count > 0 ? &own->rules : &p->standard.rules;
}

static bool rule_speaks(const struct policy_rule *rule, enum right right, struct bytes subject)
{
    struct bytes text = bytes_of(rule->text, rule->len);

    return (rule->rights & 1u << right) != 0
           && (rule->prefix ? bytes_start_with(subject, text) : bytes_equal(subject, text));
}

/* The first rule that denies, else the first that allows, of all rules that were asked so far. */
struct verdict {
    const struct policy_rule *deny, *allow;
};

static void rules_ask(const struct policy_rules *rules, enum right right, struct bytes subject, struct verdict *v)
{
    for (size_t i = 0; i < rules->count && v->deny == NULL; i++) {
        const struct policy_rule *rule = &rules->list[i];
        if (!rule_speaks(rule, right, subject))
            continue;
        if (!rule->allow)
            v->deny = rule;
        else if (v->allow == NULL)
            v->allow = rule;
    }
}

static const struct policy_rule *verdict_rule(const struct verdict *v) { return v->deny != NULL ? v->deny : v->allow; }

static bool rule_gives(const struct policy_rule *rule, struct place *place)
{
    *place = rule != NULL ? rule->place : (struct place){ 0 };
    return rule != NULL && rule->allow;
}

const struct policy_rule *policy_rules_decide(const struct policy_rules *rules, enum right right, struct bytes subject)
{
    struct verdict v = { 0 };

    rules_ask(rules, right, subject, &v);
    return verdict_rule(&v);
}

bool policy_rules_allow(const struct policy_rules *rules, enum right right, struct bytes subject, struct place *place)
{
    return rule_gives(policy_rules_decide(rules, right, subject), place);
}

static bool caller_matches(const struct caller_block *caller, const struct principal *who)
{
    bool member = caller->id == who->gid;

    switch (caller->kind) {
    case CALLER_ANY:
        return true;
    case CALLER_USER:
        return caller->id == who->uid;
    case CALLER_GROUP:
        break;
    }
    for (size_t i = 0; i < who->group_count && i < PRINCIPAL_GROUP_MAX && !member; i++)
        member = caller->id == who->groups[i];
    return member;
}

static void callers_ask(const struct policy *p, const struct principal *who, enum right right, struct bytes subject,
                        struct verdict *v)
{
    for (size_t i = 0; i < p->caller_count; i++)
        if (caller_matches(&p->callers[i], who))
            rules_ask(&p->callers[i].rules, right, subject, v);
}

bool policy_is_free(const struct policy *p, const struct principal *who)
{
    return who->uid == 0 || who->uid == p->owner;
}

const struct policy_rule *policy_caller_rule(const struct policy *p, const struct principal *who, enum right right,
                                             struct bytes subject)
{
    const char *space = right != RIGHT_COMMAND || subject.len == 0 ? NULL : memchr(subject.data, ' ', subject.len);
    struct verdict v = { 0 };

    if (space != NULL) /* what is said of a command's first word holds for all of them */
        callers_ask(p, who, right, bytes_of(subject.data, (size_t)(space - (const char *)subject.data)), &v);
    callers_ask(p, who, right, subject, &v);
    return verdict_rule(&v);
}

bool policy_caller_may(const struct policy *p, const struct principal *who, enum right right, struct bytes subject,
                       struct place *place)
{
    bool all = policy_is_free(p, who);

    return rule_gives(all ? NULL : policy_caller_rule(p, who, right, subject), place) || all;
}

bool policy_command_may(const struct policy *p, const struct principal *who, struct bytes command, struct place *place)
{
    const struct policy_rule *rule = policy_is_free(p, who) ? NULL : policy_caller_rule(p, who, RIGHT_COMMAND, command);

    return rule_gives(rule, place) || rule == NULL;
}

void policy_each_command(const struct policy *p, void (*visit)(const struct policy_rule *, void *user), void *user)
{
    for (size_t i = 0; i < p->caller_count; i++)
        for (size_t k = 0; k < p->callers[i].rules.count; k++)
            if ((p->callers[i].rules.list[k].rights & 1u << RIGHT_COMMAND) != 0)
                visit(&p->callers[i].rules.list[k], user);
}
