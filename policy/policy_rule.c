/*
 * Rights as a policy writes them: allow read write kv "acct:*". A line has rights of one kind, as the patterns of
 * different kinds mean different things.
 */
#include "policy/policy_loader.h"

#include <stdlib.h>
#include <string.h>

#define BIT(right) (1u << (right))

/* `read` and `write` are no rights before their resource is known. */
enum { READ = 1u << 30, WRITE = 1u << 31 };
_Static_assert(RIGHT_COUNT < 30, "rights and verbs share an unsigned");

enum { GRAFTS_ALLOWED = BIT(RIGHT_LOAD) | BIT(RIGHT_UNLOAD) }; /* rights that may have a pattern */

/* What a word means; words of one kind may share a line. */
struct right_word {
    const char *word;
    unsigned bit;
    enum kind { PLAIN, RESOURCE, CALL, EMIT, TIMER, COMMAND } kind;
};

static const struct right_word caller_words[] = {
    { "call", BIT(RIGHT_CALL), CALL },  { "read", READ, RESOURCE },
    { "write", WRITE, RESOURCE },       { "command", BIT(RIGHT_COMMAND), COMMAND },
    { "load", BIT(RIGHT_LOAD), PLAIN }, { "unload", BIT(RIGHT_UNLOAD), PLAIN },
    { "undo", BIT(RIGHT_UNDO), PLAIN }, { "kill", BIT(RIGHT_KILL), PLAIN },
    { "info", BIT(RIGHT_INFO), PLAIN }, { "admin", BIT(RIGHT_ADMIN), PLAIN },
};
static const struct right_word graft_words[] = {
    { "read", READ, RESOURCE },
    { "write", WRITE, RESOURCE },
    { "emit", BIT(RIGHT_EMIT), EMIT },
    { "timer", BIT(RIGHT_TIMER), TIMER },
};

/* Which right a verb is on a resource; 0: it cannot be had. */
struct resource {
    const char *word, *example;
    unsigned read, write;
};

static const struct resource caller_resources[] = {
    { "kv", "acct:*", BIT(RIGHT_KV_READ), BIT(RIGHT_KV_WRITE) },
    { "event", "bank.*", BIT(RIGHT_EVENT_READ), 0 },
};
static const struct resource graft_resources[] = {
    { "kv", "acct:*", BIT(RIGHT_KV_READ), BIT(RIGHT_KV_WRITE) },
    { "file", "statements/*", BIT(RIGHT_FILE_READ), BIT(RIGHT_FILE_WRITE) },
};

enum { WORDS_MAX = 16, RESOURCES = 2 };
_Static_assert(COUNT(caller_words) <= WORDS_MAX && COUNT(caller_resources) == RESOURCES, "fits");
_Static_assert(COUNT(graft_words) <= WORDS_MAX && COUNT(graft_resources) == RESOURCES, "fits");

static const char *const later_words[] = { "attach", "invoke", "accessor", "subscribe", "provide", NULL };

/* The words of callers, or of grafts. */
struct vocabulary {
    const struct right_word *rights;
    const struct resource *resources;
    const char *right_names[WORDS_MAX], *resource_names[RESOURCES];
    struct choice right_choice, resource_choice;
};

static void vocabulary_init(struct vocabulary *v, bool caller)
{
    size_t count = caller ? COUNT(caller_words) : COUNT(graft_words);

    v->rights = caller ? caller_words : graft_words;
    v->resources = caller ? caller_resources : graft_resources;
    for (size_t i = 0; i < count; i++)
        v->right_names[i] = v->rights[i].word;
    for (size_t i = 0; i < RESOURCES; i++)
        v->resource_names[i] = v->resources[i].word;
    v->right_choice = (struct choice){ v->right_names, count, later_words };
    v->resource_choice = (struct choice){ v->resource_names, RESOURCES, later_words };
}

/* One `allow …` or `deny …` as far as it is read. */
struct line {
    const struct scfg_directive *d;
    size_t at; /* the word to read next */
    unsigned rights;
    const struct right_word *first; /* whose kind all have */
};

static bool kind_has_pattern(enum kind kind) { return kind != PLAIN && kind != RESOURCE; }

/* The words of rights. False with an error. */
static bool read_rights(struct loader *l, const struct vocabulary *v, struct line *line)
{
    const struct scfg_directive *d = line->d;
    const struct right_word *other = NULL;

    for (; line->at < d->word_count && !d->words[line->at].quoted; line->at++) {
        int n = choice_find(&v->right_choice, &d->words[line->at]);
        if (n < 0)
            break;
        if (line->first == NULL)
            line->first = &v->rights[n];
        else if (v->rights[n].kind != line->first->kind && other == NULL)
            other = &v->rights[n];
        line->rights |= v->rights[n].bit;
        if (kind_has_pattern(v->rights[n].kind)) {
            line->at++;
            break;
        }
    }
    if (line->first == NULL && line->at == d->word_count)
        scfg_error(l->scfg, &d->words[0], "%s names no right", d->words[0].text);
    else if (line->first == NULL)
        choice_error(l, &v->right_choice, &d->words[line->at], "right");
    else if (other != NULL)
        scfg_error(l->scfg, &d->words[0], "%s and other rights each need a line of their own",
                   kind_has_pattern(other->kind) ? other->word : "read and write");
    return line->first != NULL && other == NULL;
}

/* `read` and `write` say of which resource, and become its rights. False with an error. */
static bool read_resource(struct loader *l, const struct vocabulary *v, struct line *line)
{
    const struct scfg_directive *d = line->d;
    const struct resource *r;
    unsigned verbs = line->rights;
    int n;

    if (line->at == d->word_count) {
        scfg_error(l->scfg, directive_last(d), "read and write need a resource and a pattern: %s read kv \"acct:*\"",
                   d->words[0].text);
        return false;
    }
    n = word_choose(l, &v->resource_choice, &d->words[line->at], "resource");
    if (n < 0)
        return false;
    r = &v->resources[n];
    if ((verbs & WRITE) != 0 && r->write == 0) {
        scfg_error(l->scfg, &d->words[line->at], "nobody writes an %s but grafts, with emit; write %s read %s \"%s\"",
                   r->word, d->words[0].text, r->word, r->example);
        return false;
    }
    line->rights = ((verbs & READ) != 0 ? r->read : 0) | ((verbs & WRITE) != 0 ? r->write : 0);
    line->at++;
    return true;
}

/* ---- patterns ---- */

static bool file_pattern_check(struct loader *l, const struct scfg_word *w, size_t len, bool prefix)
{
    if (w->text[0] == '/')
        scfg_error(l->scfg, w, "a file's pattern begins with a root's name, not with /; write \"statements/*\"");
    else if (path_is_crooked(w->text, len, prefix))
        scfg_error(l->scfg, w, "no file has this name: it has no . or .. and nothing empty between its slashes");
    else
        return true;
    return false;
}

/* Small words, such as "backup" or "graft load". */
static bool command_pattern_check(struct loader *l, const struct scfg_word *w, size_t len)
{
    if (len == strspn(w->text, "abcdefghijklmnopqrstuvwxyz0123456789_. "))
        return true;
    scfg_error(l->scfg, w, "no command has this name; write it in small letters, such as \"backup\" or \"graft load\"");
    return false;
}

static bool pattern_check(struct loader *l, const struct scfg_word *w, unsigned rights)
{
    const char *star = strchr(w->text, '*');
    bool prefix = star != NULL;
    size_t len = w->len - prefix;
    char shown[SHOWN_MAX];

    word_show(w, shown);
    if (w->len == 0)
        scfg_error(l->scfg, w, "an empty pattern matches nothing; write \"*\" for everything");
    else if (prefix && star[1] != '\0')
        scfg_error(l->scfg, w, "a * can only stand at the end of a pattern");
    else if ((rights & (BIT(RIGHT_CALL) | BIT(RIGHT_TIMER))) != 0 && !prefix && strchr(w->text, '.') == NULL)
        scfg_error(l->scfg, w, "no function has this name; write \"%s.*\" for all functions of a graft", shown);
    else if ((rights & (BIT(RIGHT_FILE_READ) | BIT(RIGHT_FILE_WRITE))) != 0)
        return file_pattern_check(l, w, len, prefix);
    else if ((rights & BIT(RIGHT_COMMAND)) != 0)
        return command_pattern_check(l, w, len);
    else
        return true;
    return false;
}

static void rule_add(struct loader *l, const struct line *line, const struct scfg_word *pattern,
                     struct policy_rules *rules)
{
    const struct scfg_word *verdict = &line->d->words[0];
    struct policy_rule rule = {
        .allow = word_is(verdict, "allow"), .rights = line->rights, .prefix = true, .place = word_place(l, verdict)
    };
    struct policy_rule *list;

    if (rules->count == POLICY_RULE_MAX) {
        scfg_error(l->scfg, verdict, "too many rules: a block has at most %d", POLICY_RULE_MAX);
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

static void read_patterns(struct loader *l, const struct line *line, struct policy_rules *rules)
{
    for (size_t i = line->at; i < line->d->word_count && l->err == OK; i++)
        if (pattern_check(l, &line->d->words[i], line->rights))
            rule_add(l, line, &line->d->words[i], rules);
}

/* Rights that need no pattern: what stands behind them is a graft's pattern in quotes, or a slip. */
static void read_plain(struct loader *l, const struct vocabulary *v, const struct line *line,
                       struct policy_rules *rules)
{
    const struct scfg_word *w = &line->d->words[line->at];
    const struct choice *c = &v->right_choice;
    char shown[SHOWN_MAX];

    if (line->at == line->d->word_count)
        rule_add(l, line, NULL, rules);
    else if (!w->quoted && (scfg_nearest(w, c->words, c->count) != NULL || choice_is_later(c, w)))
        choice_error(l, c, w, "right");
    else if (!w->quoted)
        scfg_error(l->scfg, w, "unknown right \"%s\"; if it is a graft's name, put it in quotes", word_show(w, shown));
    else if ((line->rights & ~(unsigned)GRAFTS_ALLOWED) != 0)
        scfg_error(l->scfg, w, "only load and unload take a pattern; the other rights need a line of their own");
    else
        read_patterns(l, line, rules);
}

void rule_read(struct loader *l, const struct scfg_directive *d, bool caller, struct policy_rules *rules)
{
    struct line line = { .d = d, .at = 1 };
    struct vocabulary v;

    vocabulary_init(&v, caller);
    if (!directive_expect_no_block(l, d) || !read_rights(l, &v, &line))
        return;
    if (line.first->kind == RESOURCE && !read_resource(l, &v, &line))
        return;
    if (line.first->kind == PLAIN)
        read_plain(l, &v, &line, rules);
    else if (line.first->kind == COMMAND && word_is(&d->words[0], "allow"))
        scfg_error(l->scfg, &d->words[0],
                   "every command is allowed that no rule denies, if its other rights are there; "
                   "there is only deny command \"backup\"");
    else if (line.at == d->word_count)
        scfg_error(l->scfg, directive_last(d), "a pattern is missing behind this word; \"*\" is everything");
    else
        read_patterns(l, &line, rules);
}
