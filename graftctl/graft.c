/* The life of a graft: build, load, unload, list, info, verify. */
#include "graftctl/ask.h"
#include "graftctl/build.h"
#include "graftctl/file.h"
#include "graftctl/object.h"
#include "graftctl/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum outcome command_build(struct invocation *in)
{
    const char *cc = option_value(in, "cc");
    struct failure why = { 0 };
    enum outcome outcome;
    char *made;

    if (build_graft(in->args[0], option_value(in, "o"), cc == NULL ? "cc" : cc, &made, &why) != OK)
        return complain_failure(&why);
    outcome = show_text(bytes_str(made));
    free(made);
    return outcome;
}

/* The file whole, and the name that it gives itself. */
static enum outcome read_graft(const char *path, struct buf *file, char name[OBJECT_NAME_MAX + 1])
{
    struct failure why = { 0 };
    struct bytes text;
    enum err err = file_load(path, file, &why);

    if (err != OK)
        return complain_failure(&why);
    err = object_text(buf_bytes(file), &text, &why);
    if (err == OK)
        err = object_name(text, name, &why);
    return err == OK ? OUTCOME_DONE : complain("%s is %s", path, why.text);
}

enum outcome command_load(struct invocation *in)
{
    static const struct field fields[] = {
        { "name", "name" },
        { "version", "version" },
        { "sha256", "sha256" },
        { "functions", "functions" },
    };
    char name[OBJECT_NAME_MAX + 1];
    graft_reply *reply = NULL;
    struct buf file;
    enum outcome outcome;

    buf_init(&file, OBJECT_SIZE_MAX);
    outcome = read_graft(in->args[0], &file, name);
    if (outcome == OUTCOME_DONE) {
        graft_client_bytes words[] = {
            { "GRAFT", 5 },   { "LOAD", 4 }, { name, strlen(name) }, { buf_bytes(&file).data, buf_len(&file) },
            { "REPLACE", 7 },
        };
        outcome = ask_bytes(in, &reply, option_given(in, "replace") ? 5 : 4, words);
    }
    if (outcome == OUTCOME_DONE)
        outcome =
            option_given(in, "json") ? show_json(reply) : show_fields(reply, fields, sizeof fields / sizeof fields[0]);
    graft_client_free_reply(&reply);
    buf_fini(&file);
    return outcome;
}

enum outcome command_unload(struct invocation *in)
{
    const char *words[6] = { "GRAFT", "UNLOAD", in->args[0], NULL };
    graft_client_bytes bytes[6];
    graft_reply *reply = NULL;
    uint64_t wait_ms = 0;
    size_t count = 3;
    enum outcome outcome = option_number(in, "wait", UINT32_MAX, &wait_ms);

    if (outcome != OUTCOME_DONE)
        return outcome;
    if (option_given(in, "wait")) {
        words[count++] = "WAIT";
        words[count++] = option_value(in, "wait");
    }
    if (option_given(in, "force"))
        words[count++] = "FORCE";
    for (size_t i = 0; i < count; i++)
        bytes[i] = (graft_client_bytes){ words[i], strlen(words[i]) };
    outcome = ask_bytes(in, &reply, count, bytes);
    if (outcome == OUTCOME_DONE)
        outcome = show_reply(reply);
    graft_client_free_reply(&reply);
    return outcome;
}

enum outcome command_list(struct invocation *in)
{
    static const struct field fields[] = {
        { "NAME", "name" },       { "VERSION", "version" }, { "STATE", "state" },   { "FUNCTIONS", "functions" },
        { "WORKERS", "workers" }, { "CALLS", "calls" },     { "FAILED", "failed" }, { "SHA256", "sha256" },
    };
    graft_reply *reply = NULL;
    enum outcome outcome = ask(in, &reply, "GRAFT", "LIST", NULL);

    if (outcome == OUTCOME_DONE)
        outcome = option_given(in, "json") ? show_json(reply)
                                           : show_rows(reply, fields, sizeof fields / sizeof fields[0], "-");
    graft_client_free_reply(&reply);
    return outcome;
}

/* What is known about a graft: fields, then a row per function, then the lines of its grant. */
static enum outcome show_graft(const graft_reply *reply)
{
    static const struct field fields[] = {
        { "name", "name" },           { "version", "version" }, { "about", "about" }, { "abi", "abi" },
        { "state", "state" },         { "sha256", "sha256" },   { "size", "size" },   { "loaded by", "loaded_by" },
        { "loaded at", "loaded_at" }, { "workers", "workers" }, { "calls", "calls" }, { "failed", "failed" },
    };
    static const struct field function_fields[] = {
        { "FUNCTION", "name" },
        { "ACCESS", "access" },
        { "PARAMETERS", "parameters" },
    };
    const graft_reply *functions = show_find(reply, "functions"), *grant = show_find(reply, "grant");
    enum outcome outcome = show_fields(reply, fields, sizeof fields / sizeof fields[0]);

    if (outcome == OUTCOME_DONE && graft_client_count(functions) > 0) {
        putchar('\n');
        outcome = show_rows(functions, function_fields, sizeof function_fields / sizeof function_fields[0], "-");
    }
    if (graft_client_count(grant) > 0)
        putchar('\n');
    for (size_t i = 0; i < graft_client_count(grant) && outcome == OUTCOME_DONE; i++)
        outcome = show_text(reply_bytes(graft_client_item(grant, i)));
    return outcome;
}

enum outcome command_info(struct invocation *in)
{
    graft_reply *reply = NULL;
    enum outcome outcome = ask(in, &reply, "GRAFT", "INFO", in->args[0], NULL);

    if (outcome == OUTCOME_DONE)
        outcome = option_given(in, "json") ? show_json(reply) : show_graft(reply);
    graft_client_free_reply(&reply);
    return outcome;
}

enum outcome command_verify(struct invocation *in)
{
    struct failure why = { 0 };
    graft_reply *reply = NULL;
    struct buf file;
    enum outcome outcome = OUTCOME_DONE;

    buf_init(&file, OBJECT_SIZE_MAX);
    if (file_load(in->args[0], &file, &why) != OK)
        outcome = complain_failure(&why);
    if (outcome == OUTCOME_DONE) {
        graft_client_bytes words[] = { { "GRAFT", 5 }, { "VERIFY", 6 }, { buf_bytes(&file).data, buf_len(&file) } };
        outcome = ask_bytes(in, &reply, 3, words);
    }
    if (outcome == OUTCOME_DONE)
        outcome = option_given(in, "json") ? show_json(reply) : show_graft(reply);
    graft_client_free_reply(&reply);
    buf_fini(&file);
    return outcome;
}
