/* Calls of grafts: one, or a batch. */
#include "graftctl/ask.h"
#include "graftctl/batch.h"
#include "graftctl/json.h"
#include "graftctl/show.h"

#include <stdio.h>
#include <stdlib.h>

static enum outcome read_options(const struct invocation *in, struct batch_options *o)
{
    uint64_t keys = 0, timeout_ms = 1;
    enum outcome outcome = option_number(in, "keys", JSON_ITEM_MAX, &keys);

    if (outcome == OUTCOME_DONE)
        outcome = option_number(in, "timeout", INT32_MAX, &timeout_ms);
    *o = (struct batch_options){ .keys = (size_t)keys,
                                 .readonly = option_given(in, "ro"),
                                 .timeout = option_value(in, "timeout"),
                                 .token = option_value(in, "idem"),
                                 .dry_run = option_given(in, "dry-run") };
    if (outcome == OUTCOME_DONE && timeout_ms == 0)
        outcome = usage_error(in, "--timeout 0: a call takes at least 1 ms");
    return outcome;
}

/* The function, the declared keys in their order, the arguments. */
static enum err read_words(const struct invocation *in, struct json_list *words, size_t *keys)
{
    enum err err = json_list_add(words, bytes_str(in->args[0]));

    for (size_t i = 0; i < in->option_count && err == OK; i++) {
        const struct option *o = &in->options[i];
        if (!bytes_equal(bytes_of(o->name, o->name_len), bytes_str("key")))
            continue;
        err = json_list_add(words, bytes_str(o->value));
        ++*keys;
    }
    for (size_t i = 1; i < in->arg_count && err == OK; i++)
        err = json_list_add(words, bytes_str(in->args[i]));
    return err;
}

static enum outcome ask_list(struct invocation *in, const struct json_list *command, graft_reply **reply)
{
    graft_client_bytes *words = calloc(command->count, sizeof *words);
    enum outcome outcome;

    if (words == NULL)
        return complain("out of memory");
    for (size_t i = 0; i < command->count; i++) {
        struct bytes word = json_list_item(command, i);
        words[i] = (graft_client_bytes){ word.data, word.len };
    }
    outcome = ask_bytes(in, reply, command->count, words);
    free(words);
    return outcome;
}

/* The reply as ever, an empty line, what would change. */
static enum outcome show_tried(const graft_reply *tried)
{
    enum outcome outcome = show_reply(show_find(tried, "reply"));

    putchar('\n');
    return outcome == OUTCOME_DONE ? show_effects(show_find(tried, "effects")) : outcome;
}

static enum outcome call_once(struct invocation *in, struct batch_options *options)
{
    struct json_list words, command;
    struct failure why = { 0 };
    graft_reply *reply = NULL;
    enum outcome outcome;

    json_list_init(&words);
    json_list_init(&command);
    if (read_words(in, &words, &options->keys) != OK)
        outcome = complain("too many arguments");
    else if (batch_command(&words, options, &command, &why) != OK)
        outcome = complain_failure(&why);
    else
        outcome = ask_list(in, &command, &reply);
    if (outcome == OUTCOME_DONE)
        outcome = option_given(in, "json") ? show_json(reply)
                  : options->dry_run       ? show_tried(reply)
                                           : show_reply(reply);
    graft_client_free_reply(&reply);
    json_list_fini(&command);
    json_list_fini(&words);
    return outcome;
}

enum outcome command_call(struct invocation *in)
{
    const char *path = option_value(in, "batch");
    struct batch_options options;
    enum outcome outcome = read_options(in, &options);

    if (outcome != OUTCOME_DONE)
        return outcome;
    if (path != NULL && (in->arg_count > 0 || option_given(in, "key")))
        return usage_error(in, "with --batch the functions, keys and arguments come from the file");
    if (path != NULL && (options.dry_run || options.token != NULL))
        return usage_error(in, "--dry-run and --idem are for one call, not for --batch");
    if (path != NULL)
        return batch_run(in, path, &options, option_given(in, "json"));
    if (in->arg_count == 0)
        return usage_error(in, "which function?");
    if (option_given(in, "keys"))
        return usage_error(in, "--keys goes with --batch; name each key with --key");
    if (option_given(in, "results"))
        return usage_error(in, "--results goes with --batch");
    return call_once(in, &options);
}
