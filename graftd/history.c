#include "graftd/history.h"

#include "graftd/command.h"
#include "lib/resp.h"
#include "txn/file_image.h"
#include "txn/timer_image.h"

#include <stdio.h>
#include <string.h>

enum { IMAGE_SHOWN = TIMER_FUNCTION_MAX + TIMER_ERROR_MAX + 128 }; /* bytes of an image in words */

void history_ask(struct request *r, void (*done)(struct store_request *))
{
    request_asks(r);
    r->store.done = done;
    r->store.owner = r;
    txn_write_rows(r->core->txns);
    r->core->store->ops->submit(r->core->store, &r->store);
}

void history_look(struct request *r, void (*done)(struct store_request *))
{
    history_ask(r, done);
    request_decided(r);
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

bool history_goes_on(struct request *r, void (*done)(struct store_request *))
{
    struct store_request *s = &r->store;
    uint64_t next = s->next;

    if (s->row_count > 0 || !s->more)
        return false;
    store_request_fini(s);
    s->txn = next;
    history_ask(r, done);
    return true;
}

bool history_page(struct request *r)
{
    uint64_t count = HISTORY_PAGE_MAX;

    for (size_t i = 2; i < r->argc; i += 2) {
        if (i + 1 == r->argc)
            return false;
        if (arg_is(r->argv[i], "FROM"))
            r->store.from = r->argv[i + 1];
        else if (!arg_is(r->argv[i], "COUNT") || !bytes_to_u64(r->argv[i + 1], &count) || count == 0)
            return false;
    }
    r->store.count_max = count > HISTORY_PAGE_MAX ? HISTORY_PAGE_MAX : (size_t)count;
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

void history_add_id(struct request *r, const char *name, uint64_t id)
{
    if (id != 0)
        history_add_number(r, name, id);
    else
        history_add_text(r, name, NULL);
}

static enum err add_bytes(struct request *r, enum err err, const char *name, const struct image *image)
{
    if (err == OK)
        err = resp_add_bulk_str(&r->reply, name);
    if (err != OK)
        return err;
    return image->present ? resp_add_bulk(&r->reply, image->value) : resp_add_nil(&r->reply, r->proto);
}

struct bytes history_topic(struct bytes key)
{
    const char *end = key.len == 0 ? NULL : memchr(key.data, '\0', key.len);

    return bytes_of(key.data, end == NULL ? key.len : (size_t)(end - (const char *)key.data));
}

static void show_file(struct bytes image, char out[IMAGE_SHOWN])
{
    struct file_image i;

    if (!file_image_read(image, &i))
        snprintf(out, IMAGE_SHOWN, "damaged");
    else if (i.kind == FILE_DIRECTORY)
        snprintf(out, IMAGE_SHOWN, "directory");
    else
        snprintf(out, IMAGE_SHOWN, "%llu bytes", (unsigned long long)file_image_size(&i));
}

static void show_timer(struct bytes image, char out[IMAGE_SHOWN])
{
    struct timer t;
    char due[32];

    if (!timer_image_read(image, &t))
        snprintf(out, IMAGE_SHOWN, "damaged");
    else
        snprintf(out, IMAGE_SHOWN, "%.*s due %s%s%s%.*s", (int)t.function.len, (const char *)t.function.data,
                 iso_time(t.due_us, due), t.parked ? ", parked" : "", t.error.len > 0 ? ": " : "", (int)t.error.len,
                 (const char *)t.error.data);
}

/* In words, where bytes would tell nobody anything; borrowed from out. */
static struct image show_image(char resource, const struct image *image, char out[IMAGE_SHOWN])
{
    if (!image->present || (resource != RESOURCE_FILE && resource != RESOURCE_TIMER))
        return *image;
    if (resource == RESOURCE_FILE)
        show_file(image->value, out);
    else
        show_timer(image->value, out);
    return (struct image){ true, bytes_str(out) };
}

enum err history_add_image(struct request *r, char resource, const struct image *image)
{
    char text[IMAGE_SHOWN];
    struct image shown = show_image(resource, image, text);

    return shown.present ? resp_add_bulk(&r->reply, shown.value) : resp_add_nil(&r->reply, r->proto);
}

enum err history_add_effect(struct request *r, uint64_t seq, const struct store_effect *e)
{
    char before_text[IMAGE_SHOWN], after_text[IMAGE_SHOWN];
    struct image before = show_image(e->resource, &e->before, before_text);
    struct image after = show_image(e->resource, &e->after, after_text);
    struct bytes key = e->resource == RESOURCE_EVENT ? history_topic(e->key) : e->key;
    enum err err = resp_add_map(&r->reply, 5, r->proto);

    if (err == OK)
        err = resp_add_bulk_str(&r->reply, "seq");
    if (err == OK)
        err = resp_add_i64(&r->reply, (int64_t)seq);
    err = add_bytes(r, err, "resource", &(struct image){ true, bytes_str(resource_name(e->resource)) });
    err = add_bytes(r, err, "key", &(struct image){ true, key });
    err = add_bytes(r, err, "before", &before);
    return add_bytes(r, err, "after", &after);
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
