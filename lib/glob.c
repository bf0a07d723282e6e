#include "lib/glob.h"

#include <string.h>

/* The class that begins behind *pattern's [; *pattern moves behind its ]. */
static bool in_class(const char **pattern, const char *end, char c)
{
    const char *p = *pattern;
    bool negated = p < end && *p == '^', found = false;

    if (negated)
        p++;
    for (; p < end && *p != ']'; p++) {
        if (*p == '\\' && p + 1 < end)
            p++;
        if (p + 2 < end && p[1] == '-' && p[2] != ']') {
            found |= c >= p[0] && c <= p[2];
            p += 2;
        } else {
            found |= *p == c;
        }
    }
    *pattern = p < end ? p + 1 : p;
    return found != negated;
}

/* c meets what stands at p, which is no star; *next is behind that. */
static bool one_matches(const char *p, const char *end, char c, const char **next)
{
    *next = p + 1;
    if (*p == '[')
        return in_class(next, end, c);
    if (*p == '\\' && *next < end)
        return *(*next)++ == c;
    return *p == '?' || *p == c;
}

/* Without recursion: what does not match goes back to the last star alone, which then takes one byte more. */
bool glob_matches(struct bytes pattern, struct bytes text, size_t *steps)
{
    const char *p = pattern.data, *end = p + pattern.len, *t = text.data, *text_end = t + text.len;
    const char *star = NULL, *star_text = NULL, *next;

    while (t < text_end || p < end) {
        bool match;

        next = p;
        if (p < end && *p == '*') {
            star = ++p;
            star_text = t;
            continue;
        }
        match = p < end && t < text_end && one_matches(p, end, *t, &next);
        *steps += 1 + (size_t)(next - p);
        if (match) {
            p = next;
            t++;
        } else if (star != NULL && star_text < text_end) {
            p = star;
            t = ++star_text;
        } else {
            return false;
        }
    }
    return true;
}

struct bytes glob_prefix(struct bytes pattern)
{
    size_t n = 0;

    while (n < pattern.len && strchr("*?[\\", ((const char *)pattern.data)[n]) == NULL)
        n++;
    return bytes_of(pattern.data, n);
}
