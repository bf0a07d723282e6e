#include "tests/worker_zoo.h"

const char zoo[] =
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

/* As in the enum; functions are found by name. */
static const char *const names[] = { "hello", "count", "other", "scan", "nest", "unfinished", "seven", "null", "deep",
                                     "loop", "abort",
                                     "divide", "greedy", "large", "twice", "text", "raw", "int80", "draw", "sort",
                                     "relay", "through", "stale", "walk", "bounds" };
uint16_t index_of[sizeof names / sizeof names[0]];

static void learn_functions(struct bytes body)
{
    struct wire_MANIFEST m;
    size_t count = 0;

    assert_true(wire_read_MANIFEST(body, &m));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        index_of[i] = find_function(m.text, names[i], &count);
    assert_int_equal(count, sizeof names / sizeof names[0]);
}

int zoo_set_up(void **state)
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

int zoo_tear_down(void **state)
{
    end_tree(*state);
    return 0;
}

void call(const struct worker *w, int function, const char *const *keys, const char *args, bool readonly)
{
    call_index(w, index_of[function], keys, args, readonly);
}

void page(const struct worker *w, const char *const *items, bool more)
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
