/* One command of a client of the history test: what it does to lists, and what was told of them. */
#include "tests/history/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 4096 };

atomic_uint appended;

/* ---- steps: what one command does to lists ---- */

uint32_t some_key(struct client *c) { return atomic_load(&appended) / VALUES_PER_KEY + draw(c, WINDOW); }

static bool appends(char what) { return what == 'a' || what == 'n' || what == 'f'; }

static struct step some_step(struct client *c)
{
    static const char kinds[] = "rrraaaaans";
    struct step s = { kinds[draw(c, sizeof kinds - 1)], some_key(c), 0 };

    if (s.what == 'n' && draw(c, 2) == 0)
        s.what = 'f';
    if (s.what == 's')
        s.key /= BLOCK;
    if (appends(s.what))
        s.value = (int64_t)(c->number + 1) * 1000000 + ++c->values;
    return s;
}

struct command some_command(struct client *c, bool may_be_plain)
{
    struct command m = { .count = 1 + draw(c, STEPS_MAX) };

    if (may_be_plain && draw(c, 3) == 0) {
        m.plain = true;
        m.count = 1;
        m.steps[0] = (struct step){ 'g', some_key(c), 0 };
        if (draw(c, 3) == 0)
            m.steps[0] = (struct step){ 'p', some_key(c) / BLOCK, 0 };
        return m;
    }
    for (size_t i = 0; i < m.count; i++)
        m.steps[i] = some_step(c);
    return m;
}

void spoil(struct client *c, struct command *m) { m->steps[m->count++].what = "xxxcl"[draw(c, 5)]; }

void add_step(struct words *w, const struct step *s)
{
    add(w, "%c", s->what);
    if (s->what == 's')
        add_prefix(w, s->key, "");
    else
        add_key(w, s->key);
    add(w, "%" PRId64, s->value);
}

/* Keys that are read or appended to here, not by a nested call. */
static void add_declared(struct words *w, const struct command *m, bool declare)
{
    size_t at = w->count, n = 0;

    add(w, "0");
    for (size_t i = 0; declare && i < m->count; i++)
        if (m->steps[i].what == 'r' || m->steps[i].what == 'a') {
            add_key(w, m->steps[i].key);
            n++;
        }
    snprintf(w->text[at], sizeof w->text[at], "%zu", n);
}

void say_command(struct client *c, const struct command *m, struct words *w)
{
    w->count = 0;
    if (m->plain && m->steps[0].what == 'g') {
        add(w, "GET");
        add_key(w, m->steps[0].key);
    } else if (m->plain) {
        add(w, "SCAN");
        add(w, "0");
        add(w, "MATCH");
        add_prefix(w, m->steps[0].key, "*");
        add(w, "COUNT");
        add(w, "1000");
    } else {
        add(w, "FCALL");
        add(w, "lists.mix");
        add_declared(w, m, draw(c, 2) == 0);
        for (size_t i = 0; i < m->count; i++)
            add_step(w, &m->steps[i]);
    }
}

/* ---- what was told ---- */

void read_list(struct history_txn *t, uint32_t key, const graft_reply *r)
{
    static _Thread_local int64_t list[LIST_MAX];
    const char *at = graft_client_text(r, NULL);
    size_t n = 0;

    while (*at != '\0' && n < LIST_MAX) {
        char *end;
        list[n++] = strtoll(at, &end, 10);
        at = *end == ',' ? end + 1 : end;
        if (end == at)
            break;
    }
    history_read(t, key, list, n);
}

static const graft_reply *find_key(const graft_reply *r, size_t stride, uint32_t key)
{
    char name[48];

    snprintf(name, sizeof name, "h%u:%06u:%u", run_number, key / BLOCK, key % BLOCK);
    for (size_t i = 0; i < graft_client_count(r); i += stride)
        if (strcmp(graft_client_text(graft_client_item(r, i), NULL), name) == 0)
            return graft_client_item(r, i + stride - 1);
    return NULL;
}

/* Every key of the block was looked at, also those that are not there. */
static void read_block(struct history_txn *t, uint32_t block, const graft_reply *r, bool values)
{
    for (uint32_t key = block * BLOCK; key < (block + 1) * BLOCK; key++) {
        const graft_reply *found = find_key(r, values ? 2 : 1, key);
        if (found == NULL)
            history_read(t, key, NULL, 0);
        else if (values)
            read_list(t, key, found);
        else
            history_exists(t, key);
    }
}

static void note_step(struct history_txn *t, const struct step *s, const graft_reply *r)
{
    size_t before;

    if (s->what == 's')
        read_block(t, s->key, r, true);
    else if (s->what == 'r' || s->what == 'a' || s->what == 'n')
        read_list(t, s->key, r);
    if (!appends(s->what))
        return;
    before = t->count;
    history_append(t, s->key, s->value);
    if (s->what == 'f')
        history_undo(t, before);
    else
        atomic_fetch_add(&appended, 1);
}

void note_command(struct history_txn *t, const struct command *m, const graft_reply *r)
{
    if (m->plain && r != NULL) {
        if (m->steps[0].what == 'g')
            read_list(t, m->steps[0].key, r);
        else if (strcmp(graft_client_text(graft_client_item(r, 0), NULL), "0") == 0)
            read_block(t, m->steps[0].key, graft_client_item(r, 1), false);
        return;
    }
    for (size_t i = 0; i < m->count; i++)
        if (r != NULL)
            note_step(t, &m->steps[i], graft_client_item(r, i));
        else if (appends(m->steps[i].what))
            history_append(t, m->steps[i].key, m->steps[i].value);
}
