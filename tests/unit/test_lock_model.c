/*
 * Locks, random work against a naive model that keeps tables and searches the whole graph of who waits for whom (T6).
 */
#include "tests/lock_few.h"

enum { RUNS = 300, STEPS = 500 };

struct place { /* in line for a key */
    int holder, mode;
    unsigned ticket;
};

struct model {
    int held[KEYS][HOLDERS]; /* 0 nothing, 1 shared, 2 exclusive */
    struct place queue[KEYS][HOLDERS];
    int length[KEYS];
    struct place upgrader[KEYS]; /* holder -1: none */
    bool range[HOLDERS][KEYS];
    int from[HOLDERS], to[HOLDERS]; /* of the range wanted */
    unsigned ticket[HOLDERS];       /* of the range wanted; 0: none */
    unsigned tickets, exclusives;
    unsigned exclusive[KEYS]; /* in which order they came to be wanted exclusively; 0: not */
    int waits[HOLDERS];       /* -1: none */
    unsigned grants[HOLDERS];
};

static bool wants(const struct model *m, int holder, int key)
{
    return m->ticket[holder] > 0 && m->from[holder] <= key && key <= m->to[holder];
}

static bool fits(const struct model *m, int key, int holder, int mode)
{
    for (int h = 0; h < HOLDERS; h++)
        if (h != holder && m->held[key][h] + mode > 2)
            return false;
    return true;
}

/* holder's range is in the way of who wants the key exclusively with that ticket. */
static bool range_bars(const struct model *m, int key, int holder, unsigned ticket)
{
    return m->range[holder][key] || (wants(m, holder, key) && m->ticket[holder] < ticket);
}

static bool ranges_fit(const struct model *m, int key, const struct place *p)
{
    for (int h = 0; h < HOLDERS && p->mode == 2; h++)
        if (h != p->holder && range_bars(m, key, h, p->ticket))
            return false;
    return true;
}

static void model_grant(struct model *m, int key, const struct place *p)
{
    m->held[key][p->holder] = p->mode;
    m->waits[p->holder] = -1;
    m->grants[p->holder]++;
}

static void line_leave(struct model *m, int key, int at)
{
    m->length[key]--;
    memmove(&m->queue[key][at], &m->queue[key][at + 1], (size_t)(m->length[key] - at) * sizeof m->queue[key][0]);
}

static void line_join(struct model *m, int key, int at, struct place p)
{
    memmove(&m->queue[key][at + 1], &m->queue[key][at], (size_t)(m->length[key] - at) * sizeof m->queue[key][0]);
    m->length[key]++;
    m->queue[key][at] = p;
}

static void model_pump(struct model *m, int key)
{
    struct place *up = &m->upgrader[key], *first = m->queue[key];

    if (up->holder >= 0) {
        if (!fits(m, key, up->holder, 2) || !ranges_fit(m, key, up))
            return;
        model_grant(m, key, up);
        up->holder = -1;
        return;
    }
    while (m->length[key] > 0 && fits(m, key, first->holder, first->mode) && ranges_fit(m, key, first)) {
        model_grant(m, key, first);
        line_leave(m, key, 0);
    }
}

static void model_settle(struct model *m)
{
    for (int key = 0; key < KEYS; key++) {
        bool used = m->length[key] > 0;
        model_pump(m, key);
        for (int h = 0; h < HOLDERS; h++)
            used = used || m->held[key][h] > 0;
        if (!used)
            m->exclusive[key] = 0;
    }
}

static void model_cancel(struct model *m, int holder)
{
    int key = m->waits[holder], at = 0;

    m->ticket[holder] = 0;
    if (key >= 0 && m->upgrader[key].holder == holder) {
        m->upgrader[key].holder = -1;
    } else if (key >= 0) {
        while (m->queue[key][at].holder != holder)
            at++;
        line_leave(m, key, at);
    }
    m->waits[holder] = -1;
    model_settle(m);
}

static void model_release(struct model *m, int holder)
{
    model_cancel(m, holder);
    for (int key = 0; key < KEYS; key++)
        m->held[key][holder] = m->range[holder][key] = 0;
    model_settle(m);
}

/* Everyone who must move before a can: who holds what it waits for in a way that does not fit, and all in line before
 * it. */
static bool waits_for(const struct model *m, int a, int b)
{
    int key = m->waits[a], at = 0;

    if (key < 0 || a == b)
        return false;
    if (m->upgrader[key].holder == a)
        return m->held[key][b] > 0 || range_bars(m, key, b, m->upgrader[key].ticket);
    while (m->queue[key][at].holder != a) {
        if (m->queue[key][at].holder == b)
            return true;
        at++;
    }
    return m->held[key][b] + m->queue[key][at].mode > 2 || m->upgrader[key].holder == b ||
           (m->queue[key][at].mode == 2 && range_bars(m, key, b, m->queue[key][at].ticket));
}

static bool in_cycle(const struct model *m, int holder)
{
    bool reached[HOLDERS] = { false };
    bool more = true;

    for (int h = 0; h < HOLDERS; h++)
        reached[h] = waits_for(m, holder, h);
    while (more) {
        more = false;
        for (int a = 0; a < HOLDERS; a++)
            for (int b = 0; b < HOLDERS; b++)
                if (reached[a] && !reached[b] && waits_for(m, a, b))
                    reached[b] = more = true;
    }
    return reached[holder];
}

/* Before those who want it exclusively and came later; only a range's claim can stand there. */
static int line_place(const struct model *m, int key, const struct place *p)
{
    int at = 0;

    if (p->mode == 2 || m->ticket[p->holder] != p->ticket)
        return m->length[key];
    while (at < m->length[key] && (m->queue[key][at].mode == 1 || m->queue[key][at].ticket < p->ticket))
        at++;
    return at;
}

/* Stands in line, unless that closes a cycle. */
static bool model_join(struct model *m, int key, const struct place *p, bool stay)
{
    int at = line_place(m, key, p);
    bool upgrade = m->held[key][p->holder] > 0, fine;
    struct place before = m->upgrader[key];

    m->waits[p->holder] = key;
    upgrade ? (void)(m->upgrader[key] = *p) : line_join(m, key, at, *p);
    fine = !(upgrade && before.holder >= 0) && !in_cycle(m, p->holder);
    if (fine && stay)
        return true;
    m->waits[p->holder] = -1;
    upgrade ? (void)(m->upgrader[key] = before) : line_leave(m, key, at);
    return fine;
}

static enum err model_enter(struct model *m, int holder, int key, int mode, unsigned ticket)
{
    struct place p = { holder, mode, ticket };
    bool alone = fits(m, key, holder, mode) &&
                 (m->held[key][holder] > 0 || (m->length[key] == 0 && m->upgrader[key].holder < 0));
    bool others = false; /* have or want ranges */

    for (int h = 0; h < HOLDERS; h++)
        for (int k = 0; k < KEYS; k++)
            others = others || m->range[h][k] || m->ticket[h] > 0;
    for (;;) {
        if (alone && ranges_fit(m, key, &p)) {
            m->held[key][holder] = mode;
            return OK;
        }
        if (model_join(m, key, &p, true))
            return ERR_WAIT;
        if (mode == 1 || p.ticket == 1 || !others)
            return ERR_DEADLOCK;
        p.ticket = 1;
    }
}

static enum err model_take(struct model *m, int holder, int key, int mode)
{
    if (m->waits[holder] == key && m->ticket[holder] == 0)
        return ERR_WAIT;
    model_cancel(m, holder);
    if (mode == 1 && m->range[holder][key])
        return OK;
    if (mode == 2 && m->exclusive[key] == 0)
        m->exclusive[key] = ++m->exclusives;
    if (m->held[key][holder] == 0 && m->range[holder][key])
        m->held[key][holder] = 1;
    return m->held[key][holder] >= mode ? OK : model_enter(m, holder, key, mode, ++m->tickets);
}

static bool bars_range(struct model *m, int holder, int key)
{
    struct place p = { holder, 1, m->ticket[holder] };
    bool before = m->upgrader[key].holder >= 0 && m->upgrader[key].ticket < p.ticket;

    if (m->exclusive[key] == 0 || !wants(m, holder, key) || m->range[holder][key] || m->held[key][holder] > 0)
        return false;
    if (!fits(m, key, holder, 1))
        return true;
    for (int i = 0; i < m->length[key]; i++)
        before = before || (m->queue[key][i].mode == 2 && m->queue[key][i].ticket < p.ticket);
    return before && model_join(m, key, &p, false);
}

static enum err model_take_range(struct model *m, int holder, int from, int to)
{
    bool again = m->ticket[holder] > 0 && m->from[holder] == from && m->to[holder] == to;
    int first = -1;
    enum err err = OK;

    if (again && m->waits[holder] >= 0)
        return ERR_WAIT;
    if (!again) {
        model_cancel(m, holder);
        m->from[holder] = from;
        m->to[holder] = to;
        m->ticket[holder] = ++m->tickets;
    }
    for (int key = 0; key < KEYS; key++)
        if (bars_range(m, holder, key) && (first < 0 || m->exclusive[key] < m->exclusive[first]))
            first = key;
    if (first >= 0)
        err = model_enter(m, holder, first, 1, m->ticket[holder]);
    if (err == ERR_WAIT)
        return err;
    for (int key = from; key <= to && err == OK; key++)
        m->range[holder][key] = true;
    model_cancel(m, holder);
    return err;
}

static void compare(const struct model *m)
{
    for (int h = 0; h < HOLDERS; h++) {
        struct bytes waits = m->waits[h] < 0 ? bytes_of(NULL, 0) : key_of(m->waits[h]);
        assert_true(bytes_equal(lock_waits_for(&holders[h]), waits));
        assert_int_equal(grants[h], m->grants[h]);
        for (int key = 0; key < KEYS; key++) {
            bool shared = m->held[key][h] >= 1 || m->range[h][key];
            assert_int_equal(lock_holds(&table, &holders[h], key_of(key), LOCK_SHARED), shared);
            assert_int_equal(lock_holds(&table, &holders[h], key_of(key), LOCK_EXCLUSIVE), m->held[key][h] == 2);
            for (int other = 0; other < HOLDERS && other != h && shared; other++)
                assert_true(m->held[key][other] < 2);
        }
        assert_false(in_cycle(m, h));
    }
}

static uint64_t random_state;

static int roll(int n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (int)((random_state >> 20) % (unsigned)n);
}

static void step(struct model *m, bool with_ranges)
{
    int holder = roll(HOLDERS), key = roll(KEYS), mode = roll(2), what = roll(16);
    int to = key + roll(KEYS - key);
    enum err want, got;

    if (what == 0) {
        model_release(m, holder);
        release(holder);
    } else if (what == 1) {
        model_cancel(m, holder);
        lock_cancel(&table, &holders[holder]);
    } else {
        bool again = m->ticket[holder] > 0 && m->waits[holder] < 0 && what < 12; /* mostly it goes on with its range */
        if (again || (what > 13 && with_ranges)) {
            key = again ? m->from[holder] : key;
            to = again ? m->to[holder] : to;
            want = model_take_range(m, holder, key, to);
            got = take_range(holder, key, to);
        } else {
            want = model_take(m, holder, key, mode + 1);
            got = take(holder, key, mode == 0 ? LOCK_SHARED : LOCK_EXCLUSIVE);
        }
        assert_int_equal(got, want);
    }
    compare(m);
}

static unsigned seed;

static void random_work_agrees_with_the_model(void **state)
{
    for (seed = 1; seed <= RUNS; seed++) {
        struct model m = { 0 };
        m.tickets = 1;
        for (int key = 0; key < KEYS; key++)
            m.upgrader[key].holder = -1;
        memset(m.waits, -1, sizeof m.waits);
        random_state = seed * 0x9e3779b97f4a7c15u;
        if (seed % 4 == 0 && seed % 3 > 0) /* without ranges: which of several keys one waits for is not the model's */
            table.warm_max = seed % 3 - 1; /* almost all locks go cold, and come back when somebody wants them */
        for (int i = 0; i < STEPS; i++)
            step(&m, seed % 4 != 0);
        teardown(state);
        setup(state);
    }
}

static int teardown_saying_seed(void **state)
{
    if (seed <= RUNS)
        print_message("the seed was %u\n", seed);
    return teardown(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_work_agrees_with_the_model, setup, teardown_saying_seed),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
