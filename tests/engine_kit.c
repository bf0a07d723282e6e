#include "tests/engine_kit.h"

void must_open(struct world *w)
{
    struct failure why = { 0 };

    if (!w->real)
        w->mem = store_mem_open(w->disk);
    else if (kit_open(&w->kit, &why) != OK)
        fail_msg("%s", why.text);
}

void shut(struct world *w)
{
    if (w->real)
        kit_close(&w->kit);
    else
        w->mem->ops->close(w->mem);
}

void reopen(struct world *w)
{
    shut(w);
    must_open(w);
}

static int setup(void **state, bool real)
{
    static struct world w;

    w = (struct world){ .real = real };
    kit_init(&w.kit);
    w.disk = disk_new();
    must_open(&w);
    *state = &w;
    return 0;
}

int setup_real(void **state) { return setup(state, true); }
int setup_mem(void **state) { return setup(state, false); }

int teardown(void **state)
{
    struct world *w = *state;

    if (!w->real)
        shut(w);
    disk_free(&w->disk);
    kit_fini(&w->kit);
    return 0;
}

void reopen_keeping(struct world *w, uint64_t events_ms, uint64_t events_bytes, uint64_t history_ms)
{
    shut(w);
    w->kit.options.events_ms = events_ms;
    w->kit.options.events_bytes = events_bytes;
    w->kit.options.history_ms = history_ms;
    must_open(w);
}

/* --- requests --- */

enum err ask(struct world *w, struct store_request *r)
{
    bool done = false;

    if (w->real)
        return kit_ask(&w->kit, r);
    r->owner = &done;
    r->done = kit_done;
    w->mem->ops->submit(w->mem, r);
    while (!done)
        w->mem->ops->poll(w->mem);
    return r->why.err;
}

void ask_ok(struct world *w, struct store_request *r)
{
    if (ask(w, r) != OK)
        fail_msg("%s", r->why.text);
}

const struct store_facts *facts(struct world *w)
{
    return w->real ? w->kit.store->ops->facts(w->kit.store) : w->mem->ops->facts(w->mem);
}

void store(struct world *w, uint64_t txn, const char *outcome, uint64_t first, const struct store_effect *e,
           size_t count)
{
    struct store_entry entry = kit_entry(txn, outcome, e, count);
    struct store_request r = { .kind = STORE_COMMIT, .entries = &entry, .entry_count = 1 };

    entry.first_effect = first;
    entry.history.effect_count = first + count;
    ask_ok(w, &r);
}

enum err undo(struct world *w, uint64_t txn)
{
    struct store_request r = { .kind = STORE_UNDO, .txn = txn, .history = kit_entry(txn, "ABORTED", NULL, 0).history };

    return ask(w, &r);
}

struct store_effect effect(char resource, const char *key, const char *before, const char *after)
{
    struct store_effect e = kit_effect(key, before, after);

    e.resource = resource;
    return e;
}

const char *changed_by(struct world *w, enum store_kind kind, char resource, const char *key)
{
    static char out[256];
    struct store_request r = { .kind = kind,
                               .resource = resource,
                               .key = bytes_str(key),
                               .count_max = 20,
                               .filter = { .has_key = true, .key = bytes_str(key) } };

    ask_ok(w, &r);
    out[0] = '\0';
    for (size_t i = 0; i < r.row_count; i++)
        snprintf(out + strlen(out), sizeof out - strlen(out), "%llu ", (unsigned long long)r.rows[i].txn);
    for (size_t i = 0; i < r.effect_count; i++)
        assert_int_equal(r.effects[i].resource, resource);
    store_request_fini(&r);
    return out;
}

const char *dependents(struct world *w, uint64_t txn)
{
    static char out[256];
    struct store_request r = { .kind = STORE_DEPENDENTS, .txn = txn };

    ask_ok(w, &r);
    out[0] = '\0';
    for (size_t i = 0; i < r.row_count; i++)
        snprintf(out + strlen(out), sizeof out - strlen(out), "%llu ", (unsigned long long)r.rows[i].txn);
    store_request_fini(&r);
    return out;
}

/* --- events and timers --- */

struct store_effect event(const char *topic, const char *name, const char *before, const char *after)
{
    static char keys[32][160];
    static int turn;
    struct store_effect e = effect(RESOURCE_EVENT, "", before, after);
    char *key = keys[turn = (turn + 1) % 32];
    int n = snprintf(key, sizeof keys[0], "%s%c%s", topic, '\0', name);

    e.key = bytes_of(key, (size_t)n);
    return e;
}

void tell(struct world *w, uint64_t txn, const char *topic, const char *data, int64_t ended_us)
{
    struct store_effect e = event(topic, "1", NULL, data);
    struct store_entry entry = kit_entry(txn, "committed", &e, 1);
    struct store_request r = { .kind = STORE_COMMIT, .entries = &entry, .entry_count = 1 };

    entry.history.ended_us = ended_us;
    ask_ok(w, &r);
}

const char *told(struct world *w, const char *topic, uint64_t after, size_t max)
{
    static char out[512];
    struct store_request r = { .kind = STORE_EVENTS, .key = bytes_str(topic), .after = after, .count_max = max };

    ask_ok(w, &r);
    out[0] = '\0';
    for (size_t i = 0; i < r.event_count; i++)
        snprintf(out + strlen(out), sizeof out - strlen(out), "%llu:%.*s ", (unsigned long long)r.events[i].id,
                 (int)r.events[i].data.len, (const char *)r.events[i].data.data);
    if (r.more)
        strcat(out, "+");
    assert_int_equal(r.topic_count, 1);
    assert_true(bytes_equal(r.topics[0].name, bytes_str(topic)));
    store_request_fini(&r);
    return out;
}

bool timer_holds(struct world *w, const char *id, const char *text)
{
    struct bytes key = bytes_str(id);
    struct store_request r = { .kind = STORE_GET, .resource = RESOURCE_TIMER, .keys = &key, .key_count = 1 };
    struct image want = kit_image(text);
    bool same;

    ask_ok(w, &r);
    same = r.pairs[0].value.present == want.present && bytes_equal(r.pairs[0].value.value, want.value);
    store_request_fini(&r);
    return same;
}
