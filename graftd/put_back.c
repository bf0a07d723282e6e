#include "graftd/put_back.h"

#include "lib/check.h"
#include "txn/file.h"
#include "txn/timer_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOT_FIRST SIZE_MAX

enum { KEY_SHOWN = 64 };

/* ---- which effects ---- */

static bool is_whole(char resource) { return resource == RESOURCE_FILE || resource == RESOURCE_EVENT; }

static int by_item(const void *a, const void *b, void *user)
{
    const struct store_effect *effects = user;
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    int c = effects[x].resource - effects[y].resource;

    if (c == 0)
        c = bytes_compare(effects[x].key, effects[y].key);
    return c != 0 ? c : (x > y) - (x < y);
}

/* order: effects on files and events, by item, oldest first. */
static void find_last(struct put_back *p, const size_t *order, size_t count)
{
    for (size_t i = 0, first = 0; i < count; i++) {
        const struct store_effect *e = &p->effects[order[i]], *f = &p->effects[order[first]];
        if (e->resource != f->resource || !bytes_equal(e->key, f->key))
            first = i;
        p->last[order[i]] = NOT_FIRST;
        p->last[order[first]] = order[i];
    }
}

enum err put_back_init(struct put_back *p, const struct store_request *shown)
{
    size_t n = 0, *order = calloc(shown->effect_count + 1, sizeof *order);

    *p = (struct put_back){ .txn = shown->txn,
                            .row = &shown->rows[0],
                            .effects = shown->effects,
                            .count = shown->effect_count,
                            .last = calloc(shown->effect_count + 1, sizeof p->last[0]) };
    if (order == NULL || p->last == NULL) {
        free(order);
        put_back_fini(p);
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < p->count; i++) {
        p->last[i] = i;
        if (is_whole(p->effects[i].resource))
            order[n++] = i;
    }
    qsort_r(order, n, sizeof *order, by_item, (void *)(uintptr_t)p->effects);
    find_last(p, order, n);
    free(order);
    return OK;
}

void put_back_fini(struct put_back *p)
{
    free(p->last);
    *p = (struct put_back){ 0 };
}

static bool is_taken(const struct put_back *p, size_t i)
{
    return p->last[i] != NOT_FIRST && p->effects[i].resource != RESOURCE_EVENT;
}

bool put_back_keeps(const struct put_back *p, size_t i)
{
    return p->effects[i].resource == RESOURCE_EVENT && p->last[i] != NOT_FIRST && p->effects[p->last[i]].after.present;
}

/* ---- keys and timers ---- */

static enum err refuse(const struct put_back *p, const struct store_effect *e, bool *stale, struct failure *why)
{
    char shown[KEY_SHOWN];

    *stale = true;
    bytes_show(e->key, shown, sizeof shown);
    return fail(why, ERR_CONFLICT, "%s\"%s\" no longer holds what transaction %llu made of it; look with BLAME %s%s",
                e->resource == RESOURCE_TIMER ? "timer " : "", shown, (unsigned long long)p->txn, shown,
                e->resource == RESOURCE_TIMER ? " TIMER" : "");
}

/* But for that it was parked meanwhile, as put_parked does. */
static bool same_timer(struct bytes a, struct bytes b)
{
    struct timer x, y;

    if (!timer_image_read(a, &x) || !timer_image_read(b, &y))
        return false;
    return x.due_us == y.due_us && x.uid == y.uid && x.gid == y.gid && x.armed_by == y.armed_by && x.tries == y.tries &&
           bytes_equal(x.function, y.function) && bytes_equal(x.args, y.args);
}

static bool is_as_made(const struct store_effect *e, bool present, struct bytes now)
{
    if (present != e->after.present)
        return false;
    return !present || bytes_equal(now, e->after.value) ||
           (e->resource == RESOURCE_TIMER && same_timer(now, e->after.value));
}

/* The transaction is the call that the timer made: it was asked for by whoever armed the timer, and its first effect was to
 * delete it (timer.h). What it did to other timers, if only of the same function, was a cancel. */
static bool has_fired(const struct put_back *p, const struct store_effect *e, struct timer *timer)
{
    char name[TIMER_FUNCTION_MAX + 1];
    const struct store_row *row = p->row;

    if (e->after.present || e != &p->effects[0] || row->graft == NULL || row->function == NULL)
        return false;
    snprintf(name, sizeof name, "%s.%s", row->graft, row->function);
    return timer_image_read(e->before.value, timer) && timer->armed_by == row->parent &&
           bytes_equal(timer->function, bytes_str(name));
}

/* It did fire: whether it should again is for people to say. */
static enum err put_parked(const struct put_back *p, const struct store_effect *e, struct timer *timer, struct txn *t,
                           struct failure *why)
{
    char error[TIMER_ERROR_MAX];
    struct buf image;
    enum err err;

    snprintf(error, sizeof error, "the call that it made, transaction %llu, was undone", (unsigned long long)p->txn);
    timer->parked = true;
    timer->error = bytes_str(error);
    buf_init(&image, TIMER_IMAGE_MAX);
    err = timer_image_add(&image, timer) ? txn_put_item(t, e->resource, e->key, buf_bytes(&image), why)
                                         : fail(why, ERR_NOMEM, "no memory for a timer");
    buf_fini(&image);
    return err;
}

static enum err step_item(const struct put_back *p, const struct store_effect *e, struct txn *t, bool *stale,
                          struct failure *why)
{
    struct bytes now = { NULL, 0 };
    struct timer timer;
    enum err err = txn_get_item(t, e->resource, e->key, LOCK_EXCLUSIVE, &now, why);

    if (err != OK && err != ERR_ABSENT)
        return err;
    if (!is_as_made(e, err == OK, now))
        return refuse(p, e, stale, why);
    if (e->before.present && e->resource == RESOURCE_TIMER && has_fired(p, e, &timer))
        return put_parked(p, e, &timer, t, why);
    if (e->before.present)
        return txn_put_item(t, e->resource, e->key, e->before.value, why);
    return e->after.present ? txn_delete_item(t, e->resource, e->key, why) : OK;
}

/* ---- files ---- */

static enum err step_file(const struct put_back *p, size_t i, struct txn *t, bool *stale, bool *alike,
                          struct failure *why)
{
    struct store_effect whole = p->effects[i];
    enum err err;

    whole.after = p->effects[p->last[i]].after;
    err = txn_file_put_back(t, p->txn, i, &whole, alike, why);
    *stale = err == ERR_CONFLICT && txn_failure(t)->err == OK;
    return err;
}

enum err put_back_step(const struct put_back *p, size_t i, struct txn *t, bool *stale, bool *alike, struct failure *why)
{
    const struct store_effect *e = &p->effects[i];

    CHECK(i < p->count);
    *stale = false;
    if (!is_taken(p, i))
        return OK;
    return e->resource == RESOURCE_FILE ? step_file(p, i, t, stale, alike, why) : step_item(p, e, t, stale, why);
}
