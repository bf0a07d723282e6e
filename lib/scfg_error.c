/* What is wrong with a file: each error with its place, its line and a caret, in the order of the file. */
#include "lib/scfg_impl.h"

#include "lib/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    MESSAGE_MAX = 512,      /* bytes of an error's sentence; longer is cut */
    SOURCE_MAX = 120,       /* bytes of a line that an error shows */
    SOURCE_BEFORE_MAX = 60, /* of them before the word, when the line must be cut */
    NAME_SHOWN_MAX = 4096,  /* bytes of the file's name in an error */
    ERROR_MAX = 32 * 1024,  /* bytes of one error: name, sentence and line, each byte as \xNN at the worst */
};

/* Which part of the word's line to show: without its indent, and around the word if it is long. */
static struct bytes source_part(const struct scfg *s, const struct scfg_word *at, bool *cut_before, bool *cut_behind)
{
    size_t begin = at->offset - (at->column - 1), end = at->offset;

    while (end < s->len && s->text[end] != '\n' && s->text[end] != '\r')
        end++;
    while (begin < at->offset && (s->text[begin] == ' ' || s->text[begin] == '\t'))
        begin++;
    *cut_before = at->offset - begin > SOURCE_BEFORE_MAX;
    if (*cut_before)
        begin = at->offset - SOURCE_BEFORE_MAX;
    *cut_behind = end - begin > SOURCE_MAX;
    if (*cut_behind)
        end = begin + SOURCE_MAX;
    return bytes_of(s->text + begin, end - begin);
}

static enum err add_repeated(struct buf *out, char c, size_t n)
{
    enum err err = OK;

    for (size_t i = 0; i < n && err == OK; i++)
        err = buf_add(out, &c, 1);
    return err;
}

static enum err render_source(const struct scfg *s, const struct scfg_word *at, struct buf *out)
{
    bool cut_before, cut_behind;
    struct bytes part = source_part(s, at, &cut_before, &cut_behind);
    size_t before = (size_t)(s->text + at->offset - (const char *)part.data), left = part.len - before, pad, width;
    size_t word = at->width < left ? at->width : left;
    const char *p = part.data;
    enum err err;

    if ((err = buf_add_str(out, cut_before ? "    …" : "    ")) != OK ||
        (err = utf8_show(out, bytes_of(p, before), &pad)) != OK ||
        (err = utf8_show(out, bytes_of(p + before, word), &width)) != OK ||
        (err = utf8_show(out, bytes_of(p + before + word, left - word), NULL)) != OK ||
        (err = buf_add_str(out, cut_behind ? "…\n    " : "\n    ")) != OK ||
        (err = add_repeated(out, ' ', pad + cut_before)) != OK || (err = buf_add(out, "^", 1)) != OK ||
        (err = add_repeated(out, '~', width > 0 ? width - 1 : 0)) != OK)
        return err;
    return buf_add(out, "\n", 1);
}

static enum err render_name(const struct scfg *s, struct buf *out)
{
    return utf8_show(out, bytes_of(s->name, strnlen(s->name, NAME_SHOWN_MAX)), NULL);
}

static enum err render(const struct scfg *s, const struct scfg_word *at, const char *message, struct buf *out)
{
    enum err err = render_name(s, out);

    if (err == OK && at != NULL)
        err = buf_addf(out, ":%u:%u", at->line, at->column);
    if (err == OK)
        err = buf_add_str(out, ": error: ");
    if (err == OK)
        err = utf8_show(out, bytes_str(message), NULL);
    if (err == OK)
        err = buf_add(out, "\n", 1);
    if (err == OK && at != NULL)
        err = render_source(s, at, out);
    return err == OK ? buf_add_u8(out, '\0') : err;
}

static void error_insert(struct scfg *s, struct scfg_fault e)
{
    size_t i = s->error_count++;

    for (; i > 0 && s->errors[i - 1].offset > e.offset; i--)
        s->errors[i] = s->errors[i - 1];
    s->errors[i] = e;
}

void scfg_error(struct scfg *s, const struct scfg_word *at, const char *format, ...)
{
    char message[MESSAGE_MAX];
    struct buf text;
    va_list ap;

    if (s->error_count == SCFG_ERROR_MAX) {
        s->error_unlisted++;
        return;
    }
    va_start(ap, format);
    vsnprintf(message, sizeof message, format, ap);
    va_end(ap);
    buf_init(&text, ERROR_MAX);
    if (render(s, at, message, &text) != OK) {
        s->error_lost = true;
        buf_fini(&text);
        return;
    }
    error_insert(s, (struct scfg_fault){ at == NULL ? 0 : at->offset, (char *)text.data });
}

size_t scfg_error_count(const struct scfg *s) { return s->error_count + s->error_unlisted + s->error_lost; }

enum err scfg_errors(const struct scfg *s, struct buf *out)
{
    enum err err = s->error_lost ? ERR_NOMEM : OK;

    for (size_t i = 0; i < s->error_count && err == OK; i++)
        err = buf_add_str(out, s->errors[i].text);
    if (err == OK && s->error_unlisted > 0 && (err = render_name(s, out)) == OK)
        err = buf_addf(out, ": error: %zu more errors are not listed\n", s->error_unlisted);
    return err == ERR_LIMIT ? OK : err;
}
