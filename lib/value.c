#include "lib/value.h"

static bool valid_text(struct bytes b)
{
    const uint8_t *p = b.data;

    for (size_t i = 0; i < b.len; i++)
        if (p[i] < 0x20 || p[i] == 0x7f)
            return false;
    return true;
}

/* Each value takes at least a byte, so a count is believed only as far as bytes are left to back it. */
static bool valid_one(struct reader *r, unsigned depth)
{
    uint64_t count;

    switch (read_u8(r)) {
    case VALUE_NIL:
        return !r->bad;
    case VALUE_I64:
    case VALUE_DOUBLE:
        read_u64(r);
        return !r->bad;
    case VALUE_BYTES:
        read_bytes(r);
        return !r->bad;
    case VALUE_STATUS:
    case VALUE_ERROR:
        return valid_text(read_bytes(r)) && !r->bad;
    case VALUE_ARRAY:
        count = read_u32(r);
        break;
    case VALUE_MAP:
        count = 2 * (uint64_t)read_u32(r);
        break;
    default:
        return false;
    }
    if (r->bad || depth == VALUE_DEPTH_MAX || count > r->left)
        return false;
    while (count-- > 0)
        if (!valid_one(r, depth + 1))
            return false;
    return true;
}

bool value_valid(struct bytes b)
{
    struct reader r = reader_of(b);

    return b.len <= VALUE_SIZE_MAX && valid_one(&r, 0) && reader_done(&r);
}
