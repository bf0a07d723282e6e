#include "graftd/audit.h"

#include "graftd/audit_file.h"
#include "lib/iso_time.h"
#include "lib/check.h"
#include "lib/list.h"
#include "lib/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WHAT_SHOWN = 256, HEAD_MAX = 64 }; /* bytes */

/* A denial that waits for others like it. */
struct held {
    int64_t until_ms;
    uint64_t count;
    char head[HEAD_MAX]; /* time of the first */
    char body[AUDIT_LINE_MAX];
};

/* Who wants to see the end of the file. */
struct tail {
    struct list link;
    size_t count;
    audit_tail_done *done;
    void *owner;
    enum err err;
    struct buf text;
};

struct audit {
    struct port *port;
    struct port_timer *timer;
    struct buf queue; /* lines to be written */
    uint64_t lost;    /* lines that were not */
    uint64_t told;    /* lost lines that a line in the queue, or being written, tells of */
    struct held held[AUDIT_HELD_MAX];
    size_t held_first, held_count; /* a ring, oldest first */
    int64_t second_ms;             /* denials are counted from here */
    unsigned second_count;
    struct list tails; /* asked for since the writer began */
    bool reopen, busy, complained;

    /* The writer's, while busy. */
    struct audit_file file;
    bool opening;
    struct buf writing;
    struct list reading; /* tails */
    uint64_t failed;     /* lines */
    int errnum;
};

/* ---- one line ---- */

/* Adds text as the inside of a JSON string; n: bytes of out that are used. What does not fit is left out. */
static size_t add_json(char *out, size_t n, const char *text)
{
    for (; *text != '\0' && n + 8 < AUDIT_LINE_MAX; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20) {
            n += (size_t)snprintf(out + n, AUDIT_LINE_MAX - n, "\\u%04x", c);
        } else {
            if (c == '"' || c == '\\')
                out[n++] = '\\';
            out[n++] = (char)c;
        }
    }
    out[n] = '\0';
    return n;
}

static size_t add_field(char *out, size_t n, const char *name, const char *first, const char *second)
{
    if (n + strlen(name) + 16 > AUDIT_LINE_MAX)
        return n;
    n += (size_t)snprintf(out + n, AUDIT_LINE_MAX - n, ",\"%s\":\"", name);
    n = add_json(out, n, first);
    n = add_json(out, n, second);
    out[n++] = '"';
    out[n] = '\0';
    return n;
}

/* All but the time and the braces. */
static void write_body(const struct audit_record *r, char out[AUDIT_LINE_MAX])
{
    static const char *const names[] = {
        [AUDIT_LOAD] = "load",     [AUDIT_UNLOAD] = "unload", [AUDIT_ATTACH] = "attach", [AUDIT_DETACH] = "detach",
        [AUDIT_DENIED] = "denied", [AUDIT_KILL] = "kill",     [AUDIT_UNDO] = "undo",     [AUDIT_POLICY] = "policy",
    };
    char what[WHAT_SHOWN], place[WHAT_SHOWN], rule[WHAT_SHOWN], why[2 * WHAT_SHOWN], action[HEAD_MAX];
    size_t n;

    n = (size_t)snprintf(out, AUDIT_LINE_MAX, ",\"event\":\"%s\",\"uid\":%u,\"gid\":%u,\"pid\":%d", names[r->event],
                         (unsigned)r->uid, (unsigned)r->gid, (int)r->pid);
    if (r->graft != NULL)
        n = add_field(out, n, "graft", r->graft, "");
    bytes_show(r->what, what, sizeof what);
    snprintf(action, sizeof action, "%s%s", r->action != NULL ? r->action : "",
             r->action != NULL && what[0] != '\0' ? " " : "");
    n = add_field(out, n, "what", action, what);
    n = add_field(out, n, "verdict", r->verdict, "");
    place_show(r->rule, place, sizeof place);
    if (r->ruled)
        n = add_field(out, n, "rule", bytes_show(bytes_str(place), rule, sizeof rule), "");
    if (r->why != NULL)
        add_field(out, n, "why", bytes_show(bytes_str(r->why), why, sizeof why), "");
}

static void write_head(struct audit *a, char out[HEAD_MAX])
{
    char time[32];

    snprintf(out, HEAD_MAX, "{\"time\":\"%s\"", iso_time(port_wall_us(a->port), time));
}

/* ---- the queue ---- */

/* On another thread. */
static void work(void *owner)
{
    struct audit *a = owner;

    if (a->opening)
        a->errnum = audit_file_reopen(&a->file);
    a->failed = audit_file_write(&a->file, &a->writing, &a->errnum);
    list_each (node, &a->reading) {
        struct tail *t = list_entry(node, struct tail, link);
        t->err = audit_file_tail(&a->file, t->count, &t->text);
    }
}

static void pump(struct audit *a);

static void queue_line(struct audit *a, const char *head, const char *body, uint64_t count)
{
    char line[HEAD_MAX + AUDIT_LINE_MAX + HEAD_MAX];
    int n = count > 1 ? snprintf(line, sizeof line, "%s%s,\"count\":%" PRIu64 "}\n", head, body, count)
                      : snprintf(line, sizeof line, "%s%s}\n", head, body);

    CHECK(n > 0 && (size_t)n < sizeof line);
    if (buf_add(&a->queue, line, (size_t)n) != OK)
        a->lost++;
}

static void queue_lost(struct audit *a)
{
    char head[HEAD_MAX], body[HEAD_MAX];
    uint64_t lost = a->lost;

    if (lost == 0 || a->told != 0)
        return;
    a->lost = 0;
    write_head(a, head);
    snprintf(body, sizeof body, ",\"event\":\"lost\",\"lines\":%" PRIu64, lost);
    queue_line(a, head, body, 1);
    if (a->lost == 0)
        a->told = lost;
    else
        a->lost = lost; /* the line did not fit itself */
}

static void complain(struct audit *a)
{
    if (a->errnum != 0 && !a->complained)
        log_line(LOG_WARNING, "the audit log cannot be written: %s; what is lost is counted", strerror(a->errnum));
    a->complained = a->errnum != 0;
}

static void tails_answer(struct list *tails)
{
    struct list *node;

    while ((node = list_pop(tails)) != NULL) {
        struct tail *t = list_entry(node, struct tail, link);
        t->done(t->owner, t->err, buf_bytes(&t->text));
        buf_fini(&t->text);
        free(t);
    }
}

static void worked(void *owner)
{
    struct audit *a = owner;
    bool failed = a->failed > 0;

    complain(a);
    if (failed) /* the last line of all told how many were lost before */
        a->lost += a->failed + a->told - (a->told != 0);
    a->told = 0;
    a->failed = 0;
    a->errnum = 0;
    a->opening = false;
    buf_clear(&a->writing);
    tails_answer(&a->reading);
    a->busy = false;
    if (!failed || !list_empty(&a->tails)) /* else the next line tries again: not the disk's error at once */
        pump(a);
}

static void swap_buffers(struct audit *a)
{
    struct buf full = a->queue;

    a->queue = a->writing;
    a->writing = full;
}

/* Hands over what waits, unless the writer is at work. */
static void pump(struct audit *a)
{
    struct list *node;

    if (a->busy)
        return;
    queue_lost(a);
    if (buf_len(&a->queue) == 0 && !a->reopen && list_empty(&a->tails))
        return;
    a->busy = true; /* from here on the writer may run */
    a->opening = a->reopen;
    a->reopen = false;
    swap_buffers(a);
    while ((node = list_pop(&a->tails)) != NULL)
        list_push(&a->reading, node);
    if (a->port->ops->work(a->port, work, worked, a) == OK)
        return;
    a->busy = false; /* no memory: it waits for the next line */
    a->reopen = a->opening;
    swap_buffers(a);
    while ((node = list_pop(&a->reading)) != NULL)
        list_push(&a->tails, node);
}

/* ---- denials, which may come by the thousand ---- */

static void release_oldest(struct audit *a)
{
    struct held *h = &a->held[a->held_first];

    queue_line(a, h->head, h->body, h->count);
    a->held_first = (a->held_first + 1) % AUDIT_HELD_MAX;
    a->held_count--;
}

static void release(struct audit *a, int64_t now_ms)
{
    while (a->held_count > 0 && a->held[a->held_first].until_ms <= now_ms)
        release_oldest(a);
    if (a->held_count > 0)
        a->port->ops->timer_start(a->timer, (uint64_t)(a->held[a->held_first].until_ms - now_ms));
    pump(a);
}

static void second_is_over(void *owner)
{
    struct audit *a = owner;

    release(a, port_now_ms(a->port));
}

/* Without its pid two denials may be the same. */
static bool same_denial(const char *a, const char *b)
{
    const char *pid_a = strstr(a, ",\"pid\":"), *pid_b = strstr(b, ",\"pid\":");

    return pid_a - a == pid_b - b && memcmp(a, b, (size_t)(pid_a - a)) == 0 &&
           strcmp(strchr(pid_a + 1, ','), strchr(pid_b + 1, ',')) == 0;
}

static void hold(struct audit *a, const char *body)
{
    int64_t now = port_now_ms(a->port);
    struct held *h;

    for (size_t i = 0; i < a->held_count; i++) {
        h = &a->held[(a->held_first + i) % AUDIT_HELD_MAX];
        if (same_denial(h->body, body)) {
            h->count++;
            return;
        }
    }
    if (now - a->second_ms >= AUDIT_REPEAT_MS) {
        a->second_ms = now;
        a->second_count = 0;
    }
    if (a->second_count++ >= AUDIT_DENIED_MAX) {
        a->lost++;
        return;
    }
    if (a->held_count == AUDIT_HELD_MAX)
        release_oldest(a);
    h = &a->held[(a->held_first + a->held_count++) % AUDIT_HELD_MAX];
    h->until_ms = now + AUDIT_REPEAT_MS;
    h->count = 1;
    write_head(a, h->head);
    snprintf(h->body, sizeof h->body, "%s", body);
    release(a, now);
}

/* ---- notes ---- */

void audit(struct audit *a, const struct audit_record *record)
{
    char head[HEAD_MAX], body[AUDIT_LINE_MAX];

    if (a == NULL)
        return;
    write_body(record, body);
    if (record->event == AUDIT_DENIED) {
        hold(a, body);
        return;
    }
    write_head(a, head);
    queue_line(a, head, body, 1);
    pump(a);
}

void audit_graft_denied(struct audit *a, const struct principal *who, const char *label, const char *action,
                        struct bytes what, struct place rule)
{
    audit(a, &(struct audit_record){ .event = AUDIT_DENIED,
                                     .uid = who->uid,
                                     .gid = who->gid,
                                     .pid = who->pid,
                                     .graft = label,
                                     .action = action,
                                     .what = what,
                                     .verdict = "denied",
                                     .ruled = true,
                                     .rule = rule });
}

void audit_denied(struct audit *a, const struct principal *who, const char *action, struct bytes what,
                  struct place rule)
{
    audit_graft_denied(a, who, NULL, action, what, rule);
}

enum err audit_tail(struct audit *a, size_t count, audit_tail_done *done, void *owner)
{
    struct tail *t = malloc(sizeof *t);

    if (t == NULL)
        return ERR_NOMEM;
    *t = (struct tail){ .count = count, .done = done, .owner = owner };
    buf_init(&t->text, AUDIT_TAIL_MAX);
    list_push(&a->tails, &t->link);
    while (a->held_count > 0)
        release_oldest(a);
    pump(a);
    return OK;
}

/* ---- the whole ---- */

enum err audit_open(struct port *port, int data_fd, struct audit **out, struct failure *why)
{
    struct audit *a = calloc(1, sizeof *a);
    enum err err;

    if (a == NULL)
        return fail(why, ERR_NOMEM, "no memory for the audit log");
    a->port = port;
    buf_init(&a->queue, AUDIT_QUEUE_MAX);
    buf_init(&a->writing, AUDIT_QUEUE_MAX);
    list_init(&a->tails);
    list_init(&a->reading);
    err = audit_file_open(&a->file, data_fd, why);
    if (err == OK && (a->timer = port->ops->timer_new(port, second_is_over, a)) == NULL)
        err = fail(why, ERR_NOMEM, "no memory for the audit log");
    if (err != OK) {
        audit_close(&a);
        return err;
    }
    *out = a;
    return OK;
}

void audit_close(struct audit **audit)
{
    struct audit *a = *audit;

    if (a == NULL)
        return;
    CHECK(!a->busy); /* the loop waits for the writer before it ends */
    while (a->held_count > 0)
        release_oldest(a);
    queue_lost(a);
    audit_file_write(&a->file, &a->queue, &a->errnum);
    complain(a);
    audit_file_close(&a->file);
    tails_answer(&a->tails);
    buf_fini(&a->queue);
    buf_fini(&a->writing);
    if (a->timer != NULL)
        a->port->ops->timer_free(&a->timer);
    free(a);
    *audit = NULL;
}

void audit_reopen(struct audit *a)
{
    a->reopen = true;
    pump(a);
}
