/*
 * Rights as a policy writes them: allow read write kv "acct:*".
 */
#include "policy/policy_loader.h"

#include <stdlib.h>
#include <string.h>

static const char *const right_words[] = { "call", "read", "write", "load", "unload", "undo", "kill", "info", "admin" };
static const enum right right_of_word[] = { RIGHT_CALL, RIGHT_KV_READ, RIGHT_KV_WRITE, RIGHT_LOAD, RIGHT_UNLOAD,
                                            RIGHT_UNDO, RIGHT_KILL,    RIGHT_INFO,     RIGHT_ADMIN };
static const char *const right_words_later[] = { "file",  "emit",  "attach",    "invoke",  "accessor",
                                                 "event", "timer", "subscribe", "provide", NULL };
static const struct choice caller_rights = { right_words, COUNT(right_words), right_words_later };
static const struct choice graft_rights = { right_words + 1, 2, right_words_later };
static const char *const resource_words[] = { "kv" };
static const struct choice resources = { resource_words, 1, right_words_later };

enum {
    KV_RIGHTS = 1u << RIGHT_KV_READ | 1u << RIGHT_KV_WRITE,
    CALL_RIGHTS = 1u << RIGHT_CALL,
    LOAD_RIGHTS = 1u << RIGHT_LOAD | 1u << RIGHT_UNLOAD,
};

/* The words of rights from 1 on. Returns the index of the first word behind them. */
static size_t read_rights(struct loader *l, const struct scfg_directive *d, const struct choice *c, unsigned *rights)
{
    size_t i = 1;

    *rights = 0;
    for (; i < d->word_count && !d->words[i].quoted && *rights != CALL_RIGHTS; i++) {
        int n = choice_find(c, &d->words[i]);
        if (n < 0)
            break;
        *rights |= 1u << right_of_word[(c == &graft_rights) + n];
    }
    if (*rights == 0 && i == d->word_count)
        scfg_error(l->scfg, &d->words[0], "%s names no right", d->words[0].text);
    else if (*rights == 0)
        choice_error(l, c, &d->words[i], "right");
    return i;
}

/* `read` and `write` say of which resource. */
static bool read_resource(struct loader *l, const struct scfg_directive *d, size_t i)
{
    if (i < d->word_count)
        return word_choose(l, &resources, &d->words[i], "resource") >= 0;
    scfg_error(l->scfg, directive_last(d), "read and write need a resource and a pattern: %s read kv \"acct:*\"",
               d->words[0].text);
    return false;
}

/* Rights whose patterns mean different things cannot share them. */
static bool rights_mix(struct loader *l, const struct scfg_directive *d, unsigned rights)
{
    bool mixed = ((rights & CALL_RIGHTS) != 0 && rights != CALL_RIGHTS)
                 || ((rights & KV_RIGHTS) != 0 && (rights & ~(unsigned)KV_RIGHTS) != 0);

    if (mixed)
        scfg_error(l->scfg, &d->words[0], "%s and other rights each need a line of their own",
                   (rights & CALL_RIGHTS) != 0 ? "call" : "read and write kv");
    return mixed;
}

static bool pattern_check(struct loader *l, const struct scfg_word *w, unsigned rights)
{
    const char *star = strchr(w->text, '*');
    char shown[SHOWN_MAX];

    word_show(w, shown);
    if (w->len == 0)
        scfg_error(l->scfg, w, "an empty pattern matches nothing; write \"*\" for everything");
    else if (star != NULL && star[1] != '\0')
        scfg_error(l->scfg, w, "a * can only stand at the end of a pattern");
    else if (rights == CALL_RIGHTS && star == NULL && strchr(w->text, '.') == NULL)
        scfg_error(l->scfg, w, "no function has this name; write \"%s.*\" for all functions of a graft", shown);
    else
        return true;
    return false;
}

static void rule_add(struct loader *l, const struct scfg_directive *d, const struct scfg_word *pattern, unsigned rights,
                     struct policy_rules *rules)
{
    struct policy_rule rule = {
        .allow = word_is(&d->words[0], "allow"), .rights = rights, .prefix = true, .place = word_place(l, &d->words[0])
    };
    struct policy_rule *list;

    if (rules->count == POLICY_RULE_MAX) {
        scfg_error(l->scfg, &d->words[0], "too many rules: a block has at most %d", POLICY_RULE_MAX);
        return;
    }
    if (pattern != NULL) {
        rule.prefix = pattern->len > 0 && pattern->text[pattern->len - 1] == '*';
        rule.len = pattern->len - rule.prefix;
    }
    rule.text = bytes_dup(bytes_of(pattern == NULL ? "" : pattern->text, rule.len));
    list = rule.text == NULL ? NULL : array_grow(rules->list, &rules->count, &rules->cap, sizeof rule);
    if (list == NULL) {
        free(rule.text);
        l->err = ERR_NOMEM;
        return;
    }
    rules->list = list;
    list[rules->count - 1] = rule;
}

static void read_patterns(struct loader *l, const struct scfg_directive *d, size_t i, unsigned rights,
                          struct policy_rules *rules)
{
    for (; i < d->word_count && l->err == OK; i++)
        if (pattern_check(l, &d->words[i], rights))
            rule_add(l, d, &d->words[i], rights, rules);
}

/* Rights that need no pattern: what stands behind them is a graft's pattern in quotes, or a slip. */
static void read_plain_rule(struct loader *l, const struct scfg_directive *d, size_t i, unsigned rights,
                            struct policy_rules *rules)
{
    const struct scfg_word *w = &d->words[i];
    char shown[SHOWN_MAX];

    if (i == d->word_count)
        rule_add(l, d, NULL, rights, rules);
    else if (!w->quoted
             && (scfg_nearest(w, right_words, COUNT(right_words)) != NULL || choice_is_later(&caller_rights, w)))
        choice_error(l, &caller_rights, w, "right");
    else if (!w->quoted)
        scfg_error(l->scfg, w, "unknown right \"%s\"; if it is a graft's name, put it in quotes", word_show(w, shown));
    else if ((rights & ~(unsigned)LOAD_RIGHTS) != 0)
        scfg_error(l->scfg, w, "only load and unload take a pattern; the other rights need a line of their own");
    else
        read_patterns(l, d, i, rights, rules);
}

void rule_read(struct loader *l, const struct scfg_directive *d, bool caller, struct policy_rules *rules)
{
    unsigned rights;
    size_t i = read_rights(l, d, caller ? &caller_rights : &graft_rights, &rights);

    if (!directive_expect_no_block(l, d) || rights == 0 || rights_mix(l, d, rights))
        return;
    if ((rights & (CALL_RIGHTS | KV_RIGHTS)) == 0) {
        read_plain_rule(l, d, i, rights, rules);
        return;
    }
    if (rights != CALL_RIGHTS && !read_resource(l, d, i++))
        return;
    if (i >= d->word_count)
        scfg_error(l->scfg, directive_last(d), "a pattern is missing behind this word; \"*\" is everything");
    else
        read_patterns(l, d, i, rights, rules);
}
