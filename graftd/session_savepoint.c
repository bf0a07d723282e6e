/* Savepoints: named marks of a session's transaction, and the way back to one. */
#include "graftd/session_impl.h"

#include "lib/resp.h"

#include <string.h>

static bool find_savepoint(struct session *s, struct request *r, struct bytes name, size_t *at)
{
    char shown[SAVEPOINT_NAME_MAX];

    for (size_t i = s->savepoint_count; i-- > 0;)
        if (bytes_equal(bytes_of(s->savepoints[i].name, s->savepoints[i].len), name)) {
            *at = i;
            return true;
        }
    request_error(r, ERR_BADARG, "there is no savepoint \"%s\" in this transaction",
                  bytes_show(name, shown, sizeof shown));
    return false;
}

void session_savepoint(struct request *r, struct bytes name)
{
    struct session *s = session_wanted(r);
    struct savepoint *p;

    if (s == NULL || !session_is_open(s, r))
        return;
    if (name.len == 0 || name.len > SAVEPOINT_NAME_MAX) {
        request_error(r, ERR_BADARG, "a savepoint's name has 1 to %d bytes, this one %zu", SAVEPOINT_NAME_MAX,
                      name.len);
        return;
    }
    if (s->savepoint_count == SAVEPOINT_MAX) {
        request_error(r, ERR_LIMIT, "a transaction has at most %d savepoints: RELEASE some. limit=%d", SAVEPOINT_MAX,
                      SAVEPOINT_MAX);
        return;
    }
    p = &s->savepoints[s->savepoint_count++];
    *p = (struct savepoint){ .len = name.len, .mark = txn_mark(s->hold.txn) };
    memcpy(p->name, name.data, name.len);
    resp_add_status(&r->reply, "OK");
    request_done(r);
}

void session_release(struct request *r, struct bytes name)
{
    struct session *s = session_wanted(r);
    size_t at;

    if (s == NULL || !session_is_open(s, r) || !find_savepoint(s, r, name, &at))
        return;
    s->savepoint_count = at;
    resp_add_status(&r->reply, "OK");
    request_done(r);
}

static void to_savepoint(void *request)
{
    struct request *r = request;
    struct session *s = session_at(r);

    if (session_go_back(s, s->savepoints[s->target].mark) != OK)
        return;
    s->savepoint_count = s->target + 1;
    resp_add_status(&r->reply, "OK");
    request_done(r);
}

void session_roll_back_to(struct request *r, struct bytes name)
{
    struct session *s = session_wanted(r);

    if (s == NULL || !session_is_open(s, r) || !find_savepoint(s, r, name, &s->target))
        return;
    s->statement = r;
    session_work(r, to_savepoint);
    to_savepoint(r);
}
