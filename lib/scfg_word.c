/* For those who use the words: writing one, and guessing which was meant. */
#include "lib/scfg.h"

#include "lib/check.h"

#include <string.h>

enum { NEAR_WORD_MAX = 24 }; /* bytes; longer words are not compared */

enum err scfg_add_word(struct buf *out, struct bytes word)
{
    const char *p = word.data;
    enum err err = buf_add(out, "\"", 1);

    for (size_t i = 0; i < word.len && err == OK; i++) {
        CHECK((unsigned char)p[i] >= 0x20 || p[i] == '\t');
        if (p[i] == '"' || p[i] == '\\')
            err = buf_add(out, "\\", 1);
        if (err == OK)
            err = buf_add(out, &p[i], 1);
    }
    return err == OK ? buf_add(out, "\"", 1) : err;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;

    return m < c ? m : c;
}

/* How many letters must be added, dropped, changed or swapped with their neighbour to make a from b. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned d[NEAR_WORD_MAX + 1][NEAR_WORD_MAX + 1];

    for (unsigned i = 0; i <= a_len; i++)
        d[i][0] = i;
    for (unsigned j = 0; j <= b_len; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        for (size_t j = 1; j <= b_len; j++) {
            d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < d[i][j])
                d[i][j] = d[i - 2][j - 2] + 1;
        }
    }
    return d[a_len][b_len];
}

const char *scfg_nearest(const struct scfg_word *w, const char *const *words, size_t count)
{
    const char *nearest = NULL;
    unsigned best = 3; /* more than two slips are another word */

    if (w->len > NEAR_WORD_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(words[i]);
        unsigned n = len > NEAR_WORD_MAX ? best : distance(w->text, w->len, words[i], len);
        if (n < best && n < len && n < w->len) {
            best = n;
            nearest = words[i];
        }
    }
    return nearest;
}
