#include "graftd/history.h"

#include "lib/resp.h"

void history_ask(struct request *r, void (*done)(struct store_request *))
{
    r->store.done = done;
    r->store.owner = r;
    r->core->store->ops->submit(r->core->store, &r->store);
}

bool history_failed(struct request *r)
{
    struct failure why = { 0 };

    if (r->store.why.err == OK && r->client != NULL)
        return false;
    if (r->store.why.err == OK)
        fail(&why, ERR_LOST, "its client hung up");
    else /* what is not in the history is an answer to the store's callers, and an error to ours */
        fail(&why, r->store.why.err == ERR_ABSENT ? ERR_COMMAND : r->store.why.err, "%s", r->store.why.text);
    store_request_fini(&r->store);
    request_fail(r, &why);
    return true;
}

bool history_id(struct bytes word, uint64_t *id) { return bytes_to_u64(word, id) && *id > 0 && *id <= INT64_MAX; }

struct store_request history_row(uint64_t id)
{
    return (struct store_request){ .kind = STORE_LIST, .txn = id < INT64_MAX ? id + 1 : 0, .count_max = 1 };
}

void history_add_text(struct request *r, const char *name, const char *value)
{
    resp_add_bulk_str(&r->reply, name);
    if (value != NULL)
        resp_add_bulk_str(&r->reply, value);
    else
        resp_add_nil(&r->reply, r->proto);
}

void history_add_number(struct request *r, const char *name, uint64_t value)
{
    resp_add_bulk_str(&r->reply, name);
    resp_add_i64(&r->reply, (int64_t)value);
}

void history_add_ms(struct request *r, const char *name, uint64_t us)
{
    resp_add_bulk_str(&r->reply, name);
    resp_add_double(&r->reply, (double)us / 1000, r->proto);
}

static enum err add_bytes(struct request *r, enum err err, const char *name, const struct image *image)
{
    if (err == OK)
        err = resp_add_bulk_str(&r->reply, name);
    if (err != OK)
        return err;
    return image->present ? resp_add_bulk(&r->reply, image->value) : resp_add_nil(&r->reply, r->proto);
}

enum err history_add_effect(struct request *r, uint64_t seq, const struct store_effect *e)
{
    enum err err = resp_add_map(&r->reply, 5, r->proto);

    if (err == OK)
        err = resp_add_bulk_str(&r->reply, "seq");
    if (err == OK)
        err = resp_add_i64(&r->reply, (int64_t)seq);
    err = add_bytes(r, err, "resource", &(struct image){ true, bytes_str(e->resource == 'k' ? "kv" : "?") });
    err = add_bytes(r, err, "key", &(struct image){ true, e->key });
    err = add_bytes(r, err, "before", &e->before);
    return add_bytes(r, err, "after", &e->after);
}

struct teller {
    struct request *r;
    uint64_t seq;
    enum err err;
};

static void tell(const struct store_effect *e, void *user)
{
    struct teller *teller = user;

    if (teller->err == OK)
        teller->err = history_add_effect(teller->r, teller->seq++, e);
}

enum err history_add_effects_of(struct request *r, const struct txn *t)
{
    struct teller teller = { .r = r };

    if (txn_effects_left_out(t) > 0)
        return ERR_LIMIT;
    teller.err = resp_add_array(&r->reply, (size_t)txn_effect_count(t));
    txn_effects_each(t, tell, &teller);
    return teller.err;
}
