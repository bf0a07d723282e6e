#include "policy/quantity.h"

#include <stdio.h>

struct suffix {
    const char *text;
    uint64_t factor;
};

enum { SUFFIX_MAX = 5 };

/* Largest first. */
static const struct suffix suffixes[][SUFFIX_MAX] = {
    [UNIT_COUNT] = { { "", 1 } },
    [UNIT_SIZE] = { { "G", 1u << 30 }, { "M", 1u << 20 }, { "K", 1u << 10 }, { "", 1 } },
    [UNIT_DURATION] = { { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 } },
};

static const char *const occasions[] = { "never", "call" };

static bool parse_occasion(struct bytes text, uint64_t *value)
{
    for (size_t i = 0; i < sizeof occasions / sizeof occasions[0]; i++)
        if (bytes_equal(text, bytes_str(occasions[i]))) {
            *value = i;
            return true;
        }
    return false;
}

bool quantity_parse(enum unit unit, struct bytes text, uint64_t *value)
{
    const char *p = text.data;
    size_t digits = 0;
    uint64_t v = 0;

    if (unit == UNIT_OCCASION)
        return parse_occasion(text, value);
    for (; digits < text.len && p[digits] >= '0' && p[digits] <= '9'; digits++)
        if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(p[digits] - '0'), &v))
            v = UINT64_MAX;
    if (digits == 0)
        return false;
    for (size_t i = 0; i < SUFFIX_MAX && suffixes[unit][i].text != NULL; i++) {
        const struct suffix *s = &suffixes[unit][i];
        if (!bytes_equal(bytes_of(p + digits, text.len - digits), bytes_str(s->text)))
            continue;
        *value = v > UINT64_MAX / s->factor ? UINT64_MAX : v * s->factor;
        return true;
    }
    return false;
}

const char *quantity_show(enum unit unit, uint64_t value, char out[QUANTITY_TEXT_MAX])
{
    const struct suffix *s = unit == UNIT_OCCASION ? NULL : suffixes[unit];

    if (s == NULL) {
        snprintf(out, QUANTITY_TEXT_MAX, "%s", occasions[value != 0]);
        return out;
    }
    if (value == 0)
        s += unit == UNIT_SIZE ? 3 : unit == UNIT_DURATION ? 3 : 0; /* "0" and "0s" */
    else if (unit == UNIT_DURATION && value == s->factor)
        s++; /* people say 24h */
    while (value % s->factor != 0)
        s++;
    snprintf(out, QUANTITY_TEXT_MAX, "%llu%s", (unsigned long long)(value / s->factor), s->text);
    return out;
}

const char *unit_advice(enum unit unit)
{
    switch (unit) {
    case UNIT_SIZE:
        return "a size: write a whole number of bytes, or one with K, M or G behind it, such as 64M";
    case UNIT_DURATION:
        return "a duration: write a whole number with ms, s, m, h or d behind it, such as 50ms";
    case UNIT_OCCASION:
        return "an occasion: write never or call";
    case UNIT_COUNT:
        break;
    }
    return "a number: write a whole number, such as 10000";
}
