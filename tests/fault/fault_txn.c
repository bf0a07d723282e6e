/*
 * The same work again and again while the nth allocation fails, n = 1, 2, … until none was hit: an operation that finds
 * no memory says so, its transaction can be aborted, the others go on, nothing leaks, and the disk holds exactly what
 * was told (T3). Link with -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=reallocarray. The store itself has all
 * the memory it wants.
 */
#include "tests/txn_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

enum { FAULTS_MAX = 5000, QUEUE_MAX = 64, KEYS = 24 };

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);

static bool armed;
static unsigned until_fault; /* allocations that succeed before the one that fails */
static bool hit;

static bool fault(void)
{
    if (!armed || hit || until_fault-- > 0)
        return false;
    return hit = true;
}

void *__wrap_malloc(size_t size) { return fault() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t n, size_t size) { return fault() ? NULL : __real_calloc(n, size); }
void *__wrap_realloc(void *p, size_t size) { return fault() ? NULL : __real_realloc(p, size); }
void *__wrap_reallocarray(void *p, size_t n, size_t size) { return fault() ? NULL : __real_reallocarray(p, n, size); }

/* A store in front of the one in memory, which is spared. */

struct front {
    struct store store;
    struct store *back;
    struct {
        struct store_request *request;
        void (*done)(struct store_request *);
    } queue[QUEUE_MAX];
};

static struct front front;

static void front_done(struct store_request *r)
{
    for (size_t i = 0; i < QUEUE_MAX; i++) {
        if (front.queue[i].request != r)
            continue;
        front.queue[i].request = NULL;
        armed = true;
        front.queue[i].done(r);
        armed = false;
        return;
    }
    CHECK(!"a request that nobody made");
}

static void front_submit(struct store *s, struct store_request *r)
{
    size_t i = 0;

    (void)s;
    while (front.queue[i].request != NULL)
        CHECK(++i < QUEUE_MAX);
    front.queue[i].request = r;
    front.queue[i].done = r->done;
    r->done = front_done;
    front.back->ops->submit(front.back, r);
}

static void front_poll(struct store *s)
{
    bool before = armed;

    (void)s;
    armed = false;
    front.back->ops->poll(front.back);
    armed = before;
}

static const struct store_facts *front_facts(const struct store *s)
{
    (void)s;
    return front.back->ops->facts(front.back);
}

static void front_close(struct store *s)
{
    (void)s;
    front.back->ops->close(front.back);
}

static const struct store_ops front_ops = { front_submit, front_poll, front_facts, front_close };

/* What the disk must hold */

struct model {
    char value[KEYS][16]; /* empty: absent */
};

static const char *key_name(int key)
{
    static char text[128];

    /* some are too long to lie inside a lock */
    snprintf(text, sizeof text, "%c%0*d", key < 12 ? 'a' : 'b', key % 3 == 0 ? 90 : 3, key);
    return text;
}

/* One transaction: an actor and what the model would become. */
struct work {
    struct actor a;
    struct model next;
    bool sick; /* it met a lack of memory */
};

static bool good(struct work *w, enum err err)
{
    if (err == ERR_NOMEM)
        w->sick = true;
    else
        CHECK(err == OK || err == ERR_ABSENT);
    return !w->sick;
}

static bool work_begin(struct work *w, struct world *world, const struct model *m)
{
    w->next = *m;
    w->sick = false;
    return actor_begin(&w->a, world) == OK;
}

static void work_put(struct work *w, int key, const char *value)
{
    if (!w->sick && good(w, do_put(&w->a, key_name(key), value)))
        snprintf(w->next.value[key], sizeof w->next.value[key], "%s", value);
}

static void work_delete(struct work *w, int key)
{
    if (!w->sick && good(w, do_delete(&w->a, key_name(key))))
        w->next.value[key][0] = '\0';
}

static void work_get(struct work *w, int key)
{
    const char *want = w->next.value[key];
    const char *got;

    if (w->sick)
        return;
    got = do_get(&w->a, key_name(key));
    w->sick = strcmp(got, "NOMEM") == 0;
    CHECK(w->sick || strcmp(got, want[0] == '\0' ? "ABSENT" : want) == 0);
}

static void work_scan(struct work *w, const char *prefix, size_t count)
{
    if (!w->sick)
        w->sick = strcmp(do_scan(&w->a, prefix, "", count), "NOMEM") == 0;
}

/* Puts, and takes that back. */
static void work_try(struct work *w, int first, int count)
{
    struct model before = w->next;
    struct txn_mark mark = txn_mark(w->a.t);
    uint64_t undone;

    for (int i = first; i < first + count; i++)
        work_put(w, i, "tried");
    if (w->sick || !good(w, do_rollback(&w->a, mark, &undone)))
        return;
    CHECK(undone == (uint64_t)count);
    w->next = before;
}

static void work_end(struct work *w, bool commit, struct model *m)
{
    enum err err;

    if (commit) {
        err = actor_commit_end(&w->a);
        CHECK(err == ERR_NOMEM || (err == OK && !w->sick));
        if (err == OK)
            *m = w->next;
    } else {
        CHECK(actor_abort_end(&w->a) == ERR_ABORTED);
    }
}

/* The work */

static void small_one(struct world *world, struct model *m)
{
    struct work w;

    if (!work_begin(&w, world, m))
        return;
    work_get(&w, 1);
    work_put(&w, 1, "one");
    work_put(&w, 3, "three");
    work_delete(&w, 4);
    work_scan(&w, "a", 3);
    work_try(&w, 2, 4);
    work_end(&w, true, m);
}

static void large_one(struct world *world, struct model *m, bool commit)
{
    struct work w;

    if (!work_begin(&w, world, m))
        return;
    for (int i = 0; i < KEYS; i++)
        work_put(&w, i, commit ? "large" : "never");
    work_delete(&w, 5);
    work_try(&w, 4, 8);
    work_scan(&w, "b", 20);
    work_end(&w, commit, m);
}

static void two_at_a_time(struct world *world, struct model *m)
{
    struct work first, second;
    bool begun = work_begin(&first, world, m);

    if (begun) {
        work_put(&first, 7, "first");
        if (work_begin(&second, world, m)) {
            enum err err = try_put(&second.a, key_name(7), "second");
            CHECK(err == ERR_WAIT || err == ERR_NOMEM || (err == OK && first.sick));
            work_end(&first, true, m);
            second.next = *m;
            second.sick = err == ERR_NOMEM;
            work_put(&second, 7, "second");
            work_put(&second, 8, "second");
            work_end(&second, true, m);
        } else {
            work_end(&first, false, m);
        }
    }
}

/* A range that must be waited for, and who waits for a range. */
static void ranges_of_two(struct world *world, struct model *m)
{
    struct work first, second;
    enum err scan, put;

    if (!work_begin(&first, world, m))
        return;
    work_put(&first, 15, "first");
    work_scan(&first, "a", 20);
    if (!work_begin(&second, world, m)) {
        work_end(&first, false, m);
        return;
    }
    put = try_put(&second.a, key_name(9), "second");
    CHECK(put == ERR_WAIT || put == ERR_NOMEM || first.sick);
    if (put != ERR_NOMEM)
        for (int i = 0; i < 5; i++) {
            try_scan(&second.a, "b", "", 20, &scan);
            CHECK(scan == ERR_WAIT || scan == ERR_NOMEM || first.sick);
            world_poll(world);
        }
    work_end(&first, true, m);
    second.next = *m;
    second.sick = put == ERR_NOMEM;
    work_scan(&second, "b", 20);
    work_put(&second, 9, "second");
    work_end(&second, true, m);
}

static void check_disk(const struct world *w, const struct model *m)
{
    for (int key = 0; key < KEYS; key++)
        CHECK(strcmp(world_disk(w, key_name(key)), m->value[key][0] == '\0' ? "ABSENT" : m->value[key]) == 0);
}

static void work_with_fault(unsigned n, uint64_t spill_bytes)
{
    struct world w = { .disk = disk_new() };
    struct model m = { 0 };

    for (int key = 0; key < KEYS; key += 2) {
        snprintf(m.value[key], sizeof m.value[key], "v%d", key);
        disk_put(w.disk, bytes_str(key_name(key)), bytes_str(m.value[key]));
    }
    w.options = (struct txn_options){ .store = &front.store, .key_max = 1024, .value_max = 1000, .lock_wait_ms = 1000,
                                      .cache_bytes = 1000, .spill_bytes = spill_bytes, .wanted = world_wanted,
                                      .wanted_arg = &w };
    w.store = &front.store;
    front.store.ops = &front_ops;
    front.back = store_mem_open(w.disk);
    hit = false;
    until_fault = n;
    armed = true;
    if (txn_manager_new(&w.options, &w.m, NULL) != OK)
        CHECK(txn_manager_new(&w.options, &w.m, NULL) == OK);
    small_one(&w, &m);
    large_one(&w, &m, false);
    large_one(&w, &m, true);
    two_at_a_time(&w, &m);
    ranges_of_two(&w, &m);
    small_one(&w, &m);
    world_settle(&w);
    world_close(&w);
    armed = false;
    check_disk(&w, &m);
    disk_free(&w.disk);
}

static void no_lack_of_memory_does_harm(void **state)
{
    static const uint64_t spills[] = { 1 << 20, 500 };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        unsigned n = 0;
        do {
            assert_true(n < FAULTS_MAX);
            work_with_fault(n++, spills[i]);
        } while (hit);
        assert_true(n > 50);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_lack_of_memory_does_harm),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
