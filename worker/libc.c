#include "worker/libc.h"

#include "worker/channel.h"
#include "worker/fault.h"

#include <stdint.h>
#include <stdio.h>

_Noreturn void libc_abort(void) { fault_die("abort() called"); }

_Noreturn void libc_assert_fail(const char *assertion, const char *file, unsigned line, const char *function)
{
    char text[CHANNEL_WORDS_MAX];

    snprintf(text, sizeof text, "assertion failed at %s:%u, in %s(): %s", file, line, function, assertion);
    fault_die(text);
}

static void swap(uint8_t *a, uint8_t *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t t = a[i];

        a[i] = b[i];
        b[i] = t;
    }
}

static void sift(uint8_t *base, size_t root, size_t count, size_t size, int (*compare)(const void *, const void *))
{
    size_t child;

    while ((child = 2 * root + 1) < count) {
        if (child + 1 < count && compare(base + child * size, base + (child + 1) * size) < 0)
            child++;
        if (compare(base + root * size, base + child * size) >= 0)
            return;
        swap(base + root * size, base + child * size, size);
        root = child;
    }
}

void libc_qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *))
{
    for (size_t i = count / 2; i > 0; i--)
        sift(base, i - 1, count, size, compare);
    for (size_t n = count; n > 1; n--) {
        swap(base, (uint8_t *)base + (n - 1) * size, size);
        sift(base, 0, n - 1, size, compare);
    }
}
