#include "tests/store_same.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void same_text(const char *a, const char *b)
{
    assert_int_equal(a == NULL, b == NULL);
    if (a != NULL)
        assert_string_equal(a, b);
}

static void same_bytes(struct bytes a, struct bytes b) { assert_true(bytes_equal(a, b)); }

static void same_image(const struct image *a, const struct image *b)
{
    assert_int_equal(a->present, b->present);
    same_bytes(a->value, b->value);
}

static void same_row(const struct store_row *a, const struct store_row *b)
{
    assert_int_equal(a->txn, b->txn);
    same_text(a->graft, b->graft);
    same_text(a->version, b->version);
    same_text(a->function, b->function);
    same_text(a->outcome, b->outcome);
    same_text(a->error, b->error);
    assert_true(a->uid == b->uid && a->gid == b->gid && a->pid == b->pid && a->begun_us == b->begun_us &&
                a->ended_us == b->ended_us && a->cpu_us == b->cpu_us && a->effect_count == b->effect_count);
    assert_true(a->lock_wait_us == b->lock_wait_us && a->undoes == b->undoes && a->undone_by == b->undone_by &&
                a->parent == b->parent && a->depth == b->depth);
}

static void same_nested(const struct store_nested *a, const struct store_nested *b)
{
    same_text(a->graft, b->graft);
    same_text(a->version, b->version);
    same_text(a->function, b->function);
    same_text(a->outcome, b->outcome);
    same_text(a->error, b->error);
    assert_true(a->seq == b->seq && a->parent_seq == b->parent_seq && a->begun_us == b->begun_us &&
                a->ended_us == b->ended_us && a->cpu_us == b->cpu_us && a->first_effect == b->first_effect &&
                a->effect_count == b->effect_count);
}

void same_answer(const struct store_request *a, const struct store_request *b)
{
    assert_int_equal(a->why.err, b->why.err);
    assert_int_equal(a->row_count, b->row_count);
    assert_int_equal(a->effect_count, b->effect_count);
    assert_int_equal(a->pair_count, b->pair_count);
    assert_int_equal(a->nested_count, b->nested_count);
    assert_int_equal(a->more, b->more);
    for (size_t i = 0; i < a->row_count; i++)
        same_row(&a->rows[i], &b->rows[i]);
    for (size_t i = 0; i < a->effect_count; i++) {
        assert_int_equal(a->effects[i].resource, b->effects[i].resource);
        same_bytes(a->effects[i].key, b->effects[i].key);
        same_image(&a->effects[i].before, &b->effects[i].before);
        same_image(&a->effects[i].after, &b->effects[i].after);
    }
    for (size_t i = 0; i < a->pair_count; i++)
        same_image(&a->pairs[i].value, &b->pairs[i].value);
    for (size_t i = 0; i < a->nested_count; i++)
        same_nested(&a->nested[i], &b->nested[i]);
    assert_int_equal(a->event_count, b->event_count);
    for (size_t i = 0; i < a->event_count; i++) {
        assert_true(a->events[i].id == b->events[i].id && a->events[i].txn == b->events[i].txn &&
                    a->events[i].at_us == b->events[i].at_us);
        same_bytes(a->events[i].data, b->events[i].data);
    }
    assert_int_equal(a->topic_count, b->topic_count);
    for (size_t i = 0; i < a->topic_count; i++) {
        assert_true(a->topics[i].first == b->topics[i].first && a->topics[i].last == b->topics[i].last &&
                    a->topics[i].forgotten == b->topics[i].forgotten && a->topics[i].count == b->topics[i].count);
        same_bytes(a->topics[i].name, b->topics[i].name);
    }
    assert_true(a->idem.found == b->idem.found && a->idem.txn == b->idem.txn);
    same_bytes(a->idem.reply, b->idem.reply);
}
