/* What runs and what was: txn, blame, and taking it back. */
#include "graftctl/ask.h"
#include "graftctl/show.h"

#include <stdio.h>
#include <string.h>

enum {
    FILTER_MAX = 9,
    LINE_MAX_BYTES = 64 * 1024, /* of one line of a tree */
    VALUE_SHOWN = 120,          /* bytes of a value in it; --json has all of them */
};

/* ---- list, blame ---- */

static const struct field txn_fields[] = {
    { "ID", "id" },
    { "OUTCOME", "outcome|state" },
    { "FUNCTION", "function" },
    { "VERSION", "version" },
    { "UID", "uid" },
    { "BEGUN", "begun" },
    { "MS", "ms" },
    { "EFFECTS", "effects" },
    { "ERROR", "error" },
};

static const struct field blame_fields[] = {
    { "ID", "id" },       { "FUNCTION", "function" }, { "UID", "uid" },
    { "BEGUN", "begun" }, { "UNDONE", "undone_by" },  { "BEFORE", "before" },
    { "AFTER", "after" },
};

enum {
    TXN_FIELD_COUNT = sizeof txn_fields / sizeof txn_fields[0],
    BLAME_FIELD_COUNT = sizeof blame_fields / sizeof blame_fields[0],
};

struct words {
    size_t count;
    graft_client_bytes list[4 + 2 * FILTER_MAX];
};

static void add_word(struct words *w, const char *word)
{
    w->list[w->count++] = (graft_client_bytes){ word, strlen(word) };
}

/* Options that are words of the command with their value: "uid" is UID. */
static void add_filter(struct words *w, const struct invocation *in, const char *option, const char *word)
{
    const char *value = option_value(in, option);

    if (value == NULL)
        return;
    add_word(w, word);
    add_word(w, value);
}

static enum outcome check_numbers(const struct invocation *in)
{
    uint64_t number;
    enum outcome outcome = option_number(in, "count", UINT32_MAX, &number);

    if (outcome == OUTCOME_DONE)
        outcome = option_number(in, "before", INT64_MAX, &number);
    return outcome == OUTCOME_DONE ? option_number(in, "uid", UINT32_MAX, &number) : outcome;
}

enum outcome command_txn_list(struct invocation *in)
{
    struct words w = { 0 };
    graft_reply *reply = NULL;
    enum outcome outcome = check_numbers(in);

    if (outcome != OUTCOME_DONE)
        return outcome;
    add_word(&w, "TXN");
    add_word(&w, "LIST");
    add_filter(&w, in, "graft", "GRAFT");
    add_filter(&w, in, "function", "FUNCTION");
    add_filter(&w, in, "uid", "UID");
    add_filter(&w, in, "outcome", "OUTCOME");
    add_filter(&w, in, "since", "SINCE");
    add_filter(&w, in, "until", "UNTIL");
    add_filter(&w, in, "key", "KEY");
    add_filter(&w, in, "count", "COUNT");
    add_filter(&w, in, "before", "BEFORE");
    outcome = ask_bytes(in, &reply, w.count, w.list);
    if (outcome == OUTCOME_DONE)
        outcome = option_given(in, "json") ? show_json(reply) : show_rows(reply, txn_fields, TXN_FIELD_COUNT, "-");
    graft_client_free_reply(&reply);
    return outcome;
}

/* False: it is not one of the three. */
static bool add_blamed(struct words *w, const struct invocation *in)
{
    const char *file = option_value(in, "file"), *timer = option_value(in, "timer");

    if ((in->arg_count > 0) + (file != NULL) + (timer != NULL) != 1)
        return false;
    add_word(w, "BLAME");
    add_word(w, file != NULL ? file : timer != NULL ? timer : in->args[0]);
    if (in->arg_count == 0)
        add_word(w, file != NULL ? "FILE" : "TIMER");
    return true;
}

enum outcome command_blame(struct invocation *in)
{
    struct words w = { 0 };
    graft_reply *reply = NULL;
    enum outcome outcome = check_numbers(in);

    if (outcome != OUTCOME_DONE)
        return outcome;
    if (!add_blamed(&w, in))
        return usage_error(in, "it takes one of KEY, --file PATH, --timer ID");
    add_filter(&w, in, "count", "COUNT");
    add_filter(&w, in, "before", "BEFORE");
    outcome = ask_bytes(in, &reply, w.count, w.list);
    if (outcome == OUTCOME_DONE)
        outcome = option_given(in, "json") ? show_json(reply) : show_rows(reply, blame_fields, BLAME_FIELD_COUNT, "-");
    graft_client_free_reply(&reply);
    return outcome;
}

/* ---- trees ---- */

static enum err add_indent(struct buf *line, size_t depth)
{
    enum err err = OK;

    for (size_t i = 0; i < depth && err == OK; i++)
        err = buf_add_str(line, "  ");
    return err;
}

static enum err add_value(struct buf *line, const graft_reply *value)
{
    struct bytes text = reply_bytes(value);
    enum err err;

    if (graft_client_kind(value) == GRAFT_REPLY_NIL)
        return buf_add_str(line, "(nil)");
    err = buf_add(line, text.data, text.len > VALUE_SHOWN ? VALUE_SHOWN : text.len);
    return err == OK && text.len > VALUE_SHOWN ? buf_addf(line, "… (%zu bytes)", text.len) : err;
}

static enum outcome print_line(struct buf *line, enum err err)
{
    enum outcome outcome = err == OK ? show_text(buf_bytes(line)) : complain("out of memory");

    buf_fini(line);
    return outcome;
}

static bool is_nil(const graft_reply *value) { return graft_client_kind(value) == GRAFT_REPLY_NIL; }

/* "value", "before → after" */
static enum err add_change(struct buf *line, const graft_reply *before, const graft_reply *after)
{
    bool had = !is_nil(before), has = !is_nil(after);
    enum err err = add_value(line, had ? before : after);

    if (err == OK && had && has)
        err = buf_add_str(line, " → ");
    return err == OK && had && has ? add_value(line, after) : err;
}

/* "(none) → 120 bytes" */
static enum err add_file(struct buf *line, const graft_reply *before, const graft_reply *after)
{
    enum err err = is_nil(before) ? buf_add_str(line, "(none)") : add_value(line, before);

    if (err == OK)
        err = buf_add_str(line, " → ");
    if (err != OK)
        return err;
    return is_nil(after) ? buf_add_str(line, "(none)") : add_value(line, after);
}

static enum err add_event(struct buf *line, const graft_reply *data)
{
    enum err err = buf_addf(line, "%zu bytes: ", reply_bytes(data).len);

    return err == OK ? add_value(line, data) : err;
}

/* "key: value", "file a/b: (none) → 120 bytes", "event bank.moved: 34 bytes: …", "timer 418.1: bank.remind due …" */
static enum err add_effect(struct buf *line, const graft_reply *effect)
{
    const graft_reply *before = show_find(effect, "before"), *after = show_find(effect, "after");
    struct bytes key = reply_bytes(show_find(effect, "key")), resource = reply_bytes(show_find(effect, "resource"));
    bool kv = bytes_equal(resource, bytes_str("kv"));
    enum err err = kv ? OK : buf_addf(line, "%.*s ", (int)resource.len, (const char *)resource.data);

    if (err == OK)
        err = buf_add(line, key.data, key.len);
    if (err == OK)
        err = buf_add_str(line, ": ");
    if (err != OK)
        return err;
    if (bytes_equal(resource, bytes_str("file")))
        return add_file(line, before, after);
    if (bytes_equal(resource, bytes_str("event")))
        return add_event(line, is_nil(after) ? before : after);
    return add_change(line, before, after);
}

/* "+ " what is new, "- " what is gone, "~ " what is changed. */
static enum outcome show_effect(const graft_reply *effect, size_t depth)
{
    bool had = !is_nil(show_find(effect, "before")), has = !is_nil(show_find(effect, "after"));
    struct buf line;
    enum err err;

    buf_init(&line, LINE_MAX_BYTES);
    err = add_indent(&line, depth);
    if (err == OK)
        err = buf_add_str(&line, had && has ? "~ " : has ? "+ " : "- ");
    if (err == OK)
        err = add_effect(&line, effect);
    return print_line(&line, err);
}

enum outcome show_effects(const graft_reply *effects)
{
    enum outcome outcome = OUTCOME_DONE;

    for (size_t i = 0; i < graft_client_count(effects) && outcome == OUTCOME_DONE; i++)
        outcome = show_effect(graft_client_item(effects, i), 0);
    return outcome;
}

static size_t number_of(const graft_reply *map, const char *key)
{
    int64_t n = graft_client_integer(show_find(map, key));

    return n < 0 ? 0 : (size_t)n;
}

/* Deep in the innermost call in which it was made. */
static size_t effect_depth(const graft_reply *nested, size_t seq)
{
    size_t depth = 0;

    for (size_t i = 0; i < graft_client_count(nested); i++) {
        const graft_reply *n = graft_client_item(nested, i);
        size_t first = number_of(n, "first_effect"), count = number_of(n, "effects");
        if (seq >= first && seq - first < count && number_of(n, "depth") > depth)
            depth = number_of(n, "depth");
    }
    return depth;
}

/* "bank.transfer 1.0.0: committed, 0.8 ms, CPU 0.2 ms" */
static enum outcome show_call(const graft_reply *call, size_t depth)
{
    struct bytes function = reply_bytes(show_find(call, "function")), version = reply_bytes(show_find(call, "version")),
                 outcome = reply_bytes(show_find(call, "outcome")), error = reply_bytes(show_find(call, "error"));
    struct buf line;
    enum err err;

    buf_init(&line, LINE_MAX_BYTES);
    err = add_indent(&line, depth);
    if (err == OK)
        err = buf_addf(&line, "%.*s%s%.*s: %.*s, %.3f ms, CPU %.3f ms%s%.*s", (int)function.len,
                       (const char *)function.data, version.len > 0 ? " " : "", (int)version.len,
                       (const char *)version.data, (int)outcome.len, (const char *)outcome.data,
                       graft_client_number(show_find(call, "ms")), graft_client_number(show_find(call, "cpu_ms")),
                       error.len > 0 ? ": " : "", (int)error.len, (const char *)error.data);
    return print_line(&line, err);
}

/* The calls inside each other, each effect under the call that made it, in the order in which all this began. */
static enum outcome show_tree(const graft_reply *txn)
{
    const graft_reply *nested = show_find(txn, "nested"), *effects = show_find(txn, "effects_list");
    size_t call = 0, calls = graft_client_count(nested), count = graft_client_count(effects);
    enum outcome outcome = show_call(txn, 0);

    for (size_t seq = 0; seq <= count && outcome == OUTCOME_DONE; seq++) {
        for (; call < calls && outcome == OUTCOME_DONE; call++) {
            const graft_reply *n = graft_client_item(nested, call);
            if (seq < count && number_of(n, "first_effect") > seq)
                break;
            outcome = show_call(n, number_of(n, "depth"));
        }
        if (seq < count && outcome == OUTCOME_DONE)
            outcome = show_effect(graft_client_item(effects, seq), effect_depth(nested, seq) + 1);
    }
    return outcome;
}

static enum outcome show_txn(const graft_reply *reply)
{
    static const struct field fields[] = {
        { "id", "id" },
        { "outcome", "outcome|state" },
        { "function", "function" },
        { "version", "version" },
        { "uid", "uid" },
        { "gid", "gid" },
        { "pid", "pid" },
        { "begun", "begun" },
        { "ended", "ended" },
        { "ms", "ms" },
        { "cpu_ms", "cpu_ms" },
        { "lock_wait_ms", "lock_wait_ms" },
        { "effects", "effects" },
        { "undoes", "undoes" },
        { "undone_by", "undone_by" },
        { "error", "error" },
    };
    enum outcome outcome = show_fields(reply, fields, sizeof fields / sizeof fields[0]);

    if (outcome != OUTCOME_DONE || (graft_client_count(show_find(reply, "effects_list")) == 0 &&
                                    graft_client_count(show_find(reply, "nested")) == 0))
        return outcome;
    putchar('\n');
    return show_tree(reply);
}

enum outcome command_txn_show(struct invocation *in)
{
    graft_reply *reply = NULL;
    enum outcome outcome = ask(in, &reply, "TXN", "SHOW", in->args[0], NULL);

    if (outcome == OUTCOME_DONE)
        outcome = option_given(in, "json") ? show_json(reply) : show_txn(reply);
    graft_client_free_reply(&reply);
    return outcome;
}

/* ---- ending, taking back ---- */

static enum outcome ask_about(struct invocation *in, const char *word)
{
    graft_reply *reply = NULL;
    enum outcome outcome = ask(in, &reply, "TXN", word, in->args[0], NULL);

    if (outcome == OUTCOME_DONE)
        outcome = show_reply(reply);
    graft_client_free_reply(&reply);
    return outcome;
}

enum outcome command_txn_kill(struct invocation *in) { return ask_about(in, "KILL"); }
enum outcome command_txn_status(struct invocation *in) { return ask_about(in, "STATUS"); }

/* Events that stay told. */
static enum outcome show_kept(const graft_reply *kept)
{
    static const struct field fields[] = { { "STAYS TOLD", "topic" }, { "BY", "id" }, { "DATA", "data" } };

    if (graft_client_count(kept) == 0)
        return OUTCOME_DONE;
    putchar('\n');
    return show_rows(kept, fields, 3, "-");
}

static enum outcome show_undo(const graft_reply *reply)
{
    static const struct field fields[] = { { "TAKEN BACK", "id" }, { "BY", "by" } };
    enum outcome outcome = show_rows(show_find(reply, "undone"), fields, 2, "-");

    if (outcome != OUTCOME_DONE)
        return outcome;
    putchar('\n');
    outcome = show_effects(show_find(reply, "effects"));
    return outcome == OUTCOME_DONE ? show_kept(show_find(reply, "kept")) : outcome;
}

static enum outcome take_back(struct invocation *in, const char *word)
{
    struct words w = { 0 };
    graft_reply *reply = NULL;
    enum outcome outcome;

    add_word(&w, "TXN");
    add_word(&w, word);
    add_word(&w, in->args[0]);
    if (option_given(in, "cascade"))
        add_word(&w, "CASCADE");
    if (option_given(in, "dry-run"))
        add_word(&w, "DRYRUN");
    outcome = ask_bytes(in, &reply, w.count, w.list);
    if (outcome == OUTCOME_DONE)
        outcome = option_given(in, "json") ? show_json(reply) : show_undo(reply);
    graft_client_free_reply(&reply);
    return outcome;
}

enum outcome command_txn_undo(struct invocation *in) { return take_back(in, "UNDO"); }
enum outcome command_txn_redo(struct invocation *in) { return take_back(in, "REDO"); }
