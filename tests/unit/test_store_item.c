/*
 * Events, timers and files behind txn/store.h: the same claims for the real engine and for the one in tests/sim, and
 * then what the real one alone can show.
 */
#include "tests/sim/store_mem.h"
#include "tests/store_format_2.h"
#include "tests/store_kit.h"
#include "txn/timer_image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

/* --- either engine --- */

struct world {
    bool real;
    struct kit kit;
    struct disk *disk;
    struct store *mem;
};

static void must_open(struct world *w)
{
    struct failure why = { 0 };

    if (!w->real)
        w->mem = store_mem_open(w->disk);
    else if (kit_open(&w->kit, &why) != OK)
        fail_msg("%s", why.text);
}

static void shut(struct world *w)
{
    if (w->real)
        kit_close(&w->kit);
    else
        w->mem->ops->close(w->mem);
}

/* As after a crash: what has not ended is undone. */
static void reopen(struct world *w)
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

static int setup_real(void **state) { return setup(state, true); }
static int setup_mem(void **state) { return setup(state, false); }

static int teardown(void **state)
{
    struct world *w = *state;

    if (!w->real)
        shut(w);
    disk_free(&w->disk);
    kit_fini(&w->kit);
    return 0;
}

static enum err ask(struct world *w, struct store_request *r)
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

static void ask_ok(struct world *w, struct store_request *r)
{
    if (ask(w, r) != OK)
        fail_msg("%s", r->why.text);
}

static const struct store_facts *facts(struct world *w)
{
    return w->real ? w->kit.store->ops->facts(w->kit.store) : w->mem->ops->facts(w->mem);
}

/* outcome NULL: an early write. first: effects of it that were written before. */
static void store(struct world *w, uint64_t txn, const char *outcome, uint64_t first, const struct store_effect *e,
                  size_t count)
{
    struct store_entry entry = kit_entry(txn, outcome, e, count);
    struct store_request r = { .kind = STORE_COMMIT, .entries = &entry, .entry_count = 1 };

    entry.first_effect = first;
    entry.history.effect_count = first + count;
    ask_ok(w, &r);
}

static enum err undo(struct world *w, uint64_t txn)
{
    struct store_request r = { .kind = STORE_UNDO, .txn = txn, .history = kit_entry(txn, "ABORTED", NULL, 0).history };

    return ask(w, &r);
}

/* --- what holds for every resource --- */

static struct store_effect effect(char resource, const char *key, const char *before, const char *after)
{
    struct store_effect e = kit_effect(key, before, after);

    e.resource = resource;
    return e;
}

/* The ids that changed it, newest first, as text. */
static const char *changed_by(struct world *w, enum store_kind kind, char resource, const char *key)
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

static const char *dependents(struct world *w, uint64_t txn)
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

/* --- events --- */

/* An event's effect: topic, then a number that nobody else has. */
static struct store_effect event(const char *topic, const char *name, const char *before, const char *after)
{
    static char keys[32][160];
    static int turn;
    struct store_effect e = effect(RESOURCE_EVENT, "", before, after);
    char *key = keys[turn = (turn + 1) % 32];
    int n = snprintf(key, sizeof keys[0], "%s%c%s", topic, '\0', name);

    e.key = bytes_of(key, (size_t)n);
    return e;
}

/* "id:data …" of the topic, after this id; '+' behind: there are more. */
static const char *told(struct world *w, const char *topic, uint64_t after, size_t max)
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

static struct store_topic topic_of(struct world *w, const char *topic)
{
    struct store_request r = { .kind = STORE_EVENTS, .key = bytes_str(topic), .count_max = 1 };
    struct store_topic t;

    ask_ok(w, &r);
    t = r.topics[0];
    store_request_fini(&r);
    t.name = bytes_str(topic);
    return t;
}

static void events_get_ids_in_the_order_of_commits_and_none_twice(void **state)
{
    struct world *w = *state;
    struct store_effect late[] = { event("orders", "7.1", NULL, "seven") };
    struct store_effect early[] = { event("orders", "9.1", NULL, "nine"), kit_effect("k", NULL, "v"),
                                    event("mail", "9.2", NULL, ""), event("orders", "9.3", NULL, "nine too") };
    struct store_effect last[] = { event("orders", "10.1", NULL, "ten") };
    struct store_request r = { .kind = STORE_EVENTS, .key = bytes_str("orders"), .count_max = 1 };

    store(w, 9, "committed", 0, early, 4);
    store(w, 7, "committed", 0, late, 1);
    assert_string_equal(told(w, "orders", 0, 10), "1:nine 3:nine too 4:seven ");
    assert_string_equal(told(w, "mail", 0, 10), "2: ");
    assert_string_equal(told(w, "nobody", 0, 10), "");
    reopen(w);
    store(w, 10, "committed", 0, last, 1);
    assert_string_equal(told(w, "orders", 3, 10), "4:seven 5:ten ");
    ask_ok(w, &r);
    assert_int_equal(r.events[0].txn, 9);
    assert_int_equal(r.events[0].at_us, 2000000);
    store_request_fini(&r);
    assert_int_equal(topic_of(w, "orders").first, 1);
    assert_int_equal(topic_of(w, "orders").last, 5);
    assert_int_equal(topic_of(w, "orders").count, 4);
    assert_int_equal(topic_of(w, "orders").forgotten, 0);
    assert_int_equal(topic_of(w, "nobody").first, 0);
}

static void neighbours_in_a_batch_tell_in_their_order(void **state)
{
    struct world *w = *state;
    struct store_effect e[3] = { event("t", "5.1", NULL, "first"), event("t", "2.1", NULL, "second"),
                                 event("t", "3.1", NULL, "third") };
    struct store_entry entries[4] = { kit_entry(5, "committed", &e[0], 1), kit_entry(4, "committed", NULL, 0),
                                      kit_entry(2, "committed", &e[1], 1), kit_entry(3, "committed", &e[2], 1) };
    struct store_request r = { .kind = STORE_COMMIT, .entries = entries, .entry_count = 4 };

    ask_ok(w, &r);
    assert_string_equal(told(w, "t", 0, 10), "1:first 2:second 3:third ");
}

static void an_event_is_told_when_its_transaction_commits_and_not_before(void **state)
{
    struct world *w = *state;
    struct store_effect first[] = { event("t", "4.1", NULL, "stays"), event("t", "4.2", NULL, "taken away early"),
                                    event("t", "4.3", NULL, "taken away late") };
    struct store_effect second[] = { event("t", "4.2", "taken away early", NULL) };
    struct store_effect third[] = { event("t", "4.3", "taken away late", NULL), event("t", "4.4", NULL, "last") };
    struct store_effect other[] = { event("t", "5.1", NULL, "other") };

    store(w, 4, NULL, 0, first, 3);
    store(w, 4, NULL, 3, second, 1);
    assert_string_equal(told(w, "t", 0, 10), "");
    store(w, 5, "committed", 0, other, 1);
    store(w, 4, "committed", 4, third, 2);
    assert_string_equal(told(w, "t", 0, 10), "1:other 2:stays 3:last ");
}

static void an_event_of_what_was_all_written_early_is_told_at_the_end(void **state)
{
    struct world *w = *state;
    struct store_effect e[] = { event("t", "4.1", NULL, "early"), kit_effect("k", NULL, "v") };

    store(w, 4, NULL, 0, e, 2);
    store(w, 4, "committed", 2, NULL, 0);
    assert_string_equal(told(w, "t", 0, 10), "1:early ");
}

static void what_is_undone_before_its_end_tells_nothing(void **state)
{
    struct world *w = *state;
    struct store_effect e[] = { event("t", "4.1", NULL, "never") }, f[] = { event("t", "5.1", NULL, "never") };
    struct store_effect g[] = { event("t", "6.1", NULL, "told") };

    store(w, 4, NULL, 0, e, 1);
    assert_int_equal(undo(w, 4), OK);
    store(w, 5, NULL, 0, f, 1);
    reopen(w);
    assert_int_equal(facts(w)->undone, 1);
    assert_string_equal(told(w, "t", 0, 10), "");
    store(w, 6, "committed", 0, g, 1);
    assert_string_equal(told(w, "t", 0, 10), "1:told ");
}

/* T9 */
static void what_was_told_stays_told_when_its_transaction_is_undone(void **state)
{
    struct world *w = *state;
    struct store_effect e[] = { event("t", "4.1", NULL, "told"), kit_effect("k", NULL, "v") };
    struct store_effect back[] = { kit_effect("k", "v", NULL) };
    struct store_entry entry = kit_entry(5, "committed", back, 1);
    struct store_request r = { .kind = STORE_COMMIT, .entries = &entry, .entry_count = 1 };

    store(w, 4, "committed", 0, e, 2);
    entry.history.undoes = 4;
    ask_ok(w, &r);
    assert_string_equal(told(w, "t", 0, 10), "1:told ");
}

static void events_and_topics_are_told_in_pages(void **state)
{
    struct world *w = *state;
    struct store_effect e[] = { event("b", "1.1", NULL, "x"), event("a", "1.2", NULL, "y"),
                                event("b", "1.3", NULL, "z"), event("c:d", "1.4", NULL, "w") };
    struct store_request r = { .kind = STORE_TOPICS, .count_max = 2 };

    store(w, 1, "committed", 0, e, 4);
    assert_string_equal(told(w, "b", 0, 1), "1:x +");
    assert_string_equal(told(w, "b", 1, 1), "3:z ");
    assert_string_equal(told(w, "b", 3, 1), "");
    assert_string_equal(told(w, "b", UINT64_MAX, 1), "");
    ask_ok(w, &r);
    assert_true(r.more && r.topic_count == 2);
    assert_true(bytes_equal(r.topics[0].name, bytes_str("a")) && bytes_equal(r.topics[1].name, bytes_str("b")));
    assert_true(r.topics[1].first == 1 && r.topics[1].last == 3 && r.topics[1].count == 2);
    store_request_fini(&r);
    r.from = bytes_str("b:");
    ask_ok(w, &r);
    assert_true(!r.more && r.topic_count == 1 && bytes_equal(r.topics[0].name, bytes_str("c:d")));
    store_request_fini(&r);
}

static void an_event_depends_on_nothing_and_nothing_on_it(void **state)
{
    struct world *w = *state;
    struct store_effect e[] = { event("t", "1", NULL, "x"), kit_effect("k", NULL, "1") };
    struct store_effect f[] = { event("t", "2", NULL, "y"), kit_effect("other", NULL, "1") };

    store(w, 1, "committed", 0, e, 2);
    store(w, 2, "committed", 0, f, 2);
    assert_string_equal(dependents(w, 1), "");
}

/* --- timers --- */

static bool timer_holds(struct world *w, const char *id, const char *text)
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

static void timers_are_kept_and_told_in_byte_order(void **state)
{
    struct world *w = *state;
    const char *a = "at five", *b = "at six";
    struct store_effect e[] = { effect(RESOURCE_TIMER, "4.2", NULL, b), effect(RESOURCE_TIMER, "4.1", NULL, a),
                                kit_effect("4.3", NULL, "no timer") };
    struct store_effect fired[] = { effect(RESOURCE_TIMER, "4.2", b, NULL) };
    struct store_request r = { .kind = STORE_SCAN, .resource = RESOURCE_TIMER, .count_max = 9 };

    store(w, 4, "committed", 0, e, 3);
    reopen(w);
    assert_true(timer_holds(w, "4.1", a) && timer_holds(w, "4.2", b) && timer_holds(w, "4.3", NULL));
    ask_ok(w, &r);
    assert_int_equal(r.pair_count, 2);
    assert_true(bytes_equal(r.pairs[0].key, bytes_str("4.1")) && bytes_equal(r.pairs[1].value.value, bytes_str(b)));
    store_request_fini(&r);
    store(w, 5, "committed", 0, fired, 1);
    assert_true(timer_holds(w, "4.2", NULL));
}

static void a_timer_has_its_past_and_its_dependents(void **state)
{
    struct world *w = *state;
    const char *a = "at one", *b = "at two";
    struct store_effect armed[] = { effect(RESOURCE_TIMER, "1.1", NULL, a) };
    struct store_effect again[] = { effect(RESOURCE_TIMER, "1.1", a, b), kit_effect("1.1", NULL, "another thing") };
    struct store_effect fired[] = { effect(RESOURCE_TIMER, "1.1", b, NULL) };
    struct store_effect kv[] = { kit_effect("1.1", "another thing", "changed") };

    store(w, 1, "committed", 0, armed, 1);
    store(w, 2, "committed", 0, again, 2);
    store(w, 3, "committed", 0, fired, 1);
    assert_string_equal(changed_by(w, STORE_BLAME, RESOURCE_TIMER, "1.1"), "3 2 1 ");
    assert_string_equal(changed_by(w, STORE_LIST, RESOURCE_TIMER, "1.1"), "3 2 1 ");
    assert_string_equal(changed_by(w, STORE_BLAME, RESOURCE_KV, "1.1"), "2 ");
    assert_string_equal(dependents(w, 1), "3 2 ");
    store(w, 4, "committed", 0, kv, 1);
    assert_string_equal(dependents(w, 2), "4 3 ");
    assert_string_equal(dependents(w, 3), "");
}

static void a_timer_goes_back_with_its_transaction(void **state)
{
    struct world *w = *state;
    const char *a = "at one", *b = "at two", *c = "at three";
    struct store_effect old[] = { effect(RESOURCE_TIMER, "1.1", NULL, a), effect(RESOURCE_TIMER, "1.2", NULL, a) };
    struct store_effect e[] = { effect(RESOURCE_TIMER, "1.1", a, b), effect(RESOURCE_TIMER, "2.1", NULL, c),
                                effect(RESOURCE_TIMER, "1.2", a, NULL), effect(RESOURCE_TIMER, "1.1", b, c) };

    store(w, 1, "committed", 0, old, 2);
    for (int i = 0; i < 2; i++) {
        store(w, 2 + (uint64_t)i, NULL, 0, e, 4);
        if (i == 0)
            assert_int_equal(undo(w, 2), OK);
        else
            reopen(w);
        assert_true(timer_holds(w, "1.1", a) && timer_holds(w, "1.2", a) && timer_holds(w, "2.1", NULL));
        assert_string_equal(changed_by(w, STORE_BLAME, RESOURCE_TIMER, "1.1"), "1 ");
        assert_string_equal(changed_by(w, STORE_LIST, RESOURCE_TIMER, "2.1"), "");
    }
}

/* --- files --- */

static struct bytes encoded(const struct file_image *i)
{
    static char out[64][FILE_IMAGE_MAX];
    static int turn;
    struct buf b;
    struct bytes all;

    turn = (turn + 1) % 64;
    buf_init(&b, FILE_IMAGE_MAX);
    assert_true(file_image_add(&b, i));
    memcpy(out[turn], buf_bytes(&b).data, buf_len(&b));
    all = bytes_of(out[turn], buf_len(&b));
    buf_fini(&b);
    return all;
}

/* What stands there. */
static struct image standing(struct world *w, const char *path, struct file_image *image)
{
    static char out[64][FILE_IMAGE_MAX];
    static int turn;
    struct bytes key = bytes_str(path);
    struct store_request r = { .kind = STORE_GET, .resource = RESOURCE_FILE, .keys = &key, .key_count = 1 };
    struct image i;

    ask_ok(w, &r);
    i = r.pairs[0].value;
    if (i.present) {
        turn = (turn + 1) % 64;
        memcpy(out[turn], i.value.data, i.value.len);
        i.value.data = out[turn];
        assert_true(file_image_read(i.value, image));
    }
    store_request_fini(&r);
    return i;
}

static uint64_t stage(struct world *w, uint64_t txn, const char *path, uint64_t number, uint64_t offset,
                      const char *text)
{
    struct store_request r = { .kind = STORE_FILE_STAGE,
                               .txn = txn,
                               .key = bytes_str(path),
                               .stage = number,
                               .offset = offset,
                               .data = bytes_str(text) };
    uint64_t inode;

    ask_ok(w, &r);
    inode = r.inode;
    store_request_fini(&r);
    return inode;
}

/* The whole content, by this transaction's stage file of this number. */
static struct store_effect wrote(struct world *w, uint64_t txn, const char *path, uint64_t number, const char *text)
{
    struct store_effect e = { .resource = RESOURCE_FILE, .key = bytes_str(path) };
    struct file_image was, i = { .kind = FILE_NEW, .mode = 0644, .stage = number, .stage_len = strlen(text) };

    e.before = standing(w, path, &was);
    i.inode = stage(w, txn, path, number, 0, text);
    e.after = (struct image){ true, encoded(&i) };
    return e;
}

static struct store_effect appended(struct world *w, uint64_t txn, const char *path, uint64_t number, const char *text)
{
    struct store_effect e = { .resource = RESOURCE_FILE, .key = bytes_str(path) };
    struct file_image i;

    e.before = standing(w, path, &i);
    i.stage = number;
    i.stage_len = strlen(text);
    stage(w, txn, path, number, 0, text);
    e.after = (struct image){ true, encoded(&i) };
    return e;
}

static struct store_effect removed(struct world *w, const char *path)
{
    struct store_effect e = { .resource = RESOURCE_FILE, .key = bytes_str(path) };
    struct file_image was;

    e.before = standing(w, path, &was);
    return e;
}

static struct store_effect made_directory(const char *path)
{
    struct file_image i = { .kind = FILE_DIRECTORY, .mode = 0755 };

    return (struct store_effect){ .resource = RESOURCE_FILE, .key = bytes_str(path), .after = { true, encoded(&i) } };
}

static enum err apply(struct world *w, uint64_t txn)
{
    struct store_request r = { .kind = STORE_APPLY, .txn = txn };
    enum err err = ask(w, &r);

    if (err != OK)
        print_message("%s\n", r.why.text);
    return err;
}

/* All that a commit with files takes. */
static void commit_files(struct world *w, uint64_t txn, const struct store_effect *e, size_t count)
{
    store(w, txn, NULL, 0, e, count);
    assert_int_equal(apply(w, txn), OK);
    store(w, txn, "committed", count, NULL, 0);
}

/* Without the store. */
static const char *under_files(struct world *w, const char *path)
{
    static char out[512];

    snprintf(out, sizeof out, "%s/files/%s", w->kit.directory, path);
    return out;
}

static bool file_holds(struct world *w, const char *path, const char *text)
{
    struct image i = disk_file(w->disk, bytes_str(path));
    char content[4096];
    ssize_t n;
    int fd;

    if (!w->real)
        return i.present == (text != NULL) && (text == NULL || bytes_equal(i.value, bytes_str(text)));
    fd = open(under_files(w, path), O_RDONLY);
    n = fd < 0 ? -1 : read(fd, content, sizeof content);
    if (fd >= 0)
        close(fd);
    return (n < 0) == (text == NULL) && (text == NULL || bytes_equal(bytes_of(content, (size_t)n), bytes_str(text)));
}

static bool has_directory(struct world *w, const char *path)
{
    struct stat st;

    if (!w->real)
        return file_mem_has_directory(disk_files(w->disk), bytes_str(path));
    return stat(under_files(w, path), &st) == 0 && S_ISDIR(st.st_mode);
}

/* By somebody else. */
static void put_outside(struct world *w, const char *path, const char *text)
{
    int fd;

    if (!w->real) {
        file_mem_put(disk_files(w->disk), bytes_str(path), bytes_str(text));
        return;
    }
    unlink(under_files(w, path));
    fd = open(under_files(w, path), O_WRONLY | O_CREAT | O_EXCL, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static size_t hidden_found;

static int hidden_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)path;
    (void)st;
    hidden_found += type == FTW_F && where->level > 0;
    return 0;
}

/* How many files .graftd has: content on its way, what is kept, what an undo must know. */
static size_t hidden(struct world *w)
{
    if (!w->real)
        return file_mem_stage_count(disk_files(w->disk)) + file_mem_kept_count(disk_files(w->disk));
    hidden_found = 0;
    nftw(under_files(w, ".graftd"), hidden_one, 16, FTW_PHYS);
    return hidden_found;
}

static void files_change_between_the_early_write_and_the_end(void **state)
{
    struct world *w = *state;
    struct store_effect e[] = { made_directory("a/"), wrote(w, 4, "a/b.txt", 1, "hello") };
    struct file_image image;
    struct store_request dir = {
        .kind = STORE_SCAN, .resource = RESOURCE_FILE, .prefix = bytes_str("a/"), .count_max = 9
    };

    assert_false(standing(w, "a/b.txt", &image).present);
    store(w, 4, NULL, 0, e, 2);
    assert_false(has_directory(w, "a/"));
    assert_int_equal(apply(w, 4), OK);
    assert_true(file_holds(w, "a/b.txt", "hello"));
    store(w, 4, "committed", 2, NULL, 0);
    assert_int_equal(hidden(w), 0);
    reopen(w);
    assert_int_equal(facts(w)->undone, 0);
    assert_true(file_holds(w, "a/b.txt", "hello"));
    assert_true(standing(w, "a/b.txt", &image).present);
    assert_true(image.kind == FILE_STANDING && image.size == 5 && bytes_equal(image.origin, bytes_str("a/b.txt")));
    assert_true(standing(w, "a/", &image).present && image.kind == FILE_DIRECTORY);
    ask_ok(w, &dir);
    assert_int_equal(dir.pair_count, 1);
    assert_true(bytes_equal(dir.pairs[0].key, bytes_str("a/b.txt")));
    store_request_fini(&dir);
    dir.prefix = bytes_str("nothing/");
    ask_ok(w, &dir);
    assert_int_equal(dir.pair_count, 0);
    store_request_fini(&dir);
}

static void content_on_its_way_is_read_by_who_wrote_it(void **state)
{
    struct world *w = *state;
    struct store_effect e = wrote(w, 4, "f", 1, "hello");
    struct store_request r = {
        .kind = STORE_FILE_READ, .txn = 4, .key = bytes_str("f"), .data = e.after.value, .offset = 1, .count_max = 3
    };
    struct store_request drop = { .kind = STORE_FILE_DROP, .txn = 4 };
    struct file_image image;

    ask_ok(w, &r);
    assert_true(bytes_equal(r.pairs[0].value.value, bytes_str("ell")));
    store_request_fini(&r);
    stage(w, 4, "f", 1, 5, " world");
    assert_true(file_image_read(e.after.value, &image));
    image.stage_len = 11;
    r.data = encoded(&image);
    r.offset = 4;
    r.count_max = 100;
    ask_ok(w, &r);
    assert_true(bytes_equal(r.pairs[0].value.value, bytes_str("o world")));
    store_request_fini(&r);
    ask_ok(w, &drop);
    assert_int_equal(hidden(w), 0);
    assert_true(file_holds(w, "f", NULL));
}

/* Written, appended to, removed, made: applied or not, by request or by recovery. */
static void files_go_back_with_their_transaction(void **state)
{
    struct world *w = *state;
    struct store_effect old[] = { wrote(w, 1, "a", 1, "old a"), wrote(w, 1, "b", 2, "old b"),
                                  wrote(w, 1, "c", 3, "old c") };

    commit_files(w, 1, old, 3);
    for (uint64_t i = 0; i < 4; i++) {
        struct file_image before[3], after[3];
        struct store_effect e[5];
        uint64_t txn = 2 + i;
        standing(w, "a", &before[0]);
        standing(w, "b", &before[1]);
        standing(w, "c", &before[2]);
        e[0] = wrote(w, txn, "a", 1, "new a");
        e[1] = appended(w, txn, "b", 2, " and more");
        e[2] = removed(w, "c");
        e[3] = made_directory("d/");
        e[4] = wrote(w, txn, "d/e", 3, "made");
        store(w, txn, NULL, 0, e, 5);
        if (i < 2) {
            assert_int_equal(apply(w, txn), OK);
            assert_true(file_holds(w, "a", "new a") && file_holds(w, "b", "old b and more"));
            assert_true(file_holds(w, "c", NULL) && file_holds(w, "d/e", "made"));
        }
        if (i % 2 == 0) {
            assert_int_equal(undo(w, txn), OK);
            assert_int_equal(undo(w, txn), OK);
        } else {
            reopen(w);
            assert_int_equal(facts(w)->undone, 1);
        }
        assert_true(file_holds(w, "a", "old a") && file_holds(w, "b", "old b") && file_holds(w, "c", "old c"));
        assert_false(has_directory(w, "d/"));
        standing(w, "a", &after[0]);
        standing(w, "b", &after[1]);
        standing(w, "c", &after[2]);
        for (int k = 0; k < 3; k++)
            assert_true(before[k].mtime_ns == after[k].mtime_ns && before[k].mode == after[k].mode);
        assert_int_equal(hidden(w), 0);
        assert_string_equal(changed_by(w, STORE_BLAME, RESOURCE_FILE, "a"), "1 ");
    }
}

static void only_the_net_change_of_a_path_is_applied(void **state)
{
    struct world *w = *state;
    struct store_effect first = wrote(w, 1, "a", 1, "one"), second = wrote(w, 1, "a", 2, "two");
    struct store_effect none = wrote(w, 1, "b", 3, "taken away"), back = none, e[4];

    second.before = first.after;
    back.before = none.after;
    back.after = none.before;
    e[0] = first;
    e[1] = none;
    e[2] = second;
    e[3] = back;
    store(w, 1, NULL, 0, e, 3);
    store(w, 1, NULL, 3, &e[3], 1);
    assert_int_equal(apply(w, 1), OK);
    store(w, 1, "committed", 4, NULL, 0);
    assert_true(file_holds(w, "a", "two") && file_holds(w, "b", NULL));
    assert_int_equal(hidden(w), 0);
}

static void a_file_that_somebody_else_changed_is_a_conflict_and_stays(void **state)
{
    struct world *w = *state;
    struct store_effect old[] = { wrote(w, 1, "a", 1, "old"), wrote(w, 1, "b", 2, "old") }, e[2];
    size_t kept;

    commit_files(w, 1, old, 2);
    kept = hidden(w);
    e[0] = wrote(w, 2, "b", 1, "new");
    e[1] = wrote(w, 2, "a", 2, "new");
    store(w, 2, NULL, 0, e, 2);
    put_outside(w, "a", "theirs, longer");
    assert_int_equal(apply(w, 2), ERR_CONFLICT);
    assert_true(file_holds(w, "a", "theirs, longer") && file_holds(w, "b", "old"));
    assert_int_equal(undo(w, 2), OK);
    assert_true(file_holds(w, "a", "theirs, longer") && file_holds(w, "b", "old"));
    assert_int_equal(hidden(w), kept);
}

static void files_have_their_past_and_their_dependents(void **state)
{
    struct world *w = *state;
    struct store_effect e;

    e = wrote(w, 1, "a", 1, "one");
    commit_files(w, 1, &e, 1);
    e = wrote(w, 2, "a", 1, "two");
    commit_files(w, 2, &e, 1);
    e = wrote(w, 3, "b", 1, "other");
    commit_files(w, 3, &e, 1);
    e = removed(w, "a");
    commit_files(w, 4, &e, 1);
    assert_string_equal(changed_by(w, STORE_BLAME, RESOURCE_FILE, "a"), "4 2 1 ");
    assert_string_equal(changed_by(w, STORE_LIST, RESOURCE_FILE, "a"), "4 2 1 ");
    assert_string_equal(changed_by(w, STORE_BLAME, RESOURCE_KV, "a"), "");
    assert_string_equal(dependents(w, 1), "4 2 ");
    assert_string_equal(dependents(w, 3), "");
}

/* 2 and 1 are taken back together, each as a transaction of its own. */
static void parts_are_applied_rising_and_undone_falling(void **state)
{
    struct world *w = *state;
    struct file_image first, second, kept = { .kind = FILE_KEPT, .kept_txn = 2, .origin = bytes_str("a") };
    struct store_effect e = wrote(w, 1, "a", 1, "one"), two_back, one_back;
    uint64_t part;

    commit_files(w, 1, &e, 1);
    standing(w, "a", &first);
    e = wrote(w, 2, "a", 1, "two");
    commit_files(w, 2, &e, 1);
    kept.inode = first.inode;
    kept.size = first.size;
    kept.mode = first.mode;
    kept.mtime_ns = first.mtime_ns;
    for (uint64_t txn = 11; txn <= 31; txn += 10) {
        struct store_request r = { .kind = STORE_APPLY, .txn = txn, .parts = &part, .part_count = 1 };
        struct store_request show = { .kind = STORE_SHOW, .txn = txn + 1 };
        part = txn + 1;
        two_back =
            (struct store_effect){ RESOURCE_FILE, bytes_str("a"), standing(w, "a", &second), { true, encoded(&kept) } };
        one_back = (struct store_effect){ RESOURCE_FILE, bytes_str("a"), two_back.after, { 0 } };
        store(w, txn, NULL, 0, &two_back, 1);
        store(w, txn + 1, NULL, 0, &one_back, 1);
        ask_ok(w, &r);
        assert_true(file_holds(w, "a", NULL));
        r.kind = STORE_UNDO;
        r.history = kit_entry(txn, "ABORTED", NULL, 0).history;
        if (txn == 31)
            break;
        if (txn == 11)
            ask_ok(w, &r);
        else
            reopen(w);
        assert_true(file_holds(w, "a", "two"));
        ask_ok(w, &show);
        assert_true(show.row_count == 1 && show.effect_count == 0 && strcmp(show.rows[0].outcome, "committed") != 0);
        store_request_fini(&show);
    }
    store(w, 31, "committed", 1, NULL, 0);
    store(w, 32, "committed", 1, NULL, 0);
    reopen(w);
    assert_true(file_holds(w, "a", NULL));
}

/* --- the real engine alone --- */

static void reopen_keeping(struct world *w, uint64_t events_ms, uint64_t events_bytes, uint64_t history_ms)
{
    shut(w);
    w->kit.options.events_ms = events_ms;
    w->kit.options.events_bytes = events_bytes;
    w->kit.options.history_ms = history_ms;
    must_open(w);
}

static void tell(struct world *w, uint64_t txn, const char *topic, const char *data, int64_t ended_us)
{
    struct store_effect e = event(topic, "1", NULL, data);
    struct store_entry entry = kit_entry(txn, "committed", &e, 1);
    struct store_request r = { .kind = STORE_COMMIT, .entries = &entry, .entry_count = 1 };

    entry.history.ended_us = ended_us;
    ask_ok(w, &r);
}

static void old_events_are_forgotten_and_that_is_known(void **state)
{
    struct world *w = *state;
    int64_t now = (int64_t)time(NULL) * 1000000;

    for (uint64_t n = 1; n <= 300; n++)
        tell(w, n, n % 2 == 0 ? "even" : "odd", "x", n == 299 ? now : 1000000);
    reopen_keeping(w, 3600 * 1000, UINT64_MAX, UINT64_MAX);
    while (topic_of(w, "even").count > 1) /* the alarm ends a test that waits in vain */
        usleep(20000);
    /* From the oldest on: what is young stops it. */
    assert_int_equal(topic_of(w, "even").forgotten, 298);
    assert_true(topic_of(w, "even").first == 300 && topic_of(w, "even").last == 300);
    assert_true(topic_of(w, "odd").first == 299 && topic_of(w, "odd").count == 1 &&
                topic_of(w, "odd").forgotten == 297);
    assert_string_equal(told(w, "odd", 0, 9), "299:x ");
    reopen_keeping(w, 1, UINT64_MAX, UINT64_MAX);
    while (topic_of(w, "even").count > 0)
        usleep(20000);
    assert_true(topic_of(w, "even").first == 0 && topic_of(w, "even").forgotten == 300);
    reopen_keeping(w, UINT64_MAX, UINT64_MAX, UINT64_MAX);
    tell(w, 301, "even", "new", now);
    assert_string_equal(told(w, "even", 0, 9), "301:new ");
    assert_int_equal(topic_of(w, "even").forgotten, 300);
}

static size_t topic_count(struct world *w)
{
    struct store_request r = { .kind = STORE_TOPICS, .count_max = STORE_ROW_MAX };
    size_t n;

    ask_ok(w, &r);
    n = r.topic_count;
    store_request_fini(&r);
    return n;
}

/* In steps, and whoever read one of them before and comes back is told. */
static void topics_without_events_are_forgotten_after_twice_the_time(void **state)
{
    enum { TOPICS = 600 };
    struct world *w = *state;
    const char *path = kit_path(&w->kit, "graftd.db");
    int64_t now = (int64_t)time(NULL) * 1000000;
    char topic[16];

    for (uint64_t n = 1; n <= TOPICS; n++) {
        snprintf(topic, sizeof topic, "t%03u", (unsigned)n);
        tell(w, n, topic, "x", 1000000);
    }
    reopen_keeping(w, 3600 * 1000, UINT64_MAX, UINT64_MAX);
    while (topic_of(w, "t600").count > 0)
        usleep(20000);
    tell(w, TOPICS + 1, "young", "x", now);
    shut(w);
    assert_int_equal(select_number(path, "SELECT value FROM meta WHERE name = 'topic_mark'"), TOPICS);
    must_open(w);
    usleep(100000);
    assert_int_equal(topic_count(w), TOPICS + 1); /* not yet */
    shut(w);
    change_database(path, "UPDATE meta SET value = value - 7300000000 WHERE name = 'topic_mark_us'");
    must_open(w);
    while (topic_count(w) > 1)
        usleep(20000);
    assert_int_equal(topic_of(w, "young").count, 1);
    assert_int_equal(topic_of(w, "young").forgotten, 0);
    assert_int_equal(topic_of(w, "t005").forgotten, TOPICS);
    assert_int_equal(topic_of(w, "t005").last, 0);
    reopen(w);
    tell(w, TOPICS + 2, "t005", "again", now);
    assert_string_equal(told(w, "t005", 0, 9), "602:again ");
    assert_int_equal(topic_of(w, "t005").forgotten, TOPICS);
}

static void too_many_events_are_forgotten_from_the_oldest(void **state)
{
    struct world *w = *state;
    char data[1001];

    memset(data, 'd', 1000);
    data[1000] = '\0';
    reopen_keeping(w, UINT64_MAX, 50 * 1000, UINT64_MAX);
    for (uint64_t n = 1; n <= 200; n++)
        tell(w, n, "t", data, 1000000);
    assert_in_range(topic_of(w, "t").count, 40, 50);
    assert_int_equal(topic_of(w, "t").last, 200);
    assert_int_equal(topic_of(w, "t").first, topic_of(w, "t").forgotten + 1);
    assert_int_equal(topic_of(w, "t").forgotten + topic_of(w, "t").count, 200);
    reopen_keeping(w, UINT64_MAX, 0, UINT64_MAX);
    while (topic_of(w, "t").count > 0)
        usleep(20000);
    tell(w, 201, "t", data, 1000000);
    assert_true(topic_of(w, "t").count == 0 && topic_of(w, "t").forgotten == 201);
}

static void sqlite3_reads_timers_events_and_changes(void **state)
{
    struct world *w = *state;
    struct timer t = { .due_us = 5000000,
                       .uid = 1000,
                       .parked = true,
                       .function = bytes_str("bank.remind"),
                       .args = bytes_of("\0\0\0\0", 4) };
    struct store_effect e[] = { effect(RESOURCE_TIMER, "1.1", NULL, NULL), event("orders", "1.2", NULL, "paid") };
    struct buf b;
    const char *path = kit_path(&w->kit, "graftd.db");

    buf_init(&b, TIMER_IMAGE_MAX);
    assert_true(timer_image_add(&b, &t));
    e[0].after = (struct image){ true, buf_bytes(&b) };
    store(w, 1, "committed", 0, e, 2);
    buf_fini(&b);
    shut(w);
    assert_int_equal(select_number(path,
                                   "SELECT count(*) FROM timer WHERE due_us = 5000000 AND uid = 1000 AND parked = 1 "
                                   "AND function = 'bank.remind'"),
                     1);
    assert_int_equal(select_number(path,
                                   "SELECT count(*) FROM timers WHERE id = '1.1' AND due = '1970-01-01 00:00:05'"),
                     1);
    assert_int_equal(select_number(path, "SELECT count(*) FROM events WHERE topic = 'orders' AND data = 'paid'"), 1);
    assert_int_equal(select_number(path, "SELECT count(*) FROM changes WHERE resource = 'e' AND after = 'paid'"), 1);
    must_open(w);
}

static int64_t heads(struct world *w)
{
    int64_t n;

    shut(w);
    n = select_number(kit_path(&w->kit, "graftd.db"), "SELECT count(*) FROM head");
    must_open(w);
    return n;
}

static void what_was_kept_of_files_and_trails_goes_with_the_history(void **state)
{
    struct world *w = *state;
    struct store_effect e = wrote(w, 1, "a", 1, "one"), timer[] = { effect(RESOURCE_TIMER, "2.1", NULL, "t") };

    commit_files(w, 1, &e, 1);
    e = wrote(w, 2, "a", 1, "two");
    commit_files(w, 2, &e, 1);
    store(w, 3, "committed", 0, timer, 1);
    assert_true(hidden(w) > 0);
    assert_int_equal(heads(w), 2);
    reopen_keeping(w, UINT64_MAX, UINT64_MAX, 1);
    while (kit_kept(&w->kit, 3) != -1 || hidden(w) > 0)
        usleep(20000);
    usleep(50000);
    assert_int_equal(heads(w), 0);
    assert_true(file_holds(w, "a", "two") && timer_holds(w, "2.1", "t"));
    assert_string_equal(changed_by(w, STORE_BLAME, RESOURCE_FILE, "a"), "");
}

/* The bound of the history holds for what is kept of files, too. */
static void what_is_kept_of_files_counts_as_history(void **state)
{
    struct world *w = *state;
    char content[3001];
    struct store_effect e;

    memset(content, 'c', 3000);
    content[3000] = '\0';
    shut(w);
    w->kit.options.history_bytes = 20 * 1000;
    must_open(w);
    for (uint64_t txn = 1; txn <= 30; txn++) {
        e = wrote(w, txn, "a", 1, content);
        commit_files(w, txn, &e, 1);
    }
    while (hidden(w) > 7)
        usleep(20000);
    assert_true(hidden(w) > 3);
    assert_int_equal(kit_kept(&w->kit, 30), 1);
    for (uint64_t txn = 31; txn <= 60; txn++) { /* nothing is kept of these */
        e = txn == 31 ? wrote(w, txn, "b", 1, content) : appended(w, txn, "b", 1, "more ");
        commit_files(w, txn, &e, 1);
    }
    assert_int_equal(kit_kept(&w->kit, 31), 1);
}

/* T10: it was applied, and then somebody else changed the file before it could be taken back. */
static void files_that_cannot_go_back_stop_the_store_and_keep_it_closed(void **state)
{
    struct world *w = *state;
    struct store_effect e = wrote(w, 1, "a", 1, "one");
    struct failure why = { 0 };
    struct store_request get = { .kind = STORE_GET };

    commit_files(w, 1, &e, 1);
    e = wrote(w, 2, "a", 1, "two");
    store(w, 2, NULL, 0, &e, 1);
    assert_int_equal(apply(w, 2), OK);
    put_outside(w, "a", "theirs");
    assert_int_equal(undo(w, 2), ERR_UNKNOWN);
    assert_int_equal(ask(w, &get), ERR_STORAGE);
    assert_non_null(strstr(get.why.text, "a"));
    shut(w);
    assert_int_equal(kit_open(&w->kit, &why), ERR_STORAGE);
    assert_non_null(strstr(why.text, "recovery failed"));
    assert_true(file_holds(w, "a", "theirs"));
    unlink(under_files(w, "a"));
    w->kit.store = NULL;
}

/* A root of this name beside the standard one, from the next open on; NULL: none. */
static void give_root(struct world *w, const char *name, const char *directory)
{
    static struct file_root root;
    static char path[512];

    snprintf(path, sizeof path, "%s/%s", w->kit.directory, directory);
    assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
    root = (struct file_root){ name, path };
    w->kit.options.roots = &root;
    w->kit.options.root_count = name != NULL;
}

static void must_refuse(struct world *w, const char *const parts[4])
{
    struct failure why = { 0 };

    assert_int_equal(kit_open(&w->kit, &why), ERR_STORAGE);
    w->kit.store = NULL;
    for (size_t i = 0; i < 4; i++)
        if (strstr(why.text, parts[i]) == NULL)
            fail_msg("no \"%s\" in: %s", parts[i], why.text);
}

static bool outside_holds(struct world *w, const char *name, const char *text)
{
    char content[64];
    int fd = open(kit_path(&w->kit, name), O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, content, sizeof content);

    if (fd >= 0)
        close(fd);
    return (n < 0) == (text == NULL) && (text == NULL || bytes_equal(bytes_of(content, (size_t)n), bytes_str(text)));
}

/* T10: where the undo would look is not where the change was made. */
static void what_changed_files_waits_for_the_root_in_which_it_did(void **state)
{
    struct world *w = *state;
    struct store_effect e;

    shut(w);
    give_root(w, "extra", "x");
    must_open(w);
    e = wrote(w, 7, "extra/a", 1, "one");
    store(w, 7, NULL, 0, &e, 1);
    assert_int_equal(apply(w, 7), OK);
    assert_true(outside_holds(w, "x/a", "one"));
    shut(w);
    give_root(w, NULL, "x");
    must_refuse(w, (const char *[]){ "transaction 7 ", "\"extra\"", kit_path(&w->kit, "x"), "put root extra" });
    must_refuse(w, (const char *[]){ "transaction 7 ", "\"extra\"", kit_path(&w->kit, "x"), "no longer" });
    give_root(w, "extra", "y");
    must_refuse(w, (const char *[]){ "transaction 7 ", kit_path(&w->kit, "x"), kit_path(&w->kit, "y"), "again" });
    assert_true(outside_holds(w, "x/a", "one"));
    give_root(w, "extra", "x");
    must_open(w);
    assert_int_equal(facts(w)->undone, 1);
    assert_true(outside_holds(w, "x/a", NULL));
    shut(w);
    give_root(w, NULL, "x"); /* nothing needs it any more */
    must_open(w);
}

static void what_changed_files_of_the_standard_root_is_not_looked_for_in_a_new_one(void **state)
{
    struct world *w = *state;
    struct store_effect e[] = { made_directory("extra/"), wrote(w, 7, "extra/a", 1, "one") };

    store(w, 7, NULL, 0, e, 2);
    assert_int_equal(apply(w, 7), OK);
    shut(w);
    give_root(w, "extra", "x");
    must_refuse(w, (const char *[]){ "transaction 7 ", "\"extra\"", kit_path(&w->kit, "x"), "out of the policy" });
    assert_true(file_holds(w, "extra/a", "one"));
    give_root(w, NULL, "x");
    must_open(w);
    assert_false(has_directory(w, "extra"));
    shut(w);
    give_root(w, "extra", "x");
    must_open(w);
    e[1] = wrote(w, 8, "extra/a", 1, "two");
    commit_files(w, 8, &e[1], 1);
    shut(w);
    give_root(w, "extra", "y"); /* what ended waits for nothing */
    must_open(w);
}

/* Format 3 as its first databases were: they are not asked, and remember from then on. */
static void a_database_that_remembers_no_roots_learns_them(void **state)
{
    struct world *w = *state;
    struct store_effect e;

    shut(w);
    change_database(kit_path(&w->kit, "graftd.db"), "DROP TABLE root");
    give_root(w, "extra", "x");
    must_open(w);
    e = wrote(w, 7, "extra/a", 1, "one");
    store(w, 7, NULL, 0, &e, 1);
    shut(w);
    give_root(w, NULL, "x");
    must_refuse(w, (const char *[]){ "transaction 7 ", "\"extra\"", kit_path(&w->kit, "x"), "put root extra" });
    give_root(w, "extra", "x");
    must_open(w);
}

static void a_backup_has_events_and_timers_and_leaves_files_alone(void **state)
{
    struct world *w = *state;
    struct store_effect e[] = { event("t", "1.1", NULL, "told"), effect(RESOURCE_TIMER, "1.2", NULL, "armed") };
    struct store_effect f = wrote(w, 2, "a", 1, "content");
    struct store_request backup = { .kind = STORE_BACKUP, .path = kit_path(&w->kit, "copy") };
    struct world copy = { .real = true };

    store(w, 1, "committed", 0, e, 2);
    store(w, 2, NULL, 0, &f, 1);
    assert_int_equal(apply(w, 2), OK);
    ask_ok(w, &backup);
    assert_true(file_holds(w, "a", "content"));
    kit_init(&copy.kit);
    assert_int_equal(rename(backup.path, kit_path(&copy.kit, "graftd.db")), 0);
    must_open(&copy);
    assert_int_equal(facts(&copy)->undone, 0);
    assert_int_equal(kit_kept(&copy.kit, 2), 0);
    assert_string_equal(told(&copy, "t", 0, 9), "1:told ");
    assert_true(timer_holds(&copy, "1.2", "armed"));
    tell(&copy, 3, "t", "goes on", 1);
    assert_string_equal(told(&copy, "t", 1, 9), "2:goes on ");
    kit_fini(&copy.kit);
    store(w, 2, "committed", 1, NULL, 0);
    reopen(w);
    assert_true(file_holds(w, "a", "content"));
}

static void an_earlier_release_s_database_gets_the_new_resources(void **state)
{
    struct world *w = *state;
    struct store_request at = { .kind = STORE_AT, .txn = 1, .key = bytes_str("a") };
    struct store_request idem = { .kind = STORE_IDEM, .uid = 1000, .token = bytes_str("token") };
    struct store_effect e[] = { event("t", "1", NULL, "told"), effect(RESOURCE_TIMER, "101.1", NULL, "armed"),
                                kit_effect("a", "two", "new") };
    struct store_effect f;

    shut(w);
    make_format_2(&w->kit);
    must_open(w);
    assert_int_equal(facts(w)->undone, 1);
    assert_true(kit_holds(&w->kit, "a", "two") && kit_holds(&w->kit, "b", NULL));
    store(w, 101, "committed", 0, e, 3);
    f = wrote(w, 102, "f", 1, "content");
    commit_files(w, 102, &f, 1);
    reopen(w);
    assert_string_equal(changed_by(w, STORE_BLAME, RESOURCE_KV, "a"), "101 2 1 ");
    assert_string_equal(changed_by(w, STORE_BLAME, RESOURCE_KV, "b"), "3 ");
    assert_string_equal(changed_by(w, STORE_BLAME, RESOURCE_FILE, "f"), "102 ");
    assert_string_equal(dependents(w, 1), "101 2 ");
    ask_ok(w, &at);
    assert_true(bytes_equal(at.pairs[0].value.value, bytes_str("one")));
    store_request_fini(&at);
    ask_ok(w, &idem);
    assert_true(idem.idem.found && bytes_equal(idem.idem.reply, bytes_str("reply")));
    store_request_fini(&idem);
    assert_string_equal(told(w, "t", 0, 9), "1:told ");
    assert_true(timer_holds(w, "101.1", "armed") && file_holds(w, "f", "content"));
    shut(w);
    assert_int_equal(select_number(kit_path(&w->kit, "graftd.db"), "PRAGMA old.user_version"), 3);
    must_open(w);
}

#define BOTH(name) \
    { #name " (sqlite)", name, setup_real, teardown, NULL }, { #name " (memory)", name, setup_mem, teardown, NULL }
#define REAL(name) cmocka_unit_test_setup_teardown(name, setup_real, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(events_get_ids_in_the_order_of_commits_and_none_twice),
        BOTH(neighbours_in_a_batch_tell_in_their_order),
        BOTH(an_event_is_told_when_its_transaction_commits_and_not_before),
        BOTH(an_event_of_what_was_all_written_early_is_told_at_the_end),
        BOTH(what_is_undone_before_its_end_tells_nothing),
        BOTH(what_was_told_stays_told_when_its_transaction_is_undone),
        BOTH(events_and_topics_are_told_in_pages),
        BOTH(an_event_depends_on_nothing_and_nothing_on_it),
        BOTH(timers_are_kept_and_told_in_byte_order),
        BOTH(a_timer_has_its_past_and_its_dependents),
        BOTH(a_timer_goes_back_with_its_transaction),
        BOTH(files_change_between_the_early_write_and_the_end),
        BOTH(content_on_its_way_is_read_by_who_wrote_it),
        BOTH(files_go_back_with_their_transaction),
        BOTH(only_the_net_change_of_a_path_is_applied),
        BOTH(a_file_that_somebody_else_changed_is_a_conflict_and_stays),
        BOTH(files_have_their_past_and_their_dependents),
        BOTH(parts_are_applied_rising_and_undone_falling),
        REAL(old_events_are_forgotten_and_that_is_known),
        REAL(topics_without_events_are_forgotten_after_twice_the_time),
        REAL(too_many_events_are_forgotten_from_the_oldest),
        REAL(sqlite3_reads_timers_events_and_changes),
        REAL(what_was_kept_of_files_and_trails_goes_with_the_history),
        REAL(what_is_kept_of_files_counts_as_history),
        REAL(files_that_cannot_go_back_stop_the_store_and_keep_it_closed),
        REAL(what_changed_files_waits_for_the_root_in_which_it_did),
        REAL(what_changed_files_of_the_standard_root_is_not_looked_for_in_a_new_one),
        REAL(a_database_that_remembers_no_roots_learns_them),
        REAL(an_earlier_release_s_database_gets_the_new_resources),
        REAL(a_backup_has_events_and_timers_and_leaves_files_alone),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
