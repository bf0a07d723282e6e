/*
 * Operations on one item: reading it, changing it.
 *
 * An item is what a transaction can lock and change; inside the manager its name is the byte of its resource and the key
 * (resource.h), so that one lock table, one overlay and one undo log serve all resources. That byte is put on here and
 * in scan.c, and taken off wherever a key leaves the manager: in undo records (undo.c), for the store (load.c, scan.c)
 * and in messages (item_show).
 *
 *  1. An operation takes its lock first, then sees the image, then acts: whatever it must wait for, it has done nothing
 *     yet, and can be asked again (strict two-phase locking, T6).
 *  2. A change is made in place together with its undo record, or not at all (T3).
 *  3. Events are new each time: nobody else can name one, so they need neither lock nor image.
 */
#include "txn/inside.h"

#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *item_show(struct bytes item, char *out, size_t size)
{
    char key[80];

    snprintf(out, size, "%s \"%s\"", item_resource(item) == RESOURCE_KV ? "key" : resource_name(item_resource(item)),
             bytes_show(item_key(item), key, size < sizeof key ? size - size / 4 : sizeof key));
    return out;
}

struct bytes item_name(struct txn_manager *m, char resource, struct bytes key)
{
    m->item_text[0] = (uint8_t)resource;
    memcpy(m->item_text + 1, key.data, key.len);
    return bytes_of(m->item_text, key.len + 1);
}

/* ---- what every operation begins with ---- */

enum err txn_again(struct txn *t, struct failure *why)
{
    CHECK(t->state == TXN_OPEN);
    t->waiting = t->waiting_room = false;
    list_remove(&t->wake_link);
    blob_drop(&t->borrowed);
    return t->failure.err == OK ? OK : fail(why, t->failure.err, "%s", t->failure.text);
}

enum err txn_enter(struct txn *t, struct failure *why)
{
    enum err err;

    CHECK(t->rollback == NULL);
    err = txn_again(t, why);
    if (err != OK || t->id <= t->m->id_reserved)
        return err;
    list_push(&t->m->unnumbered, &t->wake_link);
    t->waiting = true;
    return ERR_WAIT;
}

enum err txn_ready(struct txn *t, struct failure *why) { return txn_enter(t, why); }

/* What dooms: the transaction keeps the reason, the caller gets it too. */
static enum err doomed(struct txn *t, struct failure *why) { return fail(why, t->failure.err, "%s", t->failure.text); }

enum err txn_no_memory(struct txn *t, struct failure *why)
{
    txn_doom(t, ERR_NOMEM, "no memory for the transaction's next step; try again later");
    return doomed(t, why);
}

/* ---- locks ---- */

/* It holds one more. */
static enum err lock_had(struct txn *t, struct failure *why)
{
    unsigned long long used, max = t->m->options.locks_bytes;

    if (max == 0 || (used = lock_bytes(&t->locks)) <= max)
        return OK;
    txn_doom(t, ERR_LIMIT,
             "its locks on keys and ranges take %llu bytes, and \"limit locks\" is %llu; touch fewer keys in one "
             "transaction, or raise the limit. used=%llu limit=%llu",
             used, max, used, max);
    return doomed(t, why);
}

/* err: what the lock table said. */
static enum err lock_answer(struct txn *t, enum err err, struct failure *why)
{
    struct txn_manager *m = t->m;

    if (err != ERR_WAIT) {
        list_remove(&t->deadline_link);
        m->stats.deadlocks += err == ERR_DEADLOCK;
        return err == OK ? lock_had(t, why) : doomed(t, why);
    }
    t->waiting = true;
    lock_woke(&t->locks, m->now_ms); /* it may have gone on without being woken */
    if (t->locks.waiting_since_ms < 0 || !list_linked(&t->deadline_link)) {
        t->locks.waiting_since_ms = -1;
        list_remove(&t->deadline_link);
        list_push(&m->lock_waits, &t->deadline_link);
        manager_want(m); /* the wait is timed from the next poll on: only there is it known what time it is */
    }
    return ERR_WAIT;
}

static enum err txn_lock(struct txn *t, struct bytes item, enum lock_mode mode, struct failure *why)
{
    return lock_answer(t, lock_take(&t->m->locks, &t->locks, item, mode, -1, &t->failure), why);
}

enum err txn_lock_range(struct txn *t, const struct range *range, struct failure *why)
{
    return lock_answer(t, lock_take_range(&t->m->locks, &t->locks, range, -1, &t->failure), why);
}

/* ---- reaching and changing ---- */

void txn_let_go(struct txn *t)
{
    if (t->reached != NULL)
        kv_unpin(&t->m->kv, t->reached);
    t->reached = NULL;
}

static enum err check_key(const struct txn *t, char resource, struct bytes key, struct failure *why)
{
    uint64_t max = resource == RESOURCE_KV ? t->m->options.key_max : STORE_KEY_MAX;

    if (key.len > 0 && key.len <= max)
        return OK;
    return fail(why, ERR_BADARG, "a key has 1 to %llu bytes, this one %zu", (unsigned long long)max, key.len);
}

/* What nobody else reads, or others than graftd change, is not worth keeping. */
static bool is_fleeting(char resource) { return resource == RESOURCE_FILE || resource == RESOURCE_EVENT; }

static enum err reach_entry(struct txn *t, struct bytes item, struct failure *why)
{
    struct kv_entry *e;

    if (t->reached != NULL && bytes_equal(t->reached->node.key, item))
        return OK; /* it was read to be written */
    if (kv_pin_key(&t->m->kv, item, &e) != OK)
        return txn_no_memory(t, why);
    e->fleeting = is_fleeting(item_resource(item));
    txn_let_go(t);
    t->reached = e;
    return OK;
}

enum err txn_reach(struct txn *t, char resource, struct bytes key, enum lock_mode mode, struct failure *why)
{
    enum err err = check_key(t, resource, key, why);
    struct bytes item;

    if (err != OK)
        return err;
    item = item_name(t->m, resource, key);
    err = resource == RESOURCE_EVENT ? OK : txn_lock(t, item, mode, why);
    if (err == OK)
        err = reach_entry(t, item, why);
    return err == OK ? txn_see(t, t->reached, why) : err;
}

enum err txn_reach_as(struct txn *t, char resource, struct bytes key, const struct image *now, struct failure *why)
{
    struct blob *value = NULL;
    enum err err = reach_entry(t, item_name(t->m, resource, key), why);

    if (err != OK || t->reached->known)
        return err;
    if (now->present && (value = blob_new(now->value)) == NULL)
        return txn_no_memory(t, why);
    kv_set(t->reached, value, 0);
    return OK;
}

/* T4: what is too much to keep goes to disk with its undo records. */
enum err txn_spill(struct txn *t)
{
    struct txn_manager *m = t->m;
    enum err err;

    if (t->undo == NULL && (t->undo = calloc(1, sizeof *t->undo)) == NULL)
        return ERR_NOMEM;
    err = batch_add(t, ITEM_SPILL, &t->log, &t->spill_batch);
    if (err != OK)
        return err;
    undo_assign(&t->log, t->spill_batch);
    undo_move(&t->spilling, &t->log);
    t->spilled += t->spilling.count;
    stored_spilled(t);
    files_spilled(t);
    m->stats.spilled++;
    return OK;
}

enum err txn_wait_room(struct txn *t)
{
    t->waiting = t->waiting_room = true;
    return ERR_WAIT;
}

enum err txn_room(struct txn *t, struct failure *why)
{
    if (t->log.count == 0 || t->log.bytes <= (t->whole ? TXN_WHOLE_MAX : t->m->options.spill_bytes))
        return OK;
    if (t->whole) {
        txn_doom(t, ERR_LIMIT, "changed more than %d bytes, all of which are kept in memory. limit=%d", TXN_WHOLE_MAX,
                 TXN_WHOLE_MAX);
        return doomed(t, why);
    }
    if (t->spill_batch != 0)
        return txn_wait_room(t);
    return txn_spill(t) == OK ? OK : txn_no_memory(t, why);
}

enum err txn_change(struct txn *t, struct blob *after, struct failure *why)
{
    if (undo_append(&t->log, &t->m->kv, t->reached, after) != OK)
        return txn_no_memory(t, why);
    t->effect_count++;
    t->m->stats.effects++;
    return OK;
}

enum err txn_change_to(struct txn *t, struct bytes value, struct failure *why)
{
    struct blob *after = blob_new(value);
    enum err err;

    if (after == NULL)
        return txn_no_memory(t, why);
    err = txn_change(t, after, why);
    if (err != OK)
        blob_drop(&after);
    return err;
}

/* ---- the operations ---- */

/* Those that change. */
static enum err enter_to_change(struct txn *t, size_t len, struct failure *why)
{
    enum err err = txn_enter(t, why);

    scan_close(t);
    if (t->files != NULL)
        stage_close(t);
    if (err != OK)
        return err;
    if (len > t->m->options.value_max)
        return fail(why, ERR_LIMIT, "a value has at most %llu bytes, this one %zu",
                    (unsigned long long)t->m->options.value_max, len);
    return txn_room(t, why);
}

enum err txn_get_item(struct txn *t, char resource, struct bytes key, enum lock_mode mode, struct bytes *value,
                      struct failure *why)
{
    enum err err = txn_enter(t, why);

    scan_close(t);
    if (t->files != NULL)
        stage_close(t);
    if (err == OK)
        err = txn_reach(t, resource, key, mode, why);
    if (err != OK)
        return err;
    if (t->reached->value == NULL)
        return ERR_ABSENT;
    t->borrowed = blob_ref(t->reached->value);
    *value = blob_bytes(t->borrowed);
    return OK;
}

enum err txn_put_item(struct txn *t, char resource, struct bytes key, struct bytes value, struct failure *why)
{
    enum err err = enter_to_change(t, value.len, why);

    if (err == OK)
        err = txn_reach(t, resource, key, LOCK_EXCLUSIVE, why);
    return err == OK ? txn_change_to(t, value, why) : err;
}

enum err txn_delete_item(struct txn *t, char resource, struct bytes key, struct failure *why)
{
    enum err err = enter_to_change(t, 0, why);

    if (err == OK)
        err = txn_reach(t, resource, key, LOCK_EXCLUSIVE, why);
    if (err != OK)
        return err;
    return t->reached->value == NULL ? ERR_ABSENT : txn_change(t, NULL, why);
}

enum err txn_get(struct txn *t, struct bytes key, enum lock_mode mode, struct bytes *value, struct failure *why)
{
    return txn_get_item(t, RESOURCE_KV, key, mode, value, why);
}

enum err txn_put(struct txn *t, struct bytes key, struct bytes value, struct failure *why)
{
    return txn_put_item(t, RESOURCE_KV, key, value, why);
}

enum err txn_delete(struct txn *t, struct bytes key, struct failure *why)
{
    return txn_delete_item(t, RESOURCE_KV, key, why);
}

/* ---- names and events ---- */

static const char *name_of(const struct txn *t, uint64_t number, char out[TXN_ITEM_NAME_MAX])
{
    snprintf(out, TXN_ITEM_NAME_MAX, "%llu.%llu", (unsigned long long)t->id, (unsigned long long)number);
    return out;
}

const char *txn_item_name(struct txn *t, char out[TXN_ITEM_NAME_MAX]) { return name_of(t, ++t->named, out); }

static enum err check_topic(struct bytes topic, struct failure *why)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:/";
    const char *text = topic.data;
    char shown[80];
    size_t good = 0;

    while (good < topic.len && text[good] != '\0' && strchr(allowed, text[good]) != NULL)
        good++;
    if (topic.len > 0 && good == topic.len && topic.len <= TXN_TOPIC_MAX)
        return OK;
    return fail(why, ERR_BADARG, "a topic has 1 to %d letters, digits and . _ - : /, this one is \"%s\" (%zu bytes)",
                TXN_TOPIC_MAX, bytes_show(topic, shown, sizeof shown), topic.len);
}

enum err txn_emit(struct txn *t, struct bytes topic, struct bytes data, struct failure *why)
{
    char key[TXN_TOPIC_MAX + 1 + TXN_ITEM_NAME_MAX];
    enum err err = enter_to_change(t, data.len, why);

    if (err == OK)
        err = check_topic(topic, why);
    if (err != OK)
        return err;
    memcpy(key, topic.data, topic.len);
    key[topic.len] = '\0';
    name_of(t, t->named + 1, key + topic.len + 1);
    err = txn_reach_as(t, RESOURCE_EVENT, bytes_of(key, topic.len + 1 + strlen(key + topic.len + 1)),
                       &(struct image){ 0 }, why);
    if (err == OK)
        err = txn_change_to(t, data, why);
    t->named += err == OK;
    return err;
}
