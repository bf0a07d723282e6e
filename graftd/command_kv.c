/*
 * GET, SET, DEL, INCRBY and their kin. A handler checks words and rights, then gives a step to command_transact().
 */
#include "graftd/command.h"
#include "lib/resp.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- keys and values ---- */

/* The caller may do this to keys argv[1], argv[1 + stride], …, and each is one. */
static bool check_keys(struct request *r, enum right right, size_t stride)
{
    const struct policy_limits *limits = policy_limits(r->core->policy);

    for (size_t i = 1; i < r->argc; i += stride) {
        if (r->argv[i].len == 0 || r->argv[i].len > limits->key_max) {
            request_error(r, ERR_BADARG, "a key is 1 to %" PRIu64 " bytes, and this one %zu", limits->key_max,
                          r->argv[i].len);
            return false;
        }
        if (!command_may(r, right, r->argv[i]))
            return false;
        if (stride == r->argc)
            break;
    }
    return true;
}

static bool check_value(struct request *r, struct bytes value)
{
    uint64_t max = policy_limits(r->core->policy)->value_max;

    if (value.len <= max)
        return true;
    request_error(r, ERR_LIMIT, "the value has %zu bytes; at most %" PRIu64 " are allowed. limit=%" PRIu64 " used=%zu",
                  value.len, max, max, value.len);
    return false;
}

static bool one_key(struct request *r, enum right right) { return check_keys(r, right, r->argc); }

/* ---- the commands ---- */

static enum err add_value(struct request *r, enum err got, struct bytes value)
{
    return got == ERR_ABSENT ? resp_add_nil(&r->reply, r->proto) : resp_add_bulk(&r->reply, value);
}

static enum err step_get(struct request *r, struct failure *why)
{
    struct bytes value;
    enum err err = txn_get(r->txn, r->argv[1], LOCK_SHARED, &value, why);

    return err == OK || err == ERR_ABSENT ? add_value(r, err, value) : err;
}

void command_get(struct request *r)
{
    if (one_key(r, RIGHT_KV_READ))
        command_transact(r, step_get);
}

static enum err step_mget(struct request *r, struct failure *why)
{
    struct bytes value;
    enum err err = OK;

    if (r->at == 0)
        err = resp_add_array(&r->reply, r->argc - ++r->at);
    for (; r->at < r->argc && err == OK; r->at++) {
        err = txn_get(r->txn, r->argv[r->at], LOCK_SHARED, &value, why);
        if (err != OK && err != ERR_ABSENT)
            return err;
        err = add_value(r, err, value);
    }
    return err;
}

void command_mget(struct request *r)
{
    if (check_keys(r, RIGHT_KV_READ, 1))
        command_transact(r, step_mget);
}

static enum err step_exists(struct request *r, struct failure *why)
{
    struct bytes value;

    if (r->at == 0)
        r->number = 0, r->at = 1;
    for (; r->at < r->argc; r->at++) {
        enum err err = txn_get(r->txn, r->argv[r->at], LOCK_SHARED, &value, why);
        if (err != OK && err != ERR_ABSENT)
            return err;
        r->number += err == OK;
    }
    return resp_add_i64(&r->reply, r->number);
}

void command_exists(struct request *r)
{
    if (check_keys(r, RIGHT_KV_READ, 1))
        command_transact(r, step_exists);
}

static enum err step_del(struct request *r, struct failure *why)
{
    if (r->at == 0)
        r->number = 0, r->at = 1;
    for (; r->at < r->argc; r->at++) {
        enum err err = txn_delete(r->txn, r->argv[r->at], why);
        if (err != OK && err != ERR_ABSENT)
            return err;
        r->number += err == OK;
    }
    return resp_add_i64(&r->reply, r->number);
}

void command_del(struct request *r)
{
    if (check_keys(r, RIGHT_KV_WRITE, 1))
        command_transact(r, step_del);
}

enum { SET_NX = 1, SET_XX = 2, SET_GET = 4 };

static enum err step_set(struct request *r, struct failure *why)
{
    struct bytes old;
    enum err got = OK, err = OK;
    bool write;

    if (r->number == 0) {
        err = txn_put(r->txn, r->argv[1], r->argv[2], why);
        return err == OK ? resp_add_status(&r->reply, "OK") : err;
    }
    if (r->at == 0) {
        got = txn_get(r->txn, r->argv[1], LOCK_EXCLUSIVE, &old, why);
        if (got != OK && got != ERR_ABSENT)
            return got;
        write = (r->number & SET_NX) != 0 ? got == ERR_ABSENT : (r->number & SET_XX) != 0 ? got == OK : true;
        if ((r->number & SET_GET) != 0)
            err = add_value(r, got, old);
        else
            err = write ? resp_add_status(&r->reply, "OK") : resp_add_nil(&r->reply, r->proto);
        if (err != OK || !write)
            return err;
        r->at = 1;
    }
    return txn_put(r->txn, r->argv[1], r->argv[2], why);
}

void command_set(struct request *r)
{
    for (size_t i = 3; i < r->argc; i++) {
        int flag = arg_is(r->argv[i], "NX")    ? SET_NX
                   : arg_is(r->argv[i], "XX")  ? SET_XX
                   : arg_is(r->argv[i], "GET") ? SET_GET
                                               : 0;
        if (flag == 0 || (r->number & flag) != 0) {
            command_usage(r);
            return;
        }
        r->number |= flag;
    }
    if ((r->number & (SET_NX | SET_XX)) == (SET_NX | SET_XX))
        command_usage(r);
    else if (one_key(r, RIGHT_KV_WRITE) && check_value(r, r->argv[2]) &&
             ((r->number & SET_GET) == 0 || one_key(r, RIGHT_KV_READ)))
        command_transact(r, step_set);
}

static enum err step_mset(struct request *r, struct failure *why)
{
    for (r->at = r->at == 0 ? 1 : r->at; r->at < r->argc; r->at += 2) {
        enum err err = txn_put(r->txn, r->argv[r->at], r->argv[r->at + 1], why);
        if (err != OK)
            return err;
    }
    return resp_add_status(&r->reply, "OK");
}

void command_mset(struct request *r)
{
    if (r->argc % 2 != 1) {
        command_usage(r);
        return;
    }
    for (size_t i = 2; i < r->argc; i += 2)
        if (!check_value(r, r->argv[i]))
            return;
    if (check_keys(r, RIGHT_KV_WRITE, 2))
        command_transact(r, step_mset);
}

static enum err step_add(struct request *r, struct failure *why)
{
    struct bytes value;
    char text[24];
    int64_t have = 0, sum;
    enum err err = txn_get(r->txn, r->argv[1], LOCK_EXCLUSIVE, &value, why);

    if (err != OK && err != ERR_ABSENT)
        return err;
    if (err == OK && !bytes_to_i64(value, &have))
        return fail(why, ERR_COMMAND, "value is not an integer or out of range");
    if (__builtin_add_overflow(have, r->number, &sum))
        return fail(why, ERR_COMMAND, "increment or decrement would overflow");
    err = txn_put(r->txn, r->argv[1], bytes_of(text, (size_t)snprintf(text, sizeof text, "%" PRId64, sum)), why);
    return err == OK ? resp_add_i64(&r->reply, sum) : err;
}

static void add(struct request *r, int64_t by)
{
    r->number = by;
    if (one_key(r, RIGHT_KV_WRITE))
        command_transact(r, step_add);
}

void command_incr(struct request *r) { add(r, 1); }

void command_decr(struct request *r) { add(r, -1); }

void command_incrby(struct request *r)
{
    int64_t by;

    if (bytes_to_i64(r->argv[2], &by))
        add(r, by);
    else
        request_error(r, ERR_COMMAND, "value is not an integer or out of range");
}

void command_decrby(struct request *r)
{
    int64_t by;

    if (bytes_to_i64(r->argv[2], &by) && by != INT64_MIN)
        add(r, -by);
    else
        request_error(r, ERR_COMMAND, "value is not an integer or out of range");
}
