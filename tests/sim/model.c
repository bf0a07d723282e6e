#include "tests/sim/model.h"

#include "txn/timer_image.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct bytes account_key(unsigned n, char key[GRAFT_SIM_KEY_MAX])
{
    return bytes_of(key, (size_t)snprintf(key, GRAFT_SIM_KEY_MAX, "acct:%u", n));
}

void model_init(struct model *m, struct disk *d)
{
    char key[GRAFT_SIM_KEY_MAX], value[24];

    memset(m, 0, sizeof *m);
    m->clock = 1;
    snprintf(value, sizeof value, "%d", GRAFT_SIM_BALANCE);
    for (unsigned i = 0; i < GRAFT_SIM_ACCOUNTS; i++)
        disk_put(d, account_key(i, key), bytes_str(value));
}

void model_wrong(struct model *m, const char *format, ...)
{
    va_list ap;

    if (m->wrong[0] != '\0')
        return;
    va_start(ap, format);
    vsnprintf(m->wrong, sizeof m->wrong, format, ap);
    va_end(ap);
}

static int new_op(struct model *m, struct op op)
{
    if (m->op_count == MODEL_OPS_MAX)
        return -1;
    m->ops[m->op_count] = op;
    return (int)m->op_count++;
}

int model_marks(struct model *m, unsigned parts)
{
    return new_op(m, (struct op){ .trace = TRACE_MARKS, .parts = parts });
}

int model_call(struct model *m, unsigned parts)
{
    return new_op(m, (struct op){ .trace = TRACE_CALL, .parts = parts });
}

int model_transfer(struct model *m, unsigned from, unsigned to, unsigned amount)
{
    return new_op(m, (struct op){ .trace = TRACE_TRANSFER, .parts = 1, .from = from, .to = to, .amount = amount });
}

int model_bit(struct model *m, unsigned counter)
{
    unsigned bit = m->bits[counter];
    int op = bit == MODEL_BITS ? -1 : new_op(m, (struct op){ .trace = TRACE_BIT, .counter = counter, .bit = bit });

    if (op >= 0)
        m->owner[counter][m->bits[counter]++] = (unsigned)op;
    return op;
}

void model_answer(struct model *m, int op, enum fate fate)
{
    m->ops[op].fate = fate;
    m->ops[op].answered = ++m->clock;
    if (fate == FATE_FAILED && m->ops[op].seen != 0)
        model_wrong(m, "op %d was shown by a reply, and has failed", op);
}

void model_shows(struct model *m, int id, bool present, uint64_t asked)
{
    struct op *op = &m->ops[id];

    if (present && op->fate == FATE_FAILED)
        model_wrong(m, "op %d has failed, and a reply shows it", id);
    if (!present && op->seen != 0 && op->seen < asked)
        model_wrong(m, "op %d was shown by a reply, and a later question did not find it", id);
    if (!present && op->fate == FATE_DONE && op->answered < asked)
        model_wrong(m, "op %d was answered OK, and a later question did not find it", id);
    if (present && op->seen == 0)
        op->seen = ++m->clock;
}

void model_shows_counter(struct model *m, unsigned counter, int64_t value, uint64_t asked)
{
    for (unsigned i = 0; i < m->bits[counter]; i++)
        model_shows(m, (int)m->owner[counter][i], (value >> i & 1) != 0, asked);
    if (value >> m->bits[counter] != 0)
        model_wrong(m, "counter %u is %" PRId64 ": more was added than anybody asked for", counter, value);
}

/* ---- the disk ---- */

static bool marks_present(struct model *m, const struct disk *d, unsigned id)
{
    char key[GRAFT_SIM_KEY_MAX], text[24];
    unsigned there = 0;

    snprintf(text, sizeof text, "%u", id);
    for (unsigned part = 0; part < m->ops[id].parts; part++) {
        struct image i = disk_get(d, bytes_of(key, (size_t)snprintf(key, sizeof key, "op:%u:%u", id, part)));
        there += i.present;
        if (i.present && !bytes_start_with(i.value, bytes_str(text)))
            model_wrong(m, "%s holds something that nobody wrote there", key);
    }
    if (there != 0 && there != m->ops[id].parts)
        model_wrong(m, "op %u is there in part: %u of its %u marks", id, there, m->ops[id].parts);
    return there > 0;
}

/* Its file holds all that it added, or is not there. */
static size_t judge_file(struct model *m, const struct disk *d, unsigned id, bool present)
{
    char path[GRAFT_SIM_KEY_MAX], expected[8 * GRAFT_SIM_PARTS_MAX] = "";
    struct image i = disk_file(d, bytes_of(path, (size_t)snprintf(path, sizeof path, "op.%u", id)));
    size_t n = 0;

    for (unsigned part = GRAFT_SIM_FILE_PART; present && part < m->ops[id].parts; part += 4)
        n += (size_t)snprintf(expected + n, sizeof expected - n, "%u.", part);
    if (i.present != (n > 0) || (n > 0 && !bytes_equal(i.value, bytes_of(expected, n))))
        model_wrong(m, "file %s %s \"%.*s\", and what took place makes \"%s\"", path,
                    i.present ? "holds" : "is not there:", i.present ? (int)i.value.len : 0,
                    i.present ? (const char *)i.value.data : "", expected);
    return n > 0;
}

/* How often a line of that file is the op's. */
static unsigned count_lines(struct bytes content, unsigned id)
{
    const char *p = content.data, *end = p + content.len;
    char line[24];
    size_t n = (size_t)snprintf(line, sizeof line, "%u\n", id);
    unsigned count = 0;

    for (const char *next; p < end; p = next + 1) {
        next = memchr(p, '\n', (size_t)(end - p));
        if (next == NULL)
            break;
        count += bytes_equal(bytes_of(p, (size_t)(next + 1 - p)), bytes_of(line, n));
    }
    return count;
}

static void judge_ledger(struct model *m, const struct disk *d, unsigned id, bool present)
{
    struct image ledger = disk_file(d, bytes_str(GRAFT_SIM_LEDGER));
    unsigned lines = ledger.present ? count_lines(ledger.value, id) : 0;

    if (lines != present)
        model_wrong(m, "transfer %u has %u lines in the ledger", id, lines);
}

/* By each op: events of its own, and how often each of its timers rang. */
struct telling {
    unsigned told[MODEL_OPS_MAX], rung[MODEL_OPS_MAX][GRAFT_SIM_PARTS_MAX];
};

/* "12" by op 12 itself, "12:3" by the timer of its part 3. */
static bool count_event(struct model *m, struct telling *t, struct bytes data)
{
    const char *colon = data.len == 0 ? NULL : memchr(data.data, ':', data.len);
    size_t head = colon == NULL ? data.len : (size_t)(colon - (const char *)data.data);
    uint64_t id, part = 0;

    if (!bytes_to_u64(bytes_of(data.data, head), &id) || id >= m->op_count)
        return false;
    if (colon != NULL && (!bytes_to_u64(bytes_of(colon + 1, data.len - head - 1), &part) || part >= m->ops[id].parts ||
                          part % 4 != GRAFT_SIM_TIMER_PART))
        return false;
    if (colon == NULL)
        t->told[id]++;
    else
        t->rung[id][part]++;
    return true;
}

static const struct telling *count_events(struct model *m, const struct disk *d)
{
    static struct telling t;
    uint64_t last = 0;

    memset(&t, 0, sizeof t);
    for (size_t i = 0; i < disk_event_count(d); i++) {
        const struct store_event *e = disk_event(d, i);
        if (e->id <= last || !count_event(m, &t, e->data))
            model_wrong(m, "event %" PRIu64 " is not what anybody emitted", e->id);
        last = e->id;
    }
    return &t;
}

static struct image of_part(const struct disk *d, const char *what, unsigned id, unsigned part)
{
    char key[GRAFT_SIM_KEY_MAX];

    return disk_get(d, bytes_of(key, (size_t)snprintf(key, sizeof key, "%s:%u:%u", what, id, part)));
}

static void judge_stored(struct model *m, struct bytes image, unsigned id, unsigned part, bool quiet)
{
    struct timer t;

    if (!timer_image_read(image, &t))
        model_wrong(m, "the timer of op %u, part %u, is damaged", id, part);
    else if (t.tries > GRAFT_SIM_TIMER_TRIES || t.parked != (t.tries == GRAFT_SIM_TIMER_TRIES))
        model_wrong(m, "the timer of op %u, part %u, was tried %u times and is %sparked", id, part, (unsigned)t.tries,
                    t.parked ? "" : "not ");
    else if (quiet && !t.parked)
        model_wrong(m, "the timer of op %u, part %u, never fires", id, part);
}

struct left { /* by timers */
    size_t keys, stored;
};

/* Fired once, or cancelled, or stored; never any of them if the op did not take place. */
static void judge_timer(struct model *m, const struct disk *d, unsigned id, unsigned part, bool present, unsigned rung,
                        bool quiet, struct left *left)
{
    struct image name = of_part(d, "arm", id, part), hush = of_part(d, "hush", id, part), stored = { 0 };

    if (name.present)
        stored = disk_timer(d, name.value);
    if (name.present != present || rung + hush.present + stored.present != present)
        model_wrong(m,
                    "the timer of op %u, part %u, which %s, is%s named, fired %u times, was%s cancelled, is%s stored",
                    id, part, present ? "took place" : "did not take place", name.present ? "" : " not", rung,
                    hush.present ? "" : " not", stored.present ? "" : " not");
    if (stored.present)
        judge_stored(m, stored.value, id, part, quiet);
    left->keys += (size_t)name.present + hush.present;
    left->stored += stored.present;
}

static void judge_timers(struct model *m, const struct disk *d, unsigned id, bool present, const struct telling *t,
                         bool quiet, struct left *left)
{
    for (unsigned part = GRAFT_SIM_TIMER_PART; part < m->ops[id].parts; part += 4)
        judge_timer(m, d, id, part, present, t->rung[id][part], quiet, left);
}

/* Each event was told by an op that took place, and all of them were. */
static void judge_events(struct model *m, const unsigned *told, const unsigned *expected)
{
    for (unsigned i = 0; i < m->op_count; i++)
        if (told[i] != expected[i])
            model_wrong(m, "op %u told %u events, and what took place makes %u", i, told[i], expected[i]);
}

static int64_t number_at(struct model *m, const struct disk *d, struct bytes key, bool *there)
{
    struct image i = disk_get(d, key);
    int64_t n = 0;

    *there = i.present;
    if (i.present && !bytes_to_i64(i.value, &n))
        model_wrong(m, "%.*s is not a number", (int)key.len, (const char *)key.data);
    return n;
}

static void judge_op(struct model *m, unsigned id, bool present)
{
    const struct op *op = &m->ops[id];

    if (present && op->fate == FATE_FAILED)
        model_wrong(m, "op %u was answered with an error, and is on disk", id);
    if (!present && op->fate == FATE_DONE)
        model_wrong(m, "op %u was answered OK, and is not on disk", id);
    if (!present && op->seen != 0)
        model_wrong(m, "op %u was shown by a reply, and is not on disk", id);
}

void model_judge(struct model *m, const struct disk *d, bool quiet)
{
    const struct telling *telling = count_events(m, d);
    struct left left = { 0 };
    int64_t balance[GRAFT_SIM_ACCOUNTS], counters[MODEL_COUNTERS];
    char key[GRAFT_SIM_KEY_MAX];
    static unsigned events[MODEL_OPS_MAX];
    size_t keys = GRAFT_SIM_ACCOUNTS, files = disk_file(d, bytes_str(GRAFT_SIM_LEDGER)).present;
    bool there;

    for (unsigned i = 0; i < GRAFT_SIM_ACCOUNTS; i++)
        balance[i] = GRAFT_SIM_BALANCE;
    for (unsigned i = 0; i < MODEL_COUNTERS; i++) {
        counters[i] = number_at(m, d, bytes_of(key, (size_t)snprintf(key, sizeof key, "ctr:%u", i)), &there);
        keys += there;
        if (counters[i] >> m->bits[i] != 0)
            model_wrong(m, "counter %u is %" PRId64 " on disk: more was added than anybody asked for", i, counters[i]);
    }
    for (unsigned i = 0; i < m->op_count; i++) {
        const struct op *op = &m->ops[i];
        bool present = op->trace == TRACE_BIT ? (counters[op->counter] >> op->bit & 1) != 0 : marks_present(m, d, i);
        judge_op(m, i, present);
        if (op->trace == TRACE_CALL)
            files += judge_file(m, d, i, present);
        if (op->trace == TRACE_CALL)
            judge_timers(m, d, i, present, telling, quiet, &left);
        if (op->trace == TRACE_TRANSFER)
            judge_ledger(m, d, i, present);
        events[i] = op->trace == TRACE_CALL && present ? (op->parts + 3 - GRAFT_SIM_EVENT_PART) / 4 : 0;
        if (present && op->trace != TRACE_BIT)
            keys += op->parts;
        if (present && op->trace == TRACE_TRANSFER) {
            balance[op->from] -= op->amount;
            balance[op->to] += op->amount;
        }
    }
    for (unsigned i = 0; i < GRAFT_SIM_ACCOUNTS; i++) {
        int64_t found = number_at(m, d, account_key(i, key), &there);
        if (found != balance[i])
            model_wrong(m, "account %u holds %" PRId64 ", and what took place makes %" PRId64, i, found, balance[i]);
    }
    judge_events(m, telling->told, events);
    if (disk_timer_count(d) != left.stored)
        model_wrong(m, "the disk holds %zu timers, and %zu are known", disk_timer_count(d), left.stored);
    if (file_mem_count(disk_files(d)) != files || file_mem_stage_count(disk_files(d)) != 0)
        model_wrong(m, "there are %zu files and %zu on their way, and what took place makes %zu",
                    file_mem_count(disk_files(d)), file_mem_stage_count(disk_files(d)), files);
    keys += left.keys;
    if (disk_key_count(d) != keys)
        model_wrong(m, "the disk holds %zu keys, and what took place makes %zu", disk_key_count(d), keys);
}
