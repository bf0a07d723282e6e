/*
 * Timers in bytes. What is read is refused unless it is exactly what timer_image_add() would write.
 *
 *     u64 due_us  u32 uid  u32 gid  u32 group_count  u32 group…  u64 armed_by  u32 tries  u8 parked
 *     bytes function  bytes args  bytes error
 */
#include "txn/timer_image.h"

/* Whether b is a count and as many bytes, no more and no less. */
static bool args_valid(struct bytes b)
{
    struct reader r = reader_of(b);
    uint32_t count = read_u32(&r);

    if (b.len > TIMER_ARGS_MAX || r.bad || count > r.left / 4) /* each takes 4 bytes at least */
        return false;
    while (count-- > 0)
        read_bytes(&r);
    return reader_done(&r);
}

static bool makes_sense(const struct timer *t)
{
    return t->group_count <= TIMER_GROUPS_MAX && t->function.len > 0 && t->function.len <= TIMER_FUNCTION_MAX &&
           t->error.len <= TIMER_ERROR_MAX && args_valid(t->args);
}

static bool add_head(struct buf *b, const struct timer *t)
{
    if (buf_add_u64(b, (uint64_t)t->due_us) != OK || buf_add_u32(b, t->uid) != OK || buf_add_u32(b, t->gid) != OK ||
        buf_add_u32(b, t->group_count) != OK)
        return false;
    for (uint32_t i = 0; i < t->group_count; i++)
        if (buf_add_u32(b, t->groups[i]) != OK)
            return false;
    return buf_add_u64(b, t->armed_by) == OK && buf_add_u32(b, t->tries) == OK && buf_add_u8(b, t->parked) == OK;
}

bool timer_image_add(struct buf *b, const struct timer *t)
{
    size_t begin = buf_len(b);

    if (makes_sense(t) && add_head(b, t) && buf_add_bytes(b, t->function) == OK && buf_add_bytes(b, t->args) == OK &&
        buf_add_bytes(b, t->error) == OK)
        return true;
    b->len = b->off + begin; /* the room was short: nothing of it stays */
    return false;
}

bool timer_image_read(struct bytes b, struct timer *t)
{
    struct reader r = reader_of(b);
    struct timer read = { .due_us = (int64_t)read_u64(&r) };
    uint8_t parked;

    read.uid = read_u32(&r);
    read.gid = read_u32(&r);
    read.group_count = read_u32(&r);
    if (read.group_count > TIMER_GROUPS_MAX)
        return false;
    for (uint32_t i = 0; i < read.group_count; i++)
        read.groups[i] = read_u32(&r);
    read.armed_by = read_u64(&r);
    read.tries = read_u32(&r);
    parked = read_u8(&r);
    read.parked = parked != 0;
    read.function = read_bytes(&r);
    read.args = read_bytes(&r);
    read.error = read_bytes(&r);
    if (!reader_done(&r) || parked > 1 || !makes_sense(&read))
        return false;
    *t = read;
    return true;
}
