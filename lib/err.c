#include "lib/err.h"

#include "lib/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct err_row {
    const char *name, *word, *sentence;
};

static const struct err_row rows[] = {
    [OK] = { "OK", "OK", "done" },
#define ERR(name, number, word, fault, sentence) [number] = { #name, word, sentence },
#include "lib/err.def"
#undef ERR
};

static const struct err_row *row(enum err err)
{
    CHECK((size_t)err < sizeof rows / sizeof rows[0]);
    CHECK(rows[err].name != NULL);
    return &rows[err];
}

const char *err_name(enum err err) { return row(err)->name; }
const char *err_word(enum err err) { return row(err)->word; }
const char *err_sentence(enum err err) { return row(err)->sentence; }

/* Text may quote what a client or a graft sent: one line of printable bytes is all that leaves. */
static void make_printable(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p != '\0'; p++)
        if (*p < 0x20 || *p == 0x7f)
            *p = '?';
}

enum err fail(struct failure *f, enum err err, const char *format, ...)
{
    va_list ap;

    CHECK(err != OK);
    if (f == NULL)
        return err;
    if (f->err != OK)
        return f->err;
    f->err = err;
    va_start(ap, format);
    vsnprintf(f->text, sizeof f->text, format, ap);
    va_end(ap);
    make_printable(f->text);
    return err;
}

void fail_prefix(struct failure *f, const char *format, ...)
{
    char text[FAILURE_TEXT_MAX];
    size_t n;
    va_list ap;

    if (f == NULL || f->err == OK)
        return;
    memcpy(text, f->text, sizeof text);
    va_start(ap, format);
    vsnprintf(f->text, sizeof f->text, format, ap);
    va_end(ap);
    n = strlen(f->text);
    snprintf(f->text + n, sizeof f->text - n, ": %s", text);
    make_printable(f->text);
}

void failure_clear(struct failure *f)
{
    f->err = OK;
    f->text[0] = '\0';
}
