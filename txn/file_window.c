/*
 * The names of a directory, a window at a time: the smallest WINDOW_NAMES_MAX from one on, however many there are.
 *
 * The kernel tells names in no order, so whoever wants the next ones must read them all: a slice at a time, between which
 * others are served. What is kept is bounded, and nothing is sorted but what is kept. The window then serves the pages behind the first one, of whoever lists, as long
 * as the directory is the same and its ctime too. A change within the clock's tick of the one before does not show in
 * the ctime: so a window of a directory that has just been changed is used once.
 */
#include "txn/file_inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SETTLED_NS = 2000000000 }; /* no file system's clock ticks slower */

static void window_clear(struct window *w)
{
    for (size_t i = 0; i < w->count; i++)
        free(w->names[i]);
    w->count = 0;
    w->lasting = false;
}

/* ---- a heap, the largest name on top ---- */

static void swap(char **a, char **b)
{
    char *c = *a;

    *a = *b;
    *b = c;
}

static void rise(struct window *w)
{
    for (size_t i = w->count - 1; i > 0 && strcmp(w->names[i], w->names[(i - 1) / 2]) > 0; i = (i - 1) / 2)
        swap(&w->names[i], &w->names[(i - 1) / 2]);
}

static void sink(struct window *w)
{
    size_t i = 0;

    for (;;) {
        size_t largest = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < w->count; child++)
            if (strcmp(w->names[child], w->names[largest]) > 0)
                largest = child;
        if (largest == i)
            return;
        swap(&w->names[i], &w->names[largest]);
        i = largest;
    }
}

static enum err window_add(struct window *w, const char *name, bool directory, struct failure *why)
{
    char text[WINDOW_NAME_MAX + 1];
    size_t len = strlen(name);
    char *own;

    if (w->count == WINDOW_NAMES_MAX && strcmp(name, w->names[0]) > 0) { /* most names, when there are many */
        w->whole = false;
        return OK;
    }
    memcpy(text, name, len);
    memcpy(text + len, "/", 2);
    text[len + directory] = '\0';
    if (bytes_compare(bytes_str(text), bytes_of(w->from, w->from_len)) < 0)
        return OK;
    if (w->count == WINDOW_NAMES_MAX) {
        w->whole = false;
        if (strcmp(text, w->names[0]) >= 0)
            return OK;
    }
    own = strdup(text);
    if (own == NULL)
        return fail(why, ERR_NOMEM, "memory is short");
    if (w->count < WINDOW_NAMES_MAX) {
        w->names[w->count++] = own;
        rise(w);
    } else {
        free(w->names[0]);
        w->names[0] = own;
        sink(w);
    }
    return OK;
}

static int name_compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* ---- reading ---- */

bool is_root_name(const struct file_disk *d, struct bytes directory, const char *name)
{
    for (size_t i = 1; i < d->count && directory.len == 0; i++)
        if (strcmp(d->roots[i].name, name) == 0)
            return true;
    return false;
}

static enum err add_found(struct window *w, int fd, const struct dirent *e, struct bytes directory, struct failure *why)
{
    struct seen s = { .kind = e->d_type == DT_REG ? SEEN_FILE : e->d_type == DT_DIR ? SEEN_DIRECTORY : SEEN_OTHER };

    if (e->d_type == DT_UNKNOWN && seen_at(fd, e->d_name, &s) != 0)
        return file_fail(why, errno, directory, "list");
    if (s.kind != SEEN_FILE && s.kind != SEEN_DIRECTORY)
        return OK;
    return window_add(w, e->d_name, s.kind == SEEN_DIRECTORY, why);
}

static enum err too_many(struct bytes directory, struct failure *why)
{
    char shown[200];

    return fail(why, ERR_LIMIT, "the directory %s has more than %d entries, too many to list; use more directories",
                bytes_show(directory, shown, sizeof shown), FILE_LIST_MAX);
}

/* ERR_WAIT: there are more. */
static enum err read_names(struct file_disk *d, struct window *w, struct bytes directory, struct failure *why)
{
    struct window_reading *r = &d->reading;
    DIR *stream = r->stream;
    size_t left = r->whole ? SIZE_MAX : WINDOW_SLICE;
    enum err err = OK;
    struct dirent *e;

    while (err == OK && left > 0 && (errno = 0, e = readdir(stream)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        left--;
        if (r->count++ == FILE_LIST_MAX)
            err = too_many(directory, why);
        else if (!is_root_name(d, directory, e->d_name))
            err = add_found(w, dirfd(stream), e, directory, why);
    }
    if (err == OK && left == 0)
        return ERR_WAIT;
    if (err == OK && errno != 0)
        err = file_fail(why, errno, directory, "list");
    for (size_t i = 1; i < d->count && err == OK && directory.len == 0; i++)
        err = window_add(w, d->roots[i].name, true, why);
    return err;
}

static bool has_settled(const struct seen *at)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - at->changed_ns >= SETTLED_NS;
}

static void reading_end(struct file_disk *d)
{
    if (d->reading.stream != NULL)
        closedir(d->reading.stream);
    d->reading = (struct window_reading){ 0 };
}

static enum err reading_begin(struct file_disk *d, struct window *w, int fd, const struct seen *at, bool whole,
                              struct bytes directory, struct bytes from, struct failure *why)
{
    int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* a reading place of its own */
    DIR *stream = own < 0 ? NULL : fdopendir(own);

    if (stream == NULL) {
        file_fail(why, errno, directory, "list");
        if (own >= 0)
            close(own);
        return why->err;
    }
    reading_end(d);
    /* settled is told now: what changes while it is read must show */
    d->reading =
        (struct window_reading){ .stream = stream, .changes = d->changes, .whole = whole, .settled = has_settled(at) };
    window_clear(w);
    w->whole = true;
    w->device = at->device;
    w->inode = at->id.inode;
    w->changed_ns = at->changed_ns;
    w->from_len = from.len < sizeof w->from ? from.len : sizeof w->from;
    if (w->from_len > 0)
        memcpy(w->from, from.data, w->from_len);
    return OK;
}

static bool is_of(const struct window *w, const struct seen *at, struct bytes from)
{
    size_t len = from.len < sizeof w->from ? from.len : sizeof w->from;

    return w->device == at->device && w->inode == at->id.inode &&
           bytes_equal(bytes_of(from.data, len), bytes_of(w->from, w->from_len));
}

static bool covers(const struct window *w, const struct seen *at, struct bytes from)
{
    return w->lasting && w->device == at->device && w->inode == at->id.inode && w->changed_ns == at->changed_ns &&
           bytes_compare(from, bytes_of(w->from, w->from_len)) >= 0 &&
           (w->whole || bytes_compare(from, bytes_str(w->names[w->count - 1])) <= 0);
}

/* What graftd itself has changed in the directory meanwhile must be in it: whether its ctime tells, see above. */
static bool is_outdated(const struct file_disk *d, const struct window *w, const struct seen *at)
{
    return d->reading.changes != d->changes && (!d->reading.settled || w->changed_ns != at->changed_ns);
}

/* What is outdated while it is read in slices is read again, in one go. */
static enum err window_read(struct file_disk *d, struct window *w, int fd, const struct seen *at,
                            struct bytes directory, struct bytes from, struct failure *why)
{
    bool began = d->reading.stream != NULL && is_of(w, at, from), outdated = began && is_outdated(d, w, at);
    enum err err = OK;

    if (!began || outdated)
        err = reading_begin(d, w, fd, at, outdated, directory, from, why);
    if (err == OK)
        err = read_names(d, w, directory, why);
    if (err == ERR_WAIT)
        return err;
    if (err == OK) {
        qsort(w->names, w->count, sizeof *w->names, name_compare);
        w->lasting = d->reading.settled;
    }
    reading_end(d);
    return err;
}

/* The next one is read in place of the oldest, and in this place again when it cannot last. */
enum err window_open(struct file_disk *d, int fd, struct bytes directory, struct bytes from, const struct window **out,
                     struct failure *why)
{
    struct window *w = &d->windows[d->window_next];
    struct seen at;
    enum err err;

    if (seen_at(fd, "", &at) != 0)
        return file_fail(why, errno, directory, "list");
    for (size_t i = 0; i < WINDOW_MAX; i++) {
        if (covers(&d->windows[i], &at, from)) {
            *out = &d->windows[i];
            return OK;
        }
    }
    if (w->names == NULL && (w->names = calloc(WINDOW_NAMES_MAX, sizeof *w->names)) == NULL)
        return fail(why, ERR_NOMEM, "memory is short");
    err = window_read(d, w, fd, &at, directory, from, why);
    if (err != OK)
        return err;
    if (w->lasting && !w->whole)
        d->window_next = (d->window_next + 1) % WINDOW_MAX;
    *out = w;
    return OK;
}

void windows_fini(struct file_disk *d)
{
    reading_end(d);
    for (size_t i = 0; i < WINDOW_MAX; i++) {
        window_clear(&d->windows[i]);
        free(d->windows[i].names);
        d->windows[i].names = NULL;
    }
}
