/*
 * Roots: the directories whose files grafts may use, each with a name. No file has two names by them, or two locks
 * would stand for it: no two roots are equal, or one inside the other, as far as their paths tell.
 */
#include "policy/policy_loader.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

void root_free(struct policy_root *r)
{
    free((void *)(uintptr_t)r->name);
    free((void *)(uintptr_t)r->path);
}

bool path_check(struct loader *l, const struct scfg_word *w, size_t max)
{
    if (w->text[0] != '/')
        scfg_error(l->scfg, w, "this path must begin with /, or it would depend on where graftd was started");
    else if (w->len > max)
        scfg_error(l->scfg, w, "this path has %zu bytes; it can have at most %zu", w->len, max);
    return w->text[0] == '/' && w->len <= max;
}

bool path_is_crooked(const char *path, size_t len, bool open)
{
    for (size_t i = 0, begin = 0; i <= len; i++) {
        if (i < len && path[i] != '/')
            continue;
        if (i == len && open)
            return false;
        if (i == begin || (i - begin == 1 && path[begin] == '.') ||
            (i - begin == 2 && path[begin] == '.' && path[begin + 1] == '.'))
            return true;
        begin = i + 1;
    }
    return false;
}

static bool name_check(struct loader *l, const struct scfg_word *w)
{
    if (w->len > 0 && w->len <= POLICY_ROOT_NAME_MAX &&
        strspn(w->text, "abcdefghijklmnopqrstuvwxyz0123456789_-") == w->len)
        return true;
    scfg_error(l->scfg, w, "this is no name for a root: it has 1 to %d small letters, digits, _ and -",
               POLICY_ROOT_NAME_MAX);
    return false;
}

static bool root_path_check(struct loader *l, const struct scfg_word *w)
{
    if (!path_check(l, w, PATH_MAX - 1))
        return false;
    if (w->len == 1 || !path_is_crooked(w->text + 1, w->len - 1, false))
        return true;
    scfg_error(l->scfg, w, "write this path without . .. // and a / at its end");
    return false;
}

/* Whether path is the directory dir or lies in it. */
static bool path_inside(const char *path, const char *dir)
{
    size_t len = strcmp(dir, "/") == 0 ? 0 : strlen(dir);

    return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* Whether the policy has room for this root beside those that it has; an earlier file's of this name gives way. */
static bool root_fits(struct loader *l, const struct scfg_word *name, const struct scfg_word *path)
{
    const struct policy *p = l->p;
    char first[PLACE_MAX];
    bool replaces = false;

    for (size_t i = 0; i < p->root_count; i++) {
        const struct policy_root *r = &p->roots[i];
        place_show(r->place, first, sizeof first);
        if (word_is(name, r->name) && r->place.file != l->file) {
            replaces = true;
            continue;
        }
        if (word_is(name, r->name))
            scfg_error(l->scfg, name, "root %s is set twice; first at %s", r->name, first);
        else if (word_is(path, r->path))
            scfg_error(l->scfg, path, "this directory is root %s already, at %s", r->name, first);
        else if (path_inside(path->text, r->path) || path_inside(r->path, path->text))
            scfg_error(l->scfg, path,
                       "this directory and that of root %s, at %s, lie in each other: a file would "
                       "have two names",
                       r->name, first);
        else
            continue;
        return false;
    }
    if (p->root_count == POLICY_ROOT_MAX && !replaces)
        scfg_error(l->scfg, name, "too many roots: at most %d", POLICY_ROOT_MAX);
    return p->root_count < POLICY_ROOT_MAX || replaces;
}

static void root_put(struct policy *p, struct policy_root *r)
{
    for (size_t i = 0; i < p->root_count; i++)
        if (strcmp(p->roots[i].name, r->name) == 0) {
            root_free(&p->roots[i]);
            p->roots[i] = *r;
            return;
        }
    p->roots[p->root_count++] = *r;
}

void root_read(struct loader *l, const struct scfg_directive *d, void *into)
{
    struct policy_root r = { .place = word_place(l, &d->words[0]) };
    bool good;

    (void)into;
    if (!directive_expect_no_block(l, d) || !directive_expect_words(l, d, 3, 3, "root statements \"/srv/statements\""))
        return;
    good = name_check(l, &d->words[1]);
    if (!root_path_check(l, &d->words[2]) || !good || !root_fits(l, &d->words[1], &d->words[2]))
        return;
    r.name = word_dup(l, &d->words[1]);
    r.path = word_dup(l, &d->words[2]);
    if (l->err == OK)
        root_put(l->p, &r);
    else
        root_free(&r);
}
