#include "graftctl/ask.h"

#include "lib/check.h"
#include "lib/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    WORDS_MAX = 16,
    SENTENCE_MAX = 4096, /* bytes of what is told of one failure, before it is made safe */
};

/* Text that others wrote, as one line. */
static void print_line(const char *head, struct bytes text)
{
    struct buf line;

    buf_init(&line, 8 * SENTENCE_MAX);
    if (text.len > SENTENCE_MAX)
        text.len = SENTENCE_MAX;
    if (buf_add_str(&line, head) == OK && utf8_show(&line, text, NULL) == OK && buf_add_str(&line, "\n") == OK)
        fwrite(buf_bytes(&line).data, 1, buf_len(&line), stderr);
    buf_fini(&line);
}

enum outcome complain(const char *format, ...)
{
    char text[SENTENCE_MAX];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    print_line("graftctl: ", bytes_str(text));
    return OUTCOME_FAILED;
}

enum outcome complain_failure(const struct failure *why) { return complain("%s", why->text); }

enum outcome complain_reply(const graft_reply *error)
{
    size_t len;
    const char *text = graft_client_text(error, &len);
    size_t word = strcspn(text, " ");

    print_line("", bytes_of(text, len));
    if (bytes_equal(bytes_of(text, word), bytes_str("DENIED"))
        || bytes_equal(bytes_of(text, word), bytes_str("NOPERM")))
        return OUTCOME_DENIED;
    return OUTCOME_FAILED;
}

enum outcome complain_client(const graft_client *client)
{
    complain("%s", graft_client_error(client));
    return OUTCOME_UNREACHABLE;
}

enum outcome ask_connect(struct invocation *in)
{
    int code;

    if (in->client != NULL)
        return OUTCOME_DONE;
    in->client = graft_client_new();
    if (in->client == NULL)
        return complain("out of memory");
    code = graft_client_connect(in->client, in->socket);
    if (code == GRAFT_CLIENT_OK)
        return OUTCOME_DONE;
    complain("%s%s", graft_client_error(in->client),
             code == GRAFT_CLIENT_UNREACHABLE ? " (is it running? --socket or GRAFTD_SOCKET names its socket)" : "");
    if (code == GRAFT_CLIENT_REFUSED && strncmp(graft_client_error(in->client), "NOPERM", 6) == 0)
        return OUTCOME_DENIED;
    return OUTCOME_UNREACHABLE;
}

enum outcome ask_bytes(struct invocation *in, graft_reply **reply, size_t count, const graft_client_bytes *words)
{
    enum outcome outcome = ask_connect(in);

    if (outcome != OUTCOME_DONE)
        return outcome;
    if (graft_client_command(in->client, count, words, reply) != GRAFT_CLIENT_OK)
        return complain_client(in->client);
    if (graft_client_kind(*reply) != GRAFT_REPLY_ERROR)
        return OUTCOME_DONE;
    outcome = complain_reply(*reply);
    graft_client_free_reply(reply);
    return outcome;
}

enum outcome ask(struct invocation *in, graft_reply **reply, const char *word, ...)
{
    graft_client_bytes words[WORDS_MAX];
    size_t count = 0;
    va_list ap;

    va_start(ap, word);
    for (; word != NULL; word = va_arg(ap, const char *)) {
        CHECK(count < WORDS_MAX);
        words[count++] = (graft_client_bytes){ word, strlen(word) };
    }
    va_end(ap);
    return ask_bytes(in, reply, count, words);
}
