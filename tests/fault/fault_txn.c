/*
 * The same work again and again while the nth allocation fails, n = 1, 2, … until none was hit: an operation that finds
 * no memory says so, its transaction can be aborted, the others go on, nothing leaks, and the disk holds exactly what
 * was told (T3). The store itself has all the memory it wants.
 */
#include "tests/fault_alloc.h"
#include "tests/file_kit.h"
#include "tests/front.h"
#include "txn/inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

enum { FAULTS_MAX = 5000, KEYS = 24, FILES = 4 };

/* What the disk must hold */

struct model {
    char value[KEYS][16]; /* empty: absent */
    char file[FILES][16]; /* the same */
    size_t events;
};

static const char *key_name(int key)
{
    static char text[128];

    /* some are too long to lie inside a lock */
    snprintf(text, sizeof text, "%c%0*d", key < 12 ? 'a' : 'b', key % 3 == 0 ? 90 : 3, key);
    return text;
}

static const char *file_name(int file)
{
    static const char *const names[FILES] = { "a", "d/b", "d/c", "e/f/g" };

    return names[file];
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

static void work_write(struct work *w, int file, const char *text)
{
    if (!w->sick && good(w, do_write(&w->a, file_name(file), text)))
        snprintf(w->next.file[file], sizeof w->next.file[file], "%s", text);
}

static void work_append(struct work *w, int file)
{
    size_t len = strlen(w->next.file[file]);

    if (!w->sick && len + 2 < sizeof w->next.file[file] && good(w, do_append(&w->a, file_name(file), "+")))
        snprintf(w->next.file[file] + len, sizeof w->next.file[file] - len, "+");
}

static void work_read(struct work *w, int file)
{
    const char *want = w->next.file[file];
    const char *got;

    if (w->sick)
        return;
    got = do_read_part(&w->a, file_name(file), 0, 100);
    w->sick = strcmp(got, "NOMEM") == 0;
    CHECK(w->sick || strcmp(got, want[0] == '\0' ? "ABSENT" : want) == 0);
    if (!w->sick)
        w->sick = strcmp(do_list(&w->a, "d/"), "NOMEM") == 0;
}

static void work_emit(struct work *w)
{
    if (!w->sick && good(w, txn_emit(w->a.t, bytes_str("topic"), bytes_str("data"), NULL)))
        w->next.events++;
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

    work_append(w, 0);
    work_emit(w);
    for (int i = first; i < first + count; i++)
        work_put(w, i, "tried");
    if (w->sick || !good(w, do_rollback(&w->a, mark, &undone)))
        return;
    CHECK(undone >= (uint64_t)count + 2);
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

static void files_too(struct world *world, struct model *m, bool commit)
{
    struct work w;

    if (!work_begin(&w, world, m))
        return;
    work_read(&w, 1);
    work_write(&w, 1, "one");
    work_put(&w, 1, "beside");
    work_append(&w, 1);
    work_append(&w, 2);
    work_write(&w, 3, "deep");
    work_emit(&w);
    work_try(&w, 2, 4);
    work_read(&w, 2);
    work_end(&w, commit, m);
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

/* With calls inside that the history tells of, and a reply for a token: without memory these are told less, or refused. */
static void noted_one(struct world *world, struct model *m, const char *token)
{
    static const struct txn_origin inner = { .graft = "bank", .version = "2.0", .function = "transfer" };
    static const struct failure fine, aborted = { ERR_ABORTED, "no funds" };
    struct work w;
    uint32_t outer, seq;

    if (!work_begin(&w, world, m))
        return;
    outer = txn_nested_begin(w.a.t, 0, &inner, 10);
    work_put(&w, 2, "noted");
    seq = txn_nested_begin(w.a.t, outer, &inner, 11);
    work_try(&w, 6, 3);
    txn_nested_end(w.a.t, seq, &aborted, 12, 1);
    for (int i = 0; i < 10; i++)
        txn_nested_end(w.a.t, txn_nested_begin(w.a.t, outer, &inner, 13), &fine, 14, 1);
    txn_nested_end(w.a.t, outer, &fine, 15, 1);
    if (!w.sick)
        good(&w, txn_keep_reply(w.a.t, bytes_str(token), bytes_str("the reply")));
    work_end(&w, !w.sick, m);
}

static void check_disk(const struct world *w, const struct model *m)
{
    for (int key = 0; key < KEYS; key++)
        CHECK(strcmp(world_disk(w, key_name(key)), m->value[key][0] == '\0' ? "ABSENT" : m->value[key]) == 0);
    for (int file = 0; file < FILES; file++)
        CHECK(strcmp(world_file(w, file_name(file)), m->file[file][0] == '\0' ? "ABSENT" : m->file[file]) == 0);
    CHECK(disk_event_count(w->disk) == m->events);
    CHECK(file_mem_stage_count(disk_files(w->disk)) == 0);
}

static void on_stored(void *arg, char resource, struct bytes key, const struct bytes *now)
{
    (void)arg;
    (void)key;
    (void)now;
    CHECK(resource == 0 || resource == RESOURCE_EVENT);
}

static void work_with_fault(unsigned n, uint64_t spill_bytes, size_t warm_max)
{
    struct world w = { .disk = disk_new() };
    struct model m = { 0 };

    for (int key = 0; key < KEYS; key += 2) {
        snprintf(m.value[key], sizeof m.value[key], "v%d", key);
        disk_put(w.disk, bytes_str(key_name(key)), bytes_str(m.value[key]));
    }
    world_put_file(&w, "a", "0");
    snprintf(m.file[0], sizeof m.file[0], "0");
    w.store = front_open(store_mem_open(w.disk));
    w.options = (struct txn_options){ .stored = on_stored, .store = w.store, .key_max = 1024, .value_max = 1000,
                                      .lock_wait_ms = 1000, .cache_bytes = 1000, .spill_bytes = spill_bytes,
                                      .wanted = world_wanted, .wanted_arg = &w };
    hit = false;
    until_fault = n;
    armed = true;
    if (txn_manager_new(&w.options, &w.m, NULL) != OK)
        CHECK(txn_manager_new(&w.options, &w.m, NULL) == OK);
    w.m->locks.warm_max = warm_max;
    small_one(&w, &m);
    large_one(&w, &m, false);
    large_one(&w, &m, true);
    two_at_a_time(&w, &m);
    ranges_of_two(&w, &m);
    noted_one(&w, &m, "one");
    noted_one(&w, &m, "two");
    files_too(&w, &m, false);
    files_too(&w, &m, true);
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
    for (size_t i = 0; i < 4; i++) {
        unsigned n = 0;
        do {
            assert_true(n < FAULTS_MAX);
            work_with_fault(n++, spills[i % 2], i < 2 ? 4096 : 2); /* the latter: most locks go cold */
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
