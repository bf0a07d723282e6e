/* Keys and values from the command line: get, set, del, scan. */
#include "graftctl/ask.h"
#include "graftctl/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char scan_count[] = "1000"; /* keys a page */

enum outcome command_get(struct invocation *in)
{
    graft_reply *reply = NULL;
    struct bytes value;
    const char *at = option_value(in, "at");
    enum outcome outcome = ask(in, &reply, at == NULL ? "GET" : "GETAT", in->args[0], at, NULL);

    if (outcome != OUTCOME_DONE)
        return outcome;
    value = reply_bytes(reply);
    if (option_given(in, "json"))
        outcome = show_json(reply);
    else if (graft_client_kind(reply) == GRAFT_REPLY_NIL)
        outcome = complain(at == NULL ? "there is no key %s" : "there was no key %s", in->args[0]);
    else if (option_given(in, "raw"))
        fwrite(value.data, 1, value.len, stdout);
    else
        outcome = show_reply(reply);
    graft_client_free_reply(&reply);
    return outcome;
}

enum outcome command_set(struct invocation *in)
{
    graft_reply *reply = NULL;
    enum outcome outcome = ask(in, &reply, "SET", in->args[0], in->args[1], NULL);

    if (outcome == OUTCOME_DONE)
        outcome = show_reply(reply);
    graft_client_free_reply(&reply);
    return outcome;
}

enum outcome command_del(struct invocation *in)
{
    graft_client_bytes *words = calloc(in->arg_count + 1, sizeof *words);
    graft_reply *reply = NULL;
    enum outcome outcome;

    if (words == NULL)
        return complain("out of memory");
    words[0] = (graft_client_bytes){ "DEL", 3 };
    for (size_t i = 0; i < in->arg_count; i++)
        words[i + 1] = (graft_client_bytes){ in->args[i], strlen(in->args[i]) };
    outcome = ask_bytes(in, &reply, in->arg_count + 1, words);
    if (outcome == OUTCOME_DONE)
        outcome = show_reply(reply);
    graft_client_free_reply(&reply);
    free(words);
    return outcome;
}

/* One page. In JSON the pages make one array; *first: nothing was printed yet. */
static enum outcome show_page(const graft_reply *keys, bool json, bool *first)
{
    enum outcome outcome = OUTCOME_DONE;

    for (size_t i = 0; i < graft_client_count(keys) && outcome == OUTCOME_DONE; i++) {
        const graft_reply *key = graft_client_item(keys, i);
        if (json && !*first)
            putchar(',');
        *first = false;
        outcome = json ? show_json_value(key) : show_text(reply_bytes(key));
    }
    return outcome;
}

enum outcome command_scan(struct invocation *in)
{
    bool json = option_given(in, "json"), first = true, more = true;
    graft_reply *reply = NULL;
    char *pattern, *cursor = strdup("0");
    enum outcome outcome = OUTCOME_DONE;

    if (asprintf(&pattern, "%s*", in->arg_count > 0 ? in->args[0] : "") < 0)
        pattern = NULL;
    if (pattern == NULL || cursor == NULL)
        outcome = complain("out of memory");
    while (outcome == OUTCOME_DONE && more) {
        outcome = ask(in, &reply, "SCAN", cursor, "MATCH", pattern, "COUNT", scan_count, NULL);
        if (outcome != OUTCOME_DONE)
            break;
        if (json && first && graft_client_count(graft_client_item(reply, 1)) > 0)
            putchar('[');
        outcome = show_page(graft_client_item(reply, 1), json, &first);
        free(cursor);
        cursor = bytes_dup(reply_bytes(graft_client_item(reply, 0)));
        if (cursor == NULL)
            outcome = complain("out of memory");
        more = outcome == OUTCOME_DONE && strcmp(cursor, "0") != 0 && *cursor != '\0';
        graft_client_free_reply(&reply);
    }
    if (json && outcome == OUTCOME_DONE)
        puts(first ? "[]" : "]");
    free(cursor);
    free(pattern);
    return outcome;
}
