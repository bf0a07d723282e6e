#include "tests/sim/disk_mem.h"

#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY_MAX = 64 * 1024, VALUE_MAX = 16 * 1024 * 1024 };

struct store_mem {
    struct store store;
    struct store_facts facts;
    struct disk *disk;
    struct list queue;
    size_t waiting;
    unsigned delay, polls; /* polls that the first in line has seen */
    bool dead;             /* every request fails with dead_err */
    enum err dead_err;
    bool fail_armed, fail_applied;
    enum store_kind fail_kind;
    enum err fail_err;
};

static struct store_mem *mem(struct store *s) { return (struct store_mem *)(void *)s; }
static const struct store_mem *mem_const(const struct store *s) { return (const struct store_mem *)(const void *)s; }

/* One line per key, printable: "key" = "value". */
static void write_backup(const struct disk *d, struct store_request *r)
{
    FILE *f = access(r->path, F_OK) == 0 ? NULL : fopen(r->path, "w");
    char key[128], value[128];

    if (f == NULL) {
        fail(&r->why, ERR_BADARG, "%s exists or cannot be written", r->path);
        return;
    }
    for (size_t i = 0; i < d->kv.count; i++)
        fprintf(f, "\"%s\" = \"%s\"\n", bytes_show(d->kv.slots[i].key, key, sizeof key),
                bytes_show(d->kv.slots[i].value, value, sizeof value));
    fclose(f);
}

static void graft_del(struct disk *d, const char *name)
{
    for (size_t i = 0; i < d->graft_count; i++)
        if (strcmp(d->grafts[i].name, name) == 0)
            d->grafts[i--] = d->grafts[--d->graft_count];
}

static void graft_put(struct disk *d, const struct store_graft *graft)
{
    graft_del(d, graft->name);
    d->grafts = reallocarray(d->grafts, d->graft_count + 1, sizeof d->grafts[0]);
    CHECK(d->grafts != NULL);
    d->grafts[d->graft_count++] = *graft;
}

static void commit(struct disk *d, const struct store_request *r)
{
    for (size_t i = 0; i < r->entry_count; i++)
        disk_apply_entry(d, &r->entries[i]);
    if (r->txn_reserve > d->reserved)
        d->reserved = r->txn_reserve;
}

static void perform(struct disk *d, struct store_request *r)
{
    switch (r->kind) {
    case STORE_COMMIT:
        commit(d, r);
        break;
    case STORE_GET:
        answer_get(d, r);
        break;
    case STORE_SCAN:
        answer_scan(d, r);
        break;
    case STORE_UNDO:
        disk_undo(d, r);
        break;
    case STORE_APPLY:
        disk_apply_files(d, r);
        break;
    case STORE_FILE_STAGE:
        file_mem_stage(d->files, r->txn, r->stage, r->offset, r->data, &r->inode);
        break;
    case STORE_FILE_READ:
        answer_file_read(d, r);
        break;
    case STORE_FILE_DROP:
        file_mem_end(d->files, r->txn);
        break;
    case STORE_EVENTS:
        answer_events(d, r);
        break;
    case STORE_TOPICS:
        answer_topics(d, r);
        break;
    case STORE_LIST:
        if (r->filter.has_key)
            answer_owners(d, r, r->filter.key, false);
        else
            answer_list(d, r);
        break;
    case STORE_SHOW:
        answer_show(d, r);
        break;
    case STORE_BLAME:
        answer_owners(d, r, r->key, true);
        break;
    case STORE_AT:
        answer_at(d, r);
        break;
    case STORE_DEPENDENTS:
        answer_dependents(d, r);
        break;
    case STORE_IDEM:
        answer_token(d, r);
        break;
    case STORE_BACKUP:
        write_backup(d, r);
        break;
    case STORE_GRAFT_PUT:
        graft_put(d, &r->graft);
        break;
    case STORE_GRAFT_DEL:
        graft_del(d, r->graft.name);
        break;
    case STORE_GRAFT_LIST:
        answer_grafts(d, r);
        break;
    }
}

/* --- the store --- */

static void finish(struct store_mem *s, struct store_request *r)
{
    enum err err = OK;

    if (s->dead) {
        fail(&r->why, s->dead_err, "the store has stopped");
    } else if (s->fail_armed && s->fail_kind == r->kind) {
        err = s->fail_err;
        s->fail_armed = false;
        if (s->fail_applied)
            perform(s->disk, r);
        fail(&r->why, err, "the test said so");
    } else {
        perform(s->disk, r);
    }
    if (err == ERR_UNKNOWN) {
        s->dead = true;
        s->dead_err = ERR_STORAGE;
    }
    r->done(r);
}

static void mem_submit(struct store *store, struct store_request *r)
{
    struct store_mem *s = mem(store);

    failure_clear(&r->why);
    r->link = (struct list){ 0 };
    list_push(&s->queue, &r->link);
    s->waiting++;
}

static void mem_poll(struct store *store)
{
    struct store_mem *s = mem(store);
    size_t n = s->waiting; /* what comes while these are answered waits for the next poll */

    if (n > 0 && ++s->polls < s->delay)
        return;
    s->polls = 0;
    for (; n > 0; n--) {
        struct store_request *r = list_entry(list_pop(&s->queue), struct store_request, link);
        s->waiting--;
        finish(s, r);
        if (s->delay > 1)
            return; /* one at a time when it is slow */
    }
}

static const struct store_facts *mem_facts(const struct store *store) { return &mem_const(store)->facts; }

static void mem_close(struct store *store)
{
    struct store_mem *s = mem(store);

    while (s->waiting > 0)
        mem_poll(store);
    s->disk->in_use = false;
    free(s);
}

struct store *store_mem_open(struct disk *d)
{
    static const struct store_ops ops = { mem_submit, mem_poll, mem_facts, mem_close };
    struct store_mem *s = calloc(1, sizeof *s);

    CHECK(s != NULL);
    CHECK(!d->in_use);
    d->in_use = true;
    s->store.ops = &ops;
    s->disk = d;
    s->delay = 1;
    list_init(&s->queue);
    s->facts = (struct store_facts){ .engine = "memory",
                                     .undone = disk_recover(d),
                                     .txn_next = d->reserved + 1,
                                     .key_max = KEY_MAX,
                                     .value_max = VALUE_MAX };
    return &s->store;
}

void store_mem_set_delay(struct store *s, unsigned polls) { mem(s)->delay = polls; }

void store_mem_fail_next(struct store *s, enum store_kind kind, enum err err, bool applied)
{
    mem(s)->fail_armed = true;
    mem(s)->fail_kind = kind;
    mem(s)->fail_err = err;
    mem(s)->fail_applied = applied;
}

void store_mem_crash(struct store *store, size_t applied)
{
    struct store_mem *s = mem(store);

    list_each (node, &s->queue) {
        struct store_request *r = list_entry(node, struct store_request, link);
        if (applied-- == 0)
            break;
        if (r->kind == STORE_COMMIT || r->kind == STORE_UNDO || r->kind == STORE_APPLY || r->kind == STORE_FILE_STAGE ||
            r->kind == STORE_FILE_DROP)
            perform(s->disk, r);
    }
    s->dead = true;
    s->dead_err = ERR_UNKNOWN;
}

size_t store_mem_waiting(const struct store *s) { return mem_const(s)->waiting; }
