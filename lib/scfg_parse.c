/* From text to words, and from words to directives. */
#include "lib/scfg_impl.h"

#include <stdlib.h>
#include <string.h>

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

enum err scfg_read(struct scfg *s)
{
    struct parser p = { .s = s, .line = 1, .room = s->words, .tail[0] = &s->first };

    if (!find_nul(&p))
        parse(&p);
    return p.err == ERR_NOMEM ? ERR_NOMEM : OK;
}
