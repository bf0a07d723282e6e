#include "tests/sim/graft_sim.h"

#include "lib/check.h"
#include "lib/value.h"
#include "lib/wire.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HOW_ABORTED = 1, /* wire_DONE.how */
    HOW_CODE = 2,
    GREED = 40,           /* marks */
    KEPT_MAX = 64 * 1024, /* bytes, as in worker/channel.h */
};

const char *const graft_sim_functions[FUNCTION_COUNT] = {
    [FUNCTION_AUDIT] = "audit",   [FUNCTION_GLANCE] = "glance", [FUNCTION_TRANSFER] = "transfer",
    [FUNCTION_PUT] = "put",       [FUNCTION_TWICE] = "twice",   [FUNCTION_ABORT] = "abort",
    [FUNCTION_CODE] = "code",     [FUNCTION_MEMORY] = "memory", [FUNCTION_SPIN] = "spin",
    [FUNCTION_SLEEP] = "sleep",   [FUNCTION_CRASH] = "crash",   [FUNCTION_LIE] = "lie",
    [FUNCTION_LOOK] = "look",     [FUNCTION_GREEDY] = "greedy", [FUNCTION_RING] = "ring",     [FUNCTION_HUSH] = "hush",
};

const char *const graft_sim_kinds[] = { "good",     "flaky", "refused",  "garbled", "stillborn",
                                        "sluggish", "early", "misnamed", "twofold" };
const unsigned graft_sim_kind_count = sizeof graft_sim_kinds / sizeof graft_sim_kinds[0];

/* ---- saying ---- */

#define SAY(name, said, ...) CHECK(wire_add_##name(said, &(struct wire_##name){ __VA_ARGS__ }) == OK)

static void say_number(struct graft_sim *g, struct buf *said, int64_t n)
{
    struct buf value;

    buf_init(&value, 16);
    CHECK(buf_add_u8(&value, VALUE_I64) == OK);
    CHECK(buf_add_u64(&value, (uint64_t)n) == OK);
    SAY(DONE, said, .txn = g->txn, .reply = buf_bytes(&value));
    buf_fini(&value);
}

static void say_status(struct graft_sim *g, struct buf *said, const char *text)
{
    struct buf value;

    buf_init(&value, 64);
    CHECK(buf_add_u8(&value, VALUE_STATUS) == OK);
    CHECK(buf_add_bytes(&value, bytes_str(text)) == OK);
    SAY(DONE, said, .txn = g->txn, .reply = buf_bytes(&value));
    buf_fini(&value);
}

/* ---- templates ---- */

struct object {
    char name[32], version[16], kind[16];
};

static struct object object_read(struct bytes text)
{
    struct object o = { "nobody", "0", "refused" };
    char line[96];

    snprintf(line, sizeof line, "%.*s", (int)text.len, (const char *)text.data);
    (void)sscanf(line, "%31s %15s %15s", o.name, o.version, o.kind);
    return o;
}

static void add_record(struct buf *b, const char *text) { CHECK(buf_add(b, text, strlen(text) + 1) == OK); }

void graft_sim_introduce(struct bytes text, struct buf *said)
{
    struct object o = object_read(text);
    struct buf manifest;
    char record[160];

    if (strcmp(o.kind, "refused") == 0) {
        SAY(REFUSED, said, .text = bytes_str("it is not an object"));
        return;
    }
    buf_init(&manifest, 4096);
    snprintf(record, sizeof record, "module\t1\t%s%s\t%s\tsimulated", o.name,
             strcmp(o.kind, "misnamed") == 0 ? "x" : "", o.version);
    add_record(&manifest, record);
    for (int i = 0; i < FUNCTION_COUNT; i++) {
        snprintf(record, sizeof record, "function\t%s\t%s\tid", graft_sim_functions[i],
                 i <= FUNCTION_GLANCE ? "read" : "write");
        add_record(&manifest, record);
    }
    if (strcmp(o.kind, "garbled") == 0)
        add_record(&manifest, "nonsense\t");
    SAY(MANIFEST, said, .text = buf_bytes(&manifest));
    if (strcmp(o.kind, "twofold") == 0)
        SAY(MANIFEST, said, .text = buf_bytes(&manifest));
    buf_fini(&manifest);
}

/* ---- the beginning of a worker ---- */

void graft_sim_init(struct graft_sim *g, struct bytes text, struct chance *chance)
{
    struct object o = object_read(text);

    *g = (struct graft_sim){ .chance = chance };
    snprintf(g->kind, sizeof g->kind, "%s", o.kind);
    buf_init(&g->kept, KEPT_MAX);
}

void graft_sim_fini(struct graft_sim *g) { buf_fini(&g->kept); }

static void die(struct graft_sim *g, struct buf *said)
{
    static const int signals[] = { SIGSEGV, SIGSYS, SIGXCPU, SIGABRT, 0 };

    g->state = GRAFT_DIES;
    g->signal_number = signals[chance_below(g->chance, 5)];
    if (g->signal_number == SIGABRT)
        SAY(DYING, said, .text = bytes_str("called abort()"));
    else if (chance_one_in(g->chance, 4))
        CHECK(buf_add(said, "\x20\0\0\0\x14", 5) == OK); /* in the middle of a message */
}

static void begin(struct graft_sim *g, struct buf *said)
{
    if (strcmp(g->kind, "stillborn") == 0 || (strcmp(g->kind, "flaky") == 0 && chance_one_in(g->chance, 3))) {
        die(g, said);
    } else if (strcmp(g->kind, "sluggish") == 0) {
        g->state = GRAFT_MUTE;
    } else {
        if (strcmp(g->kind, "early") == 0)
            SAY(KV_PUT, said, .key = bytes_str("acct:0"), .value = bytes_str("0"));
        SAY(READY, said, );
        g->state = GRAFT_IDLE;
    }
}

/* ---- a call ---- */

static void copy_text(char *to, size_t size, struct bytes b)
{
    snprintf(to, size, "%.*s", (int)b.len, b.len > 0 ? (const char *)b.data : "");
}

static void read_arguments(struct graft_sim *g, struct bytes list)
{
    struct reader r = reader_of(list);
    uint32_t n = read_u32(&r);
    int64_t parts = 0;

    if (n >= 2) {
        copy_text(g->id, sizeof g->id, read_bytes(&r));
        CHECK(bytes_to_i64(read_bytes(&r), &parts));
        g->parts = (unsigned)parts;
    }
    if (n >= 5) {
        CHECK(bytes_to_i64(read_bytes(&r), &g->amount));
        copy_text(g->from, sizeof g->from, read_bytes(&r));
        copy_text(g->to, sizeof g->to, read_bytes(&r));
    }
    CHECK(reader_done(&r));
}

static void learn(struct graft_sim *g, struct bytes key, bool present, struct bytes value)
{
    for (int i = 0; i < 2; i++)
        if (bytes_equal(key, bytes_str(i == 0 ? g->from : g->to))) {
            CHECK(present);
            CHECK(bytes_to_i64(value, &g->balance[i]));
            g->known[i] = true;
        }
}

static void read_keys(struct graft_sim *g, struct bytes list)
{
    struct reader r = reader_of(list);

    for (uint32_t n = read_u32(&r); n > 0; n--) {
        struct bytes key = read_bytes(&r);
        bool present = read_u8(&r) == 1;
        learn(g, key, present, read_bytes(&r));
    }
    CHECK(reader_done(&r));
}

static void hear_call(struct graft_sim *g, struct bytes body)
{
    struct wire_CALL m;

    CHECK(wire_read_CALL(body, &m));
    CHECK(m.function < FUNCTION_COUNT);
    CHECK(m.seed.len == WIRE_SEED);
    g->txn = m.txn;
    g->function = m.function;
    g->step = g->account = 0;
    g->sum = 0;
    g->known[0] = g->known[1] = false;
    g->from[0] = g->to[0] = '\0';
    g->after_len = (size_t)snprintf(g->after, sizeof g->after, "acct:");
    read_arguments(g, m.args);
    read_keys(g, m.keys);
    g->state = GRAFT_RUNS;
}

static void put_for_part(struct graft_sim *g, struct buf *said, const char *what, unsigned part, struct bytes value)
{
    char key[GRAFT_SIM_KEY_MAX];

    snprintf(key, sizeof key, "%s:%s:%u", what, g->id, part);
    SAY(KV_PUT, said, .key = bytes_str(key), .value = value);
}

/* The timer's name; then, whether it was there. */
static void hear_for_hush(struct graft_sim *g, const struct wire_VALUE *m, struct buf *said)
{
    if (g->step == 1 && m->present == 1) {
        SAY(CANCEL, said, .id = m->value);
        g->step = 2;
        return;
    }
    if (g->step == 2 && m->present == 1)
        put_for_part(g, said, "hush", g->parts, bytes_str(g->id));
    say_status(g, said, "OK");
    g->state = GRAFT_IDLE;
}

static void hear_value(struct graft_sim *g, struct bytes body, struct buf *said)
{
    struct wire_VALUE m;
    int64_t n = 0;

    CHECK(wire_read_VALUE(body, &m));
    if (g->function == FUNCTION_HUSH) {
        hear_for_hush(g, &m, said);
        return;
    }
    if (g->function == FUNCTION_LOOK) {
        g->sum += m.present;
        g->account++;
        g->state = GRAFT_RUNS;
        return;
    }
    CHECK(m.present == 1);
    if (g->function >= FUNCTION_PUT) {
        put_for_part(g, said, "arm", g->arming, m.value);
        g->state = GRAFT_RUNS;
        return;
    }
    CHECK(bytes_to_i64(m.value, &n));
    if (g->function == FUNCTION_GLANCE) {
        g->sum += n;
        g->account++;
    } else {
        int which = g->known[0] ? 1 : 0;
        g->balance[which] = n;
        g->known[which] = true;
    }
    g->state = GRAFT_RUNS;
}

static void hear_page(struct graft_sim *g, struct bytes body)
{
    struct wire_PAGE m;
    struct reader r;

    CHECK(wire_read_PAGE(body, &m));
    r = reader_of(m.items);
    for (uint32_t n = read_u32(&r); n > 0; n--) {
        struct bytes key = read_bytes(&r);
        int64_t value = 0;
        CHECK(bytes_to_i64(read_bytes(&r), &value));
        g->sum += value;
        CHECK(key.len < GRAFT_SIM_KEY_MAX);
        memcpy(g->after, key.data, key.len);
        g->after[key.len] = '\0';
        g->after_len = key.len + 1;
    }
    CHECK(reader_done(&r));
    if (m.more == 0)
        g->account = GRAFT_SIM_ACCOUNTS;
    g->state = GRAFT_RUNS;
}

/* One frame; a call that comes before the answer that is waited for is kept. */
static void hear(struct graft_sim *g, struct buf *heard, struct buf *said)
{
    uint8_t number;
    struct bytes body;
    size_t used;

    CHECK(wire_next(buf_bytes(heard), &number, &body, &used) == OK);
    if (number == WIRE_CALL && g->state == GRAFT_IDLE)
        hear_call(g, body);
    else if (number == WIRE_CALL && g->state == GRAFT_WAITS)
        CHECK(buf_add(&g->kept, buf_bytes(heard).data, used) == OK);
    else if (number == WIRE_VALUE && g->state == GRAFT_WAITS)
        hear_value(g, body, said);
    else if (number == WIRE_PAGE && g->state == GRAFT_WAITS)
        hear_page(g, body);
    else
        CHECK(!"the daemon says to a worker only what it waits for");
    buf_consume(heard, used);
}

/* ---- what the functions do ---- */

/* Its name is the answer: see hear_value. */
static void arm(struct graft_sim *g, struct buf *said, unsigned part)
{
    struct buf args;
    char text[24];

    snprintf(text, sizeof text, "%u", part);
    buf_init(&args, 256);
    CHECK(buf_add_u32(&args, 2) == OK);
    CHECK(buf_add_bytes(&args, bytes_str(g->id)) == OK && buf_add_bytes(&args, bytes_str(text)) == OK);
    SAY(AFTER, said, .ms = chance_below(g->chance, chance_one_in(g->chance, 2) ? 50 : 5000),
        .function = bytes_str("bank.ring"), .args = buf_bytes(&args));
    buf_fini(&args);
    g->arming = part;
    g->state = GRAFT_WAITS;
}

static void put_mark(struct graft_sim *g, struct buf *said, unsigned part)
{
    char key[GRAFT_SIM_KEY_MAX], value[160];

    snprintf(key, sizeof key, "op:%s:%u", g->id, part);
    memset(value, '.', sizeof value);
    memcpy(value, g->id, strlen(g->id));
    SAY(KV_PUT, said, .key = bytes_str(key), .value = bytes_of(value, strlen(g->id) + chance_below(g->chance, 100)));
    if (part % 4 == GRAFT_SIM_FILE_PART) {
        snprintf(key, sizeof key, "op.%s", g->id);
        snprintf(value, sizeof value, "%u.", part);
        SAY(FILE_APPEND, said, .path = bytes_str(key), .data = bytes_str(value));
    } else if (part % 4 == GRAFT_SIM_EVENT_PART) {
        SAY(EMIT, said, .topic = bytes_str("op"), .data = bytes_str(g->id));
    } else if (part % 4 == GRAFT_SIM_TIMER_PART) {
        arm(g, said, part);
    }
}

/* One file that all transfers share. */
static void put_line(struct graft_sim *g, struct buf *said)
{
    char line[sizeof g->id + 1];

    snprintf(line, sizeof line, "%s\n", g->id);
    SAY(FILE_APPEND, said, .path = bytes_str(GRAFT_SIM_LEDGER), .data = bytes_str(line));
}

/* Something that it takes back itself, and a word about it. */
static void dither(struct graft_sim *g, struct buf *said)
{
    char key[GRAFT_SIM_KEY_MAX];

    snprintf(key, sizeof key, "tmp:%u", chance_below(g->chance, 4));
    SAY(LOG, said, .level = (uint8_t)chance_below(g->chance, 2), .text = bytes_str("so\nso"));
    SAY(KV_PUT, said, .key = bytes_str(key), .value = bytes_str(g->id));
    SAY(KV_DELETE, said, .key = bytes_str(key));
}

static void put_number(struct buf *said, const char *key, int64_t n)
{
    char value[24];

    snprintf(value, sizeof value, "%" PRId64, n);
    SAY(KV_PUT, said, .key = bytes_str(key), .value = bytes_str(value));
}

static void run_reading(struct graft_sim *g, struct buf *said)
{
    char key[GRAFT_SIM_KEY_MAX];

    if (g->account >= (g->function == FUNCTION_LOOK ? g->parts : GRAFT_SIM_ACCOUNTS)) {
        say_number(g, said, g->sum);
        g->state = GRAFT_IDLE;
        return;
    }
    if (g->function == FUNCTION_LOOK)
        snprintf(key, sizeof key, "op:%s:%u", g->id, g->account);
    else
        snprintf(key, sizeof key, "acct:%u", g->account);
    if (g->function != FUNCTION_AUDIT)
        SAY(KV_GET, said, .key = bytes_str(key), .exclusive = chance_one_in(g->chance, 8));
    else
        SAY(KV_SCAN, said, .prefix = bytes_str("acct:"), .from = bytes_of(g->after, g->after_len),
            .count_max = 1 + chance_below(g->chance, 8));
    g->state = GRAFT_WAITS;
}

static void run_transfer(struct graft_sim *g, struct buf *said)
{
    int unknown = !g->known[0] ? 0 : !g->known[1] ? 1 : -1;

    if (unknown >= 0) {
        SAY(KV_GET, said, .key = bytes_str(unknown == 0 ? g->from : g->to), .exclusive = !chance_one_in(g->chance, 3));
        g->state = GRAFT_WAITS;
        return;
    }
    switch (g->step++) {
    case 0:
        put_number(said, g->from, g->balance[0] - g->amount);
        break;
    case 1:
        put_mark(g, said, 0);
        put_line(g, said);
        break;
    case 2:
        put_number(said, g->to, g->balance[1] + g->amount);
        break;
    default:
        say_status(g, said, "OK");
        g->state = GRAFT_IDLE;
        break;
    }
}

static void lie(struct graft_sim *g, struct buf *said)
{
    switch (chance_below(g->chance, 13)) {
    case 0:
        CHECK(buf_add(said, "\0\0\0\0", 4) == OK);
        break;
    case 1:
        CHECK(buf_add(said, "\xff\xff\xff\xff\x13", 5) == OK);
        break;
    case 2:
        CHECK(buf_add(said, "\3\0\0\0\x14\1\0", 7) == OK);
        break;
    case 3:
        SAY(READY, said, );
        break;
    case 4:
        SAY(VALUE, said, .present = 1);
        break;
    case 5:
        SAY(DONE, said, .txn = g->txn, .how = 9);
        break;
    case 6:
        SAY(DONE, said, .txn = g->txn, .reply = bytes_str("\7\1"));
        break;
    case 7:
        SAY(KV_SCAN, said, .prefix = bytes_str("acct:"), .count_max = 0);
        break;
    case 8:
        SAY(FILE_WRITE, said, .path = bytes_str("../ledger"), .data = bytes_str("gone"));
        break;
    case 9:
        SAY(FILE_READ, said, .path = bytes_str(GRAFT_SIM_LEDGER), .len = 0);
        break;
    case 10:
        SAY(EMIT, said, .topic = bytes_str("op\n"));
        break;
    case 11:
        SAY(AFTER, said, .function = bytes_str("bank.put"), .args = bytes_str("\5"));
        break;
    default:
        SAY(KV_GET, said, .exclusive = 2, .key = bytes_str("acct:0"));
        break;
    }
    g->state = GRAFT_MUTE;
}

static void say_late(struct graft_sim *g, struct buf *said)
{
    if (!chance_one_in(g->chance, 8))
        return;
    SAY(LOG, said, .text = bytes_str("late"));
    g->state = GRAFT_MUTE;
}

static void fail_somehow(struct graft_sim *g, struct buf *said)
{
    g->state = GRAFT_IDLE;
    switch (g->function) {
    case FUNCTION_TWICE:
        say_status(g, said, "OK");
        g->state = GRAFT_LATE;
        if (chance_one_in(g->chance, 2)) {
            say_status(g, said, "GHOST");
            g->state = GRAFT_MUTE;
        }
        break;
    case FUNCTION_MEMORY:
        SAY(MEMORY, said, .wanted = 1000, .used = 1, .allowed = 2);
        /* fall through */
    case FUNCTION_CODE:
        SAY(DONE, said, .txn = g->txn, .how = HOW_CODE, .code = 7);
        break;
    case FUNCTION_SPIN:
        g->state = GRAFT_SPINS;
        break;
    case FUNCTION_SLEEP:
        g->state = GRAFT_MUTE;
        break;
    case FUNCTION_CRASH:
        die(g, said);
        break;
    case FUNCTION_LIE:
        lie(g, said);
        break;
    default:
        SAY(DONE, said, .txn = g->txn, .how = HOW_ABORTED, .text = bytes_str("no"));
        break;
    }
}

static void run_writing(struct graft_sim *g, struct buf *said)
{
    unsigned wanted = g->function == FUNCTION_GREEDY ? GREED : g->parts;

    if (g->step < wanted) {
        if (chance_one_in(g->chance, 8))
            dither(g, said);
        put_mark(g, said, g->step++);
    } else if (g->function == FUNCTION_PUT) {
        say_status(g, said, "OK");
        g->state = GRAFT_IDLE;
    } else {
        fail_somehow(g, said);
    }
}

static void run_ring(struct graft_sim *g, struct buf *said)
{
    char data[GRAFT_SIM_KEY_MAX];

    if (g->step++ == 0) {
        snprintf(data, sizeof data, "%s:%u", g->id, g->parts);
        SAY(EMIT, said, .topic = bytes_str("ring"), .data = bytes_str(data));
    } else if (chance_one_in(g->chance, 3)) {
        g->function = FUNCTION_ABORT + chance_below(g->chance, FUNCTION_GREEDY - FUNCTION_ABORT);
        fail_somehow(g, said);
    } else {
        say_status(g, said, "OK");
        g->state = GRAFT_IDLE;
    }
}

static void run_hush(struct graft_sim *g, struct buf *said)
{
    char key[GRAFT_SIM_KEY_MAX];

    snprintf(key, sizeof key, "arm:%s:%u", g->id, g->parts);
    SAY(KV_GET, said, .key = bytes_str(key));
    g->step = 1;
    g->state = GRAFT_WAITS;
}

bool graft_sim_can_run(const struct graft_sim *g, const struct buf *heard)
{
    switch (g->state) {
    case GRAFT_NEW:
    case GRAFT_RUNS:
    case GRAFT_LATE:
        return true;
    case GRAFT_IDLE:
        return buf_len(heard) > 0 || buf_len(&g->kept) > 0;
    case GRAFT_WAITS:
        return buf_len(heard) > 0;
    default:
        return false;
    }
}

void graft_sim_run(struct graft_sim *g, struct buf *heard, struct buf *said)
{
    if (g->state == GRAFT_NEW)
        begin(g, said);
    else if (g->state == GRAFT_LATE)
        say_late(g, said);
    else if (g->state == GRAFT_IDLE && buf_len(&g->kept) > 0)
        hear(g, &g->kept, said);
    else if (g->state != GRAFT_RUNS)
        hear(g, heard, said);
    else if (g->function <= FUNCTION_GLANCE)
        run_reading(g, said);
    else if (g->function == FUNCTION_TRANSFER)
        run_transfer(g, said);
    else if (g->function == FUNCTION_RING)
        run_ring(g, said);
    else if (g->function == FUNCTION_HUSH)
        run_hush(g, said);
    else
        run_writing(g, said);
}
