/* Looking at and keeping graftd: figures, backup, shutdown. */
#include "graftctl/ask.h"
#include "graftctl/json.h"
#include "graftctl/show.h"
#include "graftctl/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STAT_MAX = 4 * 1024 * 1024 }; /* bytes of JSON */

/* Asks, and prints the reply by its shape. */
static enum outcome ask_and_show(struct invocation *in, const char *first, const char *second, const char *third)
{
    graft_reply *reply = NULL;
    enum outcome outcome = ask(in, &reply, first, second, third, NULL);

    if (outcome == OUTCOME_DONE)
        outcome = show_reply(reply);
    graft_client_free_reply(&reply);
    return outcome;
}

/* ---- figures ---- */

struct stat_line {
    struct bytes section, name, value; /* name is empty for a line that begins a section */
};

/* Takes the next line that says something off the text of INFO: "# Section" or "name:value". */
static bool next_stat(struct bytes *text, struct stat_line *line)
{
    while (text->len > 0) {
        const char *p = text->data, *end = memchr(p, '\n', text->len), *colon;
        size_t n = end == NULL ? text->len : (size_t)(end - p);

        *text = bytes_of(p + n + (end != NULL), text->len - n - (end != NULL));
        n -= n > 0 && p[n - 1] == '\r';
        colon = n == 0 ? NULL : memchr(p, ':', n);
        if (n > 2 && p[0] == '#') {
            *line = (struct stat_line){ .section = bytes_of(p + 2, n - 2) };
            return true;
        }
        if (colon == NULL)
            continue;
        line->name = bytes_of(p, (size_t)(colon - p));
        line->value = bytes_of(colon + 1, n - line->name.len - 1);
        return true;
    }
    return false;
}

/* A number that is written as JSON writes it: no zeros in front. */
static bool is_json_number(struct bytes value)
{
    const char *p = value.data;
    int64_t number;

    return bytes_to_i64(value, &number) && (value.len == 1 || (p[0] != '0' && !(p[0] == '-' && p[1] == '0')));
}

static enum err add_stat_json(struct buf *out, const struct stat_line *line, bool *open, bool *first)
{
    bool begins = line->name.len == 0;
    enum err err = OK;

    if (begins || !*open) {
        err = buf_add_str(out, *open ? "}," : "{");
        if (err == OK)
            err = json_add_bytes(out, line->section);
        if (err == OK)
            err = buf_add_str(out, ":{");
        *open = *first = true;
    }
    if (err != OK || begins)
        return err;
    if (!*first)
        err = buf_add_str(out, ",");
    *first = false;
    if (err == OK)
        err = json_add_bytes(out, line->name);
    if (err == OK)
        err = buf_add_str(out, ":");
    if (err != OK)
        return err;
    return is_json_number(line->value) ? buf_add(out, line->value.data, line->value.len)
                                       : json_add_bytes(out, line->value);
}

/* {"section": {"name": value}} */
static enum outcome show_stat_json(struct bytes text)
{
    struct stat_line line = { 0 };
    bool open = false, first = true;
    struct buf out;
    enum err err = OK;

    buf_init(&out, STAT_MAX);
    while (err == OK && next_stat(&text, &line))
        err = add_stat_json(&out, &line, &open, &first);
    if (err == OK)
        err = buf_add_str(&out, open ? "}}\n" : "{}\n");
    if (err == OK)
        fwrite(buf_bytes(&out).data, 1, buf_len(&out), stdout);
    buf_fini(&out);
    return err == OK ? OUTCOME_DONE : complain("the figures: %s", err_sentence(err));
}

/* For people a table under each section's title; else lines of section, name, value. */
static enum outcome show_stat(struct bytes text)
{
    bool people = table_for_people();
    struct stat_line line = { 0 };
    struct table t;
    enum err err = OK;

    table_init(&t, people ? 2 : 3);
    while (err == OK && next_stat(&text, &line)) {
        if (line.name.len == 0 && people && t.count > 0) {
            table_print(&t, NULL);
            table_fini(&t);
            table_init(&t, 2);
            putchar('\n');
        }
        if (line.name.len == 0 && people)
            show_text(line.section);
        if (line.name.len == 0)
            continue;
        if (!people)
            err = table_add(&t, line.section, false);
        if (err == OK)
            err = table_add(&t, line.name, false);
        if (err == OK)
            err = table_add(&t, line.value, false);
    }
    if (err == OK)
        table_print(&t, NULL);
    table_fini(&t);
    return err == OK ? OUTCOME_DONE : complain("the figures: %s", err_sentence(err));
}

enum outcome command_stat(struct invocation *in)
{
    graft_reply *reply = NULL;
    enum outcome outcome = ask(in, &reply, "INFO", in->arg_count > 0 ? in->args[0] : NULL, NULL);

    if (outcome == OUTCOME_DONE)
        outcome = option_given(in, "json") ? show_stat_json(reply_bytes(reply)) : show_stat(reply_bytes(reply));
    graft_client_free_reply(&reply);
    return outcome;
}

/* ---- backup, shutdown, ping ---- */

/* graftd has a working folder of its own, so the path is made absolute here. */
enum outcome command_backup(struct invocation *in)
{
    char *cwd = *in->args[0] == '/' ? strdup("") : getcwd(NULL, 0), *path = NULL;
    enum outcome outcome;

    if (cwd == NULL || asprintf(&path, "%s%s%s", cwd, *cwd == '\0' ? "" : "/", in->args[0]) < 0)
        outcome = complain("cannot tell where %s is", in->args[0]);
    else
        outcome = ask_and_show(in, "BACKUP", path, NULL);
    free(cwd);
    free(path);
    return outcome;
}

/* graftd answers by hanging up. */
enum outcome command_shutdown(struct invocation *in)
{
    graft_reply *reply = NULL;
    enum outcome outcome = ask_connect(in);
    int code;

    if (outcome != OUTCOME_DONE)
        return outcome;
    code = graft_client_ask(in->client, &reply, "SHUTDOWN", NULL);
    if (code == GRAFT_CLIENT_OK && graft_client_kind(reply) == GRAFT_REPLY_ERROR)
        outcome = complain_reply(reply);
    else if (code != GRAFT_CLIENT_OK && code != GRAFT_CLIENT_LOST)
        outcome = complain_client(in->client);
    graft_client_free_reply(&reply);
    return outcome;
}

enum outcome command_ping(struct invocation *in) { return ask_and_show(in, "PING", NULL, NULL); }
