#include "tests/worker_filer.h"

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

int filer_set_up(void **state)
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

int filer_tear_down(void **state)
{
    struct world *world = *state;

    unload_guest(&world->guest);
    end_tree(&world->zygote);
    return 0;
}

struct worker ready(void **state) { return ready_worker(&((struct world *)*state)->guest.tree); }

void bye(void **state, struct worker *w) { dismiss(&((struct world *)*state)->guest.tree, w); }

void run(const struct worker *w, const char *args) { call_index(w, 0, NULL, args, false); }

void assert_code(const struct worker *w, int code) { assert_replied(done(w), VALUE_I64, NULL, code); }

void assert_got(const struct worker *w, const char *text) { assert_replied(done(w), VALUE_BYTES, text, 0); }

/* ---- answers ---- */

void answer_value(const struct worker *w, bool present, struct bytes value)
{
    struct buf b;

    buf_init(&b, 2 * MIB);
    assert_int_equal(wire_add_VALUE(&b, &(struct wire_VALUE){ .present = present, .value = value }), OK);
    tell(w->channel, &b);
}

void answer_info(const struct worker *w, bool present, bool is_directory, uint64_t size, uint64_t mtime_us)
{
    struct wire_FILE_INFO m = { present, is_directory, size, mtime_us };
    struct buf b;

    buf_init(&b, 100);
    assert_int_equal(wire_add_FILE_INFO(&b, &m), OK);
    tell(w->channel, &b);
}

void answer_list(const struct worker *w, const char *const *names, bool more)
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

void assert_stats(const struct worker *w, const char *path, bool exclusive)
{
    struct wire_FILE_STAT m;
    struct bytes body;

    assert_int_equal(hear(w->channel, &body), WIRE_FILE_STAT);
    assert_true(wire_read_FILE_STAT(body, &m));
    assert_text(m.path, path);
    assert_int_equal(m.exclusive, exclusive);
}

void assert_reads_part(const struct worker *w, const char *path, uint64_t offset, uint32_t len)
{
    struct wire_FILE_READ m;
    struct bytes body;

    assert_int_equal(hear(w->channel, &body), WIRE_FILE_READ);
    assert_true(wire_read_FILE_READ(body, &m));
    assert_text(m.path, path);
    assert_int_equal(m.offset, offset);
    assert_int_equal(m.len, len);
}

void assert_lists(const struct worker *w, const char *path, const char *from, size_t from_len)
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
