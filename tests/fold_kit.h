/*
 * A script of transactions on a few keys, written by chance, and what the store must say after each of its steps: for
 * the tests that no reader can tell whether a key is in its table or is folded later. The script does not depend on
 * what the store answers, so that another process can write it again from the same seed.
 */
#ifndef GRAFTD_TESTS_FOLD_KIT_H
#define GRAFTD_TESTS_FOLD_KIT_H

#include "tests/sim/chance.h"
#include "tests/store_kit.h"

#include <time.h>

enum {
    FOLD_KEYS = 96,
    FOLD_ENTRIES = 3,
    FOLD_EFFECTS = 4,
    FOLD_CHANGES = 16384,
    FOLD_TXNS = 8192,
    FOLD_VALUES = 16384,
    FOLD_BEGUN = 6,   /* transactions that have begun: any of them ends next */
    FOLD_LONG = 1500, /* bytes; such a value does not wait */
};

enum fold_kind { FOLD_COMMIT, FOLD_EARLY, FOLD_END, FOLD_UNDO };

struct fold_step {
    enum fold_kind kind;
    size_t entry_count;
    uint64_t txn[FOLD_ENTRIES];
    size_t effect_count[FOLD_ENTRIES];
    int key[FOLD_ENTRIES][FOLD_EFFECTS], before[FOLD_ENTRIES][FOLD_EFFECTS], after[FOLD_ENTRIES][FOLD_EFFECTS];
};

struct fold_change {
    uint64_t txn;
    int key, before, after; /* values by number; 0: nothing */
    size_t order;           /* of its commit */
};

struct fold_model {
    struct chance chance;
    uint64_t txn_last, begun[FOLD_BEGUN];
    int value_last;
    int now[FOLD_KEYS];
    struct fold_step step; /* the one that was planned last */
    struct fold_step open; /* the early write of what has not ended; no entries: there is none */
    struct fold_change changes[FOLD_CHANGES];
    size_t change_count;
    uint64_t committed[FOLD_TXNS]; /* in the order of commits */
    size_t committed_count;
};

/* "a0" … in byte order, one empty, one long. */
static inline struct bytes fold_key(int key)
{
    static char names[FOLD_KEYS][300];

    if (key == 0)
        return bytes_str("");
    if (names[key][0] == '\0') {
        snprintf(names[key], sizeof names[key], "%c%02d", "abc"[key * 3 / FOLD_KEYS], key);
        if (key == 7)
            memset(names[key] + 3, 'x', 250);
    }
    return bytes_str(names[key]);
}

static inline struct image fold_image(int value)
{
    static char *texts[FOLD_VALUES];
    size_t size = value % 9 == 0 ? FOLD_LONG : 16;

    CHECK(value < FOLD_VALUES);
    if (value == 0 || value % 13 == 0)
        return kit_image(value == 0 ? NULL : "");
    if (texts[value] == NULL) {
        texts[value] = malloc(size + 1);
        CHECK(texts[value] != NULL);
        memset(texts[value], 'v', size);
        texts[value][size] = '\0';
        texts[value][snprintf(texts[value], 16, "%d", value)] = '.';
    }
    return kit_image(texts[value]);
}

static inline void fold_init(struct fold_model *m, uint64_t seed)
{
    memset(m, 0, sizeof *m);
    m->chance.state = seed;
    for (int i = 0; i < FOLD_BEGUN; i++)
        m->begun[i] = ++m->txn_last;
}

static inline uint64_t fold_seed(void)
{
    const char *given = getenv("SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);

    printf("SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

/* ---- the script ---- */

static inline bool fold_owned(const struct fold_model *m, int key)
{
    for (size_t i = 0; i < m->open.entry_count; i++)
        for (size_t j = 0; j < m->open.effect_count[i]; j++)
            if (m->open.key[i][j] == key)
                return true;
    return false;
}

/* seen: what the keys hold after what the step did before. */
static inline void fold_plan_entry(struct fold_model *m, int seen[FOLD_KEYS], uint64_t txn, bool of_open)
{
    struct fold_step *s = &m->step;
    size_t i = s->entry_count++, count = 1 + chance_below(&m->chance, FOLD_EFFECTS);

    s->txn[i] = txn;
    while (s->effect_count[i] < count) {
        int key = (int)chance_below(&m->chance, FOLD_KEYS);
        size_t j = s->effect_count[i];
        if (!of_open && fold_owned(m, key))
            continue;
        s->key[i][j] = key;
        s->before[i][j] = seen[key];
        s->after[i][j] = seen[key] != 0 && chance_one_in(&m->chance, 4) ? 0 : ++m->value_last;
        seen[key] = s->after[i][j];
        s->effect_count[i]++;
    }
}

/* Numbers are given at the beginning: the order of commits is another. */
static inline uint64_t fold_next_txn(struct fold_model *m)
{
    unsigned i = chance_below(&m->chance, FOLD_BEGUN);
    uint64_t txn = m->begun[i];

    m->begun[i] = ++m->txn_last;
    return txn;
}

static inline void fold_plan(struct fold_model *m)
{
    struct fold_step *s = &m->step;
    bool open = m->open.entry_count > 0;
    int seen[FOLD_KEYS];

    memset(s, 0, sizeof *s);
    memcpy(seen, m->now, sizeof seen);
    if (open && chance_one_in(&m->chance, 5)) {
        for (size_t j = 0; j < m->open.effect_count[0]; j++)
            seen[m->open.key[0][j]] = m->open.after[0][j];
        s->kind = chance_one_in(&m->chance, 2) ? FOLD_END : FOLD_UNDO;
        fold_plan_entry(m, seen, m->open.txn[0], true);
        /* What is not its own is nobody's now: it has ended. */
        return;
    }
    s->kind = !open && chance_one_in(&m->chance, 6) ? FOLD_EARLY : FOLD_COMMIT;
    for (size_t n = s->kind == FOLD_EARLY ? 1 : 1 + chance_below(&m->chance, FOLD_ENTRIES); n > 0; n--)
        fold_plan_entry(m, seen, fold_next_txn(m), false);
}

static inline void fold_committed(struct fold_model *m, const struct fold_step *s, size_t i)
{
    for (size_t j = 0; j < s->effect_count[i]; j++) {
        CHECK(m->change_count < FOLD_CHANGES);
        m->now[s->key[i][j]] = s->after[i][j];
        m->changes[m->change_count++] =
            (struct fold_change){ s->txn[i], s->key[i][j], s->before[i][j], s->after[i][j], m->committed_count };
    }
}

static inline void fold_commit_ends(struct fold_model *m, uint64_t txn)
{
    CHECK(m->committed_count < FOLD_TXNS);
    m->committed[m->committed_count++] = txn;
}

/* The step was done. */
static inline void fold_apply(struct fold_model *m)
{
    struct fold_step *s = &m->step;

    if (s->kind == FOLD_EARLY) {
        m->open = *s;
        return;
    }
    if (s->kind == FOLD_END)
        fold_committed(m, &m->open, 0);
    if (s->kind != FOLD_COMMIT)
        memset(&m->open, 0, sizeof m->open);
    for (size_t i = 0; i < s->entry_count && s->kind != FOLD_UNDO; i++) {
        fold_committed(m, s, i);
        fold_commit_ends(m, s->txn[i]);
    }
}

/* The store was opened again: what had not ended was undone. */
static inline void fold_recovered(struct fold_model *m) { memset(&m->open, 0, sizeof m->open); }

/* Asks the store to do the step. */
static inline enum err fold_ask(struct fold_model *m, struct kit *k)
{
    const struct fold_step *s = &m->step;
    struct store_effect effects[FOLD_ENTRIES][FOLD_EFFECTS];
    struct store_entry entries[FOLD_ENTRIES];
    struct store_request r = { .kind = STORE_COMMIT, .entries = entries, .entry_count = s->entry_count };
    enum err err;

    for (size_t i = 0; i < s->entry_count; i++) {
        for (size_t j = 0; j < s->effect_count[i]; j++)
            effects[i][j] = (struct store_effect){ 'k', fold_key(s->key[i][j]), fold_image(s->before[i][j]),
                                                   fold_image(s->after[i][j]) };
        entries[i] = kit_entry(s->txn[i], s->kind == FOLD_EARLY ? NULL : "committed", effects[i], s->effect_count[i]);
    }
    if (s->kind == FOLD_END) {
        entries[0].first_effect = m->open.effect_count[0];
        entries[0].history.effect_count += m->open.effect_count[0];
    }
    if (s->kind == FOLD_UNDO) {
        r = (struct store_request){ .kind = STORE_UNDO, .txn = s->txn[0], .history = entries[0].history };
        r.history.outcome = "ABORTED";
    }
    err = kit_ask(k, &r);
    store_request_fini(&r);
    return err;
}

/* ---- what the store must say ---- */

static inline bool fold_same(const struct image *a, int value)
{
    struct image b = fold_image(value);

    return a->present == b.present && bytes_equal(a->value, b.value);
}

static inline bool fold_gets_right(struct fold_model *m, struct kit *k)
{
    struct bytes keys[FOLD_KEYS];
    struct store_request r = { .kind = STORE_GET, .keys = keys, .key_count = FOLD_KEYS };
    bool right = true;

    for (int i = 0; i < FOLD_KEYS; i++)
        keys[i] = fold_key(i);
    CHECK(kit_ask(k, &r) == OK);
    for (int i = 0; i < FOLD_KEYS; i++)
        right = right && (fold_owned(m, i) || fold_same(&r.pairs[i].value, m->now[i]));
    store_request_fini(&r);
    return right;
}

/* Page by page, from the prefix on. Keys of what is open are passed over. */
static inline bool fold_scans_right(struct fold_model *m, struct kit *k, const char *prefix, size_t page)
{
    struct bytes from = { 0 };
    char last[301];
    bool right = true, more = true;
    int next = 0;

    while (more && right) {
        struct store_request r = { .kind = STORE_SCAN, .prefix = bytes_str(prefix), .from = from, .count_max = page };
        CHECK(kit_ask(k, &r) == OK);
        for (size_t i = 0; i < r.pair_count && right; i++) {
            while (next < FOLD_KEYS && !bytes_equal(fold_key(next), r.pairs[i].key)) {
                right = right && (fold_owned(m, next) || m->now[next] == 0 ||
                                  !bytes_start_with(fold_key(next), bytes_str(prefix)));
                next++;
            }
            right = right && next < FOLD_KEYS && r.pairs[i].value.present &&
                    (fold_owned(m, next) || fold_same(&r.pairs[i].value, m->now[next]));
            next++;
        }
        more = r.more;
        if (r.pair_count > 0) { /* right behind the last one */
            struct bytes key = r.pairs[r.pair_count - 1].key;
            memcpy(last, key.data, key.len);
            last[key.len] = '\0';
            from = bytes_of(last, key.len + 1);
        }
        store_request_fini(&r);
    }
    for (; next < FOLD_KEYS && right; next++)
        right = fold_owned(m, next) || m->now[next] == 0 || !bytes_start_with(fold_key(next), bytes_str(prefix));
    return right;
}

/* Who changed the key, newest first, and from what to what. */
static inline bool fold_blame_right(struct fold_model *m, struct kit *k, int key)
{
    struct store_request r = { .kind = STORE_BLAME, .key = fold_key(key), .count_max = STORE_ROW_MAX };
    size_t row = 0;
    bool right = true;

    CHECK(kit_ask(k, &r) == OK);
    for (size_t i = m->change_count; i > 0 && right; i--) {
        const struct fold_change *c = &m->changes[i - 1];
        size_t first = i - 1;
        if (c->key != key)
            continue;
        for (size_t j = i - 1; j > 0 && m->changes[j - 1].txn == c->txn; j--)
            if (m->changes[j - 1].key == key)
                first = j - 1;
        right = row < r.row_count && r.rows[row].txn == c->txn && fold_same(&r.effects[row].after, c->after) &&
                fold_same(&r.effects[row].before, m->changes[first].before);
        row++;
        i = first + 1;
    }
    right = right && row == r.row_count;
    store_request_fini(&r);
    return right;
}

/* What the key held when the transaction had just committed. */
static inline bool fold_at_right(struct fold_model *m, struct kit *k, int key, size_t order)
{
    struct store_request r = { .kind = STORE_AT, .key = fold_key(key), .txn = m->committed[order] };
    int value = 0;
    bool right;

    for (size_t i = 0; i < m->change_count && m->changes[i].order <= order; i++)
        if (m->changes[i].key == key)
            value = m->changes[i].after;
    CHECK(kit_ask(k, &r) == OK);
    right = fold_same(&r.pairs[0].value, value);
    store_request_fini(&r);
    return right;
}

/* NULL: all is right. past: of what the history keeps too, which is all. */
static inline const char *fold_wrong(struct fold_model *m, struct kit *k, struct chance *chance, bool past)
{
    static const char *const prefixes[] = { "", "a", "b", "b1", "c", "d" };
    int key = (int)chance_below(chance, FOLD_KEYS);

    if (!fold_gets_right(m, k))
        return "a GET";
    if (!fold_scans_right(m, k, "", 1 + chance_below(chance, FOLD_KEYS)) ||
        !fold_scans_right(m, k, prefixes[chance_below(chance, 6)], 1 + chance_below(chance, 3)))
        return "a SCAN";
    if (!past || fold_owned(m, key))
        return NULL;
    if (!fold_blame_right(m, k, key))
        return "a BLAME";
    if (m->committed_count > 0 && !fold_at_right(m, k, key, chance_below(chance, (unsigned)m->committed_count)))
        return "an AT";
    return NULL;
}

#endif
