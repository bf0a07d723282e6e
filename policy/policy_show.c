/*
 * How a policy shows itself: as a policy file, complete with defaults, each rule with its place behind it. Reading it
 * gives the same policy.
 */
#include "policy/policy.h"

#include "lib/scfg.h"
#include "lib/utf8.h"
#include "policy/policy_impl.h"

#include <string.h>

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
    static const unsigned kv = 1u << RIGHT_KV_READ | 1u << RIGHT_KV_WRITE;
    static const unsigned file = 1u << RIGHT_FILE_READ | 1u << RIGHT_FILE_WRITE;
    enum err err = OK;

    if (rights == kv || rights == file)
        return buf_addf(out, " read write %s", rights == kv ? "kv" : "file");
    for (int i = 0; i < RIGHT_COUNT && err == OK; i++)
        if ((rights & 1u << i) != 0)
            err = buf_addf(out, " %s", right_name((enum right)i));
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

enum err rule_show(const struct policy_rule *rule, struct buf *out)
{
    static const unsigned plain = 1u << RIGHT_LOAD | 1u << RIGHT_UNLOAD | 1u << RIGHT_UNDO | 1u << RIGHT_KILL |
                                  1u << RIGHT_INFO | 1u << RIGHT_ADMIN; /* a pattern is not required */
    bool everything = rule->prefix && rule->len == 0 && (rule->rights & plain) != 0;
    enum err err = buf_add_str(out, rule->allow ? "allow" : "deny");

    if (err == OK)
        err = show_rights(rule->rights, out);
    if (err == OK && !everything)
        err = show_pattern(rule, out);
    return err;
}

enum err policy_rules_show(const struct policy_rules *rules, const char *indent, struct buf *out)
{
    enum err err = OK;

    for (size_t i = 0; i < rules->count && err == OK; i++)
        if ((err = buf_add_str(out, indent)) == OK && (err = rule_show(&rules->list[i], out)) == OK)
            err = show_place(rules->list[i].place, out);
    return err;
}

/* skipped: an item that is not shown, or count. One line for each directive: the table has its items side by side. */
static enum err show_settings(const struct quantity *table, const struct setting *settings, size_t count,
                              size_t skipped, const char *indent, bool all, struct buf *out)
{
    const char *open = NULL; /* the directive whose line is being written */
    char text[QUANTITY_TEXT_MAX];
    enum err err = OK;

    for (size_t i = 0; i < count && err == OK; i++) {
        const struct quantity *q = &table[i];
        if (i == skipped || (!all && settings[i].place.line == 0))
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

/* A weight that is read is one that is asked for: it is shown where weights are in force. */
static enum err show_graft(const struct policy *p, const struct graft_block *b, bool all, struct buf *out)
{
    const char *name = b == &p->standard ? "default" : b->name;
    size_t skipped = p->shares_cpu ? ITEM_COUNT : ITEM_CPU_WEIGHT;
    enum err err = buf_addf(out, "graft %s", name);

    if (err == OK)
        err = show_block_begin(b->place, out);
    if (err == OK)
        err = show_settings(item_quantities, b->settings, ITEM_COUNT, skipped, "    ", all, out);
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

    if (p->data != NULL && (err = buf_add_str(out, "data ")) == OK &&
        (err = scfg_add_word(out, bytes_str(p->data))) == OK)
        err = buf_add(out, "\n", 1);
    if (err == OK && p->socket != NULL)
        err = show_socket(p, out);
    if (err == OK && p->backup != NULL && (err = buf_add_str(out, "backup ")) == OK &&
        (err = scfg_add_word(out, bytes_str(p->backup))) == OK)
        err = buf_add(out, "\n", 1);
    if (err == OK)
        err = sandbox_show(p, out);
    if (err == OK)
        err = buf_addf(out, "durability %s\nsandbox degraded %s\n", durability_name(p->durability),
                       p->layers.degraded ? "allow" : "refuse");
    if (err != OK)
        return err;
    return show_settings(daemon_quantities, p->settings, DAEMON_ITEM_COUNT, DAEMON_ITEM_COUNT, "", true, out);
}

static enum err show_root(const struct policy_root *r, struct buf *out)
{
    enum err err = buf_addf(out, "root %s ", r->name);

    if (err == OK)
        err = scfg_add_word(out, bytes_str(r->path));
    if (err == OK && r->place.line == 0)
        return buf_add_str(out, "  # until the next start\n");
    return err == OK ? show_place(r->place, out) : err;
}

enum err policy_show(const struct policy *p, struct buf *out)
{
    enum err err = show_daemon(p, out);

    for (size_t i = 0; i < p->root_count && err == OK; i++)
        err = show_root(&p->roots[i], out);
    if (err == OK)
        err = show_graft(p, &p->standard, true, out);
    for (size_t i = 0; i < p->graft_count && err == OK; i++)
        err = show_graft(p, &p->grafts[i], false, out);
    for (size_t i = 0; i < p->caller_count && err == OK; i++)
        err = show_caller(&p->callers[i], out);
    return err;
}
