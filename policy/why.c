#include "policy/why.h"

#include "lib/scfg.h"
#include "lib/utf8.h"
#include "policy/policy_impl.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { SHOWN_MAX = 80 }; /* bytes of a word in a message */

/* ---- questions ---- */

enum subject { SUBJECT_NONE, SUBJECT_MAYBE, SUBJECT_ONE };

static const struct asked {
    const char *first, *second; /* words */
    enum right right;
    bool caller, graft;
    enum subject subject;
} table[] = {
    { "call", NULL, RIGHT_CALL, true, false, SUBJECT_ONE },
    { "read", "kv", RIGHT_KV_READ, true, true, SUBJECT_ONE },
    { "write", "kv", RIGHT_KV_WRITE, true, true, SUBJECT_ONE },
    { "read", "file", RIGHT_FILE_READ, false, true, SUBJECT_ONE },
    { "write", "file", RIGHT_FILE_WRITE, false, true, SUBJECT_ONE },
    { "read", "event", RIGHT_EVENT_READ, true, false, SUBJECT_ONE },
    { "emit", NULL, RIGHT_EMIT, false, true, SUBJECT_ONE },
    { "timer", NULL, RIGHT_TIMER, false, true, SUBJECT_ONE },
    { "load", NULL, RIGHT_LOAD, true, false, SUBJECT_MAYBE },
    { "unload", NULL, RIGHT_UNLOAD, true, false, SUBJECT_MAYBE },
    { "undo", NULL, RIGHT_UNDO, true, false, SUBJECT_NONE },
    { "kill", NULL, RIGHT_KILL, true, false, SUBJECT_NONE },
    { "info", NULL, RIGHT_INFO, true, false, SUBJECT_NONE },
    { "admin", NULL, RIGHT_ADMIN, true, false, SUBJECT_NONE },
};

static bool word_is(struct bytes word, const char *text)
{
    return word.len == strlen(text) && strncasecmp(word.data, text, word.len) == 0;
}

static enum err usage(bool of_graft, struct failure *why)
{
    if (of_graft)
        return fail(why, ERR_BADARG,
                    "ask about a graft with one of: read kv KEY, write kv KEY, read file ROOT/PATH, write file "
                    "ROOT/PATH, emit TOPIC, timer GRAFT.FUNCTION");
    return fail(
        why, ERR_BADARG,
        "ask about a caller with one of: call GRAFT.FUNCTION, read kv KEY, write kv KEY, read event TOPIC, load "
        "[GRAFT], unload [GRAFT], undo, kill, info, admin, command NAME [WORD]");
}

/* "GRAFT", "Load" → "graft load" */
static enum err read_command(const struct bytes *words, size_t count, struct question *q, struct failure *why)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        const char *p = words[i].data;
        if (n + words[i].len + 2 > sizeof q->command)
            return fail(why, ERR_BADARG, "no command has so long a name");
        if (i > 0)
            q->command[n++] = ' ';
        for (size_t k = 0; k < words[i].len; k++)
            q->command[n++] = (char)(p[k] >= 'A' && p[k] <= 'Z' ? p[k] - 'A' + 'a' : p[k]);
    }
    q->right = RIGHT_COMMAND;
    q->subject = bytes_of(q->command, n);
    return OK;
}

static enum err check_subject(const struct question *q, struct failure *why)
{
    char shown[SHOWN_MAX];

    bytes_show(q->subject, shown, sizeof shown);
    if ((q->right == RIGHT_CALL || q->right == RIGHT_TIMER) &&
        (q->subject.len == 0 || memchr(q->subject.data, '.', q->subject.len) == NULL))
        return fail(why, ERR_BADARG, "a function is named graft.function, and \"%s\" has no dot", shown);
    if ((q->right == RIGHT_FILE_READ || q->right == RIGHT_FILE_WRITE) &&
        path_is_crooked(q->subject.data, q->subject.len, false))
        return fail(why, ERR_BADARG,
                    "a file is named root/path, without . .. and nothing empty between its slashes, and \"%s\" is not",
                    shown);
    return OK;
}

enum err question_read(const struct bytes *words, size_t count, bool of_graft, struct question *q, struct failure *why)
{
    if (!of_graft && count >= 2 && count <= QUESTION_WORDS_MAX && word_is(words[0], "command"))
        return read_command(words + 1, count - 1, q, why);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct asked *a = &table[i];
        size_t n = a->second == NULL ? 1 : 2;

        if (!(of_graft ? a->graft : a->caller) || count < n || !word_is(words[0], a->first) ||
            (n == 2 && !word_is(words[1], a->second)))
            continue;
        if (count - n > 1 || (count == n && a->subject == SUBJECT_ONE) || (count > n && a->subject == SUBJECT_NONE))
            break;
        q->right = a->right;
        q->subject = count > n ? words[n] : bytes_of(NULL, 0);
        return check_subject(q, why);
    }
    return usage(of_graft, why);
}

/* ---- answers ---- */

static enum err add_place(struct place place, struct buf *out)
{
    enum err err = utf8_show(out, bytes_str(place.file), NULL);

    return err == OK ? buf_addf(out, ":%u:%u", place.line, place.column) : err;
}

/* "allowed: policy.scfg:3:5: allow call "bank.*"", and what a deny means. */
static enum err add_rule(const struct policy_rule *rule, struct buf *out)
{
    enum err err = buf_add_str(out, rule->allow ? "allowed: " : "denied: ");

    if (err == OK)
        err = add_place(rule->place, out);
    if (err == OK)
        err = buf_add_str(out, ": ");
    if (err == OK)
        err = rule_show(rule, out);
    if (err == OK)
        err = buf_add_str(out, "\n");
    if (err == OK && !rule->allow)
        err = buf_add_str(out, "A deny goes before every allow; to allow it, take this rule away or narrow it.\n");
    return err;
}

/* A pattern that matches the subject: the subject itself, or as much of it as a pattern can say. */
static enum err add_pattern(struct bytes subject, struct buf *out)
{
    const char *p = subject.data;
    struct bytes rest = subject;
    struct buf word;
    size_t n = 0;
    uint32_t code;
    enum err err;

    while (n < subject.len && n < SCFG_WORD_SIZE_MAX - 1 && p[n] != '*') {
        size_t step = utf8_next(rest, &code);
        if (step == 0 || !utf8_visible(code))
            break;
        n += step;
        rest = bytes_of(p + n, subject.len - n);
    }
    buf_init(&word, SCFG_WORD_SIZE_MAX + 8);
    err = buf_add(&word, p, n);
    if (err == OK && (n < subject.len || n == 0))
        err = buf_add_str(&word, "*");
    if (err == OK)
        err = scfg_add_word(out, buf_bytes(&word));
    buf_fini(&word);
    return err;
}

/* "allow write kv "acct:1"" */
static enum err add_allow(const struct question *q, struct buf *out)
{
    bool plain = q->right >= RIGHT_LOAD && q->subject.len == 0;
    enum err err = buf_addf(out, "allow %s", right_name(q->right));

    if (err == OK && !plain)
        err = buf_add_str(out, " ");
    return err == OK && !plain ? add_pattern(q->subject, out) : err;
}

enum err policy_why_caller(const struct policy *p, const struct principal *who, const char *name,
                           const struct question *q, struct buf *out)
{
    const struct policy_rule *rule;
    enum err err;

    if (policy_is_free(p, who))
        return buf_addf(out, "allowed: uid %u is root, or started graftd: no rule binds it\n", (unsigned)who->uid);
    rule = policy_caller_rule(p, who, q->right, q->subject);
    if (rule != NULL)
        return add_rule(rule, out);
    if (q->right == RIGHT_COMMAND)
        return buf_add_str(out, "allowed: no rule denies this command; what it does needs its right besides\n");
    err = buf_add_str(out, "denied: no rule allows it; this one would:\ncaller user ");
    if (err == OK)
        err = scfg_add_word(out, bytes_str(name));
    if (err == OK)
        err = buf_add_str(out, " { ");
    if (err == OK)
        err = add_allow(q, out);
    return err == OK ? buf_add_str(out, " }\n") : err;
}

/* ---- grafts ---- */

/* Where a graft has rules of its own, one more of them; else all that it has by default, too, as they would no longer
 * hold for it. */
static enum err add_graft_advice(const struct policy *p, const char *graft, const struct question *q, struct buf *out)
{
    const struct graft_block *own = policy_graft_block(p, graft);
    bool alone = own != NULL && own->rules.count > 0;
    enum err err = buf_add_str(out, "denied: no rule allows it; ");

    if (err == OK && own != NULL) {
        err = buf_addf(out, "inside graft %s at ", graft);
        if (err == OK)
            err = add_place(own->place, out);
        if (err == OK)
            err = buf_add_str(out, " this would:\n");
    } else if (err == OK) {
        err = buf_addf(out, "this would:\ngraft %s {\n", graft);
    }
    for (size_t i = 0; !alone && i < p->standard.rules.count && err == OK; i++) {
        err = buf_add_str(out, "    ");
        if (err == OK)
            err = rule_show(&p->standard.rules.list[i], out);
        if (err == OK)
            err = buf_add_str(out, "  # as graft default\n");
    }
    if (err == OK)
        err = buf_add_str(out, "    ");
    if (err == OK)
        err = add_allow(q, out);
    return err == OK ? buf_add_str(out, own == NULL ? "\n}\n" : "\n") : err;
}

static enum err add_now(const struct policy *p, const char *graft, const struct question *q, struct buf *out)
{
    const struct policy_rule *rule = policy_rules_decide(policy_graft_rules(p, graft), q->right, q->subject);

    return rule != NULL ? add_rule(rule, out) : add_graft_advice(p, graft, q, out);
}

enum err policy_why_graft(const struct policy *p, const char *graft, const struct grant *frozen,
                          const struct question *q, struct buf *out)
{
    const struct policy_rule *rule, *now = policy_rules_decide(policy_graft_rules(p, graft), q->right, q->subject);
    enum err err;

    if (frozen == NULL)
        return add_now(p, graft, q, out);
    rule = policy_rules_decide(grant_rules(frozen), q->right, q->subject);
    if ((rule != NULL && rule->allow) == (now != NULL && now->allow))
        return rule != NULL ? add_rule(rule, out) : add_graft_advice(p, graft, q, out);
    err = rule != NULL ? add_rule(rule, out) : buf_add_str(out, "denied: no rule allowed it when it was loaded\n");
    if (err == OK)
        err = buf_addf(out, "Its rights are those of when it was loaded. Loaded again, graft %s would be\n", graft);
    return err == OK ? add_now(p, graft, q, out) : err;
}
