#include "graftctl/batch.h"

#include "graftctl/ask.h"
#include "graftctl/table.h"
#include "lib/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    WORD_MAX = 32,         /* bytes of an error's first word, with the NUL */
    SAMPLE_TEXT_MAX = 512, /* bytes, with the NUL */
    PROGRESS_WIDTH = 30,   /* columns of the bar */
    PROGRESS_EVERY_MS = 100,
    SUMMARY_MAX = 1024 * 1024, /* bytes */
};

struct reason {
    char word[WORD_MAX];
    uint64_t count;
    char samples[BATCH_SAMPLE_MAX][SAMPLE_TEXT_MAX];
};

struct batch {
    struct invocation *in;
    const struct batch_options *options;
    uint64_t line;                /* of the file, from 1 */
    uint64_t lines[BATCH_WINDOW]; /* the line of each call that is not answered, oldest at `oldest` */
    size_t oldest, unanswered;
    uint64_t done, failed, bytes_read, bytes_total; /* total 0: not known */
    struct reason reasons[BATCH_REASON_MAX];
    size_t reason_count;
    struct json_list words, command;
    graft_client_bytes *args; /* owned; JSON_ITEM_MAX and a few */
    FILE *results;            /* owned; NULL: not asked for */
    bool progress;            /* stderr is a terminal */
    int64_t shown_ms;
};

/* ---- lines ---- */

static enum err read_tabs(struct bytes line, struct json_list *words, struct failure *why)
{
    const char *p = line.data;
    enum err err = OK;

    json_list_clear(words);
    for (size_t left = line.len, n; err == OK; p += n + 1, left -= n + 1) {
        const char *tab = left == 0 ? NULL : memchr(p, '\t', left);
        n = tab == NULL ? left : (size_t)(tab - p);
        err = json_list_add(words, bytes_of(p, n));
        if (tab == NULL)
            break;
    }
    if (err != OK)
        fail(why, err,
             err == ERR_LIMIT ? "a line has at most %d words" : "out of memory for a line of %d words at most",
             JSON_ITEM_MAX);
    return err;
}

enum err batch_read_line(struct bytes line, struct json_list *words, struct failure *why)
{
    const char *p = line.data;
    size_t blanks = 0;
    enum err err;

    while (blanks < line.len && (p[blanks] == ' ' || p[blanks] == '\t'))
        blanks++;
    if (blanks < line.len && p[blanks] == '[')
        err = json_read_list(line, words, why);
    else
        err = read_tabs(line, words, why);
    if (err == OK && (words->count == 0 || json_list_item(words, 0).len == 0))
        err = fail(why, ERR_BADARG, "the first item must be the function, as graft.function");
    return err;
}

static enum err add_words(struct json_list *out, const struct json_list *words, size_t from, size_t to)
{
    enum err err = OK;

    for (size_t i = from; i < to && err == OK; i++)
        err = json_list_add(out, json_list_item(words, i));
    return err;
}

static enum err add_text(enum err err, struct json_list *out, const char *text)
{
    return err != OK ? err : json_list_add(out, bytes_str(text));
}

/* CALL function [KEYS numkeys key…] [TIMEOUT ms] [READONLY] ARGS arg… */
enum err batch_command(const struct json_list *words, const struct batch_options *options, struct json_list *command,
                       struct failure *why)
{
    size_t keys = options->keys;
    char number[32];
    enum err err;

    if (words->count - 1 < keys)
        return fail(why, ERR_BADARG, "%zu arguments, and the first %zu are to be keys", words->count - 1, keys);
    snprintf(number, sizeof number, "%zu", keys);
    json_list_clear(command);
    err = add_text(OK, command, "CALL");
    if (err == OK)
        err = json_list_add(command, json_list_item(words, 0));
    if (keys > 0) {
        err = add_text(err, command, "KEYS");
        err = add_text(err, command, number);
    }
    if (err == OK)
        err = add_words(command, words, 1, 1 + keys);
    if (options->timeout != NULL) {
        err = add_text(err, command, "TIMEOUT");
        err = add_text(err, command, options->timeout);
    }
    if (options->readonly)
        err = add_text(err, command, "READONLY");
    if (options->dry_run)
        err = add_text(err, command, "DRYRUN");
    if (options->token != NULL) {
        err = add_text(err, command, "IDEM");
        err = add_text(err, command, options->token);
    }
    err = add_text(err, command, "ARGS");
    if (err == OK)
        err = add_words(command, words, 1 + keys, words->count);
    return err == OK ? OK : fail(why, err, "the line is too long for one call");
}

/* ---- counting ---- */

static struct reason *find_reason(struct batch *b, struct bytes word)
{
    struct reason *r;

    for (size_t i = 0; i < b->reason_count; i++)
        if (bytes_equal(bytes_str(b->reasons[i].word), word))
            return &b->reasons[i];
    if (b->reason_count == BATCH_REASON_MAX)
        return &b->reasons[BATCH_REASON_MAX - 1];
    r = &b->reasons[b->reason_count++];
    if (b->reason_count == BATCH_REASON_MAX)
        word = bytes_str("others");
    snprintf(r->word, sizeof r->word, "%.*s", (int)word.len, (const char *)word.data);
    return r;
}

static void count_failure(struct batch *b, uint64_t line, const char *sentence)
{
    size_t n = strcspn(sentence, " ");
    struct reason *r = find_reason(b, bytes_of(sentence, n < WORD_MAX ? n : WORD_MAX - 1));

    if (r->count < BATCH_SAMPLE_MAX)
        snprintf(r->samples[r->count], SAMPLE_TEXT_MAX, "line %llu: %s", (unsigned long long)line, sentence);
    r->count++;
    b->failed++;
}

/* One line for one call: its line, "ok" or the error's word, its sentence. It is out before the next answer is read. */
static void write_result(struct batch *b, uint64_t line, const char *sentence)
{
    int word = sentence == NULL ? 0 : (int)strcspn(sentence, " ");
    struct buf cell;

    if (b->results == NULL)
        return;
    buf_init(&cell, SUMMARY_MAX);
    if (sentence != NULL && cell_add(&cell, bytes_str(sentence), false, NULL) != OK)
        buf_clear(&cell);
    fprintf(b->results, "%llu\t%.*s\t%.*s\n", (unsigned long long)line, sentence == NULL ? 2 : word,
            sentence == NULL ? "ok" : sentence, (int)buf_len(&cell), (const char *)buf_bytes(&cell).data);
    fflush(b->results);
    buf_fini(&cell);
}

static void fail_line(struct batch *b, uint64_t line, const char *sentence)
{
    count_failure(b, line, sentence);
    write_result(b, line, sentence);
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void show_progress(struct batch *b, bool last)
{
    static const char bar[] = "##############################";
    uint64_t total = b->bytes_total < b->bytes_read ? b->bytes_read : b->bytes_total;
    int full = total == 0 ? 0 : (int)(b->bytes_read * PROGRESS_WIDTH / total);

    if (!b->progress || (!last && now_ms() - b->shown_ms < PROGRESS_EVERY_MS))
        return;
    b->shown_ms = now_ms();
    if (b->bytes_total > 0)
        fprintf(stderr, "\r[%.*s%*s] ", full, bar, PROGRESS_WIDTH - full, "");
    else
        fputc('\r', stderr);
    fprintf(stderr, "%llu done, %llu failed%s", (unsigned long long)b->done, (unsigned long long)b->failed,
            last ? "\n" : "");
}

/* ---- sending and receiving ---- */

static enum outcome take_reply(struct batch *b)
{
    graft_reply *reply = NULL;
    uint64_t line = b->lines[b->oldest];

    if (graft_client_next(b->in->client, &reply) != GRAFT_CLIENT_OK)
        return complain_client(b->in->client);
    b->oldest = (b->oldest + 1) % BATCH_WINDOW;
    b->unanswered--;
    if (graft_client_kind(reply) == GRAFT_REPLY_ERROR) {
        fail_line(b, line, graft_client_text(reply, NULL));
    } else {
        b->done++;
        write_result(b, line, NULL);
    }
    graft_client_free_reply(&reply);
    show_progress(b, false);
    return OUTCOME_DONE;
}

/* Takes replies until no more than left calls are unanswered. */
static enum outcome take_replies(struct batch *b, size_t left)
{
    enum outcome outcome = OUTCOME_DONE;

    while (outcome == OUTCOME_DONE && b->unanswered > left)
        outcome = take_reply(b);
    return outcome;
}

static enum outcome send_command(struct batch *b)
{
    graft_client *client = b->in->client;
    int code;

    for (size_t i = 0; i < b->command.count; i++) {
        struct bytes word = json_list_item(&b->command, i);
        b->args[i] = (graft_client_bytes){ word.data, word.len };
    }
    code = graft_client_append(client, b->command.count, b->args);
    if (code == GRAFT_CLIENT_TOO_LARGE && b->unanswered > 0) { /* beside what waits already */
        if (take_replies(b, 0) != OUTCOME_DONE)
            return OUTCOME_UNREACHABLE;
        code = graft_client_append(client, b->command.count, b->args);
    }
    if (code != GRAFT_CLIENT_OK)
        return complain_client(client);
    b->lines[(b->oldest + b->unanswered++) % BATCH_WINDOW] = b->line;
    return b->unanswered == BATCH_WINDOW ? take_replies(b, BATCH_WINDOW / 2) : OUTCOME_DONE;
}

static enum outcome run_line(struct batch *b, struct bytes line)
{
    struct failure why = { 0 };
    char sentence[FAILURE_TEXT_MAX + 16];

    if (batch_read_line(line, &b->words, &why) == OK && batch_command(&b->words, b->options, &b->command, &why) == OK)
        return send_command(b);
    snprintf(sentence, sizeof sentence, "BADLINE %s", why.text);
    fail_line(b, b->line, sentence);
    return OUTCOME_DONE;
}

static bool is_blank(struct bytes line)
{
    const char *p = line.data;

    for (size_t i = 0; i < line.len; i++)
        if (p[i] != ' ' && p[i] != '\t')
            return false;
    return true;
}

static struct bytes without_end(const char *p, size_t n)
{
    n -= n > 0 && p[n - 1] == '\n';
    n -= n > 0 && p[n - 1] == '\r';
    return bytes_of(p, n);
}

/* One line with its end, at most JSON_LINE_MAX bytes; what is longer is skipped, and *fits is false. */
static bool read_line(FILE *f, struct buf *line, bool *fits)
{
    int c = EOF;

    buf_clear(line);
    *fits = true;
    while ((c = getc_unlocked(f)) != EOF) {
        *fits = *fits && buf_add_u8(line, (uint8_t)c) == OK;
        if (c == '\n')
            break;
    }
    return c != EOF || buf_len(line) > 0;
}

static enum outcome run_lines(struct batch *b, FILE *f)
{
    enum outcome outcome = OUTCOME_DONE;
    struct buf text;
    bool fits;

    buf_init(&text, JSON_LINE_MAX);
    while (outcome == OUTCOME_DONE && read_line(f, &text, &fits)) {
        struct bytes line = without_end(buf_bytes(&text).data, buf_len(&text));
        b->line++;
        b->bytes_read += buf_len(&text);
        if (!fits)
            fail_line(b, b->line, "BADLINE the line has more than 32 MiB");
        else if (!is_blank(line))
            outcome = run_line(b, line);
    }
    buf_fini(&text);
    if (outcome == OUTCOME_DONE && ferror(f))
        outcome = complain("cannot read line %llu: %s", (unsigned long long)b->line + 1, strerror(errno));
    if (outcome != OUTCOME_UNREACHABLE && take_replies(b, 0) != OUTCOME_DONE)
        outcome = OUTCOME_UNREACHABLE;
    return outcome;
}

/* ---- the summary ---- */

static enum err add_reason_json(struct buf *out, const struct reason *r)
{
    enum err err = buf_add_str(out, "{\"word\":");

    if (err == OK)
        err = json_add_str(out, r->word);
    if (err == OK)
        err = buf_addf(out, ",\"count\":%llu,\"samples\":[", (unsigned long long)r->count);
    for (size_t i = 0; i < BATCH_SAMPLE_MAX && i < r->count && err == OK; i++) {
        err = i == 0 ? OK : buf_add_str(out, ",");
        if (err == OK)
            err = json_add_str(out, r->samples[i]);
    }
    return err != OK ? err : buf_add_str(out, "]}");
}

static enum err add_summary_json(struct buf *out, const struct batch *b)
{
    enum err err = buf_addf(out, "{\"done\":%llu,\"failed\":%llu,\"reasons\":[", (unsigned long long)b->done,
                            (unsigned long long)b->failed);

    for (size_t i = 0; i < b->reason_count && err == OK; i++) {
        err = i == 0 ? OK : buf_add_str(out, ",");
        if (err == OK)
            err = add_reason_json(out, &b->reasons[i]);
    }
    return err != OK ? err : buf_add_str(out, "]}\n");
}

static enum err add_summary(struct buf *out, const struct batch *b)
{
    enum err err =
        buf_addf(out, "done\t%llu\nfailed\t%llu\n", (unsigned long long)b->done, (unsigned long long)b->failed);

    for (size_t i = 0; i < b->reason_count && err == OK; i++) {
        const struct reason *r = &b->reasons[i];
        err = buf_addf(out, "%s\t%llu\n", r->word, (unsigned long long)r->count);
        for (size_t k = 0; k < BATCH_SAMPLE_MAX && k < r->count && err == OK; k++) {
            err = buf_add_str(out, "\t");
            if (err == OK)
                err = utf8_show(out, bytes_str(r->samples[k]), NULL);
            if (err == OK)
                err = buf_add_str(out, "\n");
        }
    }
    return err;
}

static void show_summary(const struct batch *b, bool json)
{
    struct buf out;

    buf_init(&out, SUMMARY_MAX);
    if ((json ? add_summary_json(&out, b) : add_summary(&out, b)) == OK)
        fwrite(buf_bytes(&out).data, 1, buf_len(&out), stdout);
    buf_fini(&out);
}

/* After a lost connection: what is known about the calls that were not answered. */
static void tell_unanswered(const struct batch *b)
{
    if (b->unanswered > 0)
        complain("%zu calls from line %llu on were sent and not answered; graftctl txn list shows which took place",
                 b->unanswered, (unsigned long long)b->lines[b->oldest]);
}

static enum outcome open_results(struct batch *b, const char *path)
{
    b->results = path == NULL ? NULL : fopen(path, "we");
    return path == NULL || b->results != NULL ? OUTCOME_DONE : complain("cannot write %s: %s", path, strerror(errno));
}

static enum outcome close_results(struct batch *b, enum outcome outcome)
{
    bool bad = b->results != NULL && ferror(b->results);

    if (b->results != NULL && (fclose(b->results) != 0 || bad))
        outcome = complain("cannot write all results: %s", strerror(errno));
    return outcome;
}

enum outcome batch_run(struct invocation *in, const char *path, const struct batch_options *options, bool json)
{
    struct batch *b = calloc(1, sizeof *b);
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    struct stat st;
    enum outcome outcome;

    if (f == NULL || b == NULL) {
        outcome = complain("cannot read %s: %s", path, strerror(errno));
        goto out;
    }
    b->in = in;
    b->options = options;
    b->progress = isatty(STDERR_FILENO);
    b->bytes_total = fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    json_list_init(&b->words);
    json_list_init(&b->command);
    b->args = calloc(JSON_ITEM_MAX, sizeof *b->args);
    outcome = b->args == NULL ? complain("out of memory") : open_results(b, option_value(in, "results"));
    if (outcome == OUTCOME_DONE)
        outcome = ask_connect(in);
    if (outcome == OUTCOME_DONE) {
        outcome = run_lines(b, f);
        show_progress(b, true);
        show_summary(b, json);
        tell_unanswered(b);
    }
    if (outcome == OUTCOME_DONE && b->failed > 0)
        outcome = OUTCOME_FAILED;
    outcome = close_results(b, outcome);
    json_list_fini(&b->words);
    json_list_fini(&b->command);
    free(b->args);
out:
    if (f != NULL && f != stdin)
        fclose(f);
    free(b);
    return outcome;
}
