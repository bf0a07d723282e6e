/*
 * graft-worker as a whole, with this test as the daemon: orders, calls, walls, deaths.
 * GRAFT_WORKER: the program, else ./graft-worker. GRAFTD_TOP: the source tree, else ".".
 */
#include "tests/worker_kit.h"

#include <errno.h>

enum { SECONDS_MAX = 120 };

static const char zoo[] =
    "#include <graft.h>\n#include <stdlib.h>\n#include <string.h>\n"
    "GRAFT_MODULE(\"zoo\", \"1.0.0\", \"one of each\");\n"
    "static char *kept; static const char *const words[] = { \"one\", \"two\" };\n"
    "GRAFT_INIT { kept = malloc(1000); strcpy(kept, \"kept\"); return graft_call_function(NULL, \"a.b\", NULL, 0, "
    "NULL) == GRAFT_BAD_ARG ? GRAFT_OK : 1; }\n"
    "GRAFT_FUNCTION(hello, \"name\") { return graft_reply_format(call, \"hello, %s%s\", graft_text(call, "
    "graft_arg(call, 0)), words[1]); }\n"
    "GRAFT_FUNCTION(count, \"by\") { int64_t by, now; if (graft_arg_i64(call, 0, &by)) return graft_abort(call, "
    "\"by what, %d?\", 7);\n"
    "  int rc = graft_kv_add_i64(call, graft_key(call, 0), by, &now); return rc ? rc : graft_reply_i64(call, now); }\n"
    "GRAFT_FUNCTION(other, \"\") { graft_bytes v; int rc = graft_kv_get(call, graft_str(\"other\"), &v); if (rc) "
    "return rc;\n"
    "  graft_kv_get(call, graft_str(\"other\"), &v); graft_kv_put(call, graft_str(\"new\"), v); "
    "graft_kv_get(call, graft_str(\"new\"), &v);\n"
    "  return graft_reply_bytes(call, v); }\n"
    "static int visit(graft_call *call, graft_bytes k, graft_bytes v, void *user) { (void)v; ++*(int *)user;\n"
    "  if (k.len == 2 && ((const char *)k.data)[1] == '1') graft_kv_put(call, graft_str(\"k5\"), k); return "
    "GRAFT_OK; }\n"
    "GRAFT_FUNCTION(scan, \"\") { int n = 0; int rc = graft_kv_scan(call, graft_str(\"k\"), visit, &n); return "
    "rc ? rc : graft_reply_i64(call, n); }\n"
    "GRAFT_FUNCTION(nest, \"\") { graft_reply_array(call, 2); graft_reply_map(call, 1); graft_reply_status(call, "
    "\"a\"); graft_reply_nil(call);\n"
    "  graft_reply_double(call, 1.5); return graft_reply_nil(call) == GRAFT_BAD_REPLY ? GRAFT_OK : 99; }\n"
    "GRAFT_FUNCTION(unfinished, \"\") { return graft_reply_array(call, 2); }\n"
    "GRAFT_FUNCTION(seven, \"\") { return 77; }\n"
    "GRAFT_FUNCTION(null, \"\") { *(volatile int *)0 = 1; return 0; }\n"
    "static int deep(volatile char *p) { volatile char b[4096]; b[0] = p[0]; return deep(b) + b[0]; }\n"
    "GRAFT_FUNCTION(deep, \"\") { char c = 1; return deep(&c); }\n"
    "GRAFT_FUNCTION(loop, \"\") { for (;;) __asm__ volatile(\"\"); }\n"
    "GRAFT_FUNCTION(abort, \"\") { abort(); }\n"
    "GRAFT_FUNCTION(divide, \"\") { volatile int zero = 0; return 1000 / zero; }\n"
    "GRAFT_FUNCTION(greedy, \"\") { int n = 0; while (malloc(10000)) n++; return graft_reply_i64(call, n); }\n"
    "GRAFT_FUNCTION(large, \"\") { char *p = malloc(700000); if (!p) return GRAFT_NO_MEMORY; memset(p, 1, "
    "700000); return graft_reply_format(call, \"%s\", kept); }\n"
    "GRAFT_FUNCTION(twice, \"\") { char *volatile p = malloc(10); free(p); free(p); return 0; }\n"
    "GRAFT_FUNCTION(text, \"\") { kept = 0; *(volatile char *)words = 1; return 0; }\n"
    "static long raw(long n, long a, long b, long c) { long r; register long d __asm__(\"r10\") = 0; __asm__ "
    "volatile(\"syscall\" : \"=a\"(r)\n"
    "  : \"a\"(n), \"D\"(a), \"S\"(b), \"d\"(c), \"r\"(d) : \"rcx\", \"r11\", \"memory\"); return r; }\n"
    "GRAFT_FUNCTION(raw, \"number a b c\") { int64_t v[4] = { 0 }; for (int i = 0; i < 4; i++) "
    "graft_arg_i64(call, (unsigned)i, &v[i]);\n"
    "  return graft_reply_i64(call, raw(v[0], v[1], v[2], v[3])); }\n"
    "GRAFT_FUNCTION(int80, \"\") { int r; __asm__ volatile(\"int $0x80\" : \"=a\"(r) : \"a\"(20)); return "
    "graft_reply_i64(call, r); }\n"
    "GRAFT_FUNCTION(draw, \"\") { unsigned char b[8]; graft_random(call, b, 8); return graft_reply_bytes(call, "
    "graft_bytes_of(b, 8)); }\n"
    "static int backwards(const void *a, const void *b) { return *(const int *)b - *(const int *)a; }\n"
    "GRAFT_FUNCTION(sort, \"\") { int v[2000]; for (int i = 0; i < 2000; i++) v[i] = (i * 7919) % 2000;\n"
    "  qsort(v, 2000, sizeof v[0], backwards); for (int i = 0; i < 2000; i++) if (v[i] != 1999 - i) return 99; "
    "return GRAFT_OK; }\n"
    /* relay: replies what the nested call replied, item by item; a failure as [code, error]. */
    "static int echo(graft_call *call, graft_value v) { graft_value item; size_t n = v.count; switch (v.kind) {\n"
    "  case GRAFT_VALUE_NIL: return graft_reply_nil(call);\n"
    "  case GRAFT_VALUE_I64: return graft_reply_i64(call, v.integer);\n"
    "  case GRAFT_VALUE_DOUBLE: return graft_reply_double(call, v.number);\n"
    "  case GRAFT_VALUE_BYTES: return graft_reply_bytes(call, v.bytes);\n"
    "  case GRAFT_VALUE_STATUS: return graft_reply_status(call, graft_text(call, v.bytes));\n"
    "  case GRAFT_VALUE_ERROR: return graft_reply_error(call, graft_text(call, v.bytes));\n"
    "  case GRAFT_VALUE_ARRAY: graft_reply_array(call, n); break;\n"
    "  default: graft_reply_map(call, n); n *= 2; }\n"
    "  for (size_t i = 0; i < n; i++) { int rc = graft_value_item(&v, i, &item); if (!rc) rc = echo(call, item); "
    "if (rc) return rc; }\n"
    "  return graft_value_item(&v, n, &item) == GRAFT_BAD_ARG && graft_value_item(&v, -1, &item) == GRAFT_BAD_ARG "
    "? 0 : 98; }\n"
    "GRAFT_FUNCTION(relay, \"function arg …\") { graft_bytes args[8]; size_t n = graft_arg_count(call) - 1; "
    "graft_value v, item;\n"
    "  for (size_t i = 0; i < n; i++) args[i] = graft_arg(call, i + 1);\n"
    "  int rc = graft_call_function(call, graft_text(call, graft_arg(call, 0)), args, n, &v);\n"
    "  if (rc != GRAFT_OK && rc != GRAFT_CALL_FAILED) return rc;\n"
    "  if (rc == GRAFT_CALL_FAILED) { graft_reply_array(call, 2); graft_reply_i64(call, rc); }\n"
    "  if (v.count == 0 && graft_value_item(&v, 0, &item) != GRAFT_BAD_ARG) return 97;\n"
    "  return echo(call, v); }\n"
    "GRAFT_FUNCTION(through, \"\") { return graft_call_function(call, \"a.b\", NULL, 0, NULL); }\n"
    /* stale: what it read of "n" and "other" before the nested call and after it. */
    "static graft_bytes value(graft_call *call, const char *key) { graft_bytes v = { 0, 0 }; graft_kv_get(call, "
    "graft_str(key), &v); return v; }\n"
    "GRAFT_FUNCTION(stale, \"\") { graft_bytes a = value(call, \"n\"), b = value(call, \"other\"), c, d;\n"
    "  graft_value v; graft_call_function(call, \"a.b\", NULL, 0, &v);\n"
    "  c = value(call, \"n\"); d = value(call, \"other\"); value(call, \"n\");\n"
    "  return graft_reply_format(call, \"%s %s %s %s\", graft_text(call, a), graft_text(call, b), graft_text(call, c), "
    "graft_text(call, d)); }\n"
    "static int visit_calling(graft_call *call, graft_bytes k, graft_bytes v, void *user) { ++*(int *)user;\n"
    "  return k.len == 2 && ((const char *)k.data)[1] == '1' ? graft_call_function(call, \"a.b\", NULL, 0, NULL) "
    ": 0; }\n"
    "GRAFT_FUNCTION(walk, \"\") { int n = 0; int rc = graft_kv_scan(call, graft_str(\"k\"), visit_calling, &n); return "
    "rc ? rc : graft_reply_i64(call, n); }\n"
    /* bounds: what is too long is neither sent nor read; then as much as may be sent. */
    "static graft_bytes many[GRAFT_CALL_ARGS_MAX + 1]; static char name[129];\n"
    "GRAFT_FUNCTION(bounds, \"\") { size_t mib = 1 << 20; graft_bytes large[] = { { name, 17 * mib }, { name, "
    "17 * mib } }, whole = { name, -1 };\n"
    "  memset(name, 'x', 128);\n"
    "  if (graft_call_function(call, name, NULL, 0, NULL) != GRAFT_TOO_LARGE) return 90;\n"
    "  if (graft_call_function(call, \"a.b\", many, GRAFT_CALL_ARGS_MAX + 1, NULL) != GRAFT_TOO_LARGE) return 91;\n"
    "  if (graft_call_function(call, \"a.b\", NULL, -1, NULL) != GRAFT_TOO_LARGE) return 92;\n"
    "  if (graft_call_function(call, \"a.b\", large, 2, NULL) != GRAFT_TOO_LARGE) return 93;\n"
    "  if (graft_call_function(call, \"a.b\", &whole, 1, NULL) != GRAFT_TOO_LARGE) return 94;\n"
    "  if (graft_call_function(call, \"a.b\", large, 1, NULL) != GRAFT_NO_MEMORY) return 95;\n"
    "  name[127] = 0; return graft_call_function(call, name, many, GRAFT_CALL_ARGS_MAX, NULL); }\n";

/* The manifest's order is the compiler's: functions are found by name. */
static const char *const names[] = { "hello", "count", "other", "scan", "nest", "unfinished", "seven", "null", "deep",
                                     "loop", "abort",
                                     "divide", "greedy", "large", "twice", "text", "raw", "int80", "draw", "sort",
                                     "relay", "through", "stale", "walk", "bounds" };
static uint16_t index_of[sizeof names / sizeof names[0]];
enum { HELLO, COUNT, OTHER, SCAN, NEST, UNFINISHED, SEVEN, NULLPTR, DEEP, LOOP, ABORT,
       DIVIDE, GREEDY, LARGE, TWICE, TEXT, RAW, INT80, DRAW, SORT, RELAY, THROUGH, STALE, WALK, BOUNDS };

static void learn_functions(struct bytes body)
{
    struct wire_MANIFEST m;
    size_t count = 0;

    assert_true(wire_read_MANIFEST(body, &m));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        index_of[i] = find_function(m.text, names[i], &count);
    assert_int_equal(count, sizeof names / sizeof names[0]);
}

static int set_up(void **state)
{
    static struct tree t;
    struct bytes body;
    int file, pidfd;

    t.keeper = start(&t.zygote, "--degraded");
    if (take(t.zygote, &body, NULL) != WIRE_MANIFEST) {
        fprintf(stderr, "refused: %.*s\n", (int)body.len, (const char *)body.data);
        return -1;
    }
    file = build("zoo", zoo);
    t.template = spawn_template(t.zygote, file, &pidfd);
    close(file);
    close(pidfd);
    assert_int_equal(take(t.template, &body, NULL), WIRE_MANIFEST);
    learn_functions(body);
    *state = &t;
    return 0;
}

static int tear_down(void **state)
{
    end_tree(*state);
    return 0;
}

static void call(const struct worker *w, int function, const char *const *keys, const char *args, bool readonly)
{
    call_index(w, index_of[function], keys, args, readonly);
}

/* ---- tests ---- */

static void says_which_walls_stand_or_refuses_by_name(void **state)
{
    struct tree t = { .template = -1 };
    struct wire_MANIFEST m;
    struct wire_REFUSED refused;
    struct bytes body;
    int number, status;

    (void)state;
    t.keeper = start(&t.zygote, NULL);
    number = take(t.zygote, &body, NULL);
    if (number == WIRE_REFUSED) { /* a machine without namespaces: it must say which */
        assert_true(wire_read_REFUSED(body, &refused));
        assert_non_null(memmem(refused.text.data, refused.text.len, "sandbox degraded allow", 22));
    } else {
        assert_int_equal(number, WIRE_MANIFEST);
        assert_true(wire_read_MANIFEST(body, &m));
        assert_memory_equal(m.text.data, "walls\tseccomp=2-stage/", 22);
        assert_non_null(memmem(m.text.data, m.text.len, "nnp=1 selftest=1 degraded=none", 31));
        printf("%s\n", (const char *)m.text.data);
    }
    close(t.zygote);
    assert_int_equal(waitpid(t.keeper, &status, 0), t.keeper);
}

static void serves_calls_in_a_row(void **state)
{
    struct worker w = ready_worker(*state);

    for (int i = 0; i < 100; i++) {
        call(&w, HELLO, NULL, "ada", false);
        assert_replied(done(&w), VALUE_BYTES, "hello, adatwo", 0);
    }
    call(&w, SORT, NULL, "", false);
    assert_replied(done(&w), VALUE_NIL, NULL, 0);
    close(w.channel); /* a worker whose daemon is gone goes too */
    w.channel = open("/dev/null", O_RDONLY);
    assert_dies(*state, &w, NULL, 0);
}

static void large_frames_pass_whole(void **state)
{
    enum { LENGTH = 400000 };
    static char name[LENGTH + 1];
    struct worker w = ready_worker(*state);
    struct wire_DONE m;

    memset(name, 'x', LENGTH);
    for (int i = 0; i < 3; i++) {
        call(&w, HELLO, NULL, name, false);
        m = done(&w);
        assert_int_equal(m.how, 0);
        assert_true(value_valid(m.reply));
        assert_int_equal(m.reply.len, 1 + 4 + 7 + LENGTH + 3);
    }
    dismiss(*state, &w);
}

static void calls_behind_each_other_run_in_order(void **state)
{
    enum { MANY = 40 };
    static char name[4096]; /* together they are more than is read at a time */
    struct worker w = ready_worker(*state);
    uint64_t before = last_txn;
    char text[sizeof name + 16];

    for (int i = 0; i < MANY; i++) {
        memset(name, 'a' + i % 26, (size_t)(100 * i));
        call(&w, HELLO, NULL, name, false);
    }
    memset(name, 0, sizeof name);
    for (int i = 0; i < MANY; i++) {
        struct wire_DONE m = done(&w);

        memset(name, 'a' + i % 26, (size_t)(100 * i));
        snprintf(text, sizeof text, "hello, %stwo", name);
        assert_int_equal(m.txn, before + (uint64_t)i + 1);
        assert_replied(m, VALUE_BYTES, text, 0);
    }
    dismiss(*state, &w);
}

/* The head waits for its answers while others arrive; each is run afterwards, in order, with answers of its own. */
static void calls_that_come_before_an_answer_are_kept(void **state)
{
    enum { ROUNDS = 50, BEHIND = 3 };
    static char large[3001];
    struct worker w = ready_worker(*state);
    struct wire_KV_GET get;
    struct bytes body;
    struct wire_DONE m;
    uint64_t first;
    struct buf b;

    memset(large, 'x', sizeof large - 1);
    for (int round = 0; round < ROUNDS; round++) {
        first = last_txn + 1;
        call(&w, OTHER, NULL, "", false);
        assert_int_equal(hear(w.channel, &body), WIRE_KV_GET);
        assert_true(wire_read_KV_GET(body, &get));
        for (int i = 0; i < BEHIND; i++)
            call(&w, i == 1 ? OTHER : HELLO, NULL, i == 1 ? "" : large, false);
        buf_init(&b, 1000);
        wire_add_VALUE(&b, &(struct wire_VALUE){ .present = 1, .value = bytes_str("first") });
        tell(w.channel, &b);
        assert_puts(&w, "new", "first");
        m = done(&w);
        assert_int_equal(m.txn, first);
        assert_replied(m, VALUE_BYTES, "first", 0);
        m = done(&w);
        assert_int_equal(m.txn, first + 1);
        assert_int_equal(m.reply.len, 1 + 4 + 7 + 3000 + 3);
        assert_reads(&w, "other", "second");
        assert_puts(&w, "new", "second");
        m = done(&w);
        assert_int_equal(m.txn, first + 2);
        assert_replied(m, VALUE_BYTES, "second", 0);
        assert_int_equal(done(&w).txn, first + 3);
    }
    dismiss(*state, &w);
}

/* The daemon keeps a bound; a worker that is told more than that ends. */
static void more_than_may_be_kept_ends_the_worker(void **state)
{
    static char large[4001];
    struct worker w = ready_worker(*state);
    struct bytes body;

    memset(large, 'x', sizeof large - 1);
    call(&w, OTHER, NULL, "", false);
    assert_int_equal(hear(w.channel, &body), WIRE_KV_GET);
    for (int i = 0; i < 17; i++)
        call(&w, HELLO, NULL, large, false);
    assert_dies(*state, &w, NULL, 0);
}

static void reads_declared_keys_without_asking(void **state)
{
    static const char *const keys[] = { "n", "41", NULL }, *const absent[] = { "n", NULL, NULL };
    static const char *const text[] = { "n", "x", NULL };
    struct worker w = ready_worker(*state);
    struct wire_KV_PUT put;
    struct wire_DONE m;
    struct bytes body;

    call(&w, COUNT, keys, "1", false);
    assert_int_equal(hear(w.channel, &body), WIRE_KV_PUT);
    assert_true(wire_read_KV_PUT(body, &put));
    assert_text(put.key, "n");
    assert_text(put.value, "42");
    assert_replied(done(&w), VALUE_I64, NULL, 42);
    call(&w, COUNT, absent, "-5", false);
    assert_int_equal(hear(w.channel, &body), WIRE_KV_PUT);
    assert_replied(done(&w), VALUE_I64, NULL, -5);
    call(&w, COUNT, text, "1", false);
    m = done(&w);
    assert_int_equal(m.how, 2);
    assert_int_equal(m.code, 3);
    assert_text(m.text, "GRAFT_BAD_VALUE");
    dismiss(*state, &w);
}

static void asks_once_for_an_undeclared_key(void **state)
{
    struct worker w = ready_worker(*state);
    struct wire_KV_GET get;
    struct bytes body;
    struct buf b;

    call(&w, OTHER, NULL, "", false);
    assert_int_equal(hear(w.channel, &body), WIRE_KV_GET);
    assert_true(wire_read_KV_GET(body, &get));
    assert_text(get.key, "other");
    assert_int_equal(get.exclusive, 0);
    buf_init(&b, 1000);
    wire_add_VALUE(&b, &(struct wire_VALUE){ .present = 1, .value = bytes_str("there") });
    tell(w.channel, &b);
    assert_int_equal(hear(w.channel, &body), WIRE_KV_PUT);
    assert_replied(done(&w), VALUE_BYTES, "there", 0);
    dismiss(*state, &w);
}

static void page(const struct worker *w, const char *const *items, bool more)
{
    struct buf b, list;
    uint32_t count = 0;

    while (items[count] != NULL)
        count++;
    buf_init(&b, 10000);
    buf_init(&list, 10000);
    buf_add_u32(&list, count);
    for (; *items != NULL; items++) {
        buf_add_bytes(&list, bytes_str(*items));
        buf_add_bytes(&list, bytes_str("v"));
    }
    wire_add_PAGE(&b, &(struct wire_PAGE){ .more = more, .items = buf_bytes(&list) });
    tell(w->channel, &b);
    buf_fini(&list);
}

static void scans_in_pages_and_sees_what_a_visit_wrote(void **state)
{
    static const char *const first[] = { "k0", "k1", "k7", NULL }, *const rest[] = { "k5", "k7", NULL };
    static const char *const none[] = { NULL };
    struct worker w = ready_worker(*state);
    struct wire_KV_SCAN scan;
    struct bytes body;

    call(&w, SCAN, NULL, "", false);
    assert_int_equal(hear(w.channel, &body), WIRE_KV_SCAN);
    page(&w, first, false);
    assert_int_equal(hear(w.channel, &body), WIRE_KV_PUT);  /* k5, at k1 */
    assert_int_equal(hear(w.channel, &body), WIRE_KV_SCAN); /* so k7 is not visited from the old page */
    assert_true(wire_read_KV_SCAN(body, &scan));
    assert_int_equal(scan.from.len, 3);
    assert_memory_equal(scan.from.data, "k1\0", 3);
    page(&w, rest, true);
    assert_int_equal(hear(w.channel, &body), WIRE_KV_SCAN);
    page(&w, none, false);
    assert_replied(done(&w), VALUE_I64, NULL, 4);
    dismiss(*state, &w);
}

static void a_write_in_a_readonly_call_does_not_return(void **state)
{
    static const char *const keys[] = { "n", "41", NULL };
    struct worker w = ready_worker(*state);
    struct bytes body;

    call(&w, COUNT, keys, "1", true);
    assert_int_equal(hear(w.channel, &body), WIRE_KV_PUT);
    dismiss(*state, &w);
}

static void failures_are_told_apart(void **state)
{
    static const struct { int function, how; uint32_t code; const char *text; } cases[] = {
        { COUNT, 1, 8, "by what, 7?" },
        { SEVEN, 2, 77, "" },
        { UNFINISHED, 2, 7, "the reply's array or map was opened with more values than it got" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct worker w = ready_worker(*state);
        struct wire_DONE m;

        call(&w, cases[i].function, NULL, "", false);
        m = done(&w);
        assert_int_equal(m.how, cases[i].how);
        assert_int_equal(m.code, cases[i].code);
        assert_text(m.text, cases[i].text);
        dismiss(*state, &w);
    }
}

static void nested_replies_are_whole_values(void **state)
{
    struct worker w = ready_worker(*state);

    call(&w, NEST, NULL, "", false);
    assert_replied(done(&w), VALUE_ARRAY, NULL, 0);
    dismiss(*state, &w);
}

/* ---- nested calls ---- */

/* A RESULT as the daemon sends it: failed if there is an error. */
static void answer_call(const struct worker *w, const char *error, struct bytes reply)
{
    struct buf b;

    buf_init(&b, FRAME_ROOM);
    wire_add_RESULT(&b, &(struct wire_RESULT){ .ok = error[0] == '\0', .error = bytes_str(error), .reply = reply });
    tell(w->channel, &b);
}

static struct bytes nil(void) { return bytes_of(NULL, 0); }

/* The worker asks for a nested call of that function with these arguments, space-separated. */
static void assert_calls(const struct worker *w, const char *function, const char *args)
{
    struct wire_GRAFT_CALL m;
    struct reader r;
    struct bytes body;
    uint32_t count;
    char text[256] = "";
    size_t n = 0;

    assert_int_equal(hear(w->channel, &body), WIRE_GRAFT_CALL);
    assert_true(wire_read_GRAFT_CALL(body, &m));
    assert_text(m.function, function);
    r = reader_of(m.args);
    count = read_u32(&r);
    while (count-- > 0) {
        struct bytes b = read_bytes(&r);

        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s", n > 0 ? " " : "", (int)b.len, (const char *)b.data);
        assert_true(n < sizeof text);
    }
    assert_true(reader_done(&r));
    assert_string_equal(text, args);
}

static void add_text(struct buf *b, enum value kind, const char *text)
{
    buf_add_u8(b, (uint8_t)kind);
    buf_add_bytes(b, bytes_str(text));
}

static void add_number(struct buf *b, enum value kind, uint64_t bits)
{
    buf_add_u8(b, (uint8_t)kind);
    buf_add_u64(b, bits);
}

static void add_group(struct buf *b, enum value kind, uint32_t count)
{
    buf_add_u8(b, (uint8_t)kind);
    buf_add_u32(b, count);
}

/* One value of each kind, groups inside each other to the greatest depth that a reply may have. */
static void add_each_kind(struct buf *b)
{
    enum { DEPTH = VALUE_DEPTH_MAX - 2 };

    add_group(b, VALUE_ARRAY, 10);
    buf_add_u8(b, VALUE_NIL);
    add_number(b, VALUE_I64, (uint64_t)INT64_MIN);
    add_number(b, VALUE_DOUBLE, 0x3ff8000000000000);
    add_text(b, VALUE_BYTES, "b");
    add_text(b, VALUE_BYTES, "");
    add_text(b, VALUE_STATUS, "OK");
    add_text(b, VALUE_ERROR, "SAD but only a value");
    add_group(b, VALUE_ARRAY, 0);
    add_group(b, VALUE_MAP, 2);
    add_text(b, VALUE_BYTES, "key");
    add_group(b, VALUE_ARRAY, 2);
    add_number(b, VALUE_I64, 1);
    add_group(b, VALUE_MAP, 0);
    add_number(b, VALUE_I64, 2);
    buf_add_u8(b, VALUE_NIL);
    for (int i = 0; i < DEPTH; i++)
        add_group(b, VALUE_ARRAY, 1);
    add_number(b, VALUE_I64, 7);
}

static void a_nested_reply_of_each_kind_arrives(void **state)
{
    struct worker w = ready_worker(*state);
    struct wire_DONE m;
    struct buf b;

    buf_init(&b, 1000);
    add_each_kind(&b);
    call(&w, RELAY, NULL, "bank.transfer ada bob 30", false);
    assert_calls(&w, "bank.transfer", "ada bob 30");
    answer_call(&w, "", buf_bytes(&b));
    m = done(&w);
    assert_int_equal(m.how, 0);
    assert_int_equal(m.reply.len, buf_len(&b));
    assert_memory_equal(m.reply.data, b.data, m.reply.len);
    buf_clear(&b);
    add_number(&b, VALUE_I64, 5);
    call(&w, RELAY, NULL, "a.b x", true);
    assert_calls(&w, "a.b", "x");
    answer_call(&w, "", buf_bytes(&b));
    assert_replied(done(&w), VALUE_I64, NULL, 5);
    call(&w, RELAY, NULL, "a.b x", false);
    assert_calls(&w, "a.b", "x");
    answer_call(&w, "", nil());
    assert_replied(done(&w), VALUE_NIL, NULL, 0);
    buf_fini(&b);
    dismiss(*state, &w);
}

/* T8: the caller sees the error and may go on, or fail with it. */
static void a_nested_failure_is_told_and_survived(void **state)
{
    struct worker w = ready_worker(*state);
    struct wire_DONE m;
    struct reader r;

    call(&w, RELAY, NULL, "a.b x", false);
    assert_calls(&w, "a.b", "x");
    answer_call(&w, "ABORTED a.b: no", nil());
    m = done(&w);
    assert_int_equal(m.how, 0);
    r = reader_of(m.reply);
    assert_int_equal(read_u8(&r), VALUE_ARRAY);
    assert_int_equal(read_u32(&r), 2);
    assert_int_equal(read_u8(&r), VALUE_I64);
    assert_int_equal(read_u64(&r), 9);
    assert_int_equal(read_u8(&r), VALUE_ERROR);
    assert_text(read_bytes(&r), "ABORTED a.b: no");
    call(&w, THROUGH, NULL, "", false);
    assert_calls(&w, "a.b", "");
    answer_call(&w, "ABORTED a.b: no", nil());
    m = done(&w);
    assert_int_equal(m.how, 2);
    assert_int_equal(m.code, 9);
    assert_text(m.text, "GRAFT_CALL_FAILED: ABORTED a.b: no");
    dismiss(*state, &w);
}

static void nothing_known_of_keys_outlives_a_nested_call(void **state)
{
    static const char *const keys[] = { "n", "1", NULL }, *const errors[] = { "", "ABORTED no" };
    struct worker w = ready_worker(*state);

    for (int i = 0; i < 2; i++) {
        call(&w, STALE, keys, "", false);
        assert_reads(&w, "other", "2");
        assert_calls(&w, "a.b", "");
        answer_call(&w, errors[i], nil());
        assert_reads(&w, "n", "3");
        assert_reads(&w, "other", "4");
        assert_replied(done(&w), VALUE_BYTES, "1 2 3 4", 0);
    }
    dismiss(*state, &w);
}

static void a_scan_looks_again_after_a_nested_call(void **state)
{
    static const char *const first[] = { "k0", "k1", "k7", NULL }, *const rest[] = { "k3", NULL };
    struct worker w = ready_worker(*state);
    struct wire_KV_SCAN scan;
    struct bytes body;

    call(&w, WALK, NULL, "", false);
    assert_int_equal(hear(w.channel, &body), WIRE_KV_SCAN);
    page(&w, first, false);
    assert_calls(&w, "a.b", "");
    answer_call(&w, "", nil());
    assert_int_equal(hear(w.channel, &body), WIRE_KV_SCAN);
    assert_true(wire_read_KV_SCAN(body, &scan));
    assert_int_equal(scan.from.len, 3);
    assert_memory_equal(scan.from.data, "k1\0", 3);
    page(&w, rest, false);
    assert_replied(done(&w), VALUE_I64, NULL, 3);
    dismiss(*state, &w);
}

static void too_large_a_nested_call_is_not_sent(void **state)
{
    struct worker w = ready_worker(*state);
    struct wire_GRAFT_CALL m;
    struct reader r;
    struct bytes body;

    call(&w, BOUNDS, NULL, "", false);
    assert_int_equal(hear(w.channel, &body), WIRE_MEMORY);
    assert_int_equal(hear(w.channel, &body), WIRE_GRAFT_CALL);
    assert_true(wire_read_GRAFT_CALL(body, &m));
    assert_int_equal(m.function.len, 127);
    r = reader_of(m.args);
    assert_int_equal(read_u32(&r), 4096);
    assert_int_equal(r.left, 4096 * sizeof(uint32_t));
    answer_call(&w, "", nil());
    assert_replied(done(&w), VALUE_NIL, NULL, 0);
    dismiss(*state, &w);
}

/* First the table of its items does not fit, then not even its bytes. */
static void a_nested_reply_too_large_for_the_memory_is_refused(void **state)
{
    enum { ITEMS = 100 * 1000 };
    struct wire_DONE m;
    struct bytes body;
    struct buf b, text;
    uint8_t *room;

    buf_init(&b, FRAME_ROOM);
    add_group(&b, VALUE_ARRAY, ITEMS);
    buf_reserve(&b, ITEMS, &room);
    memset(room, VALUE_NIL, ITEMS);
    buf_wrote(&b, ITEMS);
    buf_init(&text, 2 * MEMORY_MAX);
    buf_reserve(&text, MEMORY_MAX, &room);
    memset(room, 'x', MEMORY_MAX);
    buf_wrote(&text, MEMORY_MAX);
    for (int i = 0; i < 2; i++) {
        struct worker w = ready_worker(*state);
        struct buf result;

        call(&w, RELAY, NULL, "a.b x", false);
        assert_calls(&w, "a.b", "x");
        buf_init(&result, 2 * MEMORY_MAX);
        wire_add_RESULT(&result, &(struct wire_RESULT){ .ok = i == 0, .error = i == 0 ? nil() : buf_bytes(&text),
                                                        .reply = i == 0 ? buf_bytes(&b) : nil() });
        tell(w.channel, &result);
        assert_int_equal(hear(w.channel, &body), WIRE_MEMORY);
        m = done(&w);
        assert_int_equal(m.how, 2);
        assert_int_equal(m.code, 6);
        dismiss(*state, &w);
    }
    buf_fini(&b);
    buf_fini(&text);
}

/* Each is what follows a frame's length: u8 number; u8 ok, bytes error, bytes reply, or what should have been that. */
static void a_result_that_cannot_be_right_ends_the_worker(void **state)
{
    static const struct { uint32_t size; const char *body; } cases[] = {
        { 1, "\x1d" }, /* empty */
        { 4, "\x1d\1\0\0" }, /* cut in the error's length */
        { 8, "\x1d\0\5\0\0\0no" }, /* cut in the error */
        { 6, "\x1d\1\0\0\0\0" }, /* cut before the reply */
        { 11, "\x1d\1\0\0\0\0\0\0\0\0\0" }, /* a byte too long */
        { 10, "\x1d\2\0\0\0\0\0\0\0\0" }, /* neither ok nor failed */
        { 10, "\x1d\0\0\0\0\0\0\0\0\0" }, /* failed without an error */
        { 13, "\x1d\0\2\0\0\0no\1\0\0\0\0" }, /* failed with a reply */
        { 12, "\x1d\1\2\0\0\0no\0\0\0\0" }, /* ok with an error */
        { 11, "\x1d\1\0\0\0\0\1\0\0\0\x08" }, /* a reply of no known kind */
        { 15, "\x1d\1\0\0\0\0\5\0\0\0\6\xff\xff\xff\xff" }, /* an array of 4294967295 items */
        { 16, "\x1d\1\0\0\0\0\6\0\0\0\7\1\0\0\0\0" }, /* a map with half a pair */
        { 12, "\x1d\1\0\0\0\0\2\0\0\0\0\0" }, /* two replies */
        { 6, "\x1a\0\0\0\0\0" }, /* the answer to another question */
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct worker w = ready_worker(*state);
        struct buf b;

        call(&w, RELAY, NULL, "a.b x", false);
        assert_calls(&w, "a.b", "x");
        buf_init(&b, 1000);
        buf_add_u32(&b, cases[i].size);
        buf_add(&b, cases[i].body, cases[i].size);
        tell(w.channel, &b);
        assert_dies(*state, &w, NULL, 0);
    }
}

/* grafts/market, with this test as its bank: the first account cannot pay; the second one can, then cannot either. */
static void the_market_asks_a_second_account(void **state)
{
    struct guest g = load_guest(*state, "market", "#include <grafts/market/market.c>\n");
    size_t count;
    uint16_t buy = find_function(g.manifest, "buy", &count);
    struct worker w = ready_worker(&g.tree);
    struct wire_DONE m;
    struct buf b;

    buf_init(&b, 100);
    add_number(&b, VALUE_I64, 50);
    for (int i = 0; i < 2; i++) {
        call_index(&w, buy, NULL, "lamp ada acct:ada acct:joint", false);
        assert_reads(&w, "price:lamp", "250");
        assert_reads(&w, "stock:lamp", "3");
        assert_puts(&w, "stock:lamp", "2");
        assert_reads(&w, "owned:ada:lamp", "0");
        assert_puts(&w, "owned:ada:lamp", "1");
        assert_calls(&w, "bank.transfer", "acct:ada acct:market 250");
        answer_call(&w, "ABORTED bank.transfer: insufficient funds", nil());
        assert_calls(&w, "bank.transfer", "acct:joint acct:market 250");
        answer_call(&w, i == 0 ? "" : "ABORTED bank.transfer: empty", i == 0 ? buf_bytes(&b) : nil());
        m = done(&w);
        assert_int_equal(m.how, i);
    }
    assert_text(m.text, "nobody paid: ABORTED bank.transfer: empty");
    buf_fini(&b);
    dismiss(&g.tree, &w);
    unload_guest(&g);
}

static void a_graft_built_for_the_first_abi_loads(void **state)
{
    struct guest g = load_guest(*state, "first", "#include <graft.h>\n#undef GRAFT_ABI\n#define GRAFT_ABI 1\n"
                                                 "GRAFT_MODULE(\"first\", \"1\", \"\");\n"
                                                 "GRAFT_FUNCTION(f, \"\") { return graft_reply_i64(call, 1); }\n");
    struct worker w;

    assert_non_null(memmem(g.manifest.data, g.manifest.len, "module\t1\tfirst", 14));
    w = ready_worker(&g.tree);
    call_index(&w, 0, NULL, "", false);
    assert_replied(done(&w), VALUE_I64, NULL, 1);
    dismiss(&g.tree, &w);
    unload_guest(&g);
}

static void the_same_seed_draws_the_same_bytes(void **state)
{
    struct worker w = ready_worker(*state);
    uint8_t first[64];
    struct wire_DONE m;
    size_t n;

    call(&w, DRAW, NULL, "", false);
    m = done(&w);
    n = m.reply.len;
    assert_int_equal(n, 13);
    memcpy(first, m.reply.data, n);
    call(&w, DRAW, NULL, "", false);
    m = done(&w);
    assert_int_equal(m.reply.len, n);
    assert_memory_equal(m.reply.data, first, n);
    dismiss(*state, &w);
}

static void faults_end_with_last_words(void **state)
{
    static const struct { int function; const char *words; int signal; } cases[] = {
        { NULLPTR, "SIGSEGV at address 0x0, by the graft's code at 0x", SIGSEGV },
        { DEEP, "(stack overflow), by the graft's code at 0x", SIGSEGV },
        { DIVIDE, "SIGFPE (division by zero), by the graft's code at 0x", SIGFPE },
        { ABORT, "abort() called", SIGILL },
        { TWICE, "free() or realloc() of what malloc() did not give", SIGILL },
        { TEXT, "SIGSEGV at address 0x", SIGSEGV },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct worker w = ready_worker(*state);

        call(&w, cases[i].function, NULL, "", false);
        assert_dies(*state, &w, cases[i].words, cases[i].signal);
    }
}

static struct worker raw_call(struct tree *t, const char *args)
{
    struct worker w = ready_worker(t);

    call(&w, RAW, NULL, args, false);
    return w;
}

static void forbidden_system_calls_kill(void **state)
{
    static const struct { long number, a, b, c; } calls[] = {
        { SYS_read, 0, 0, 0 }, { SYS_write, 2, 0, 0 }, { SYS_write, 0x100000003, 0, 0 },
        { SYS_clone, 17, 0, 0 }, { SYS_openat, -100, 0, 0 }, { SYS_mmap, 0, 4096, 7 }, { SYS_mprotect, 0, 4096, 7 },
        { SYS_kill, 1, 9, 0 }, { SYS_unshare, 0x10000000, 0, 0 },
        { 0x40000000 | SYS_write, 3, 0, 0 }, { 9999, 0, 0, 0 }, { -1, 0, 0, 0 },
    };

    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct worker w;
        char args[100];

        snprintf(args, sizeof args, "%ld %ld %ld %ld", calls[i].number, calls[i].a, calls[i].b, calls[i].c);
        w = raw_call(*state, args);
        assert_dies(*state, &w, NULL, SIGSYS);
    }
}

/* All but those that a worker may make, and two that the kernel never shows to a filter: uretprobe (335) and uprobe
 * (336), which do nothing for a process that is not being probed. */
static void every_other_system_call_kills(void **state)
{
    enum { NUMBERS = 480, URETPROBE = 335, UPROBE = 336 };

    for (int n = 0; n < NUMBERS; n++) {
        struct worker w;
        char args[40];

        if (n == SYS_read || n == SYS_write || n == SYS_rt_sigreturn || n == SYS_exit_group || n == URETPROBE ||
            n == UPROBE)
            continue;
        snprintf(args, sizeof args, "%d 3 0 0", n);
        w = raw_call(*state, args);
        assert_dies(*state, &w, NULL, SIGSYS);
    }
}

static void the_other_system_call_table_kills(void **state)
{
    struct worker w = ready_worker(*state);

    call(&w, INT80, NULL, "", false);
    assert_dies(*state, &w, NULL, SIGSYS);
}

static void a_loop_can_be_killed_and_has_a_net_below_it(void **state)
{
    struct worker w = ready_worker(*state);

    call(&w, LOOP, NULL, "", false);
    dismiss(*state, &w);
    w = ready_worker(*state);
    call(&w, LOOP, NULL, "", false);
    assert_dies(*state, &w, NULL, SIGKILL); /* RLIMIT_CPU, one second */
}

static void memory_is_bounded_and_ends_with_the_call(void **state)
{
    struct worker w = ready_worker(*state);
    struct wire_MEMORY m;
    struct wire_DONE end;
    struct bytes body;

    for (int i = 0; i < 5; i++) {
        call(&w, LARGE, NULL, "", false);
        assert_replied(done(&w), VALUE_BYTES, "kept", 0);
    }
    call(&w, GREEDY, NULL, "", false);
    assert_int_equal(hear(w.channel, &body), WIRE_MEMORY);
    assert_true(wire_read_MEMORY(body, &m));
    assert_int_equal(m.wanted, 10000);
    assert_true(m.allowed == MEMORY_MAX && m.used <= m.allowed && m.used > MEMORY_MAX - 20000);
    end = done(&w);
    assert_int_equal(end.how, 0);
    call(&w, LARGE, NULL, "", false);
    assert_replied(done(&w), VALUE_BYTES, "kept", 0);
    dismiss(*state, &w);
}

static void a_call_too_large_for_the_memory_is_refused(void **state)
{
    struct worker w = ready_worker(*state);
    size_t size = 3 * MEMORY_MAX / 2;
    uint8_t seed[WIRE_SEED] = { 0 }, *args = calloc(1, size);
    struct wire_DONE m;
    struct bytes body;
    struct buf b;

    buf_init(&b, 2 * size);
    wire_add_CALL(&b, &(struct wire_CALL){ .function = index_of[HELLO], .seed = bytes_of(seed, sizeof seed),
                                           .args = bytes_of(args, size) });
    tell(w.channel, &b);
    assert_int_equal(hear(w.channel, &body), WIRE_MEMORY);
    m = done(&w);
    assert_int_equal(m.how, 2);
    assert_int_equal(m.code, 6);
    free(args);
    dismiss(*state, &w);
}

static void a_failing_init_says_so(void **state)
{
    struct tree *t = *state, own = { .zygote = t->zygote };
    int file = build("bad", "#include <graft.h>\nGRAFT_MODULE(\"bad\", \"1\", \"\");\nGRAFT_INIT { return 7; }\n");
    int pidfd;
    struct worker w;
    struct bytes body;

    own.template = spawn_template(t->zygote, file, &pidfd);
    assert_int_equal(take(own.template, &body, NULL), WIRE_MANIFEST);
    w = spawn_worker(&own);
    assert_dies(&own, &w, "graft_init returned 7", 0);
    close(own.template);
    assert_int_equal(take(t->zygote, &body, NULL), WIRE_OBITUARY);
    close(pidfd);
    close(file);
}

static void a_graft_that_wants_more_is_refused(void **state)
{
    struct tree *t = *state;
    int file = build("wants", "#include <graft.h>\nGRAFT_MODULE(\"wants\", \"1\", \"\");\nint open(); int socket();\n"
                              "GRAFT_FUNCTION(f, \"\") { return open(\"x\", 0) + socket(); }\n"), pidfd, control;
    struct wire_REFUSED m;
    struct bytes body;

    control = spawn_template(t->zygote, file, &pidfd);
    assert_int_equal(take(control, &body, NULL), WIRE_REFUSED);
    assert_true(wire_read_REFUSED(body, &m));
    assert_true(m.text.len > 12 && memcmp(m.text.data, "wants.graft wants ", 18) == 0);
    assert_non_null(memmem(m.text.data, m.text.len, "open()", 6));
    assert_non_null(memmem(m.text.data, m.text.len, "socket()", 8));
    assert_int_equal(take(control, &body, NULL), -1);
    assert_int_equal(take(t->zygote, &body, NULL), WIRE_OBITUARY);
    close(control);
    close(pidfd);
    close(file);
}

static void an_order_without_its_descriptors_is_stillborn(void **state)
{
    struct tree *t = *state;
    struct wire_SPAWN m = { .id = 9 };
    struct wire_STILLBORN still;
    struct bytes body;
    int null = open("/dev/null", O_RDONLY);

    order(t->zygote, &m, &null, 1);
    assert_int_equal(take(t->zygote, &body, NULL), WIRE_STILLBORN);
    assert_true(wire_read_STILLBORN(body, &still));
    assert_true(still.id == 9 && still.errnum == EINVAL);
    close(null);
}

/* A tree with a worker that spins; ended by `end`. Then nothing of it is left. */
static void assert_all_end(void (*end)(struct tree *t))
{
    struct tree t;
    struct worker w;
    struct bytes body;
    int file = build("zoo", zoo), pidfd, status;
    struct pollfd p[2];

    t.keeper = start(&t.zygote, "--degraded");
    assert_int_equal(take(t.zygote, &body, NULL), WIRE_MANIFEST);
    t.template = spawn_template(t.zygote, file, &pidfd);
    assert_int_equal(take(t.template, &body, NULL), WIRE_MANIFEST);
    w = ready_worker(&t);
    call(&w, LOOP, NULL, "", false);
    end(&t);
    p[0] = (struct pollfd){ .fd = pidfd, .events = POLLIN };
    p[1] = (struct pollfd){ .fd = w.pidfd, .events = POLLIN };
    assert_int_equal(waitpid(t.keeper, &status, 0), t.keeper);
    assert_int_equal(poll(&p[0], 1, -1), 1);
    assert_int_equal(poll(&p[1], 1, -1), 1);
    lay_down(&w);
    close(pidfd);
    close(file);
    close(t.template);
}

static void kill_keeper(struct tree *t)
{
    assert_int_equal(kill(t->keeper, SIGKILL), 0);
    close(t->zygote);
}

static void hang_up(struct tree *t) { close(t->zygote); }

static void nothing_outlives_the_keeper(void **state)
{
    (void)state;
    assert_all_end(kill_keeper);
}

static void nothing_outlives_the_control_socket(void **state)
{
    (void)state;
    assert_all_end(hang_up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_which_walls_stand_or_refuses_by_name),
        cmocka_unit_test_setup_teardown(serves_calls_in_a_row, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_frames_pass_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_declared_keys_without_asking, set_up, tear_down),
        cmocka_unit_test_setup_teardown(asks_once_for_an_undeclared_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(scans_in_pages_and_sees_what_a_visit_wrote, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_write_in_a_readonly_call_does_not_return, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failures_are_told_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nested_replies_are_whole_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_nested_reply_of_each_kind_arrives, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_nested_failure_is_told_and_survived, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_known_of_keys_outlives_a_nested_call, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_scan_looks_again_after_a_nested_call, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_large_a_nested_call_is_not_sent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_nested_reply_too_large_for_the_memory_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_result_that_cannot_be_right_ends_the_worker, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_market_asks_a_second_account, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_graft_built_for_the_first_abi_loads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_same_seed_draws_the_same_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(calls_behind_each_other_run_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(calls_that_come_before_an_answer_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_than_may_be_kept_ends_the_worker, set_up, tear_down),
        cmocka_unit_test_setup_teardown(faults_end_with_last_words, set_up, tear_down),
        cmocka_unit_test_setup_teardown(forbidden_system_calls_kill, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_other_system_call_kills, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_other_system_call_table_kills, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_loop_can_be_killed_and_has_a_net_below_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_is_bounded_and_ends_with_the_call, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_call_too_large_for_the_memory_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failing_init_says_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_graft_that_wants_more_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_order_without_its_descriptors_is_stillborn, set_up, tear_down),
        cmocka_unit_test(nothing_outlives_the_keeper),
        cmocka_unit_test(nothing_outlives_the_control_socket),
    };
    char command[256];
    int failed;

    alarm(SECONDS_MAX);
    signal(SIGPIPE, SIG_IGN);
    if (mkdtemp(scratch) == NULL)
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(command, sizeof command, "rm -rf %s", scratch);
    return system(command) != 0 || failed != 0;
}
