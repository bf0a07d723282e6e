/*
 * txn/store.h's questions about the past, asked of both engines: a script of transactions that chance writes is done by
 * the real engine and by the model in tests/sim, whose answers must be the same, and true: AT is what was remembered,
 * and what is undone in the order of DEPENDENTS (T9) goes back without a conflict. Before that, what the model does not
 * know: forgetting, tokens that grow old, and size.
 */
#include "tests/sim/chance.h"
#include "tests/sim/store_mem.h"
#include "tests/store_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <time.h>

enum { STEPS = 2000, KEYS = 6, OPEN_MAX = 3, PENDING_MAX = 8, TXN_MAX = 4000, VALUE_MAX = 20000, NONE = 0 };
enum { EVENT_MAX = 4000 };

struct open_txn { /* of the script; id 0: none */
    uint64_t id;
    uint64_t stored; /* effects that were written early */
    size_t pending;
    struct store_effect effects[PENDING_MAX];
    int back[KEYS]; /* what its keys held before it; others: as now */
    int event;      /* the last that it told and did not take away; 0: none */
};

struct script {
    struct kit *kit;
    struct disk *disk;
    struct store *mem;
    struct chance chance;
    uint64_t id_last, committed_last;
    int value_last, event_last;
    int now[KEYS], committed[KEYS]; /* values by number; NONE */
    struct open_txn *owner[KEYS];   /* who holds the key's lock */
    struct open_txn open[OPEN_MAX];
    struct {
        bool committed;
        int after[KEYS]; /* what the keys held when it had committed */
    } past[TXN_MAX];
    unsigned undone, refused, builders; /* that the script means something */
};

static char values[VALUE_MAX][16];
/* Two have the same name, but are of different resources. */
static const char *const keys[KEYS] = { "a", "b", "c", "a", "e:1", "" };
static const char resources[KEYS] = { 'k', 'k', 'k', 't', 't', 'k' };
static const char *const topics[] = { "orders", "mail", "nobody" };

/* --- both engines --- */

static void ask_mem(struct script *s, struct store_request *r)
{
    bool done = false;

    r->owner = &done;
    r->done = kit_done;
    s->mem->ops->submit(s->mem, r);
    while (!done)
        s->mem->ops->poll(s->mem);
}

static void same_text(const char *a, const char *b)
{
    assert_int_equal(a == NULL, b == NULL);
    if (a != NULL)
        assert_string_equal(a, b);
}

static void same_bytes(struct bytes a, struct bytes b) { assert_true(bytes_equal(a, b)); }

static void same_image(const struct image *a, const struct image *b)
{
    assert_int_equal(a->present, b->present);
    same_bytes(a->value, b->value);
}

static void same_row(const struct store_row *a, const struct store_row *b)
{
    assert_int_equal(a->txn, b->txn);
    same_text(a->graft, b->graft);
    same_text(a->version, b->version);
    same_text(a->function, b->function);
    same_text(a->outcome, b->outcome);
    same_text(a->error, b->error);
    assert_true(a->uid == b->uid && a->gid == b->gid && a->pid == b->pid && a->begun_us == b->begun_us &&
                a->ended_us == b->ended_us && a->cpu_us == b->cpu_us && a->effect_count == b->effect_count);
    assert_true(a->lock_wait_us == b->lock_wait_us && a->undoes == b->undoes && a->undone_by == b->undone_by &&
                a->parent == b->parent && a->depth == b->depth);
}

static void same_nested(const struct store_nested *a, const struct store_nested *b)
{
    same_text(a->graft, b->graft);
    same_text(a->version, b->version);
    same_text(a->function, b->function);
    same_text(a->outcome, b->outcome);
    same_text(a->error, b->error);
    assert_true(a->seq == b->seq && a->parent_seq == b->parent_seq && a->begun_us == b->begun_us &&
                a->ended_us == b->ended_us && a->cpu_us == b->cpu_us && a->first_effect == b->first_effect &&
                a->effect_count == b->effect_count);
}

static void same_answer(const struct store_request *a, const struct store_request *b)
{
    assert_int_equal(a->why.err, b->why.err);
    assert_int_equal(a->row_count, b->row_count);
    assert_int_equal(a->effect_count, b->effect_count);
    assert_int_equal(a->pair_count, b->pair_count);
    assert_int_equal(a->nested_count, b->nested_count);
    assert_int_equal(a->more, b->more);
    for (size_t i = 0; i < a->row_count; i++)
        same_row(&a->rows[i], &b->rows[i]);
    for (size_t i = 0; i < a->effect_count; i++) {
        assert_int_equal(a->effects[i].resource, b->effects[i].resource);
        same_bytes(a->effects[i].key, b->effects[i].key);
        same_image(&a->effects[i].before, &b->effects[i].before);
        same_image(&a->effects[i].after, &b->effects[i].after);
    }
    for (size_t i = 0; i < a->pair_count; i++)
        same_image(&a->pairs[i].value, &b->pairs[i].value);
    for (size_t i = 0; i < a->nested_count; i++)
        same_nested(&a->nested[i], &b->nested[i]);
    assert_int_equal(a->event_count, b->event_count);
    for (size_t i = 0; i < a->event_count; i++) {
        assert_true(a->events[i].id == b->events[i].id && a->events[i].txn == b->events[i].txn &&
                    a->events[i].at_us == b->events[i].at_us);
        same_bytes(a->events[i].data, b->events[i].data);
    }
    assert_int_equal(a->topic_count, b->topic_count);
    for (size_t i = 0; i < a->topic_count; i++) {
        assert_true(a->topics[i].first == b->topics[i].first && a->topics[i].last == b->topics[i].last &&
                    a->topics[i].forgotten == b->topics[i].forgotten && a->topics[i].count == b->topics[i].count);
        same_bytes(a->topics[i].name, b->topics[i].name);
    }
    assert_true(a->idem.found == b->idem.found && a->idem.txn == b->idem.txn);
    same_bytes(a->idem.reply, b->idem.reply);
}

/* r then holds the real engine's answer. */
static enum err ask(struct script *s, struct store_request *r)
{
    struct store_request model = *r;

    kit_ask(s->kit, r);
    ask_mem(s, &model);
    same_answer(r, &model);
    store_request_fini(&model);
    return r->why.err;
}

/* --- transactions --- */

static unsigned below(struct script *s, unsigned n) { return chance_below(&s->chance, n); }

static struct image image_of(int value) { return kit_image(value == NONE ? NULL : values[value]); }

static struct store_history history_of(struct script *s, uint64_t id, const char *outcome)
{
    static const char *const grafts[] = { NULL, "bank", "shop" }, *const functions[] = { "in", "out" };

    return (struct store_history){ .graft = grafts[id % 3], .version = "1", .function = functions[id / 3 % 2],
                                   .outcome = outcome, .uid = (uint32_t)(id % 2), .begun_us = (int64_t)(100 + id * 10),
                                   .ended_us = outcome == NULL ? 0 : 1000000, .lock_wait_us = below(s, 100),
                                   .parent = id / 2, .depth = (uint32_t)(id % 4) };
}

static void store_entry(struct script *s, const struct store_entry *e)
{
    struct store_request r = { .kind = STORE_COMMIT, .entries = e, .entry_count = 1 };

    assert_int_equal(ask(s, &r), OK);
    store_request_fini(&r);
}

static struct open_txn *open_begin(struct script *s, struct open_txn *t)
{
    *t = (struct open_txn){ .id = ++s->id_last };
    assert_true(t->id < TXN_MAX);
    return t;
}

static void open_change(struct script *s, struct open_txn *t, int key, int after)
{
    if (s->owner[key] == NULL)
        t->back[key] = s->now[key];
    s->owner[key] = t;
    t->effects[t->pending++] = (struct store_effect){ resources[key], bytes_str(keys[key]), image_of(s->now[key]),
                                                      image_of(after) };
    s->now[key] = after;
}

/* A new event, or the last one is taken away. */
static void open_event(struct script *s, struct open_txn *t)
{
    static char names[EVENT_MAX][24];
    struct store_effect e = { .resource = 'e' };
    bool away = t->event != 0 && below(s, 4) == 0;
    int n = away ? t->event : ++s->event_last, len;

    assert_true(n < EVENT_MAX);
    len = snprintf(names[n], sizeof names[n], "%s%c%d", topics[n % 2], '\0', n);
    e.key = bytes_of(names[n], (size_t)len);
    *(away ? &e.before : &e.after) = (struct image){ true, e.key };
    t->effects[t->pending++] = e;
    t->event = away ? 0 : n;
}

static void open_end(struct script *s, struct open_txn *t, bool committed)
{
    for (int i = 0; i < KEYS; i++) {
        if (s->owner[i] != t)
            continue;
        s->owner[i] = NULL;
        if (committed)
            s->committed[i] = s->now[i];
        else
            s->now[i] = t->back[i];
    }
    if (committed) {
        s->past[t->id].committed = true;
        s->committed_last = t->id;
        memcpy(s->past[t->id].after, s->committed, sizeof s->committed);
    }
    t->id = 0;
}

static struct store_entry open_entry(struct script *s, struct open_txn *t, const char *outcome)
{
    struct store_entry e = { .txn = t->id, .history = history_of(s, t->id, outcome), .first_effect = t->stored,
                             .effect_count = t->pending, .effects = t->effects };

    t->stored += t->pending;
    t->pending = 0;
    e.history.effect_count = t->stored;
    return e;
}

static void open_commit(struct script *s, struct open_txn *t, uint64_t undoes)
{
    static const struct store_nested nested[] = {
        { .seq = 1, .graft = "shop", .function = "x", .outcome = "committed" },
        { .seq = 2, .parent_seq = 1, .function = "y", .outcome = "ABORTED", .error = "no", .cpu_us = 5,
          .first_effect = 1 },
    };
    struct store_entry e = open_entry(s, t, "committed");
    char token[32];

    snprintf(token, sizeof token, "token %d", (int)t->id);
    e.history.undoes = undoes;
    e.nested = nested;
    e.nested_count = below(s, 3);
    if (below(s, 2) == 0) {
        e.idem_token = bytes_str(token);
        e.idem_reply = bytes_of(token, below(s, 5));
    }
    store_entry(s, &e);
    open_end(s, t, true);
}

static void open_abort(struct script *s, struct open_txn *t)
{
    struct store_request undo = { .kind = STORE_UNDO, .txn = t->id, .history = history_of(s, t->id, "ABORTED") };
    struct store_nested call = { .seq = 1, .function = "f", .outcome = "ABORTED", .error = "it said no" };
    struct store_entry e;

    if (t->stored > 0) {
        undo.calls = &call;
        undo.call_count = below(s, 2);
        assert_int_equal(ask(s, &undo), OK);
        store_request_fini(&undo);
    } else {
        t->pending = 0;
        e = open_entry(s, t, "ABORTED");
        store_entry(s, &e);
    }
    open_end(s, t, false);
}

static void step_open(struct script *s)
{
    struct open_txn *t = &s->open[below(s, OPEN_MAX)];
    int key = (int)below(s, KEYS);
    struct store_entry e;

    if (t->id == 0) {
        open_begin(s, t);
        return;
    }
    switch (below(s, 8)) {
    case 0: open_commit(s, t, 0); break;
    case 1:
        if (below(s, 3) == 0)
            open_abort(s, t);
        break;
    case 2:
        if (t->pending > 0) {
            e = open_entry(s, t, NULL);
            store_entry(s, &e);
        }
        break;
    case 3:
        if (t->pending < PENDING_MAX)
            open_event(s, t);
        break;
    default:
        if (t->pending < PENDING_MAX && (s->owner[key] == NULL || s->owner[key] == t)) {
            int value = below(s, 4) == 0 ? NONE : ++s->value_last;
            assert_true(value < VALUE_MAX);
            snprintf(values[s->value_last], sizeof values[0], "%d", s->value_last);
            open_change(s, t, key, value);
        }
    }
}

/* --- undo --- */

static int value_of(struct image image)
{
    int64_t n = NONE;

    assert_true(!image.present || bytes_to_i64(image.value, &n));
    return (int)n;
}

static int key_of(const struct store_effect *e)
{
    for (int i = 0; i < KEYS; i++)
        if (e->resource == resources[i] && bytes_equal(e->key, bytes_str(keys[i])))
            return i;
    fail_msg("no such key");
    return 0;
}

/* As a transaction of its own, newest effect first. Each key must hold what the one to be undone left. */
static void take_back(struct script *s, uint64_t txn)
{
    struct store_request show = { .kind = STORE_SHOW, .txn = txn };
    struct open_txn *t = open_begin(s, &s->open[0]);

    assert_int_equal(ask(s, &show), OK);
    for (size_t i = show.effect_count; i > 0; i--) {
        const struct store_effect *e = &show.effects[i - 1];
        int key;
        if (e->resource == 'e')
            continue; /* it was told */
        key = key_of(e);
        assert_int_equal(value_of(e->after), s->now[key]);
        if (t->pending == PENDING_MAX) {
            struct store_entry early = open_entry(s, t, NULL);
            store_entry(s, &early);
        }
        open_change(s, t, key, value_of(e->before));
    }
    store_request_fini(&show);
    open_commit(s, t, txn);
}

static void step_undo(struct script *s)
{
    uint64_t txn = 1 + below(s, (unsigned)s->id_last);
    struct store_request r = { .kind = STORE_DEPENDENTS, .txn = txn };
    struct store_request show = { .kind = STORE_SHOW, .txn = txn };

    for (int i = 0; i < OPEN_MAX; i++)
        if (s->open[i].id != 0)
            open_commit(s, &s->open[i], 0);
    if (ask(s, &r) != OK) {
        s->refused++;
        store_request_fini(&r);
        return;
    }
    s->builders += r.row_count > 0;
    for (size_t i = 0; i < r.row_count; i++)
        take_back(s, r.rows[i].txn);
    take_back(s, txn);
    s->undone++;
    assert_int_equal(ask(s, &show), OK);
    assert_true(show.rows[0].undone_by != 0);
    if (show.effect_count > 0 && show.effects[0].resource != 'e')
        assert_int_equal(value_of(show.effects[0].before), s->now[key_of(&show.effects[0])]);
    store_request_fini(&show);
    store_request_fini(&r);
}

/* --- questions --- */

static struct store_filter some_filter(struct script *s)
{
    static const char *const words[] = { "bank", "in", "committed", "ABORTED" };
    struct store_filter f = { .graft = below(s, 3) == 0 ? words[0] : NULL,
                              .function = below(s, 3) == 0 ? words[1] : NULL,
                              .outcome = below(s, 3) == 0 ? words[2 + below(s, 2)] : NULL, .has_uid = below(s, 3) == 0,
                              .uid = below(s, 2), .has_key = below(s, 3) == 0,
                              .key = bytes_str(keys[below(s, KEYS)]) };

    if (below(s, 4) == 0)
        f.since_us = (int64_t)(100 + below(s, (unsigned)s->id_last * 10));
    if (below(s, 4) == 0)
        f.until_us = (int64_t)(100 + below(s, (unsigned)s->id_last * 10));
    return f;
}

/* Page by page; a page that is full says where the next one begins, in both engines. */
static void ask_pages(struct script *s, struct store_request *r)
{
    struct store_request page;
    uint64_t from = 0;

    for (int i = 0; i < 4; i++) {
        page = *r;
        page.txn = from;
        assert_int_equal(ask(s, &page), OK);
        if (!page.more) {
            store_request_fini(&page);
            return;
        }
        from = page.rows[page.row_count - 1].txn;
        store_request_fini(&page);
    }
}

static void check_at(struct script *s, uint64_t txn, int key)
{
    struct store_request r = { .kind = STORE_AT, .txn = txn, .key = bytes_str(keys[key]) };

    if (resources[key] != 'k')
        return;
    if (ask(s, &r) == OK) {
        assert_true(s->past[txn].committed);
        assert_int_equal(value_of(r.pairs[0].value), s->past[txn].after[key]);
    } else {
        assert_false(txn < TXN_MAX && s->past[txn].committed);
    }
    store_request_fini(&r);
}

static void step_ask(struct script *s)
{
    uint64_t txn = below(s, (unsigned)s->id_last + 3);
    unsigned which = below(s, KEYS);
    struct bytes key = bytes_str(keys[which]);
    char token[32];
    struct store_request list = { .kind = STORE_LIST, .filter = some_filter(s), .count_max = 1 + below(s, 30),
                                  .resource = below(s, 2) == 0 ? 't' : 0 };
    struct store_request blame = { .kind = STORE_BLAME, .resource = resources[which], .key = key,
                                   .count_max = 1 + below(s, 30) };
    struct store_request events = { .kind = STORE_EVENTS, .key = bytes_str(topics[below(s, 3)]),
                                    .after = below(s, (unsigned)s->event_last + 2), .count_max = 1 + below(s, 30) };
    struct store_request some = { .kind = STORE_TOPICS, .from = bytes_str(topics[below(s, 3)]),
                                  .count_max = 1 + below(s, 3) };
    struct store_request timers = { .kind = STORE_SCAN, .resource = 't', .count_max = 1 + below(s, 3) };
    struct store_request one = { .kind = below(s, 2) == 0 ? STORE_SHOW : STORE_DEPENDENTS, .txn = txn };
    struct store_request idem = { .kind = STORE_IDEM, .uid = below(s, 2), .token = bytes_str(token) };

    snprintf(token, sizeof token, "token %d", (int)txn);
    ask_pages(s, &list);
    ask_pages(s, &blame);
    check_at(s, txn, (int)below(s, KEYS));
    for (int i = 0; i < KEYS; i++) /* others may have begun to change it, and been written early */
        check_at(s, s->committed_last, i);
    assert_int_equal(ask(s, &events), OK);
    store_request_fini(&events);
    assert_int_equal(ask(s, &some), OK);
    store_request_fini(&some);
    assert_int_equal(ask(s, &timers), OK);
    store_request_fini(&timers);
    ask(s, &one);
    store_request_fini(&one);
    assert_int_equal(ask(s, &idem), OK);
    store_request_fini(&idem);
}

static void reopen(struct script *s)
{
    struct failure why = { 0 };

    for (int i = 0; i < OPEN_MAX; i++)
        if (s->open[i].id != 0)
            open_commit(s, &s->open[i], 0);
    kit_close(s->kit);
    if (kit_open(s->kit, &why) != OK)
        fail_msg("%s", why.text);
}

static void both_engines_tell_the_same_past(void **state)
{
    static struct script s;
    struct kit kit;
    struct failure why = { 0 };
    uint64_t seed = (uint64_t)time(NULL);

    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    kit_init(&kit);
    assert_int_equal(kit_open(&kit, &why), OK);
    s = (struct script){ .kit = &kit, .disk = disk_new(), .chance.state = seed };
    s.mem = store_mem_open(s.disk);
    for (int i = 0; i < STEPS && s.id_last + 100 < TXN_MAX; i++) {
        step_open(&s);
        if (s.id_last > 0 && below(&s, 5) == 0)
            step_ask(&s);
        if (s.id_last > 0 && below(&s, 60) == 0)
            step_undo(&s);
        if (below(&s, 500) == 0)
            reopen(&s);
    }
    print_message("%llu transactions, %u undone, of them %u with what built on them, %u refused\n",
                  (unsigned long long)s.id_last, s.undone, s.builders, s.refused);
    assert_true(s.undone > 5 && s.builders > 2);
    s.mem->ops->close(s.mem);
    disk_free(&s.disk);
    kit_fini(&kit);
}

/* --- the real engine alone --- */

static int setup(void **state)
{
    static struct kit kit;
    struct failure why = { 0 };

    kit_init(&kit);
    if (kit_open(&kit, &why) != OK)
        fail_msg("%s", why.text);
    *state = &kit;
    return 0;
}

static int teardown(void **state)
{
    kit_fini(*state);
    return 0;
}

static void reopen_with(struct kit *k, uint64_t history_ms, uint64_t history_bytes)
{
    struct failure why = { 0 };

    kit_close(k);
    k->options.history_ms = history_ms;
    k->options.history_bytes = history_bytes;
    if (kit_open(k, &why) != OK)
        fail_msg("%s", why.text);
}

static enum err at(struct kit *k, const char *key, uint64_t txn, const char *value)
{
    struct store_request r = { .kind = STORE_AT, .key = bytes_str(key), .txn = txn };
    struct image want = kit_image(value);
    enum err err = kit_ask(k, &r);

    if (err == OK)
        assert_true(r.pairs[0].value.present == want.present && bytes_equal(r.pairs[0].value.value, want.value));
    else
        assert_true(r.why.text[0] != '\0');
    store_request_fini(&r);
    return err;
}

/* The ids, as text. */
static const char *blame(struct kit *k, const char *key)
{
    static char out[512];
    struct store_request r = { .kind = STORE_BLAME, .key = bytes_str(key), .count_max = 20 };

    assert_int_equal(kit_ask(k, &r), OK);
    out[0] = '\0';
    for (size_t i = 0; i < r.row_count; i++)
        snprintf(out + strlen(out), sizeof out - strlen(out), "%llu ", (unsigned long long)r.rows[i].txn);
    store_request_fini(&r);
    return out;
}

static enum err dependents(struct kit *k, uint64_t txn, size_t count)
{
    struct store_request r = { .kind = STORE_DEPENDENTS, .txn = txn };
    enum err err = kit_ask(k, &r);

    if (err == OK)
        assert_int_equal(r.row_count, count);
    store_request_fini(&r);
    return err;
}

/* 5 began before 6 and ended after it, so it is newer, but it is forgotten first. */
static void what_is_no_longer_whole_is_refused_and_not_guessed(void **state)
{
    struct kit *k = *state;

    assert_int_equal(kit_put(k, 6, "committed", "k", NULL, "six"), OK);
    assert_int_equal(kit_put(k, 5, "committed", "k", "six", "five"), OK);
    assert_int_equal(kit_put(k, 8, "committed", "k", "five", "eight"), OK);
    assert_int_equal(kit_put(k, 9, "committed", "other", NULL, "nine"), OK);
    assert_string_equal(blame(k, "k"), "8 5 6 ");
    assert_int_equal(at(k, "k", 6, "six"), OK);
    assert_int_equal(dependents(k, 6, 2), OK);
    reopen_with(k, UINT64_MAX, 500);
    while (kit_kept(k, 5) != -1) /* the alarm ends a test that waits in vain */
        usleep(20000);
    assert_int_equal(kit_kept(k, 6), 1);
    assert_int_equal(at(k, "k", 5, NULL), ERR_ABSENT);
    assert_int_equal(at(k, "k", 6, NULL), ERR_ABSENT);
    assert_int_equal(dependents(k, 6, 0), ERR_ABSENT);
    reopen_with(k, UINT64_MAX, UINT64_MAX);
    assert_int_equal(at(k, "k", 6, NULL), ERR_ABSENT);
    assert_int_equal(at(k, "k", 8, "eight"), OK);
    assert_int_equal(at(k, "other", 8, NULL), OK); /* as it was before its first change */
    assert_int_equal(dependents(k, 8, 0), OK);
    assert_string_equal(blame(k, "k"), "8 ");
}

static void a_key_that_is_gone_has_its_past_until_that_is_forgotten(void **state)
{
    struct kit *k = *state;
    struct store_entry entry = kit_entry(4, "committed", NULL, 0);

    assert_int_equal(kit_put(k, 1, "committed", "k", NULL, "made"), OK);
    assert_int_equal(kit_put(k, 2, "committed", "k", "made", NULL), OK);
    assert_string_equal(blame(k, "k"), "2 1 ");
    assert_int_equal(at(k, "k", 1, "made"), OK);
    assert_int_equal(at(k, "k", 2, NULL), OK);
    assert_int_equal(kit_put(k, 3, "committed", "k", NULL, "again"), OK);
    assert_string_equal(blame(k, "k"), "3 2 1 ");
    assert_int_equal(kit_put(k, 4, "committed", "k", "again", NULL), OK);
    reopen_with(k, 1, UINT64_MAX);
    while (kit_kept(k, 4) != -1)
        usleep(20000);
    reopen_with(k, UINT64_MAX, UINT64_MAX);
    entry.txn = 5;
    assert_int_equal(kit_commit(k, &entry, NULL), OK);
    assert_string_equal(blame(k, "k"), "");
    assert_int_equal(at(k, "k", 5, NULL), OK);
}

/* Longer than what is sorted at once. */
static void a_long_transaction_keeps_its_trails(void **state)
{
    enum { MANY = 150000, FEW = 7 };
    struct kit *k = *state;
    struct store_effect *e = calloc(MANY, sizeof *e);
    struct store_entry entry = kit_entry(2, "committed", e, MANY);
    static char texts[MANY][16], names[FEW][16];
    struct store_request r = { .kind = STORE_BLAME, .key = bytes_str("3"), .count_max = 5 };

    for (int i = 0; i < MANY; i++) {
        snprintf(texts[i], sizeof texts[i], "%d", i);
        snprintf(names[i % FEW], sizeof names[0], "%d", i % FEW);
        e[i] = kit_effect(names[i % FEW], i < FEW ? NULL : texts[i - FEW], texts[i]);
    }
    assert_int_equal(kit_commit(k, &entry, NULL), OK);
    assert_int_equal(kit_put(k, 3, "committed", "3", "149999", "last"), OK);
    assert_int_equal(kit_kept(k, 2), MANY);
    assert_int_equal(kit_ask(k, &r), OK);
    assert_int_equal(r.row_count, 2);
    assert_false(r.effects[1].before.present);
    assert_true(bytes_equal(r.effects[1].after.value, bytes_str(texts[MANY - 1 - (MANY - 1 - 3) % FEW])));
    store_request_fini(&r);
    assert_int_equal(dependents(k, 2, 1), OK);
    assert_true(kit_holds(k, "0", texts[MANY - 1 - (MANY - 1) % FEW]));
    free(e);
}

static void a_reply_is_kept_for_its_token_a_day_at_least(void **state)
{
    static const char *const tokens[] = { "of yesterday", "of an hour ago" };
    struct kit *k = *state;
    int64_t now = (int64_t)time(NULL) * 1000000;
    struct store_request ask = { .kind = STORE_IDEM, .uid = 1000 };

    for (uint64_t i = 0; i < 2; i++) {
        struct store_entry entry = kit_entry(i + 1, "committed", NULL, 0);
        entry.history.ended_us = now - (i == 0 ? 25 : 1) * INT64_C(3600000000);
        entry.idem_token = bytes_str(tokens[i]);
        entry.idem_reply = bytes_str("reply");
        assert_int_equal(kit_commit(k, &entry, NULL), OK);
    }
    ask.token = bytes_str(tokens[0]);
    assert_int_equal(kit_ask(k, &ask), OK);
    assert_true(ask.idem.found && ask.idem.txn == 1 && bytes_equal(ask.idem.reply, bytes_str("reply")));
    store_request_fini(&ask);
    ask.uid = 1001;
    assert_int_equal(kit_ask(k, &ask), OK);
    assert_false(ask.idem.found);
    ask.uid = 1000;
    reopen_with(k, 1, UINT64_MAX);
    do {
        usleep(20000);
        store_request_fini(&ask);
        assert_int_equal(kit_ask(k, &ask), OK);
    } while (ask.idem.found);
    ask.token = bytes_str(tokens[1]);
    assert_int_equal(kit_ask(k, &ask), OK);
    assert_true(ask.idem.found);
    store_request_fini(&ask);
    assert_int_equal(kit_kept(k, 2), -1);
}

/* What a client writes where a number is expected. */
static void numbers_that_never_were_are_absent(void **state)
{
    static const enum store_kind kinds[] = { STORE_LIST, STORE_SHOW, STORE_BLAME, STORE_AT, STORE_DEPENDENTS };
    struct kit *k = *state;

    assert_int_equal(kit_put(k, 1, "committed", "k", NULL, "v"), OK);
    for (size_t i = 0; i < 5; i++) {
        struct store_request r = { .kind = kinds[i], .txn = UINT64_MAX, .key = bytes_str("k"), .count_max = 3 };
        assert_int_equal(kit_ask(k, &r), i < 3 ? OK : ERR_ABSENT);
        assert_int_equal(r.row_count, i == 0 ? 1 : 0);
        store_request_fini(&r);
    }
}

static void a_redo_takes_back_the_undo(void **state)
{
    struct kit *k = *state;
    struct store_effect e[] = { kit_effect("k", NULL, "v"), kit_effect("k", "v", NULL) };
    struct store_request list = { .kind = STORE_LIST, .count_max = 9 };
    struct store_entry entry;

    for (uint64_t n = 1; n <= 4; n++) { /* 2 undoes 1, 3 undoes 2, 4 undoes 3 */
        entry = kit_entry(n, "committed", &e[(n + 1) % 2], 1);
        entry.history.undoes = n - 1;
        assert_int_equal(kit_commit(k, &entry, NULL), OK);
        assert_int_equal(dependents(k, 1, 0), n % 2 == 1 ? OK : ERR_BADARG);
    }
    assert_int_equal(kit_ask(k, &list), OK);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(list.rows[i].undone_by, i % 2 == 0 ? 0 : list.rows[i].txn + 1);
    store_request_fini(&list);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_no_longer_whole_is_refused_and_not_guessed),
        CASE(a_key_that_is_gone_has_its_past_until_that_is_forgotten),
        CASE(a_long_transaction_keeps_its_trails),
        CASE(a_reply_is_kept_for_its_token_a_day_at_least),
        CASE(numbers_that_never_were_are_absent),
        CASE(a_redo_takes_back_the_undo),
        cmocka_unit_test(both_engines_tell_the_same_past),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
