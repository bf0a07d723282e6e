#include "tests/hostcall_kit.h"

/* ---- the transaction, as told to be ---- */

struct played played;

static enum err play(struct failure *why, const char *what, struct bytes a, struct bytes b)
{
    size_t n = strlen(played.done);

    if (played.waits > 0) {
        played.waits--;
        return ERR_WAIT;
    }
    snprintf(played.done + n, sizeof played.done - n, "%s%s %.*s%s%.*s", n > 0 ? "; " : "", what, (int)a.len,
             (const char *)a.data, b.len > 0 ? " " : "", (int)b.len, b.len > 0 ? (const char *)b.data : "");
    if (played.err != OK && played.why != NULL)
        (fail)(why, played.err, "%s", played.why);
    return played.err;
}

struct bytes nothing(void) { return bytes_of(NULL, 0); }

uint64_t txn_id(const struct txn *t) { return t == NULL ? 418 : 0; }
uint64_t txn_effect_count(const struct txn *t) { return t == NULL ? played.effects : 0; }

enum err txn_get_item(struct txn *t, char resource, struct bytes key, enum lock_mode mode, struct bytes *value,
                      struct failure *why)
{
    (void)t;
    assert_int_equal(mode, LOCK_EXCLUSIVE);
    *value = played.data;
    return play(why, resource == RESOURCE_TIMER ? "get timer" : "get", key, nothing());
}

/* The image is kept for who looks at it. */
enum err txn_put_item(struct txn *t, char resource, struct bytes key, struct bytes value, struct failure *why)
{
    enum err err = play(why, resource == RESOURCE_TIMER ? "put timer" : "put", key, nothing());

    (void)t;
    if (err == OK)
        played.data = bytes_of(bytes_dup(value), value.len);
    return err;
}

enum err txn_delete_item(struct txn *t, char resource, struct bytes key, struct failure *why)
{
    (void)t;
    return play(why, resource == RESOURCE_TIMER ? "delete timer" : "delete", key, nothing());
}

enum err txn_emit(struct txn *t, struct bytes topic, struct bytes data, struct failure *why)
{
    (void)t;
    return play(why, "emit", topic, data);
}

const char *txn_item_name(struct txn *t, char out[48])
{
    (void)t;
    snprintf(out, 48, "418.%u", ++played.names);
    return out;
}

enum err txn_file_stat(struct txn *t, struct bytes path, enum lock_mode mode, struct txn_file *out, struct failure *why)
{
    (void)t;
    *out = played.file;
    return play(why, mode == LOCK_EXCLUSIVE ? "stat x" : "stat s", path, nothing());
}

enum err txn_file_read(struct txn *t, struct bytes path, uint64_t offset, size_t len, struct bytes *data,
                       uint64_t *size, struct failure *why)
{
    char text[60];

    (void)t;
    snprintf(text, sizeof text, "%llu+%zu", (unsigned long long)offset, len);
    *data = played.data;
    *size = played.data.len;
    return play(why, "read", path, bytes_str(text));
}

enum err txn_file_write(struct txn *t, struct bytes path, struct bytes data, struct failure *why)
{
    (void)t;
    return play(why, "write", path, data);
}

enum err txn_file_append(struct txn *t, struct bytes path, struct bytes data, struct failure *why)
{
    (void)t;
    return play(why, "append", path, data);
}

enum err txn_file_remove(struct txn *t, struct bytes path, struct failure *why)
{
    (void)t;
    return play(why, "remove", path, nothing());
}

enum err txn_file_rename(struct txn *t, struct bytes from, struct bytes to, struct failure *why)
{
    (void)t;
    return play(why, "rename", from, to);
}

enum err txn_file_list(struct txn *t, struct bytes directory, struct bytes from, size_t count_max,
                       struct txn_page *page, struct failure *why)
{
    (void)t;
    assert_true(count_max > 0 && count_max <= TXN_PAGE_MAX);
    *page = (struct txn_page){ .count = played.pair_count, .items = played.pairs, .more = true };
    return play(why, "list", directory, from);
}

enum err timers_reserve(struct timers *t, struct bytes id, uint64_t effects, uint64_t max, uint64_t *used,
                        struct timer_place **places)
{
    (void)t;
    (void)places;
    assert_true(id.len > 0 && effects > 0);
    *used = ++played.timers;
    return *used <= max ? OK : ERR_LIMIT;
}

/* Keys are asked for in other tests. */
enum err txn_get(struct txn *t, struct bytes key, enum lock_mode mode, struct bytes *value, struct failure *why)
{
    return txn_get_item(t, RESOURCE_KV, key, mode, value, why);
}
enum err txn_put(struct txn *t, struct bytes key, struct bytes value, struct failure *why)
{
    return txn_put_item(t, RESOURCE_KV, key, value, why);
}
enum err txn_delete(struct txn *t, struct bytes key, struct failure *why)
{
    return txn_delete_item(t, RESOURCE_KV, key, why);
}
enum err txn_scan(struct txn *t, struct bytes prefix, struct bytes from, size_t count_max, struct txn_page *page,
                  struct failure *why)
{
    return txn_file_list(t, prefix, from, count_max, page, why);
}

/* ---- the world ---- */

static const char rules[] = "graft files {\n"
                            "    limit effects 5 disk 10K\n"
                            "    allow read write file \"s/*\"; deny read write file \"s/secret*\"\n"
                            "    allow write file \"out/*\"; allow read file \"in/*\"\n"
                            "    allow emit \"bank.*\"; allow timer \"bank.*\"\n"
                            "}\n";

struct buf sent;

static enum err world_send(struct port_process *worker, struct bytes frames)
{
    (void)worker;
    return buf_add(&sent, frames.data, frames.len);
}

void renew(struct world *w)
{
    w->h = (struct hostcall_context){
        .port = &w->port,
        .who = &w->who,
        .grant = w->grant,
        .bounds = &w->bounds,
        .label = "files.run",
        .now_us = NOW_US,
    };
    failure_clear(&w->why);
    buf_clear(&sent);
    memset(&played, 0, sizeof played);
}

int hostcall_set_up(void **state)
{
    static struct world w;
    struct policy *p = NULL;
    struct manifest m = { .name = "files" };
    struct buf errors;

    w = (struct world){ .ops = { .process_send = world_send },
                        .who = { .uid = 1000, .gid = 100, .group_count = 2, .groups = { 7, 8 } },
                        .bounds = { .key_max = 4096, .value_max = 64 * 1024, .timer_max = 3 } };
    w.port.ops = &w.ops;
    buf_init(&errors, 1 << 16);
    assert_int_equal(policy_parse("p", bytes_str(rules), 1, &p, &errors), OK);
    buf_fini(&errors);
    assert_int_equal(grant_new(p, &m, &w.grant), OK);
    policy_free(&p);
    buf_init(&sent, 1 << 20);
    buf_init(&w.message, 1 << 20);
    renew(&w);
    *state = &w;
    return 0;
}

int hostcall_tear_down(void **state)
{
    struct world *w = *state;

    grant_free(&w->grant);
    buf_fini(&w->message);
    buf_fini(&sent);
    return 0;
}

enum err said(struct world *w)
{
    struct bytes frame = buf_bytes(&w->message), body;
    uint8_t number;
    size_t used;

    assert_int_equal(wire_next(frame, &number, &body, &used), OK);
    return hostcall_do(&w->h, number, body, &w->why);
}

struct bytes answered(uint8_t number)
{
    struct bytes body = nothing();
    uint8_t got = 0;
    size_t used = 0;

    assert_int_equal(wire_next(buf_bytes(&sent), &got, &body, &used), OK);
    assert_int_equal(got, number);
    assert_int_equal(used, buf_len(&sent));
    return body;
}

void assert_value(bool present, const char *text)
{
    struct wire_VALUE m;

    assert_true(wire_read_VALUE(answered(WIRE_VALUE), &m));
    assert_int_equal(m.present, present);
    assert_true(bytes_equal(m.value, bytes_str(text)));
}

struct bytes str(const char *s) { return bytes_str(s); }

void assert_refused(struct world *w, enum err err, enum err expected, const char *text)
{
    assert_int_equal(err, expected);
    if (strstr(w->why.text, text) == NULL)
        fail_msg("\"%s\" is not in: %s", text, w->why.text);
    assert_string_equal(played.done, "");
    assert_int_equal(buf_len(&sent), 0);
    renew(w);
}
