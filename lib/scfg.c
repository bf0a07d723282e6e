#include "lib/scfg.h"

#include "lib/check.h"
#include "lib/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MESSAGE_MAX = 512,      /* bytes of an error's sentence; longer is cut */
    SOURCE_MAX = 120,       /* bytes of a line that an error shows */
    SOURCE_BEFORE_MAX = 60, /* of them before the word, when the line must be cut */
    NAME_SHOWN_MAX = 4096,  /* bytes of the file's name in an error */
    ERROR_MAX = 32 * 1024,  /* bytes of one error: name, sentence and line, each byte as \xNN at the worst */
    READ_SIZE = 64 * 1024,  /* bytes asked of read(2) at a time */
};

struct error {
    size_t offset; /* errors are kept in this order */
    char *text;    /* owned; complete with source line and caret */
};

struct scfg {
    char *name; /* owned */
    char *text; /* owned: the file, for error messages */
    size_t len;
    char *words; /* owned: the words, each with its NUL */
    struct scfg_directive *first;
    struct scfg_directive *newest; /* owned, by the chain of `older` */
    struct error errors[SCFG_ERROR_MAX];
    size_t error_count, error_unlisted;
    bool error_lost; /* memory was short */
};

/* ---- errors ---- */

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

    if ((err = buf_add_str(out, cut_before ? "    …" : "    ")) != OK
        || (err = utf8_show(out, bytes_of(p, before), &pad)) != OK
        || (err = utf8_show(out, bytes_of(p + before, word), &width)) != OK
        || (err = utf8_show(out, bytes_of(p + before + word, left - word), NULL)) != OK
        || (err = buf_add_str(out, cut_behind ? "…\n    " : "\n    ")) != OK
        || (err = add_repeated(out, ' ', pad + cut_before)) != OK || (err = buf_add(out, "^", 1)) != OK
        || (err = add_repeated(out, '~', width > 0 ? width - 1 : 0)) != OK)
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

static void error_insert(struct scfg *s, struct error e)
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
    error_insert(s, (struct error){ at == NULL ? 0 : at->offset, (char *)text.data });
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

/* ---- words ---- */

enum token { TOKEN_WORD, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_END, TOKEN_EOF, TOKEN_BAD };

struct parser {
    struct scfg *s;
    enum err err;          /* memory was short: reading ends */
    size_t at, line_start; /* offsets: of the next byte, of the line's first */
    unsigned line;
    char *room;                            /* where the next word goes, in s->words */
    struct scfg_word words[SCFG_WORD_MAX]; /* of the directive being read */
    size_t word_count;
    bool broken; /* it has an error and will be left out */
    size_t directive_count;
    unsigned depth; /* open blocks */
    unsigned muted; /* 0, or the depth of the outermost block that is left out */
    struct scfg_directive **tail[SCFG_DEPTH_MAX + 1];
    struct scfg_word open[SCFG_DEPTH_MAX + 1]; /* the { of each open block */
};

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }
static bool is_mark(char c) { return c == '{' || c == '}' || c == ';'; }
static bool at_end(const struct parser *p) { return p->at == p->s->len || p->s->text[p->at] == '\n'; }

static struct scfg_word place_here(const struct parser *p, size_t width)
{
    return (struct scfg_word){
        .text = "", .line = p->line, .column = (unsigned)(p->at - p->line_start + 1), .offset = p->at, .width = width
    };
}

static enum token bad(struct parser *p, const char *message)
{
    struct scfg_word here = place_here(p, 1);

    scfg_error(p->s, &here, "%s", message);
    p->broken = true;
    return TOKEN_BAD;
}

static enum token bad_byte(struct parser *p, char c)
{
    struct scfg_word here = place_here(p, 1);

    scfg_error(p->s, &here, "the byte 0x%02x cannot stand in a word", (unsigned char)c);
    p->broken = true;
    return TOKEN_BAD;
}

/* One character of a word, behind its backslash if it has one. */
static enum token lex_character(struct parser *p, char quote)
{
    char c = p->s->text[p->at];

    if (quote == '\0' && (c == '"' || c == '\''))
        return bad(p, "a quote can only begin a word; put a backslash before it to have the character");
    if (c == '\\' && quote != '\'') {
        p->at++;
        if (at_end(p)) {
            p->at--;
            return bad(p, "nothing follows this backslash on its line");
        }
        c = p->s->text[p->at];
    }
    if (((unsigned char)c < 0x20 && c != '\t') || c == 0x7f)
        return bad_byte(p, c);
    *p->room++ = c;
    p->at++;
    return TOKEN_WORD;
}

static enum token lex_word(struct parser *p, struct scfg_word *w)
{
    const char *text = p->s->text;
    char quote = text[p->at] == '"' || text[p->at] == '\'' ? text[p->at] : '\0';

    *w = place_here(p, 0);
    w->text = p->room;
    w->quoted = quote != '\0';
    p->at += w->quoted;
    while (!at_end(p) && (w->quoted ? text[p->at] != quote : !is_blank(text[p->at]) && !is_mark(text[p->at])))
        if (lex_character(p, quote) == TOKEN_BAD)
            return TOKEN_BAD;
    if (w->quoted && at_end(p)) {
        p->at = w->offset;
        bad(p, "this quote is not closed on its line");
        p->at++; /* or the rest of the line would begin with it again */
        return TOKEN_BAD;
    }
    p->at += w->quoted;
    if (w->quoted && !at_end(p) && !is_blank(text[p->at]) && !is_mark(text[p->at]))
        return bad(p, "a space is missing behind the closing quote");
    w->len = (size_t)(p->room - w->text);
    w->width = p->at - w->offset;
    *p->room++ = '\0';
    return TOKEN_WORD;
}

static enum token lex(struct parser *p, struct scfg_word *w)
{
    const struct scfg *s = p->s;

    while (p->at < s->len && is_blank(s->text[p->at]))
        p->at++;
    if (p->at < s->len && s->text[p->at] == '#')
        while (!at_end(p))
            p->at++;
    if (p->at == s->len)
        return TOKEN_EOF;
    *w = place_here(p, 1);
    switch (s->text[p->at]) {
    case '\n':
        p->line_start = ++p->at;
        p->line++;
        return TOKEN_END;
    case ';':
        p->at++;
        return TOKEN_END;
    case '{':
        p->at++;
        return TOKEN_OPEN;
    case '}':
        p->at++;
        return TOKEN_CLOSE;
    default:
        return lex_word(p, w);
    }
}

/* ---- directives ---- */

static void word_add(struct parser *p, const struct scfg_word *w)
{
    if (w->len > SCFG_WORD_SIZE_MAX) {
        scfg_error(p->s, w, "this word has %zu bytes; a word has at most %d", w->len, SCFG_WORD_SIZE_MAX);
        p->broken = true;
    } else if (p->word_count < SCFG_WORD_MAX) {
        p->words[p->word_count++] = *w;
    } else if (!p->broken) {
        scfg_error(p->s, w, "too many words: a directive has at most %d", SCFG_WORD_MAX);
        p->broken = true;
    }
}

/* The words read so far become a directive of the open block. NULL if it is left out. */
static struct scfg_directive *directive_add(struct parser *p)
{
    struct scfg_directive *d;

    if (p->word_count == 0 || p->broken || p->muted > 0)
        return NULL;
    if (p->directive_count == SCFG_DIRECTIVE_MAX) {
        scfg_error(p->s, &p->words[0], "too many directives: a file has at most %d; the rest was not read",
                   SCFG_DIRECTIVE_MAX);
        p->err = ERR_LIMIT;
        return NULL;
    }
    d = calloc(1, sizeof *d + p->word_count * sizeof d->words[0]);
    if (d == NULL) {
        p->err = ERR_NOMEM;
        return NULL;
    }
    p->directive_count++;
    d->word_count = p->word_count;
    memcpy(d->words, p->words, p->word_count * sizeof d->words[0]);
    d->older = p->s->newest;
    p->s->newest = d;
    *p->tail[p->depth] = d;
    p->tail[p->depth] = &d->next;
    return d;
}

static void directive_end(struct parser *p)
{
    p->word_count = 0;
    p->broken = false;
}

static void block_open(struct parser *p, const struct scfg_word *brace)
{
    struct scfg_directive *d;

    if (p->word_count == 0 && !p->broken) {
        scfg_error(p->s, brace, "a block needs a name before its {");
        p->broken = true;
    }
    if (p->depth == SCFG_DEPTH_MAX && p->muted == 0) {
        scfg_error(p->s, brace, "too deep: at most %d blocks stand inside each other", SCFG_DEPTH_MAX);
        p->broken = true;
    }
    d = directive_add(p);
    p->depth++;
    if (d != NULL) {
        d->block = true;
        p->tail[p->depth] = &d->child;
        p->open[p->depth] = *brace;
    } else if (p->muted == 0) {
        p->muted = p->depth;
    }
    directive_end(p);
}

static void block_close(struct parser *p, const struct scfg_word *brace)
{
    directive_add(p);
    directive_end(p);
    if (p->depth == 0) {
        scfg_error(p->s, brace, "this } closes nothing");
        return;
    }
    if (p->muted == p->depth)
        p->muted = 0;
    p->depth--;
}

/* Behind an error the rest of the line is not understood; its braces count all the same, so that one bad word does not
 * put the blocks of the whole file out of step. */
static void line_skip(struct parser *p)
{
    for (; !at_end(p); p->at++) {
        struct scfg_word brace = place_here(p, 1);
        char c = p->s->text[p->at];

        if (c == '{')
            block_open(p, &brace);
        else if (c == '}' && p->depth > 0)
            block_close(p, &brace);
        if (is_mark(c))
            p->broken = true;
    }
    directive_end(p);
}

static void parse(struct parser *p)
{
    enum token token = TOKEN_END;

    while (p->err == OK && token != TOKEN_EOF) {
        struct scfg_word w;

        token = lex(p, &w);
        switch (token) {
        case TOKEN_WORD:
            word_add(p, &w);
            break;
        case TOKEN_OPEN:
            block_open(p, &w);
            break;
        case TOKEN_CLOSE:
            block_close(p, &w);
            break;
        case TOKEN_BAD:
            line_skip(p);
            break;
        case TOKEN_END:
        case TOKEN_EOF:
            directive_add(p);
            directive_end(p);
            break;
        }
    }
    if (p->err != OK)
        return;
    for (unsigned i = p->muted > 0 ? p->muted - 1 : p->depth; i > 0; i--)
        scfg_error(p->s, &p->open[i], "this block is never closed");
}

/* ---- the file ---- */

/* A file with no content. */
static struct scfg *scfg_new(const char *name)
{
    struct scfg *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->name = strdup(name);
    if (s->name == NULL)
        scfg_free(&s);
    return s;
}

static bool find_nul(struct parser *p)
{
    const char *text = p->s->text, *nul = memchr(text, '\0', p->s->len);

    if (nul == NULL)
        return false;
    for (; p->at < (size_t)(nul - text); p->at++) {
        if (text[p->at] == '\n') {
            p->line++;
            p->line_start = p->at + 1;
        }
    }
    bad(p, "a NUL byte: this is not a text file");
    return true;
}

static enum err scfg_fill(struct scfg *s, struct bytes text)
{
    struct parser p = { .s = s, .line = 1 };

    if (text.len > SCFG_FILE_MAX) {
        scfg_error(s, NULL, "the file is larger than %d bytes", SCFG_FILE_MAX);
        return OK;
    }
    s->len = text.len;
    s->text = bytes_dup(text);
    s->words =
        malloc(text.len + 2); /* a word takes its bytes and one of what divides it from the next, or the last NUL */
    if (s->text == NULL || s->words == NULL)
        return ERR_NOMEM;
    p.room = s->words;
    p.tail[0] = &s->first;
    if (!find_nul(&p))
        parse(&p);
    return p.err == ERR_NOMEM ? ERR_NOMEM : OK;
}

enum err scfg_parse(const char *name, struct bytes text, struct scfg **s)
{
    struct scfg *new = scfg_new(name);

    if (new == NULL || scfg_fill(new, text) != OK) {
        scfg_free(&new);
        return ERR_NOMEM;
    }
    *s = new;
    return OK;
}

static enum err read_all(struct scfg *s, int fd, struct buf *text)
{
    while (buf_len(text) <= SCFG_FILE_MAX) {
        uint8_t *room;
        ssize_t n;

        if (buf_reserve(text, READ_SIZE, &room) != OK)
            return ERR_NOMEM;
        n = read(fd, room, READ_SIZE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            scfg_error(s, NULL, "cannot be read: %s", strerror(errno));
        if (n <= 0)
            break;
        buf_wrote(text, (size_t)n);
    }
    return OK;
}

static enum err load(struct scfg *s, int fd)
{
    struct stat st;
    struct buf text;
    enum err err = OK;

    buf_init(&text, SCFG_FILE_MAX + READ_SIZE + 1);
    if (fd < 0 || fstat(fd, &st) != 0)
        scfg_error(s, NULL, "cannot be opened: %s", strerror(errno));
    else if (!S_ISREG(st.st_mode))
        scfg_error(s, NULL, "is not a regular file");
    else if ((st.st_mode & S_IWOTH) != 0)
        scfg_error(s, NULL, "everybody may write to this file; take that away with chmod o-w");
    else
        err = read_all(s, fd, &text);
    if (err == OK && scfg_error_count(s) == 0)
        err = scfg_fill(s, buf_bytes(&text));
    buf_fini(&text);
    return err;
}

enum err scfg_load(const char *path, struct scfg **s)
{
    struct scfg *new = scfg_new(path);
    enum err err;
    int fd;

    if (new == NULL)
        return ERR_NOMEM;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a fifo must not make us wait */
    err = load(new, fd);
    if (fd >= 0)
        close(fd);
    if (err != OK) {
        scfg_free(&new);
        return err;
    }
    *s = new;
    return OK;
}

void scfg_free(struct scfg **s)
{
    struct scfg_directive *d, *older;

    if (*s == NULL)
        return;
    for (d = (*s)->newest; d != NULL; d = older) {
        older = d->older;
        free(d);
    }
    for (size_t i = 0; i < (*s)->error_count; i++)
        free((*s)->errors[i].text);
    free((*s)->name);
    free((*s)->text);
    free((*s)->words);
    free(*s);
    *s = NULL;
}

const struct scfg_directive *scfg_first(const struct scfg *s) { return s->first; }

/* ---- for those who use the words ---- */

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

enum { NEAR_WORD_MAX = 24 }; /* bytes; longer words are not compared */

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
