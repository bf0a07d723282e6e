/*
 * Load for PostgreSQL: load_pg CONNINFO … STATEMENT PARAMETER…. The statement is prepared once in each connection. It runs
 * in libpq's pipeline mode with a Sync behind each, so that each is a transaction of its own, as a call is.
 */
#include "bench/load.h"

#include <libpq-fe.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct session {
    PGconn *pg;
    bool failed;     /* the request whose Sync is still to come */
    char error[256]; /* of it */
};

static void must(const struct session *s, bool good)
{
    if (!good)
        load_die("%s", PQerrorMessage(s->pg));
}

static void open_pg(struct client *c, const char *address, const struct bytes *words, size_t count)
{
    struct session *s = c->state = calloc(1, sizeof *s);
    char *statement = bytes_dup(words[0]);
    PGresult *r;

    if (s == NULL || statement == NULL)
        load_die("no memory for a connection");
    s->pg = PQconnectdb(address);
    must(s, PQstatus(s->pg) == CONNECTION_OK);
    r = PQprepare(s->pg, "work", statement, (int)count - 1, NULL);
    must(s, PQresultStatus(r) == PGRES_COMMAND_OK);
    PQclear(r);
    free(statement);
    must(s, PQsetnonblocking(s->pg, 1) == 0);
    must(s, PQenterPipelineMode(s->pg) == 1);
    c->fd = PQsocket(s->pg);
}

/* As text; what is longer than a number or a name goes as bytes. */
static void ask(struct client *c, const struct bytes *words, size_t count)
{
    struct session *s = c->state;
    char text[WORDS_MAX][256];
    const char *values[WORDS_MAX];
    int lengths[WORDS_MAX], formats[WORDS_MAX];

    for (size_t i = 1; i < count; i++) {
        values[i] = words[i].data;
        lengths[i] = (int)words[i].len;
        formats[i] = words[i].len >= sizeof text[i];
        if (formats[i])
            continue;
        memcpy(text[i], words[i].data, words[i].len);
        text[i][words[i].len] = '\0';
        values[i] = text[i];
    }
    must(s, PQsendQueryPrepared(s->pg, "work", (int)count - 1, values + 1, lengths + 1, formats + 1, 0) == 1);
    must(s, PQpipelineSync(s->pg) == 1);
}

static bool send_pg(struct client *c)
{
    struct session *s = c->state;
    int left = PQflush(s->pg);

    must(s, left >= 0);
    return left == 0;
}

static void receive(struct client *c)
{
    struct session *s = c->state;

    must(s, PQconsumeInput(s->pg) == 1);
}

/* The results of a request end with that of its Sync: only then it is committed, or rolled back. */
static bool take(struct session *s, PGresult *r, struct answer *answer)
{
    ExecStatusType status = PQresultStatus(r);

    if (status == PGRES_FATAL_ERROR) {
        s->failed = true;
        snprintf(s->error, sizeof s->error, "%s", PQresultErrorMessage(r));
    }
    PQclear(r);
    if (status != PGRES_PIPELINE_SYNC)
        return false;
    *answer = (struct answer){ s->failed, bytes_str(s->failed ? s->error : "") };
    s->failed = false;
    return true;
}

static bool next(struct client *c, struct answer *answer)
{
    struct session *s = c->state;

    while (c->waiting > 0 && !PQisBusy(s->pg)) {
        PGresult *r = PQgetResult(s->pg); /* NULL between a statement and its Sync */

        if (r != NULL && take(s, r, answer))
            return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    static const struct protocol pg = { open_pg, ask, send_pg, receive, next };

    return load_main(argc, argv, &pg);
}
