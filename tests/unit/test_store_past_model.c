/*
 * txn/store.h's questions about the past, asked of both engines: a script of transactions that chance writes is done by
 * the real engine and by the model in tests/sim, whose answers must be the same, and true: AT is what was remembered,
 * and what is undone in the order of DEPENDENTS (T9) goes back without a conflict.
 */
#include "tests/sim/chance.h"
#include "tests/sim/store_mem.h"
#include "tests/store_kit.h"
#include "tests/store_same.h"

#include <time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_engines_tell_the_same_past),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
