/*
 * The daemon with a fixed script of requests, again and again while the nth allocation of its own fails, n = 1, 2, … until
 * none was hit: sessions with savepoints, MULTI … EXEC, calls under a token and those who wait for them, undo, redo, cascade,
 * blame, listings. Whatever fails says so or closes its connection; nobody waits for ever; each reply is whole and in its
 * place; what was answered is there, the rest is there whole or not at all (T3); and when all have gone, nothing is left.
 *
 * The world is the simulated one (tests/sim/), which has all the memory it wants: its files are compiled with the names below
 * instead of malloc's, and what it takes from lib/ is taken while nothing can fail. The wiring is that of sim.c, which is
 * here whole.
 */
int sim_main(int argc, char **argv);
#define main sim_main
#include "tests/sim/sim.c"
#undef main

#include "lib/resp_reply.h"
#include "tests/fault_alloc.h"
#include "tests/front.h"
#include "txn/timer_image.h"

#undef malloc
#undef calloc
#undef realloc
#undef reallocarray
#undef buf_add

enum {
    FAULTS_MAX = 20000,
    SPEAKERS = 7,
    UNDOER = SPEAKERS - 2,
    LISTER = SPEAKERS - 1,
    SEED_FIRST = 1,
    SEED_COUNT = 12,
    HEARD_MAX = 1 << 20
};

void *spared_malloc(size_t size);
void *spared_calloc(size_t n, size_t size);
void *spared_realloc(void *p, size_t size);
void *spared_reallocarray(void *p, size_t n, size_t size);
enum err buf_add(struct buf *b, const void *data, size_t n); /* whose header was read under the other name */

void *spared_malloc(size_t size) { return __real_malloc(size); }
void *spared_calloc(size_t n, size_t size) { return __real_calloc(n, size); }
void *spared_realloc(void *p, size_t size) { return __real_realloc(p, size); }
void *spared_reallocarray(void *p, size_t n, size_t size) { return __real_reallocarray(p, n, size); }

enum err spared_buf_add(struct buf *b, const void *data, size_t n)
{
    enum err err;

    SPARED(err = buf_add(b, data, n));
    return err;
}

void __real_graft_sim_run(struct graft_sim *g, struct buf *heard, struct buf *said);
void __real_graft_sim_introduce(struct bytes object, struct buf *said);
void __wrap_graft_sim_run(struct graft_sim *g, struct buf *heard, struct buf *said);
void __wrap_graft_sim_introduce(struct bytes object, struct buf *said);
void __wrap_graft_sim_run(struct graft_sim *g, struct buf *heard, struct buf *said)
{
    SPARED(__real_graft_sim_run(g, heard, said));
}
void __wrap_graft_sim_introduce(struct bytes object, struct buf *said)
{
    SPARED(__real_graft_sim_introduce(object, said));
}

/* ---- the store in memory, behind a front; seen through it where sim.c asks ---- */

static struct store *back;

struct store *__real_store_mem_open(struct disk *d);
void __real_store_mem_set_delay(struct store *s, unsigned polls);
size_t __real_store_mem_waiting(const struct store *s);
struct store *__wrap_store_mem_open(struct disk *d);
void __wrap_store_mem_set_delay(struct store *s, unsigned polls);
size_t __wrap_store_mem_waiting(const struct store *s);

struct store *__wrap_store_mem_open(struct disk *d)
{
    back = __real_store_mem_open(d);
    return front_open(back);
}

void __wrap_store_mem_set_delay(struct store *s, unsigned polls)
{
    (void)s;
    __real_store_mem_set_delay(back, polls);
}

size_t __wrap_store_mem_waiting(const struct store *s)
{
    (void)s;
    return __real_store_mem_waiting(back);
}

/* ---- who asks ---- */

struct speaker {
    struct peer peer; /* first */
    const char *text; /* requests, a line each, and HANG: goes away in the middle */
    bool said;
};

#define TIMER_ID "1.1"

static const char *const scripts[SPEAKERS] = {
    "BEGIN\r\nSET a 1\r\nSAVEPOINT s\r\nSET a 2\r\nSET b 2\r\nFCALL bank.put 0 101 3\r\nROLLBACK TO s\r\n"
    "FCALL bank.put 0 102 3\r\nFCALL bank.abort 0 103 2\r\nSCAN 0 MATCH op:1* COUNT 100\r\nCOMMIT\r\nECHO end-a\r\n",
    "MULTI\r\nSET c 1\r\nINCR d\r\nFCALL bank.put 0 104 4\r\nEXEC\r\nECHO end-b\r\n",
    "CALL bank.put IDEM tok ARGS 105 3\r\nINCR e\r\nCALL bank.put IDEM tok ARGS 105 3\r\nCALL bank.abort IDEM no ARGS "
    "106 2\r\n"
    "CALL bank.put DRYRUN ARGS 107 3\r\nECHO end-c\r\n",
    "CALL bank.put IDEM tok ARGS 105 3\r\nECHO end-c\r\n",
    "BEGIN\r\nSET g 1\r\nFCALL bank.put 0 108 2\r\nRESET\r\nMULTI\r\nSET h 1\r\nDISCARD\r\nBEGIN\r\nSET g 2\r\nECHO "
    "end-e\r\n",
    /* when the others have gone: it may take back what they did */
    "CALL bank.put IDEM tok ARGS 105 3\r\nMSET u 1 v 1\r\nMSET u 2 v 2\r\nBLAME u\r\nGETAT u 3\r\nTXN LIST\r\nTXN UNDO "
    "2 DRYRUN\r\n"
    "TXN UNDO 2\r\nTXN UNDO 3 CASCADE\r\nTXN UNDO 4 CASCADE\r\nTXN REDO 4 CASCADE\r\nTXN UNDO 5\r\nTXN UNDO 6 "
    "CASCADE\r\nTXN SHOW 3\r\n"
    "MGET u v\r\nECHO end-d\r\n",
    /* what has many parts */
    "TXN LIST COUNT 50\r\nTXN SHOW 2\r\nGRAFT LIST\r\nGRAFT INFO bank\r\nEVENTS READ op AFTER 0\r\nEVENTS TOPICS\r\n"
    "TIMER LIST\r\nTIMER SHOW " TIMER_ID "\r\nBLAME u\r\nSCAN 0 COUNT 100\r\nINFO\r\nPOLICY SHOW\r\nCOMMAND\r\n"
    "CLIENT INFO\r\nHELLO 3\r\nGRAFT LIST\r\nTIMER LIST\r\nBLAME u\r\nCALL bank.put DRYRUN ARGS 109 3\r\n"
    "FCALL bank.put 2 u v 110 3\r\nSUBSCRIBE op AFTER 0\r\nECHO end-f\r\n",
};

static bool speaker_can_act(struct peer *p)
{
    const struct speaker *s = (const struct speaker *)(const void *)p;

    return p->stream != NULL && !p->eof && !s->said;
}

/* All at once, and then it waits for what comes; half-closed, it is gone when all is answered. */
static void speaker_act(struct peer *p)
{
    struct speaker *s = (struct speaker *)(void *)p;

    CHECK(spared_buf_add(&p->say, s->text, strlen(s->text)) == OK);
    s->said = true;
    p->finish = true;
}

static void speaker_heard(struct peer *p) { (void)p; }

static void speaker_connect(struct world *w, struct speaker *s, const char *text)
{
    struct principal who = { .uid = OWNER, .gid = OWNER, .pid = 1 };
    char refusal[CLIENT_REFUSAL_MAX];

    *s = (struct speaker){ .text = text };
    s->peer = (struct peer){ .can_act = speaker_can_act, .act = speaker_act, .heard = speaker_heard };
    buf_init(&s->peer.say, HEARD_MAX);
    buf_init(&s->peer.hear, HEARD_MAX);
    port_sim_peer(w->core.port, &s->peer);
    armed = true;
    (void)client_open(&w->core, -1, &who, refusal); /* its peer learns it from the port */
    armed = false;
}

static bool heard(const struct speaker *s, const char *text)
{
    struct bytes all = buf_bytes((struct buf *)(uintptr_t)&s->peer.hear);

    return all.len > 0 && memmem(all.data, all.len, text, strlen(text)) != NULL;
}

/* ---- what must hold ---- */

static bool holds(const struct world *w, const char *key, const char *value)
{
    struct image i = disk_get(w->disk, bytes_str(key));

    return value == NULL ? !i.present : i.present && bytes_equal(i.value, bytes_str(value));
}

/* How many of the marks of that op there are. */
static unsigned marks(const struct world *w, unsigned op, unsigned parts)
{
    unsigned n = 0;
    char key[48];

    for (unsigned i = 0; i < parts; i++) {
        snprintf(key, sizeof key, "op:%u:%u", op, i);
        n += disk_get(w->disk, bytes_str(key)).present;
    }
    return n;
}

/* The line number n of what came, which is reply number n as long as replies have one line each, begins so. */
static bool line_is(const struct speaker *s, unsigned n, const char *text)
{
    struct bytes all = buf_bytes((struct buf *)(uintptr_t)&s->peer.hear);
    const char *at = all.data, *end = at + all.len;

    for (; n > 0 && at != NULL && at < end; n--)
        at = (at = memchr(at, '\n', (size_t)(end - at))) == NULL ? NULL : at + 1;
    return at != NULL && (size_t)(end - at) >= strlen(text) && memcmp(at, text, strlen(text)) == 0;
}

static bool ok(const struct speaker *s, unsigned n) { return line_is(s, n, "+OK"); }

static size_t requests_of(const struct speaker *s)
{
    size_t n = 0;

    for (const char *at = s->text; (at = strstr(at, "\r\n")) != NULL; at += 2)
        n++;
    return n;
}

/* Whole replies, one for each request until the connection was closed; the news of a subscriber beside them. */
static void check_whole(const struct speaker *s)
{
    static const struct resp_reply_limits limits = { HEARD_MAX, HEARD_MAX };
    struct buf all = s->peer.hear;
    struct resp_reply_parser parser = { 0 };
    struct resp_node *root;
    struct failure why = { 0 };
    size_t used, replies = 0;
    bool last = false;

    CHECK(!heard(s, "larger than") && !heard(s, "too large")); /* nothing is: what there is no memory for is BUSY */
    while (buf_len(&all) > 0) {
        CHECK(resp_reply_next(&parser, buf_bytes(&all), &limits, &root, &used, &why) == OK);
        if (root->kind != RESP_PUSH || !bytes_equal(root->items[0].text, bytes_str("message"))) {
            replies++;
            last = root->kind == RESP_STRING && bytes_start_with(root->text, bytes_str("end-"));
        }
        resp_reply_free(&root);
        buf_consume(&all, used);
    }
    CHECK(replies <= requests_of(s) && last == (replies == requests_of(s)));
}

/* None is left out: whoever counts replies takes no other's for its own. */
static void check_places(const struct speaker *s)
{
    if (heard(&s[0], "end-a"))
        CHECK(line_is(&s[0], 9, "*2\r\n") || line_is(&s[0], 9, "-"));
    if (heard(&s[1], "end-b"))
        CHECK(line_is(&s[1], 4, "*3\r\n+OK\r\n:1\r\n+OK\r\n$5\r\nend-b") || line_is(&s[1], 4, "-"));
    if (heard(&s[4], "end-e"))
        CHECK(line_is(&s[4], 9, "$5\r\nend-e") || line_is(&s[4], 9, "-"));
}

/* A command that was told to have failed is not there; if all went well that the check leans on, the rest is. */
static void check_session(const struct world *w, const struct speaker *s)
{
    bool committed = heard(s, "+OK\r\n$5\r\nend-a\r\n");

    CHECK(marks(w, 102, 3) == 0 || marks(w, 102, 3) == 3);
    if (!ok(s, 0))
        CHECK(holds(w, "a", NULL) && holds(w, "b", NULL) && marks(w, 101, 3) == 0 && marks(w, 102, 3) == 0);
    if (!ok(s, 0) || !ok(s, 1) || !ok(s, 2) || !ok(s, 3) || !ok(s, 4) || !ok(s, 6))
        return;
    CHECK(holds(w, "a", "1") || (holds(w, "a", NULL) && !committed && marks(w, 102, 3) == 0));
    CHECK(holds(w, "b", NULL) && marks(w, 101, 3) == 0);
    if (committed)
        CHECK((ok(s, 7) || line_is(s, 7, "-BUSY the call is done and stays done")) == (marks(w, 102, 3) == 3));
}

static void check_disk(const struct world *w, const struct speaker *s)
{
    check_places(s);
    check_session(w, &s[0]);
    CHECK(marks(w, 103, 2) == 0 && marks(w, 106, 2) == 0 && marks(w, 107, 3) == 0 && marks(w, 108, 2) == 0);
    CHECK(holds(w, "g", NULL) && holds(w, "h", NULL));
    CHECK(marks(w, 105, 3) % 3 == 0);
    CHECK(holds(w, "c", "1") || !heard(&s[1], "*3\r\n+OK\r\n:1\r\n"));
    CHECK(holds(w, "c", "1") == holds(w, "d", "1") && holds(w, "c", NULL) == (marks(w, 104, 4) == 0));
}

/* What is undone is undone whole. */
static void check_pairs(const struct world *w)
{
    CHECK(holds(w, "u", NULL) == holds(w, "v", NULL) && holds(w, "u", "1") == holds(w, "v", "1"));
    CHECK(holds(w, "c", "1") == holds(w, "d", "1"));
    CHECK(marks(w, 105, 3) % 3 == 0 && marks(w, 104, 4) % 4 == 0);
}

/* A timer that is parked. */
static void timer_over(void *owner, const struct failure *why, uint64_t undone)
{
    (void)undone;
    CHECK(why->err == OK);
    *(bool *)owner = true;
}

static void timer_wakes(void *owner) { (void)owner; }

static void park_timer(struct world *w)
{
    static const struct txn_events events = { .wake = timer_wakes, .ended = timer_over };
    struct timer timer = { .due_us = 1,
                           .uid = OWNER,
                           .parked = true,
                           .function = bytes_str("bank.put"),
                           .args = bytes_of("\1\0\0\0\3\0\0\0abc", 11) };
    struct txn_origin origin = { .function = "park" };
    struct failure why = { 0 };
    struct buf image;
    struct txn *t;
    bool over = false;

    buf_init(&image, TIMER_IMAGE_MAX);
    CHECK(timer_image_add(&image, &timer));
    CHECK(txn_begin(w->core.txns, &origin, &events, &over, 1, &t) == OK);
    while (txn_put_item(t, RESOURCE_TIMER, bytes_str(TIMER_ID), buf_bytes(&image), &why) == ERR_WAIT)
        CHECK(port_sim_step(w->core.port));
    txn_commit(t, 2, 0);
    CHECK(run_until(w, &over));
    buf_fini(&image);
}

/* Until nothing can happen any more, and all have been answered, or told by closing. */
static void until_silence(struct world *w, struct speaker *s, int count)
{
    unsigned steps = 0;
    bool more = true;

    armed = true;
    while (more && steps++ < STEPS_MAX)
        more = port_sim_step(w->core.port);
    armed = false;
    CHECK(!more);
    for (int i = 0; i < count; i++) {
        CHECK(s[i].peer.stream == NULL);
        peer_forget(&s[i].peer);
    }
}

static void run_with_fault(uint64_t seed, unsigned n)
{
    static struct world w;
    static struct speaker speakers[SPEAKERS];

    w = (struct world){ .chance = { seed }, .disk = disk_new() };
    w.objects.directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(w.objects.directory >= 0);
    model_init(&w.model, w.disk);
    open_policy(&w);
    boot(&w);
    CHECK(run_until(&w, &w.ready));
    load_bank(&w);
    park_timer(&w);
    hit = false;
    until_fault = n;
    for (int i = 0; i < UNDOER; i++)
        speaker_connect(&w, &speakers[i], scripts[i]);
    until_silence(&w, speakers, UNDOER);
    check_disk(&w, speakers);
    for (int i = UNDOER; i < SPEAKERS; i++) {
        speaker_connect(&w, &speakers[i], scripts[i]);
        until_silence(&w, &speakers[i], 1);
    }
    for (int i = 0; i < SPEAKERS; i++)
        check_whole(&speakers[i]);
    drain(&w.core);
    CHECK(run_until(&w, &w.stopped));
    take_apart(&w);
    CHECK(!wrong(&w));
    check_pairs(&w);
    for (int i = 0; i < SPEAKERS; i++) {
        buf_fini(&speakers[i].peer.say);
        buf_fini(&speakers[i].peer.hear);
    }
    policy_free(&w.policy);
    objects_close(&w.objects);
    disk_free(&w.disk);
}

int main(void)
{
    (void)sim_main;
    alarm(300);
    log_threshold(LOG_ERROR + 1);
    snprintf(directory, sizeof directory, "/tmp/graftd-fault-XXXXXX");
    CHECK(mkdtemp(directory) != NULL);
    for (uint64_t seed = SEED_FIRST; seed < SEED_FIRST + SEED_COUNT; seed++) {
        unsigned n = 0;
        do {
            CHECK(n < FAULTS_MAX);
            seed_now = n;
            run_with_fault(seed, n++);
        } while (hit);
        CHECK(n > 100);
        printf("seed %llu: %u allocations, each failed once\n", (unsigned long long)seed, n - 1);
    }
    remove_directory();
    return EXIT_SUCCESS;
}
