/* The policy, here and in graftd, and the audit log. */
#include "graftctl/ask.h"
#include "graftctl/show.h"
#include "policy/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TEXT_MAX = 1024 * 1024, /* bytes of errors */
    WORDS_MAX = 8,
    LOG_COUNT_MAX = 1000, /* lines that graftd answers with */
};

enum outcome command_policy_check(struct invocation *in)
{
    struct policy *policy = NULL;
    struct buf errors;
    enum err err;

    buf_init(&errors, TEXT_MAX);
    err = policy_load(in->args[0], getuid(), &policy, &errors);
    if (buf_len(&errors) > 0)
        fwrite(buf_bytes(&errors).data, 1, buf_len(&errors), stderr);
    if (err != OK && buf_len(&errors) == 0)
        complain("%s: %s", in->args[0], err_sentence(err));
    buf_fini(&errors);
    policy_free(&policy);
    return err != OK ? OUTCOME_FAILED : show_text(bytes_str("OK"));
}

enum outcome command_policy_show(struct invocation *in)
{
    graft_reply *reply = NULL;
    enum outcome outcome = ask(in, &reply, "POLICY", "SHOW", NULL);

    if (outcome == OUTCOME_DONE)
        outcome = show_reply(reply);
    graft_client_free_reply(&reply);
    return outcome;
}

/* Allowed is 0, denied is 4: as the thing itself would end. */
enum outcome command_policy_why(struct invocation *in)
{
    graft_client_bytes words[WORDS_MAX] = { { "POLICY", 6 }, { "WHY", 3 } };
    graft_reply *reply = NULL;
    enum outcome outcome;
    struct bytes text;
    size_t count = 2;

    for (size_t i = 0; i < in->arg_count; i++)
        words[count++] = (graft_client_bytes){ in->args[i], strlen(in->args[i]) };
    outcome = ask_bytes(in, &reply, count, words);
    if (outcome != OUTCOME_DONE)
        return outcome;
    text = reply_bytes(reply);
    fwrite(text.data, 1, text.len, stdout);
    if (bytes_start_with(text, bytes_str("denied")))
        outcome = OUTCOME_DENIED;
    graft_client_free_reply(&reply);
    return outcome;
}

enum outcome command_policy_reload(struct invocation *in)
{
    graft_reply *reply = NULL;
    enum outcome outcome = ask(in, &reply, "POLICY", "RELOAD", NULL);
    const graft_reply *status, *said;
    struct bytes text;
    bool good;

    if (outcome != OUTCOME_DONE)
        return outcome;
    status = show_find(reply, "status");
    said = show_find(reply, "text");
    if (status == NULL || said == NULL) {
        graft_client_free_reply(&reply);
        return complain("graftd answered something else");
    }
    good = bytes_equal(reply_bytes(status), bytes_str("ok"));
    text = reply_bytes(said);
    fwrite(text.data, 1, text.len, good ? stdout : stderr);
    graft_client_free_reply(&reply);
    return good ? OUTCOME_DONE : OUTCOME_FAILED;
}

enum outcome command_log(struct invocation *in)
{
    graft_reply *reply = NULL;
    uint64_t count = 20;
    char text[24];
    enum outcome outcome = option_number(in, "n", LOG_COUNT_MAX, &count);

    if (outcome != OUTCOME_DONE)
        return outcome;
    snprintf(text, sizeof text, "%llu", (unsigned long long)count);
    outcome = ask(in, &reply, "AUDIT", "COUNT", text, NULL);
    for (size_t i = 0; outcome == OUTCOME_DONE && i < graft_client_count(reply); i++) {
        struct bytes line = reply_bytes(graft_client_item(reply, i));
        fwrite(line.data, 1, line.len, stdout);
        putchar('\n');
    }
    graft_client_free_reply(&reply);
    return outcome;
}
