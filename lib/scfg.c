/* One file: its text from memory or disk, and its end. */
#include "lib/scfg_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_SIZE = 64 * 1024 }; /* bytes asked of read(2) at a time */

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

static enum err scfg_fill(struct scfg *s, struct bytes text)
{
    if (text.len > SCFG_FILE_MAX) {
        scfg_error(s, NULL, "the file is larger than %d bytes", SCFG_FILE_MAX);
        return OK;
    }
    s->len = text.len;
    s->text = bytes_dup(text);
    s->words = malloc(text.len + 2); /* a word takes its bytes, and one of what divides it from the next, or a NUL */
    return s->text == NULL || s->words == NULL ? ERR_NOMEM : scfg_read(s);
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
