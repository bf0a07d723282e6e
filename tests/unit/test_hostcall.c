/*
 * What the daemon does with the messages of a worker about files, events and timers, over a transaction that this test
 * plays: every field is checked as if it were hostile (W2), the grant asked (P1), the limits kept (P4), and no more is
 * done than that.
 */
#include "graftd/hostcall.h"
#include "graftd/timer.h"
#include "lib/wire.h"
#include "txn/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SECONDS_MAX = 60, NOW_US = 1700000000 };

/* ---- the transaction, as told to be ---- */

static struct {
    char done[1000];      /* what was asked of it */
    enum err err;         /* what it says */
    unsigned waits;       /* so often it says ERR_WAIT first */
    const char *why;      /* with that sentence */
    struct txn_file file; /* what it finds */
    struct bytes data;
    struct store_pair pairs[4];
    size_t pair_count, effects, timers;
    unsigned names;
} played;

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

static struct bytes nothing(void) { return bytes_of(NULL, 0); }

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

size_t timers_count(const struct timers *t) { return t == NULL ? played.timers : 0; }

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

static struct buf sent;

static enum err world_send(struct port_process *worker, struct bytes frames)
{
    (void)worker;
    return buf_add(&sent, frames.data, frames.len);
}

struct world {
    struct port_ops ops;
    struct port port;
    struct principal who;
    struct policy_limits bounds;
    struct grant *grant;
    struct hostcall_context h;
    struct failure why;
    struct buf message;
};

static void renew(struct world *w)
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

static int set_up(void **state)
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

static int tear_down(void **state)
{
    struct world *w = *state;

    grant_free(&w->grant);
    buf_fini(&w->message);
    buf_fini(&sent);
    return 0;
}

/* SAY(w, FILE_READ, .path = …): what comes of that message. */
#define SAY(w, NAME, ...) \
    (buf_clear(&(w)->message), \
     assert_int_equal(wire_add_##NAME(&(w)->message, &(struct wire_##NAME){ __VA_ARGS__ }), OK), said(w))

static enum err said(struct world *w)
{
    struct bytes frame = buf_bytes(&w->message), body;
    uint8_t number;
    size_t used;

    assert_int_equal(wire_next(frame, &number, &body, &used), OK);
    return hostcall_do(&w->h, number, body, &w->why);
}

static struct bytes answered(uint8_t number)
{
    struct bytes body = nothing();
    uint8_t got = 0;
    size_t used = 0;

    assert_int_equal(wire_next(buf_bytes(&sent), &got, &body, &used), OK);
    assert_int_equal(got, number);
    assert_int_equal(used, buf_len(&sent));
    return body;
}

static void assert_value(bool present, const char *text)
{
    struct wire_VALUE m;

    assert_true(wire_read_VALUE(answered(WIRE_VALUE), &m));
    assert_int_equal(m.present, present);
    assert_true(bytes_equal(m.value, bytes_str(text)));
}

static struct bytes str(const char *s) { return bytes_str(s); }

/* Nothing was done and nothing answered. */
static void assert_refused(struct world *w, enum err err, enum err expected, const char *text)
{
    assert_int_equal(err, expected);
    if (strstr(w->why.text, text) == NULL)
        fail_msg("\"%s\" is not in: %s", text, w->why.text);
    assert_string_equal(played.done, "");
    assert_int_equal(buf_len(&sent), 0);
    renew(w);
}

/* ---- hostile messages ---- */

static void a_path_that_no_worker_sends_is_an_attack(void **state)
{
    static const struct bytes bad[] = {
        { "", 0 },     { "/s/a", 4 }, { "s/../../etc/passwd", 18 }, { "s/.", 3 },
        { "s//a", 4 }, { "s/a/", 4 }, { "s/.graftd/new.1.1", 17 },  { "s/a\0b", 5 },
    };
    static char large[1025];
    struct world *w = *state;

    memset(large, 'a', sizeof large);
    for (size_t i = 0; i <= sizeof bad / sizeof bad[0]; i++) {
        struct bytes p = i < sizeof bad / sizeof bad[0] ? bad[i] : bytes_of(large, sizeof large);

        assert_refused(w, SAY(w, FILE_STAT, .path = p), ERR_CRASHED, "malformed FILE_STAT");
        assert_refused(w, SAY(w, FILE_READ, .path = p, .len = 1), ERR_CRASHED, "malformed FILE_READ");
        assert_refused(w, SAY(w, FILE_WRITE, .path = p), ERR_CRASHED, "malformed FILE_WRITE");
        assert_refused(w, SAY(w, FILE_APPEND, .path = p), ERR_CRASHED, "malformed FILE_APPEND");
        assert_refused(w, SAY(w, FILE_REMOVE, .path = p), ERR_CRASHED, "malformed FILE_REMOVE");
        assert_refused(w, SAY(w, FILE_RENAME, .from = p, .to = str("s/a")), ERR_CRASHED, "malformed FILE_RENAME");
        assert_refused(w, SAY(w, FILE_RENAME, .from = str("s/a"), .to = p), ERR_CRASHED, "malformed FILE_RENAME");
        if (p.len > 0 && !bytes_equal(p, str("s/a/")))
            assert_refused(w, SAY(w, FILE_LIST, .directory = p, .count_max = 1), ERR_CRASHED, "malformed FILE_LIST");
    }
}

static void a_number_out_of_bounds_is_an_attack(void **state)
{
    static char large[1026];
    struct world *w = *state;
    struct bytes p = str("s/a");

    assert_refused(w, SAY(w, FILE_STAT, .exclusive = 2, .path = p), ERR_CRASHED, "malformed");
    assert_refused(w, SAY(w, FILE_READ, .path = p, .len = 0), ERR_CRASHED, "malformed");
    assert_refused(w, SAY(w, FILE_READ, .path = p, .len = 64 * 1024 + 1), ERR_CRASHED, "malformed");
    assert_refused(w, SAY(w, FILE_READ, .path = p, .len = 1, .offset = UINT64_MAX), ERR_CRASHED, "malformed");
    assert_refused(w, SAY(w, FILE_LIST, .directory = str("s/"), .count_max = 0), ERR_CRASHED, "malformed");
    assert_refused(w, SAY(w, FILE_LIST, .directory = str("s/"), .count_max = 1025), ERR_CRASHED, "malformed");
    assert_refused(w, SAY(w, FILE_LIST, .directory = str("s"), .count_max = 1), ERR_CRASHED, "malformed");
    assert_refused(w, SAY(w, FILE_LIST, .directory = str("s/"), .from = bytes_of(large, 1026), .count_max = 1),
                   ERR_CRASHED, "malformed");
    assert_refused(w, SAY(w, AFTER, .ms = 2147483647001, .function = str("bank.a"), .args = bytes_of("\0\0\0\0", 4)),
                   ERR_CRASHED, "malformed AFTER");
}

static void only_the_daemons_messages_are_an_attack(void **state)
{
    struct world *w = *state;

    assert_refused(w, SAY(w, FILE_INFO, .present = 1), ERR_CRASHED, "sent FILE_INFO, which a worker may not send now");
}

static void every_message_is_read_to_its_last_byte(void **state)
{
    struct world *w = *state;
    struct bytes frame;

    for (int cut = 0; cut < 2; cut++)
        for (uint8_t n = WIRE_FILE_STAT; n <= WIRE_CANCEL; n++) {
            buf_clear(&w->message);
            if (n == WIRE_FILE_INFO)
                continue;
            (void)SAY(w, FILE_READ, .path = str("s/a"), .len = 1);
            frame = buf_bytes(&w->message);
            renew(w);
            assert_int_equal(hostcall_do(&w->h, n,
                                         bytes_of((const char *)frame.data + WIRE_HEAD,
                                                  cut ? 5 : frame.len - WIRE_HEAD + 0u),
                                         &w->why),
                             n == WIRE_FILE_READ && !cut ? OK : ERR_CRASHED);
            renew(w);
        }
}

static void a_topic_or_a_function_that_is_none_is_an_attack(void **state)
{
    static const char *const topics[] = { "", "bank.*", "bank a", "bank.\n" };
    static const char *const functions[] = { "", "bank", "bank.", ".a", "bank.A", "bank.a.b", "bank.a\n" };
    static char large[200];
    struct world *w = *state;
    struct bytes none = bytes_of("\0\0\0\0", 4);

    memset(large, 'a', sizeof large);
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++)
        assert_refused(w, SAY(w, EMIT, .topic = str(topics[i])), ERR_CRASHED, "malformed EMIT");
    assert_refused(w, SAY(w, EMIT, .topic = bytes_of("bank.\0", 6)), ERR_CRASHED, "malformed EMIT");
    assert_refused(w, SAY(w, EMIT, .topic = bytes_of(large, 128)), ERR_CRASHED, "malformed EMIT");
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        assert_refused(w, SAY(w, AFTER, .function = str(functions[i]), .args = none), ERR_CRASHED, "malformed AFTER");
    large[64] = '.';
    assert_refused(w, SAY(w, AFTER, .function = bytes_of(large, 80), .args = none), ERR_CRASHED, "malformed AFTER");
    assert_refused(w, SAY(w, CANCEL, .id = nothing()), ERR_CRASHED, "malformed CANCEL");
    assert_refused(w, SAY(w, CANCEL, .id = bytes_of(large, 49)), ERR_CRASHED, "malformed CANCEL");
}

static void arguments_of_a_timer_are_a_whole_list(void **state)
{
    static const struct bytes bad[] = {
        { "", 0 },
        { "\0\0\0", 3 },
        { "\1\0\0\0", 4 },
        { "\0\0\0\0x", 5 },
        { "\1\0\0\0\5\0\0\0abc", 11 },
        { "\1\0\0\0\1\0\0\0abc", 11 },
        { "\xff\xff\xff\xff", 4 },
        { "\1\0\0\0\xff\xff\xff\xff", 8 },
    };
    struct world *w = *state;
    struct buf many;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused(w, SAY(w, AFTER, .function = str("bank.a"), .args = bad[i]), ERR_CRASHED, "malformed AFTER");
    buf_init(&many, 1 << 20);
    buf_add_u32(&many, 1);
    buf_add_u32(&many, 64 * 1024 - 7); /* one byte too many in all */
    for (int i = 0; i < 64 * 1024 - 7; i++)
        buf_add_u8(&many, 'x');
    assert_refused(w, SAY(w, AFTER, .function = str("bank.a"), .args = buf_bytes(&many)), ERR_CRASHED, "malformed");
    buf_clear(&many);
    buf_add_u32(&many, 4097);
    for (int i = 0; i < 4097; i++)
        buf_add_u32(&many, 0);
    assert_refused(w, SAY(w, AFTER, .function = str("bank.a"), .args = buf_bytes(&many)), ERR_CRASHED, "malformed");
    buf_fini(&many);
}

/* ---- rights and limits ---- */

static void each_request_needs_its_right(void **state)
{
    struct world *w = *state;
    struct bytes none = bytes_of("\0\0\0\0", 4), other = str("other/a"), own = str("s/a"), in = str("in/a"),
                 out = str("out/a");

    assert_refused(w, SAY(w, FILE_STAT, .path = other), ERR_DENIED, "no rule allows it to read file \"other/a\"");
    assert_refused(w, SAY(w, FILE_STAT, .path = out), ERR_DENIED, "no rule allows it to read file \"out/a\"");
    assert_refused(w, SAY(w, FILE_STAT, .exclusive = 1, .path = other), ERR_DENIED,
                   "no rule allows it to write file \"other/a\"");
    assert_refused(w, SAY(w, FILE_READ, .path = out, .len = 1), ERR_DENIED, "no rule allows it to read file");
    assert_refused(w, SAY(w, FILE_READ, .path = str("s/secret/a"), .len = 1), ERR_DENIED,
                   "p:3:34 denies it to read file \"s/secret/a\"");
    assert_refused(w, SAY(w, FILE_WRITE, .path = in), ERR_DENIED, "no rule allows it to write file \"in/a\"");
    assert_refused(w, SAY(w, FILE_APPEND, .path = in), ERR_DENIED, "no rule allows it to write file \"in/a\"");
    assert_refused(w, SAY(w, FILE_REMOVE, .path = in), ERR_DENIED, "no rule allows it to write file \"in/a\"");
    assert_refused(w, SAY(w, FILE_RENAME, .from = in, .to = own), ERR_DENIED, "write file \"in/a\"");
    assert_refused(w, SAY(w, FILE_RENAME, .from = own, .to = in), ERR_DENIED, "write file \"in/a\"");
    assert_refused(w, SAY(w, FILE_RENAME, .from = out, .to = own), ERR_DENIED, "read file \"out/a\"");
    assert_refused(w, SAY(w, FILE_LIST, .directory = str("out/"), .count_max = 1), ERR_DENIED, "read file \"out/\"");
    assert_refused(w, SAY(w, FILE_LIST, .directory = str(""), .count_max = 1), ERR_DENIED, "read file \"\"");
    assert_refused(w, SAY(w, EMIT, .topic = str("other")), ERR_DENIED, "no rule allows it to emit \"other\"");
    assert_refused(w, SAY(w, AFTER, .function = str("other.a"), .args = none), ERR_DENIED,
                   "no rule allows it to set a timer for \"other.a\"");
}

static void a_read_only_call_changes_nothing(void **state)
{
    struct world *w = *state;
    struct bytes none = bytes_of("\0\0\0\0", 4), p = str("s/a");

    for (int i = 0; i < 7; i++) {
        w->h.readonly = true;
        assert_refused(w,
                       i == 0   ? SAY(w, FILE_WRITE, .path = p)
                       : i == 1 ? SAY(w, FILE_APPEND, .path = p)
                       : i == 2 ? SAY(w, FILE_REMOVE, .path = p)
                       : i == 3 ? SAY(w, FILE_RENAME, .from = p, .to = str("s/b"))
                       : i == 4 ? SAY(w, EMIT, .topic = str("bank.a"))
                       : i == 5 ? SAY(w, AFTER, .function = str("bank.a"), .args = none)
                                : SAY(w, CANCEL, .id = str("1.1")),
                       ERR_READONLY, "it may not change anything in this call");
    }
    w->h.readonly = true;
    assert_int_equal(SAY(w, FILE_STAT, .exclusive = 1, .path = p), OK);
    assert_string_equal(played.done, "stat s s/a"); /* not locked against other readers */
    renew(w);
}

static void the_limit_on_effects_counts_these_too(void **state)
{
    struct world *w = *state;

    played.effects = 4;
    assert_int_equal(SAY(w, FILE_WRITE, .path = str("s/a")), OK);
    renew(w);
    played.effects = 4;
    assert_refused(w, SAY(w, FILE_RENAME, .from = str("s/a"), .to = str("s/b")), ERR_LIMIT,
                   "made more than its 5 effects (p:2:");
    played.effects = 5;
    assert_refused(w, SAY(w, EMIT, .topic = str("bank.a")), ERR_LIMIT, "made more than its 5 effects");
}

/* All that one call writes, however it does; what waits is counted once. */
static void the_limit_on_disk_is_of_a_call(void **state)
{
    static char content[6 * 1024];
    struct world *w = *state;
    struct bytes data = bytes_of(content, sizeof content);

    played.waits = 2;
    for (int i = 0; i < 3; i++)
        assert_int_equal(SAY(w, FILE_WRITE, .path = str("s/a"), .data = data), i < 2 ? ERR_WAIT : OK);
    played.done[0] = '\0';
    assert_int_equal(SAY(w, FILE_APPEND, .path = str("s/a"), .data = bytes_of(content, 4 * 1024)), OK);
    played.done[0] = '\0';
    assert_int_equal(SAY(w, FILE_APPEND, .path = str("s/a"), .data = bytes_of(content, 1)), ERR_LIMIT);
    assert_string_equal(played.done, "");
    assert_non_null(strstr(w->why.text, "wrote more than its 10240 bytes to files (p:2:"));
    assert_string_equal(w->h.facts, "limit=disk allowed=10240 used=10241");
    renew(w);
}

static void content_and_payload_have_the_limit_of_values(void **state)
{
    static char content[64 * 1024 + 1];
    struct world *w = *state;
    struct bytes data = bytes_of(content, sizeof content);

    assert_refused(w, SAY(w, FILE_WRITE, .path = str("s/a"), .data = data), ERR_LIMIT,
                   "wrote file content of 65537 bytes; at most 65536 are allowed");
    assert_refused(w, SAY(w, EMIT, .topic = str("bank.a"), .data = data), ERR_LIMIT,
                   "emitted an event of 65537 bytes; at most 65536 are allowed");
}

/* ---- what is done, and answered ---- */

static void a_write_is_done_and_not_answered(void **state)
{
    struct world *w = *state;

    assert_int_equal(SAY(w, FILE_WRITE, .path = str("out/a"), .data = str("x")), OK);
    assert_int_equal(SAY(w, FILE_APPEND, .path = str("s/a"), .data = str("y")), OK);
    assert_int_equal(SAY(w, FILE_REMOVE, .path = str("s/a")), OK);
    assert_int_equal(SAY(w, FILE_RENAME, .from = str("s/a"), .to = str("out/b")), OK);
    assert_int_equal(SAY(w, FILE_RENAME, .from = str("s/a"), .to = str("s/a")), OK); /* nothing to be done */
    assert_int_equal(SAY(w, EMIT, .topic = str("bank.a"), .data = str("z")), OK);
    assert_string_equal(played.done, "write out/a x; append s/a y; remove s/a; rename s/a out/b; emit bank.a z");
    assert_int_equal(buf_len(&sent), 0);
    renew(w);
    played.err = ERR_ABSENT; /* a worker that did not ask first */
    assert_int_equal(SAY(w, FILE_REMOVE, .path = str("s/a")), OK);
    assert_int_equal(SAY(w, FILE_RENAME, .from = str("s/a"), .to = str("s/b")), OK);
    renew(w);
}

static void a_look_is_answered(void **state)
{
    struct world *w = *state;
    struct wire_FILE_INFO m;

    played.file = (struct txn_file){ .size = 5, .mtime_ns = 7001 };
    assert_int_equal(SAY(w, FILE_STAT, .exclusive = 1, .path = str("s/a")), OK);
    assert_string_equal(played.done, "stat x s/a");
    assert_true(wire_read_FILE_INFO(answered(WIRE_FILE_INFO), &m));
    assert_true(m.present == 1 && m.directory == 0 && m.size == 5 && m.mtime_us == 7);
    renew(w);
    played.err = ERR_ABSENT;
    assert_int_equal(SAY(w, FILE_STAT, .path = str("s/a")), OK);
    assert_true(wire_read_FILE_INFO(answered(WIRE_FILE_INFO), &m));
    assert_int_equal(m.present, 0);
    renew(w);
    played.data = str("content");
    assert_int_equal(SAY(w, FILE_READ, .path = str("s/a"), .offset = 3, .len = 9), OK);
    assert_string_equal(played.done, "read s/a 3+9");
    assert_value(true, "content");
    renew(w);
    played.err = ERR_ABSENT;
    assert_int_equal(SAY(w, FILE_READ, .path = str("s/a"), .len = 9), OK);
    assert_value(false, "");
    renew(w);
}

/* It may write there and not read: it is told that there is something, to remove it, and nothing of it. */
static void who_may_not_read_is_not_told_the_size(void **state)
{
    struct world *w = *state;
    struct wire_FILE_INFO m;

    played.file = (struct txn_file){ .size = 5, .mtime_ns = 7001 };
    assert_int_equal(SAY(w, FILE_STAT, .exclusive = 1, .path = str("out/a")), OK);
    assert_true(wire_read_FILE_INFO(answered(WIRE_FILE_INFO), &m));
    assert_true(m.present == 1 && m.size == 0 && m.mtime_us == 0);
    renew(w);
}

static void what_stands_in_the_way_ends_the_call_with_its_path(void **state)
{
    struct world *w = *state;

    played.err = ERR_BADARG;
    played.why = "it leads through a symbolic link";
    assert_int_equal(SAY(w, FILE_READ, .path = str("s/a"), .len = 1), ERR_BADARG);
    assert_string_equal(w->why.text, "could not read file \"s/a\": it leads through a symbolic link");
    failure_clear(&w->why);
    assert_int_equal(SAY(w, FILE_WRITE, .path = str("s/a")), ERR_BADARG);
    assert_string_equal(w->why.text, "could not write file \"s/a\": it leads through a symbolic link");
    assert_int_equal(w->h.disk_used, 0);
    assert_int_equal(buf_len(&sent), 0);
    renew(w);
}

static size_t image(char out[200], uint8_t kind, uint64_t size)
{
    struct file_image i = { .kind = kind, .mode = 0644, .size = size, .mtime_ns = 9000, .inode = 3 };
    struct buf b;
    size_t n;

    if (kind == FILE_STANDING)
        i.origin = str("s/a");
    if (kind == FILE_NEW) {
        i.stage = 1;
        i.stage_len = size;
    }
    buf_init(&b, 200);
    assert_true(file_image_add(&b, &i));
    n = buf_len(&b);
    memcpy(out, b.data, n);
    buf_fini(&b);
    return n;
}

static void a_listing_tells_what_a_stat_would(void **state)
{
    static char images[3][200];
    static const char *const paths[] = { "s/a", "s/b/", "s/c" };
    static const uint8_t kinds[] = { FILE_STANDING, FILE_DIRECTORY, FILE_NEW };
    struct world *w = *state;
    struct wire_PAGE m;
    struct reader r, info;

    for (size_t i = 0; i < 3; i++)
        played.pairs[i] =
            (struct store_pair){ str(paths[i]), { true, bytes_of(images[i], image(images[i], kinds[i], 5)) } };
    played.pair_count = 3;
    assert_int_equal(SAY(w, FILE_LIST, .directory = str("s/"), .from = str("s/a"), .count_max = 3), OK);
    assert_string_equal(played.done, "list s/ s/a");
    assert_true(wire_read_PAGE(answered(WIRE_PAGE), &m));
    assert_int_equal(m.more, 1);
    r = reader_of(m.items);
    assert_int_equal(read_u32(&r), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(bytes_equal(read_bytes(&r), str(paths[i])));
        info = reader_of(read_bytes(&r));
        assert_int_equal(read_u8(&info), i == 1);
        assert_int_equal(read_u64(&info), i == 1 ? 0 : 5);
        assert_int_equal(read_u64(&info), i == 2 ? NOW_US : 9);
        assert_true(reader_done(&info));
    }
    assert_true(reader_done(&r));
    buf_clear(&sent);
    played.pairs[1].key = str("s/secret"); /* one of them may not be seen */
    assert_int_equal(SAY(w, FILE_LIST, .directory = str("s/"), .count_max = 3), ERR_DENIED);
    assert_int_equal(buf_len(&sent), 0);
    renew(w);
}

/* ---- timers ---- */

static void a_timer_remembers_who_armed_it(void **state)
{
    struct world *w = *state;
    struct timer t;

    played.waits = 2; /* its name stays the same while it waits */
    for (int i = 0; i < 3; i++)
        assert_int_equal(SAY(w, AFTER, .ms = 1500, .function = str("bank.remind"),
                             .args = bytes_of("\1\0\0\0\3\0\0\0ada", 11)),
                         i < 2 ? ERR_WAIT : OK);
    assert_string_equal(played.done, "put timer 418.1");
    assert_value(true, "418.1");
    assert_true(timer_image_read(played.data, &t));
    assert_int_equal(t.due_us, NOW_US + 1500000);
    assert_true(t.uid == 1000 && t.gid == 100 && t.group_count == 2 && t.groups[0] == 7 && t.groups[1] == 8);
    assert_true(t.armed_by == 418 && t.tries == 0 && !t.parked && t.error.len == 0);
    assert_true(bytes_equal(t.function, str("bank.remind")));
    assert_int_equal(t.args.len, 11);
    free((void *)(uintptr_t)played.data.data);
    buf_clear(&sent);
    assert_int_equal(SAY(w, AFTER, .function = str("bank.remind"), .args = bytes_of("\0\0\0\0", 4)), OK);
    assert_value(true, "418.2");
    free((void *)(uintptr_t)played.data.data);
    renew(w);
}

static void the_limit_on_timers_is_of_all(void **state)
{
    struct world *w = *state;
    struct bytes none = bytes_of("\0\0\0\0", 4);

    played.timers = 2;
    assert_int_equal(SAY(w, AFTER, .function = str("bank.remind"), .args = none), OK);
    free((void *)(uintptr_t)played.data.data);
    played.done[0] = '\0';
    buf_clear(&sent);
    assert_int_equal(SAY(w, AFTER, .function = str("bank.remind"), .args = none), ERR_LIMIT); /* its own counts */
    assert_string_equal(w->h.facts, "limit=timers allowed=3 used=4");
    assert_string_equal(played.done, "");
    renew(w);
}

/* Arms one and takes it for the stored one. */
static void stored_timer(struct world *w, const char *function, uint32_t uid)
{
    struct timer t = { .uid = uid, .function = str(function), .args = bytes_of("\0\0\0\0", 4) };
    static struct buf b;

    buf_fini(&b);
    buf_init(&b, 1000);
    assert_true(timer_image_add(&b, &t));
    renew(w);
    played.data = buf_bytes(&b);
}

static void only_own_timers_are_there_to_be_cancelled(void **state)
{
    struct world *w = *state;

    stored_timer(w, "bank.a", 1000);
    assert_int_equal(SAY(w, CANCEL, .id = str("7.1")), OK);
    assert_string_equal(played.done, "get timer 7.1; delete timer 7.1");
    assert_value(true, "");
    stored_timer(w, "bank.a", 1001);
    assert_int_equal(SAY(w, CANCEL, .id = str("7.1")), OK);
    assert_string_equal(played.done, "get timer 7.1");
    assert_value(false, "");
    stored_timer(w, "bank.a", 1001);
    w->who.uid = 0;
    assert_int_equal(SAY(w, CANCEL, .id = str("7.1")), OK);
    assert_value(true, "");
    w->who.uid = 1000;
    stored_timer(w, "bank.a", 1000);
    played.err = ERR_ABSENT;
    assert_int_equal(SAY(w, CANCEL, .id = str("7.1")), OK);
    assert_value(false, "");
    stored_timer(w, "other.a", 1000); /* another graft's affair */
    assert_int_equal(SAY(w, CANCEL, .id = str("7.1")), ERR_DENIED);
    assert_string_equal(played.done, "get timer 7.1");
    stored_timer(w, "bank.a", 1000);
    played.data.len--;
    assert_int_equal(SAY(w, CANCEL, .id = str("7.1")), ERR_STORAGE);
    renew(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_that_no_worker_sends_is_an_attack),
        cmocka_unit_test(a_number_out_of_bounds_is_an_attack),
        cmocka_unit_test(only_the_daemons_messages_are_an_attack),
        cmocka_unit_test(every_message_is_read_to_its_last_byte),
        cmocka_unit_test(a_topic_or_a_function_that_is_none_is_an_attack),
        cmocka_unit_test(arguments_of_a_timer_are_a_whole_list),
        cmocka_unit_test(each_request_needs_its_right),
        cmocka_unit_test(a_read_only_call_changes_nothing),
        cmocka_unit_test(the_limit_on_effects_counts_these_too),
        cmocka_unit_test(the_limit_on_disk_is_of_a_call),
        cmocka_unit_test(content_and_payload_have_the_limit_of_values),
        cmocka_unit_test(a_write_is_done_and_not_answered),
        cmocka_unit_test(a_look_is_answered),
        cmocka_unit_test(who_may_not_read_is_not_told_the_size),
        cmocka_unit_test(what_stands_in_the_way_ends_the_call_with_its_path),
        cmocka_unit_test(a_listing_tells_what_a_stat_would),
        cmocka_unit_test(a_timer_remembers_who_armed_it),
        cmocka_unit_test(the_limit_on_timers_is_of_all),
        cmocka_unit_test(only_own_timers_are_there_to_be_cancelled),
    };

    alarm(SECONDS_MAX);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
