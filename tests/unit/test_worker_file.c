/*
 * Files, events and timers as the real worker asks for them, with this test as the daemon: what is refused before it is
 * sent, what is sent, and what comes of each answer.
 */
#include "tests/worker_kit.h"

enum { SECONDS_MAX = 60, MIB = 1 << 20, READ_MAX = 5 * MIB / 2, LONG = 1025 };

/* One function that does what its first argument says and replies what came of it: a code, or what it got. */
static const char source[] =
    "#include <graft.h>\n#include <stdio.h>\n#include <string.h>\n"
    "GRAFT_MODULE(\"files\", \"1\", \"\");\n"
    "GRAFT_INIT { graft_bytes b = graft_str(\"a\"); graft_file_info i;\n"
    "  return graft_file_read(0, b, &b) == GRAFT_BAD_ARG && graft_file_write(0, b, b) == GRAFT_BAD_ARG &&\n"
    "    graft_file_append(0, b, b) == GRAFT_BAD_ARG && graft_file_remove(0, b) == GRAFT_BAD_ARG &&\n"
    "    graft_file_rename(0, b, b) == GRAFT_BAD_ARG && graft_file_stat(0, b, &i) == GRAFT_BAD_ARG &&\n"
    "    graft_file_list(0, b, 0, 0) == GRAFT_BAD_ARG && graft_emit(0, b, b) == GRAFT_BAD_ARG &&\n"
    "    graft_after(0, 1, \"a.b\", 0, 0, &b) == GRAFT_BAD_ARG && graft_cancel(0, b) == GRAFT_BAD_ARG ? GRAFT_OK : 1; "
    "}\n"
    "static int is(graft_call *call, const char *text) { graft_bytes a = graft_arg(call, 0); return a.len == "
    "strlen(text) && memcmp(a.data, text, a.len) == 0; }\n"
    "static int visit(graft_call *call, graft_bytes path, const graft_file_info *i, void *user) { char *p = user;\n"
    "  snprintf(p + strlen(p), 200, \"[%s %d %llu %lld]\", graft_text(call, path), i->directory,\n"
    "    (unsigned long long)i->size, (long long)i->mtime_us);\n"
    "  if (is(call, \"relist\") && strstr(graft_text(call, path), \"b\")) graft_file_append(call, "
    "graft_str(\"d/c\"), path);\n"
    "  if (is(call, \"nested\") && strstr(graft_text(call, path), \"b\")) graft_call_function(call, \"x.y\", 0, 0, "
    "0);\n"
    "  return is(call, \"stop\") ? 55 : 0; }\n"
    "static char large[1 << 17];\n"
    "GRAFT_FUNCTION(run, \"op …\") { graft_bytes a = graft_arg(call, 1), b = graft_arg(call, 2), out = { 0, 0 }; "
    "int64_t n = 0, len = 0; int rc = -1;\n"
    "  char text[2000] = \"\"; graft_file_info i; graft_bytes args[4097] = { { large, 65529 } };\n"
    "  graft_arg_i64(call, 2, &n); graft_arg_i64(call, 3, &len);\n"
    "  if (is(call, \"read\")) rc = graft_file_read(call, a, &out);\n"
    "  if (is(call, \"part\")) rc = graft_file_read_part(call, a, (uint64_t)n, (size_t)len, &out);\n"
    "  if (is(call, \"write\")) rc = graft_file_write(call, a, b);\n"
    "  if (is(call, \"append\")) rc = graft_file_append(call, a, b);\n"
    "  if (is(call, \"toolarge\")) { b = graft_bytes_of(large, 65537);\n"
    "    rc = graft_file_write(call, a, b) * 100 + graft_file_append(call, a, b) * 10 + graft_emit(call, a, b); }\n"
    "  if (is(call, \"remove\")) rc = graft_file_remove(call, a);\n"
    "  if (is(call, \"rename\")) rc = graft_file_rename(call, a, b);\n"
    "  if (is(call, \"stat\") && (rc = graft_file_stat(call, a, &i)) == 0) { rc = -1; out = graft_format(call, \"%d "
    "%llu %lld\", i.directory, (unsigned long long)i.size, (long long)i.mtime_us); }\n"
    "  if (is(call, \"list\") || is(call, \"relist\") || is(call, \"nested\") || is(call, \"stop\")) {\n"
    "    rc = graft_file_list(call, a, visit, text); if (rc == 0) out = graft_format(call, \"%s\", text); }\n"
    "  if (is(call, \"emit\")) rc = graft_emit(call, a, b);\n"
    "  if (is(call, \"after\")) rc = graft_after(call, (uint64_t)n, graft_text(call, a), &b, 1, &out);\n"
    "  if (is(call, \"quiet\")) rc = graft_after(call, 5, \"a.b\", 0, 0, 0);\n"
    "  if (is(call, \"much\")) { rc = graft_after(call, 5, \"a.b\", args, 1, 0) * 100; args[0].len--;\n"
    "    rc += graft_after(call, 5, \"a.b\", args, 4097, 0) * 10 + graft_after(call, 5, \"a.b\", args, 2, 0); "
    "if (rc == 555) { rc = graft_after(call, 5, \"a.b\", args, 1, 0); } }\n"
    "  if (is(call, \"cancel\")) rc = graft_cancel(call, a);\n"
    "  if (out.data) return graft_reply_bytes(call, out);\n"
    "  return graft_reply_i64(call, rc); }\n";

struct world {
    struct tree zygote;
    struct guest guest;
};

static int set_up(void **state)
{
    static struct world world;
    struct bytes body;

    world = (struct world){ .zygote = { .template = -1 } };
    world.zygote.keeper = start(&world.zygote.zygote, "--degraded");
    assert_int_equal(take(world.zygote.zygote, &body, NULL), WIRE_MANIFEST);
    world.guest = load_guest(&world.zygote, "files", source);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    unload_guest(&world->guest);
    end_tree(&world->zygote);
    return 0;
}

static struct worker ready(void **state) { return ready_worker(&((struct world *)*state)->guest.tree); }

static void bye(void **state, struct worker *w) { dismiss(&((struct world *)*state)->guest.tree, w); }

static void run(const struct worker *w, const char *args) { call_index(w, 0, NULL, args, false); }

static void assert_code(const struct worker *w, int code) { assert_replied(done(w), VALUE_I64, NULL, code); }

static void assert_got(const struct worker *w, const char *text) { assert_replied(done(w), VALUE_BYTES, text, 0); }

/* ---- answers ---- */

static void answer_value(const struct worker *w, bool present, struct bytes value)
{
    struct buf b;

    buf_init(&b, 2 * MIB);
    assert_int_equal(wire_add_VALUE(&b, &(struct wire_VALUE){ .present = present, .value = value }), OK);
    tell(w->channel, &b);
}

static void answer_info(const struct worker *w, bool present, bool is_directory, uint64_t size, uint64_t mtime_us)
{
    struct wire_FILE_INFO m = { present, is_directory, size, mtime_us };
    struct buf b;

    buf_init(&b, 100);
    assert_int_equal(wire_add_FILE_INFO(&b, &m), OK);
    tell(w->channel, &b);
}

/* Names: what ends in "/" is a directory; each is 7 bytes long and 9 microseconds old. */
static void answer_list(const struct worker *w, const char *const *names, bool more)
{
    struct buf b, items;
    uint32_t count = 0;

    while (names[count] != NULL)
        count++;
    buf_init(&b, 10000);
    buf_init(&items, 10000);
    buf_add_u32(&items, count);
    for (; *names != NULL; names++) {
        buf_add_bytes(&items, bytes_str(*names));
        buf_add_u32(&items, 17);
        buf_add_u8(&items, (*names)[strlen(*names) - 1] == '/');
        buf_add_u64(&items, 7);
        buf_add_u64(&items, 9);
    }
    assert_int_equal(wire_add_PAGE(&b, &(struct wire_PAGE){ .more = more, .items = buf_bytes(&items) }), OK);
    tell(w->channel, &b);
    buf_fini(&items);
}

/* ---- what it asks ---- */

static void assert_stats(const struct worker *w, const char *path, bool exclusive)
{
    struct wire_FILE_STAT m;
    struct bytes body;

    assert_int_equal(hear(w->channel, &body), WIRE_FILE_STAT);
    assert_true(wire_read_FILE_STAT(body, &m));
    assert_text(m.path, path);
    assert_int_equal(m.exclusive, exclusive);
}

static void assert_reads_part(const struct worker *w, const char *path, uint64_t offset, uint32_t len)
{
    struct wire_FILE_READ m;
    struct bytes body;

    assert_int_equal(hear(w->channel, &body), WIRE_FILE_READ);
    assert_true(wire_read_FILE_READ(body, &m));
    assert_text(m.path, path);
    assert_int_equal(m.offset, offset);
    assert_int_equal(m.len, len);
}

static void assert_lists(const struct worker *w, const char *path, const char *from, size_t from_len)
{
    struct wire_FILE_LIST m;
    struct bytes body;

    assert_int_equal(hear(w->channel, &body), WIRE_FILE_LIST);
    assert_true(wire_read_FILE_LIST(body, &m));
    assert_text(m.directory, path);
    assert_int_equal(m.from.len, from_len);
    assert_memory_equal(m.from.data, from, from_len);
    assert_true(m.count_max > 0 && m.count_max <= 1024);
}

/* ---- tests ---- */

/* LONG bytes, the last one too many; names of 255 at most. */
static const char *long_path(char path[LONG + 1])
{
    memset(path, 'n', LONG);
    path[255] = path[511] = path[767] = path[1022] = '/';
    path[LONG] = '\0';
    return path;
}

static void a_bad_path_is_refused_and_not_sent(void **state)
{
    static const char *const ops[] = { "read", "part", "write", "append", "remove", "rename", "stat", "list" };
    static const char *const bad[] = { "/", "/a", "a//b", ".", "..", "a/..", "./a", "a/.graftd", ".graftd.old/a" };
    struct worker w = ready(state);
    char args[3000], deep[200] = "a", path[LONG + 1];

    for (size_t o = 0; o < sizeof ops / sizeof ops[0]; o++)
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            snprintf(args, sizeof args, "%s %s x 1", ops[o], bad[i]);
            run(&w, args);
            assert_code(&w, 2);
        }
    run(&w, "rename a b/");
    assert_code(&w, 2);
    run(&w, "write a/ x");
    assert_code(&w, 2);
    for (int i = 1; i < 33; i++)
        strcat(deep, "/a");
    snprintf(args, sizeof args, "write %s x", deep);
    run(&w, args);
    assert_code(&w, 2);
    snprintf(args, sizeof args, "write %.256s x", long_path(path)); /* a name of 255 bytes and a slash */
    run(&w, args);
    assert_code(&w, 2);
    path[255] = 'n';
    snprintf(args, sizeof args, "write %.256s x", path);
    run(&w, args);
    assert_code(&w, 2);
    snprintf(args, sizeof args, "write %s x", long_path(path));
    run(&w, args);
    assert_code(&w, 2);
    bye(state, &w);
}

static void the_longest_path_is_sent(void **state)
{
    struct worker w = ready(state);
    char args[3000], path[LONG + 1];
    struct wire_FILE_WRITE m;
    struct bytes body;

    long_path(path);
    path[LONG - 1] = '\0';
    snprintf(args, sizeof args, "write %s x", path);
    run(&w, args);
    assert_int_equal(hear(w.channel, &body), WIRE_FILE_WRITE);
    assert_true(wire_read_FILE_WRITE(body, &m));
    assert_text(m.path, path);
    assert_text(m.data, "x");
    assert_code(&w, 0);
    bye(state, &w);
}

static void a_file_of_one_part_takes_one_question(void **state)
{
    struct worker w = ready(state);

    run(&w, "read a/b");
    assert_reads_part(&w, "a/b", 0, 65536); /* value_max */
    answer_value(&w, true, bytes_str("content"));
    assert_got(&w, "content");
    run(&w, "read a/b");
    assert_reads_part(&w, "a/b", 0, 65536);
    answer_value(&w, true, bytes_of("", 0));
    assert_got(&w, "");
    run(&w, "read a/b");
    assert_reads_part(&w, "a/b", 0, 65536);
    answer_value(&w, false, bytes_of("", 0));
    assert_code(&w, 1);
    bye(state, &w);
}

/* A file of value_max bytes, one that is a byte longer. */
static void a_file_over_the_limit_is_too_large(void **state)
{
    struct worker w = ready(state);
    static char content[65536];
    struct wire_DONE m;

    memset(content, 'x', sizeof content);
    run(&w, "read a");
    assert_reads_part(&w, "a", 0, 65536);
    answer_value(&w, true, bytes_of(content, sizeof content));
    assert_stats(&w, "a", false);
    answer_info(&w, true, false, sizeof content, 0);
    m = done(&w);
    assert_int_equal(m.reply.len, 5 + sizeof content);
    run(&w, "read a");
    assert_reads_part(&w, "a", 0, 65536);
    answer_value(&w, true, bytes_of(content, sizeof content));
    assert_stats(&w, "a", false);
    answer_info(&w, true, false, sizeof content + 1, 0);
    assert_code(&w, 5);
    run(&w, "part a 0 65537");
    assert_code(&w, 5);
    bye(state, &w);
}

static void a_large_file_comes_in_parts(void **state)
{
    struct wire_SPAWN before = worker_order;
    static char content[READ_MAX];
    struct worker w;
    struct wire_DONE m;

    worker_order.memory_max = 10 * MIB; /* the file, a part, and the next one */
    worker_order.value_max = 4 * MIB;
    w = ready(state);
    for (size_t i = 0; i < READ_MAX; i++)
        content[i] = (char)(i / 1000);
    for (int i = 0; i < 2; i++) { /* whole; from 1 byte on */
        const char *p = content + i;
        uint32_t all = READ_MAX - (uint32_t)i;

        run(&w, i == 0 ? "read a" : "part a 1 4000000");
        assert_reads_part(&w, "a", (unsigned)i, MIB);
        answer_value(&w, true, bytes_of(p, MIB));
        assert_stats(&w, "a", false);
        answer_info(&w, true, false, READ_MAX, 0);
        assert_reads_part(&w, "a", MIB + (unsigned)i, MIB);
        answer_value(&w, true, bytes_of(p + MIB, MIB));
        assert_reads_part(&w, "a", 2 * MIB + (unsigned)i, all - 2 * MIB);
        answer_value(&w, true, bytes_of(p + 2 * MIB, all - 2 * MIB));
        m = done(&w);
        assert_int_equal(m.how, 0);
        assert_int_equal(m.reply.len, 5 + all);
        assert_memory_equal((const char *)m.reply.data + 5, p, all);
    }
    bye(state, &w);
    worker_order = before;
}

static void a_part_is_asked_for_as_it_is_wanted(void **state)
{
    struct worker w = ready(state);

    run(&w, "part a 10 5");
    assert_reads_part(&w, "a", 10, 5);
    answer_value(&w, true, bytes_str("12345"));
    assert_got(&w, "12345");
    run(&w, "part a -1 5"); /* far behind every end */
    assert_reads_part(&w, "a", UINT64_C(1) << 62, 5);
    answer_value(&w, true, bytes_of("", 0));
    assert_got(&w, "");
    run(&w, "part a 3 0");
    assert_stats(&w, "a", false);
    answer_info(&w, true, false, 2, 0);
    assert_got(&w, "");
    run(&w, "part a 3 0");
    assert_stats(&w, "a", false);
    answer_info(&w, false, false, 0, 0);
    assert_code(&w, 1);
    bye(state, &w);
}

static void what_is_written_is_sent_and_not_answered(void **state)
{
    struct worker w = ready(state);
    struct wire_FILE_APPEND m;
    struct bytes body;

    run(&w, "append s/ada.txt line");
    assert_int_equal(hear(w.channel, &body), WIRE_FILE_APPEND);
    assert_true(wire_read_FILE_APPEND(body, &m));
    assert_text(m.path, "s/ada.txt");
    assert_text(m.data, "line");
    assert_code(&w, 0);
    run(&w, "toolarge a");
    assert_code(&w, 555);
    bye(state, &w);
}

static void what_is_not_there_is_neither_removed_nor_renamed(void **state)
{
    static const struct {
        const char *run;
        uint8_t sent;
    } cases[] = {
        { "remove a", WIRE_FILE_REMOVE },
        { "rename a b", WIRE_FILE_RENAME },
    };
    struct worker w = ready(state);
    struct bytes body;

    for (int i = 0; i < 2; i++) {
        run(&w, cases[i].run);
        assert_stats(&w, "a", true);
        answer_info(&w, false, false, 0, 0);
        assert_code(&w, 1);
        run(&w, cases[i].run);
        assert_stats(&w, "a", true);
        answer_info(&w, true, false, 0, 0);
        assert_int_equal(hear(w.channel, &body), cases[i].sent);
        assert_code(&w, 0);
    }
    bye(state, &w);
}

static void a_stat_tells_files_and_directories_apart(void **state)
{
    struct worker w = ready(state);

    run(&w, "stat a");
    assert_stats(&w, "a", false);
    answer_info(&w, true, false, 5, (uint64_t)-7);
    assert_got(&w, "0 5 -7");
    run(&w, "stat a/");
    assert_stats(&w, "a", false);
    answer_info(&w, true, true, 0, 8);
    assert_got(&w, "1 0 8");
    run(&w, "stat a/"); /* but it is a file */
    assert_stats(&w, "a", false);
    answer_info(&w, true, false, 5, 8);
    assert_code(&w, 1);
    bye(state, &w);
}

static void a_directory_is_listed_page_by_page(void **state)
{
    static const char *const first[] = { "d/a", "d/b/", NULL }, *const rest[] = { "d/c", NULL };
    static const char *const none[] = { NULL };
    struct worker w = ready(state);

    run(&w, "list d");
    assert_lists(&w, "d/", "d/", 2);
    answer_list(&w, first, true);
    assert_lists(&w, "d/", "d/b/\0", 5);
    answer_list(&w, rest, false);
    assert_got(&w, "[d/a 0 7 9][d/b/ 1 7 9][d/c 0 7 9]");
    run(&w, "list d/");
    assert_lists(&w, "d/", "d/", 2);
    answer_list(&w, none, false);
    assert_got(&w, "");
    run(&w, "stop d");
    assert_lists(&w, "d/", "d/", 2);
    answer_list(&w, first, true);
    assert_code(&w, 55);
    run(&w, "list ");
    assert_lists(&w, "", "", 0);
    answer_list(&w, none, false);
    assert_got(&w, "");
    bye(state, &w);
}

/* A change by the visit, and any call of another graft. */
static void a_listing_looks_again_after_a_change(void **state)
{
    static const char *const first[] = { "d/a", "d/b", "d/z", NULL }, *const rest[] = { "d/c", "d/z", NULL };
    struct worker w = ready(state);
    struct bytes body;
    struct buf b;

    for (int i = 0; i < 2; i++) {
        run(&w, i == 0 ? "relist d" : "nested d");
        assert_lists(&w, "d/", "d/", 2);
        answer_list(&w, first, false);
        assert_int_equal(hear(w.channel, &body), i == 0 ? WIRE_FILE_APPEND : WIRE_GRAFT_CALL);
        if (i == 1) {
            buf_init(&b, 100);
            wire_add_RESULT(&b, &(struct wire_RESULT){ .ok = 1 });
            tell(w.channel, &b);
        }
        assert_lists(&w, "d/", "d/b\0", 4);
        answer_list(&w, rest, false);
        assert_got(&w, "[d/a 0 7 9][d/b 0 7 9][d/c 0 7 9][d/z 0 7 9]");
    }
    bye(state, &w);
}

static void a_change_in_a_readonly_call_does_not_return(void **state)
{
    static const struct {
        const char *run;
        uint8_t sent;
    } cases[] = {
        { "write a x", WIRE_FILE_WRITE },   { "append a x", WIRE_FILE_APPEND }, { "remove a", WIRE_FILE_REMOVE },
        { "rename a b", WIRE_FILE_RENAME }, { "emit a x", WIRE_EMIT },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct worker w = ready(state);
        struct bytes body;

        call_index(&w, 0, NULL, cases[i].run, true);
        if (cases[i].sent == WIRE_FILE_REMOVE || cases[i].sent == WIRE_FILE_RENAME) {
            assert_stats(&w, "a", true);
            answer_info(&w, false, false, 0, 0);
        }
        assert_int_equal(hear(w.channel, &body), cases[i].sent);
        bye(state, &w);
    }
}

static void a_topic_is_checked_before_it_is_sent(void **state)
{
    struct worker w = ready(state);
    struct wire_EMIT m;
    struct bytes body;
    char args[200] = "emit ";

    run(&w, "emit bank.a_Z-9:/ data");
    assert_int_equal(hear(w.channel, &body), WIRE_EMIT);
    assert_true(wire_read_EMIT(body, &m));
    assert_text(m.topic, "bank.a_Z-9:/");
    assert_text(m.data, "data");
    assert_code(&w, 0);
    run(&w, "emit  x");
    assert_code(&w, 2);
    run(&w, "emit a* x");
    assert_code(&w, 2);
    memset(args + 5, 't', 128);
    run(&w, args);
    assert_code(&w, 2);
    args[5 + 127] = '\0';
    run(&w, args);
    assert_int_equal(hear(w.channel, &body), WIRE_EMIT);
    assert_code(&w, 0);
    bye(state, &w);
}

static void a_timer_is_armed_and_named(void **state)
{
    struct worker w = ready(state);
    struct wire_AFTER m;
    struct bytes body;

    run(&w, "after bank.remind 1500 ada");
    assert_int_equal(hear(w.channel, &body), WIRE_AFTER);
    assert_true(wire_read_AFTER(body, &m));
    assert_text(m.function, "bank.remind");
    assert_int_equal(m.ms, 1500);
    assert_int_equal(m.args.len, 4 + 4 + 4);
    assert_memory_equal(m.args.data,
                        "\1\0\0\0\4\0\0\0"
                        "1500",
                        12);
    answer_value(&w, true, bytes_str("418.1"));
    assert_got(&w, "418.1");
    run(&w, "quiet");
    assert_int_equal(hear(w.channel, &body), WIRE_AFTER);
    assert_true(wire_read_AFTER(body, &m));
    assert_int_equal(m.args.len, 4);
    answer_value(&w, true, bytes_str("418.2"));
    assert_code(&w, 0);
    bye(state, &w);
}

static void a_timer_that_cannot_be_is_not_sent(void **state)
{
    static const char *const functions[] = { "",       "bank",         "bank.",         ".remind",    "Bank.remind",
                                             "bank.9", "bank.re-mind", "bank.remind.x", "bank,remind" };
    struct worker w = ready(state);
    struct bytes body;
    char args[300];

    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        snprintf(args, sizeof args, "after %s 5", functions[i]);
        run(&w, args);
        assert_code(&w, 2);
    }
    run(&w, "after a.b 2147483647001");
    assert_code(&w, 2);
    run(&w, "after a.b 2147483647000");
    assert_int_equal(hear(w.channel, &body), WIRE_AFTER);
    answer_value(&w, true, bytes_str("1.1"));
    assert_got(&w, "1.1");
    run(&w, "much");
    assert_int_equal(hear(w.channel, &body), WIRE_AFTER);
    answer_value(&w, true, bytes_str("1.2"));
    assert_code(&w, 0);
    bye(state, &w);
}

static void a_cancel_says_whether_there_was_one(void **state)
{
    struct worker w = ready(state);
    struct wire_CANCEL m;
    struct bytes body;

    for (int i = 0; i < 2; i++) {
        run(&w, "cancel 418.1");
        assert_int_equal(hear(w.channel, &body), WIRE_CANCEL);
        assert_true(wire_read_CANCEL(body, &m));
        assert_text(m.id, "418.1");
        answer_value(&w, i == 0, bytes_of("", 0));
        assert_code(&w, i);
    }
    run(&w, "cancel");
    assert_code(&w, 1);
    run(&w, "cancel 1234567890123456789012345678901234567890.1234567");
    assert_code(&w, 1);
    bye(state, &w);
}

static void nonsense_from_the_daemon_ends_the_worker(void **state)
{
    static const char *const asks[] = { "read a", "stat a", "list d", "after a.b 5", "cancel 1.1" };
    struct world *world = *state;
    struct buf b;

    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
        struct worker w = ready(state);
        struct bytes body;

        run(&w, asks[i]);
        assert_true(hear(w.channel, &body) > 0);
        buf_init(&b, 100);
        wire_add_RESULT(&b, &(struct wire_RESULT){ .ok = 1 });
        tell(w.channel, &b);
        assert_dies(&world->guest.tree, &w, NULL, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_path_is_refused_and_not_sent),
        cmocka_unit_test(the_longest_path_is_sent),
        cmocka_unit_test(a_file_of_one_part_takes_one_question),
        cmocka_unit_test(a_file_over_the_limit_is_too_large),
        cmocka_unit_test(a_large_file_comes_in_parts),
        cmocka_unit_test(a_part_is_asked_for_as_it_is_wanted),
        cmocka_unit_test(what_is_written_is_sent_and_not_answered),
        cmocka_unit_test(what_is_not_there_is_neither_removed_nor_renamed),
        cmocka_unit_test(a_stat_tells_files_and_directories_apart),
        cmocka_unit_test(a_directory_is_listed_page_by_page),
        cmocka_unit_test(a_listing_looks_again_after_a_change),
        cmocka_unit_test(a_change_in_a_readonly_call_does_not_return),
        cmocka_unit_test(a_topic_is_checked_before_it_is_sent),
        cmocka_unit_test(a_timer_is_armed_and_named),
        cmocka_unit_test(a_timer_that_cannot_be_is_not_sent),
        cmocka_unit_test(a_cancel_says_whether_there_was_one),
        cmocka_unit_test(nonsense_from_the_daemon_ends_the_worker),
    };
    char command[256];
    int failed;

    alarm(SECONDS_MAX);
    signal(SIGPIPE, SIG_IGN);
    if (mkdtemp(scratch) == NULL)
        return 1;
    failed = cmocka_run_group_tests(tests, set_up, tear_down);
    snprintf(command, sizeof command, "rm -rf %s", scratch);
    return system(command) != 0 || failed != 0;
}
