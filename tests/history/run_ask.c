/* How the clients of the history test ask: words, a connection, chance. What it must not be answered ends the test. */
#include "tests/history/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { REPLY_MS_MAX = 30000 };

const char *const error_words[ERROR_WORDS] = { "ABORTED",  "CRASHED",   "TIMEOUT", "DEADLOCK",
                                               "CONFLICT", "EXECABORT", "BUSY" };
const char *socket_path;
unsigned run_number;

_Noreturn void complain(const char *format, ...)
{
    va_list ap;

    fputs("history: ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    _exit(1);
}

int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

unsigned draw(struct client *c, unsigned below)
{
    uint64_t v = c->random += 0x9e3779b97f4a7c15;

    v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9;
    v = (v ^ v >> 27) * 0x94d049bb133111eb;
    return (unsigned)((v ^ v >> 31) % below);
}

/* ---- words ---- */

void add(struct words *w, const char *format, ...)
{
    char *text = w->text[w->count];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof w->text[0], format, ap);
    va_end(ap);
    w->word[w->count++] = (graft_client_bytes){ text, strlen(text) };
}

void add_key(struct words *w, uint32_t key) { add(w, "h%u:%06u:%u", run_number, key / BLOCK, key % BLOCK); }
void add_prefix(struct words *w, uint32_t block, const char *end) { add(w, "h%u:%06u:%s", run_number, block, end); }

/* ---- asking ---- */

bool connected(struct client *c)
{
    if (c->connection != NULL)
        return true;
    c->connection = graft_client_new();
    if (c->connection == NULL)
        complain("no memory");
    graft_client_timeout(c->connection, REPLY_MS_MAX);
    if (graft_client_connect(c->connection, socket_path) != GRAFT_CLIENT_OK)
        complain("%s", graft_client_error(c->connection));
    return true;
}

void hang_up(struct client *c) { graft_client_free(&c->connection); }

graft_reply *ask(struct client *c, const struct words *w)
{
    graft_reply *r = NULL;

    if (graft_client_command(c->connection, w->count, w->word, &r) != GRAFT_CLIENT_OK)
        complain("client %d: %s", c->number, graft_client_error(c->connection));
    return r;
}

graft_reply *ask_word(struct client *c, const char *a, const char *b)
{
    struct words w = { .count = 0 };

    add(&w, "%s", a);
    if (b != NULL)
        add(&w, "%s", b);
    return ask(c, &w);
}

bool failed(struct client *c, const graft_reply *r)
{
    const char *text = graft_client_text(r, NULL);
    size_t known = sizeof error_words / sizeof error_words[0], i = 0;

    if (graft_client_kind(r) != GRAFT_REPLY_ERROR)
        return false;
    while (i < known && strncmp(text, error_words[i], strlen(error_words[i])) != 0)
        i++;
    if (i == known)
        complain("client %d was answered: %s", c->number, text);
    c->by_error[i]++;
    return true;
}
