/*
 * What a policy answers, and how it shows itself. Filled by policy_load.c, and not changed afterwards.
 *
 * P1: each answer names the rule that decided, or says that none did. P2: without a rule there is no right.
 */
#include "policy/policy.h"

#include "lib/scfg.h"
#include "lib/utf8.h"
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
    [ITEM_WORKER_MIN] = { "workers", "min", UNIT_COUNT, 0, 64, 1 },
    [ITEM_WORKER_MAX] = { "workers", "max", UNIT_COUNT, 1, 64, 0 },
};

const struct quantity daemon_quantities[DAEMON_ITEM_COUNT] = {
    [DAEMON_KEY] = { "limit", "key", UNIT_SIZE, 1, 4 * KIB, 4 * KIB },
    [DAEMON_VALUE] = { "limit", "value", UNIT_SIZE, 1, 16 * MIB, 16 * MIB },
    [DAEMON_CLIENTS] = { "limit", "clients", UNIT_COUNT, 1, 65536, 1024 },
    [DAEMON_QUEUE] = { "limit", "queue", UNIT_COUNT, 1, 1000000, 1024 },
    [DAEMON_LOCK_WAIT] = { "limit", "lock-wait", UNIT_DURATION, 1, HOUR, 5 * SECOND },
    [DAEMON_CACHE] = { "limit", "cache", UNIT_SIZE, MIB, 1024ull * GIB, 64 * MIB },
    [DAEMON_DRAIN] = { "limit", "drain", UNIT_DURATION, 0, HOUR, 10 * SECOND },
    [DAEMON_IDLE] = { "limit", "idle", UNIT_DURATION, 10, HOUR, 10 * SECOND },
    [DAEMON_SPILL] = { "txn", "spill", UNIT_SIZE, 64 * KIB, GIB, 8 * MIB },
    [DAEMON_HISTORY_KEEP] = { "history", "keep", UNIT_DURATION, SECOND, 3650ull * DAY, DAY },
    [DAEMON_HISTORY_SIZE] = { "history", "size", UNIT_SIZE, 64 * KIB, 1024ull * GIB, GIB },
};

static const char *const right_names[RIGHT_COUNT] = {
    [RIGHT_CALL] = "call", [RIGHT_KV_READ] = "read kv", [RIGHT_KV_WRITE] = "write kv",
    [RIGHT_LOAD] = "load", [RIGHT_UNLOAD] = "unload",   [RIGHT_UNDO] = "undo",
    [RIGHT_KILL] = "kill", [RIGHT_INFO] = "info",       [RIGHT_ADMIN] = "admin",
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
    for (size_t i = 0; i < old->file_count; i++)
        free(old->files[i]);
    free(old->grafts);
    free(old->callers);
    free(old->data);
    free(old->socket);
    free(old);
    *p = NULL;
}

/* ---- settings ---- */

const char *policy_data(const struct policy *p) { return p->data; }
enum durability policy_durability(const struct policy *p) { return p->durability; }
const char *policy_socket(const struct policy *p) { return p->socket; }
mode_t policy_socket_mode(const struct policy *p) { return p->socket_mode; }
gid_t policy_socket_group(const struct policy *p) { return p->socket_group; }
bool policy_sandbox_degraded(const struct policy *p) { return p->sandbox_degraded; }
const struct policy_limits *policy_limits(const struct policy *p) { return &p->limits; }

static const struct graft_block *graft_find(const struct policy *p, const char *graft)
{
    for (size_t i = 0; i < p->graft_count; i++)
        if (strcmp(p->grafts[i].name, graft) == 0)
            return &p->grafts[i];
    return NULL;
}

void policy_graft_settings(const struct policy *p, const char *graft, struct setting settings[ITEM_COUNT])
{
    const struct graft_block *own = graft_find(p, graft);
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
    const struct graft_block *own = graft_find(p, graft);

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

static bool verdict_give(const struct verdict *v, struct place *place)
{
    const struct policy_rule *rule = v->deny != NULL ? v->deny : v->allow;

    *place = rule != NULL ? rule->place : (struct place){ 0 };
    return rule != NULL && rule->allow;
}

bool policy_rules_allow(const struct policy_rules *rules, enum right right, struct bytes subject, struct place *place)
{
    struct verdict v = { 0 };

    rules_ask(rules, right, subject, &v);
    return verdict_give(&v, place);
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

bool policy_caller_may(const struct policy *p, const struct principal *who, enum right right, struct bytes subject,
                       struct place *place)
{
    struct verdict v = { 0 };

    if (who->uid == 0 || who->uid == p->owner) {
        *place = (struct place){ 0 };
        return true;
    }
    for (size_t i = 0; i < p->caller_count; i++)
        if (caller_matches(&p->callers[i], who))
            rules_ask(&p->callers[i].rules, right, subject, &v);
    return verdict_give(&v, place);
}

/* ---- showing ---- */

static enum err show_place(struct place place, struct buf *out)
{
    enum err err = buf_add_str(out, "  # ");

    if (err == OK && place.line == 0)
        return buf_add_str(out, "built in\n");
    if (err == OK)
        err = utf8_show(out, bytes_str(place.file), NULL);
    return err == OK ? buf_addf(out, ":%u:%u\n", place.line, place.column) : err;
}

static enum err show_rights(unsigned rights, struct buf *out)
{
    const unsigned both = 1u << RIGHT_KV_READ | 1u << RIGHT_KV_WRITE;
    enum err err = OK;

    if ((rights & both) == both)
        return buf_add_str(out, " read write kv");
    for (int i = 0; i < RIGHT_COUNT && err == OK; i++)
        if ((rights & 1u << i) != 0)
            err = buf_addf(out, " %s", right_names[i]);
    return err;
}

static enum err show_pattern(const struct policy_rule *rule, struct buf *out)
{
    struct buf word;
    enum err err;

    buf_init(&word, SCFG_WORD_SIZE_MAX + 1);
    err = buf_add(&word, rule->text, rule->len);
    if (err == OK && rule->prefix)
        err = buf_add(&word, "*", 1);
    if (err == OK)
        err = buf_add(out, " ", 1);
    if (err == OK)
        err = scfg_add_word(out, buf_bytes(&word));
    buf_fini(&word);
    return err;
}

static enum err show_rule(const struct policy_rule *rule, const char *indent, struct buf *out)
{
    const unsigned subjects = 1u << RIGHT_CALL | 1u << RIGHT_KV_READ | 1u << RIGHT_KV_WRITE;
    bool everything = rule->prefix && rule->len == 0 && (rule->rights & subjects) == 0;
    enum err err = buf_addf(out, "%s%s", indent, rule->allow ? "allow" : "deny");

    if (err == OK)
        err = show_rights(rule->rights, out);
    if (err == OK && !everything)
        err = show_pattern(rule, out);
    return err == OK ? show_place(rule->place, out) : err;
}

enum err policy_rules_show(const struct policy_rules *rules, const char *indent, struct buf *out)
{
    enum err err = OK;

    for (size_t i = 0; i < rules->count && err == OK; i++)
        err = show_rule(&rules->list[i], indent, out);
    return err;
}

/* One line for each directive: the table has its items side by side. */
static enum err show_settings(const struct quantity *table, const struct setting *settings, size_t count,
                              const char *indent, bool all, struct buf *out)
{
    const char *open = NULL; /* the directive whose line is being written */
    char text[QUANTITY_TEXT_MAX];
    enum err err = OK;

    for (size_t i = 0; i < count && err == OK; i++) {
        const struct quantity *q = &table[i];
        if (!all && settings[i].place.line == 0)
            continue;
        if (open == NULL || strcmp(open, q->directive) != 0)
            err = buf_addf(out, "%s%s%s", open == NULL ? "" : "\n", indent, q->directive);
        open = q->directive;
        if (err == OK)
            err = buf_addf(out, " %s %s", q->word, quantity_show(q->unit, settings[i].value, text));
    }
    return err == OK && open != NULL ? buf_add(out, "\n", 1) : err;
}

enum err policy_setting_show(const struct setting *s, enum item item, struct buf *out)
{
    const struct quantity *q = &item_quantities[item];
    char text[QUANTITY_TEXT_MAX];
    enum err err = buf_addf(out, "%s %s %s", q->directive, q->word, quantity_show(q->unit, s->value, text));

    return err == OK ? show_place(s->place, out) : err;
}

static enum err show_block_end(struct buf *out) { return buf_add_str(out, "}\n"); }

static enum err show_block_begin(struct place place, struct buf *out)
{
    enum err err = buf_add_str(out, " {");

    if (err != OK)
        return err;
    return place.line == 0 ? buf_add(out, "\n", 1) : show_place(place, out);
}

static enum err show_graft(const struct graft_block *b, const char *name, bool all, struct buf *out)
{
    enum err err = buf_addf(out, "graft %s", name);

    if (err == OK)
        err = show_block_begin(b->place, out);
    if (err == OK)
        err = show_settings(item_quantities, b->settings, ITEM_COUNT, "    ", all, out);
    if (err == OK)
        err = policy_rules_show(&b->rules, "    ", out);
    return err == OK ? show_block_end(out) : err;
}

static enum err show_caller(const struct caller_block *b, struct buf *out)
{
    enum err err;

    if (b->kind == CALLER_ANY)
        err = buf_add_str(out, "caller any");
    else
        err = buf_addf(out, "caller %s %u", b->kind == CALLER_USER ? "user" : "group", b->id);
    if (err == OK)
        err = show_block_begin(b->place, out);
    if (err == OK)
        err = policy_rules_show(&b->rules, "    ", out);
    return err == OK ? show_block_end(out) : err;
}

static enum err show_socket(const struct policy *p, struct buf *out)
{
    enum err err = buf_add_str(out, "socket ");

    if (err == OK)
        err = scfg_add_word(out, bytes_str(p->socket));
    if (err == OK)
        err = buf_addf(out, " mode %04o", p->socket_mode);
    if (err == OK && p->socket_group != (gid_t)-1)
        err = buf_addf(out, " group %u", p->socket_group);
    return err == OK ? buf_add(out, "\n", 1) : err;
}

static enum err show_daemon(const struct policy *p, struct buf *out)
{
    enum err err = OK;

    if (p->data != NULL && (err = buf_add_str(out, "data ")) == OK
        && (err = scfg_add_word(out, bytes_str(p->data))) == OK)
        err = buf_add(out, "\n", 1);
    if (err == OK && p->socket != NULL)
        err = show_socket(p, out);
    if (err == OK)
        err = buf_addf(out, "durability %s\nsandbox degraded %s\n", durability_name(p->durability),
                       p->sandbox_degraded ? "allow" : "refuse");
    return err == OK ? show_settings(daemon_quantities, p->settings, DAEMON_ITEM_COUNT, "", true, out) : err;
}

enum err policy_show(const struct policy *p, struct buf *out)
{
    enum err err = show_daemon(p, out);

    if (err == OK)
        err = show_graft(&p->standard, "default", true, out);
    for (size_t i = 0; i < p->graft_count && err == OK; i++)
        err = show_graft(&p->grafts[i], p->grafts[i].name, false, out);
    for (size_t i = 0; i < p->caller_count && err == OK; i++)
        err = show_caller(&p->callers[i], out);
    return err;
}
