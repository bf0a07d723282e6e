/*
 * Locks: order of arrival, strengthening, cycles found when they close; and random work against a naive model that
 * keeps tables and searches the whole graph of who waits for whom.
 */
#include "txn/lock.h"

#include "lib/check.h"
#include "lib/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { HOLDERS = 6, KEYS = 4, RUNS = 200, STEPS = 400 };

static struct lock_table table;
static struct lock_holder holders[HOLDERS];
static unsigned grants[HOLDERS]; /* calls of granted() */

static void on_granted(struct lock_holder *h)
{
    assert_null(h->waiting);
    grants[h - holders]++;
}

static int setup(void **state)
{
    (void)state;
    CHECK(lock_table_init(&table) == OK);
    for (int i = 0; i < HOLDERS; i++)
        lock_holder_init(&holders[i], on_granted);
    memset(grants, 0, sizeof grants);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < HOLDERS; i++)
        lock_release_all(&table, &holders[i]);
    lock_table_fini(&table);
    return 0;
}

static struct bytes key_of(int key)
{
    static char text[KEYS][120];

    snprintf(text[key], sizeof text[key], "%0*d", key % 2 == 0 ? 5 : 100, key); /* inline and allocated ones */
    return bytes_str(text[key]);
}

static enum err take(int holder, int key, enum lock_mode mode)
{
    return lock_take(&table, &holders[holder], key_of(key), mode, 7, NULL);
}

static void release(int holder) { lock_release_all(&table, &holders[holder]); }

static void shared_locks_are_shared_and_exclusive_ones_are_not(void **state)
{
    (void)state;
    assert_int_equal(take(0, 0, LOCK_SHARED), OK);
    assert_int_equal(take(1, 0, LOCK_SHARED), OK);
    assert_int_equal(take(2, 0, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_int_equal(take(2, 0, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_true(bytes_equal(lock_waits_for(&holders[2]), key_of(0)));
    assert_int_equal(holders[2].waiting_since_ms, 7);
    release(0);
    assert_int_equal(grants[2], 0);
    release(1);
    assert_int_equal(grants[2], 1);
    assert_true(lock_holds(&table, &holders[2], key_of(0), LOCK_EXCLUSIVE));
    assert_int_equal(take(2, 0, LOCK_SHARED), OK);
    assert_int_equal(lock_waits_for(&holders[2]).len, 0);
}

static void those_who_wait_enter_in_order_of_arrival(void **state)
{
    (void)state;
    assert_int_equal(take(0, 0, LOCK_SHARED), OK);
    assert_int_equal(take(1, 0, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_int_equal(take(2, 0, LOCK_SHARED), ERR_WAIT); /* does not overtake */
    assert_int_equal(take(3, 0, LOCK_SHARED), ERR_WAIT);
    assert_int_equal(take(4, 0, LOCK_EXCLUSIVE), ERR_WAIT);
    release(0);
    assert_int_equal(grants[1], 1);
    assert_int_equal(grants[2] + grants[3] + grants[4], 0);
    release(1);
    assert_int_equal(grants[2], 1);
    assert_int_equal(grants[3], 1);
    assert_int_equal(grants[4], 0);
    release(3);
    release(2);
    assert_int_equal(grants[4], 1);
}

static void who_strengthens_goes_before_those_who_enter(void **state)
{
    (void)state;
    assert_int_equal(take(0, 0, LOCK_SHARED), OK);
    assert_int_equal(take(0, 0, LOCK_EXCLUSIVE), OK);
    release(0);
    assert_int_equal(take(0, 0, LOCK_SHARED), OK);
    assert_int_equal(take(1, 0, LOCK_SHARED), OK);
    assert_int_equal(take(2, 0, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_int_equal(take(0, 0, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_true(lock_holds(&table, &holders[0], key_of(0), LOCK_SHARED));
    release(1);
    assert_int_equal(grants[0], 1);
    assert_int_equal(grants[2], 0);
    assert_true(lock_holds(&table, &holders[0], key_of(0), LOCK_EXCLUSIVE));
}

static void two_who_strengthen_the_same_lock_are_a_deadlock(void **state)
{
    struct failure why = { 0 };

    (void)state;
    assert_int_equal(take(0, 0, LOCK_SHARED), OK);
    assert_int_equal(take(1, 0, LOCK_SHARED), OK);
    assert_int_equal(take(0, 0, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_int_equal(lock_take(&table, &holders[1], key_of(0), LOCK_EXCLUSIVE, 0, &why), ERR_DEADLOCK);
    assert_string_equal(why.text, "waiting for key \"00000\" would wait for itself: try again");
    assert_null(holders[1].waiting);
    assert_true(lock_holds(&table, &holders[1], key_of(0), LOCK_SHARED));
    release(1);
    assert_int_equal(grants[0], 1);
}

static void cycles_of_two_and_three_are_found_when_they_close(void **state)
{
    (void)state;
    assert_int_equal(take(0, 0, LOCK_EXCLUSIVE), OK);
    assert_int_equal(take(1, 1, LOCK_EXCLUSIVE), OK);
    assert_int_equal(take(2, 2, LOCK_EXCLUSIVE), OK);
    assert_int_equal(take(0, 1, LOCK_SHARED), ERR_WAIT);
    assert_int_equal(take(1, 0, LOCK_SHARED), ERR_DEADLOCK);
    assert_int_equal(take(1, 2, LOCK_SHARED), ERR_WAIT);
    assert_int_equal(take(2, 0, LOCK_SHARED), ERR_DEADLOCK);
    assert_int_equal(take(2, 1, LOCK_EXCLUSIVE), ERR_DEADLOCK);
    release(2);
    assert_int_equal(grants[1], 1);
    release(1);
    assert_int_equal(grants[0], 1);
}

static void a_cycle_through_a_queue_is_found(void **state)
{
    (void)state;
    assert_int_equal(take(0, 0, LOCK_SHARED), OK);
    assert_int_equal(take(1, 0, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_int_equal(take(2, 1, LOCK_EXCLUSIVE), OK);
    assert_int_equal(take(2, 0, LOCK_SHARED), ERR_WAIT); /* behind 1, which waits for 0 */
    assert_int_equal(take(0, 1, LOCK_SHARED), ERR_DEADLOCK);
}

static void asking_for_another_gives_up_the_wait(void **state)
{
    (void)state;
    assert_int_equal(take(0, 0, LOCK_EXCLUSIVE), OK);
    assert_int_equal(take(1, 0, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_int_equal(take(2, 0, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_int_equal(take(1, 1, LOCK_EXCLUSIVE), OK);
    release(0);
    assert_int_equal(grants[1], 0);
    assert_int_equal(grants[2], 1);
    lock_cancel(&table, &holders[1]);
}

static void count_key(struct bytes key, void *user)
{
    (void)key;
    ++*(int *)user;
}

static void visits_what_is_held_exclusively(void **state)
{
    int n = 0;

    (void)state;
    take(0, 0, LOCK_EXCLUSIVE);
    take(0, 1, LOCK_SHARED);
    take(0, 2, LOCK_EXCLUSIVE);
    lock_each_exclusive(&holders[0], count_key, &n);
    assert_int_equal(n, 2);
}

/* The model */

struct model {
    int held[KEYS][HOLDERS]; /* 0 nothing, 1 shared, 2 exclusive */
    int queue[KEYS][HOLDERS], wanted[KEYS][HOLDERS], length[KEYS];
    int upgrader[KEYS], waits[HOLDERS]; /* -1: none */
    unsigned grants[HOLDERS];
};

static bool fits(const struct model *m, int key, int holder, int mode)
{
    for (int h = 0; h < HOLDERS; h++)
        if (h != holder && m->held[key][h] + mode > 2)
            return false;
    return true;
}

static void model_pump(struct model *m, int key)
{
    int up = m->upgrader[key];

    if (up >= 0) {
        if (!fits(m, key, up, 2))
            return;
        m->held[key][up] = 2;
        m->upgrader[key] = m->waits[up] = -1;
        m->grants[up]++;
        return;
    }
    while (m->length[key] > 0 && fits(m, key, m->queue[key][0], m->wanted[key][0])) {
        int h = m->queue[key][0];
        m->held[key][h] = m->wanted[key][0];
        m->waits[h] = -1;
        m->grants[h]++;
        m->length[key]--;
        memmove(m->queue[key], m->queue[key] + 1, sizeof m->queue[key] - sizeof m->queue[key][0]);
        memmove(m->wanted[key], m->wanted[key] + 1, sizeof m->wanted[key] - sizeof m->wanted[key][0]);
    }
}

static void model_cancel(struct model *m, int holder)
{
    int key = m->waits[holder], at = 0;

    if (key < 0)
        return;
    m->waits[holder] = -1;
    if (m->upgrader[key] == holder) {
        m->upgrader[key] = -1;
    } else {
        while (m->queue[key][at] != holder)
            at++;
        m->length[key]--;
        for (; at < m->length[key]; at++) {
            m->queue[key][at] = m->queue[key][at + 1];
            m->wanted[key][at] = m->wanted[key][at + 1];
        }
    }
    model_pump(m, key);
}

static void model_release(struct model *m, int holder)
{
    model_cancel(m, holder);
    for (int key = 0; key < KEYS; key++) {
        if (m->held[key][holder] == 0)
            continue;
        m->held[key][holder] = 0;
        model_pump(m, key);
    }
}

/* Everyone who must move before a can: who holds what it waits for in a way that does not fit, and all in line before
 * it. */
static bool waits_for(const struct model *m, int a, int b)
{
    int key = m->waits[a], at = 0;

    if (key < 0 || a == b)
        return false;
    if (m->upgrader[key] == a)
        return m->held[key][b] > 0;
    while (m->queue[key][at] != a) {
        if (m->queue[key][at] == b)
            return true;
        at++;
    }
    return m->held[key][b] + m->wanted[key][at] > 2 || m->upgrader[key] == b;
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

static enum err model_take(struct model *m, int holder, int key, int mode)
{
    if (m->waits[holder] == key)
        return ERR_WAIT;
    model_cancel(m, holder);
    if (m->held[key][holder] >= mode)
        return OK;
    if (fits(m, key, holder, mode) && (m->held[key][holder] > 0 || (m->length[key] == 0 && m->upgrader[key] < 0))) {
        m->held[key][holder] = mode;
        return OK;
    }
    m->waits[holder] = key;
    if (m->held[key][holder] > 0) {
        int before = m->upgrader[key];
        m->upgrader[key] = holder;
        if (before >= 0 || in_cycle(m, holder)) {
            m->upgrader[key] = before;
            m->waits[holder] = -1;
            return ERR_DEADLOCK;
        }
        return ERR_WAIT;
    }
    m->queue[key][m->length[key]] = holder;
    m->wanted[key][m->length[key]++] = mode;
    if (!in_cycle(m, holder))
        return ERR_WAIT;
    m->length[key]--;
    m->waits[holder] = -1;
    return ERR_DEADLOCK;
}

static void compare(const struct model *m)
{
    for (int h = 0; h < HOLDERS; h++) {
        struct bytes waits = m->waits[h] < 0 ? bytes_of(NULL, 0) : key_of(m->waits[h]);
        assert_true(bytes_equal(lock_waits_for(&holders[h]), waits));
        assert_int_equal(grants[h], m->grants[h]);
        for (int key = 0; key < KEYS; key++) {
            assert_int_equal(lock_holds(&table, &holders[h], key_of(key), LOCK_SHARED), m->held[key][h] >= 1);
            assert_int_equal(lock_holds(&table, &holders[h], key_of(key), LOCK_EXCLUSIVE), m->held[key][h] == 2);
        }
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

static void step(struct model *m)
{
    int holder = roll(HOLDERS), key = roll(KEYS), mode = roll(2), what = roll(12);
    enum err want, got;

    if (what == 0) {
        model_release(m, holder);
        release(holder);
    } else if (what == 1) {
        model_cancel(m, holder);
        lock_cancel(&table, &holders[holder]);
    } else {
        want = model_take(m, holder, key, mode + 1);
        got = take(holder, key, mode == 0 ? LOCK_SHARED : LOCK_EXCLUSIVE);
        assert_int_equal(got, want);
    }
    compare(m);
}

static unsigned seed;

static void random_work_agrees_with_the_model(void **state)
{
    for (seed = 1; seed <= RUNS; seed++) {
        struct model m = { 0 };
        memset(m.upgrader, -1, sizeof m.upgrader);
        memset(m.waits, -1, sizeof m.waits);
        random_state = seed * 0x9e3779b97f4a7c15u;
        for (int i = 0; i < STEPS; i++)
            step(&m);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(shared_locks_are_shared_and_exclusive_ones_are_not, setup, teardown),
        cmocka_unit_test_setup_teardown(those_who_wait_enter_in_order_of_arrival, setup, teardown),
        cmocka_unit_test_setup_teardown(who_strengthens_goes_before_those_who_enter, setup, teardown),
        cmocka_unit_test_setup_teardown(two_who_strengthen_the_same_lock_are_a_deadlock, setup, teardown),
        cmocka_unit_test_setup_teardown(cycles_of_two_and_three_are_found_when_they_close, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cycle_through_a_queue_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(asking_for_another_gives_up_the_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(visits_what_is_held_exclusively, setup, teardown),
        cmocka_unit_test_setup_teardown(random_work_agrees_with_the_model, setup, teardown_saying_seed),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
