/*
 * include "other.scfg": another file's directives, read where it stands. A path that does not begin with / goes down from
 * the directory of the file that names it. How many files, and how deep, is bounded; a circle is named.
 */
#include "policy/policy_loader.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The path as the system takes it. False with an error. */
static bool include_path(struct loader *l, const struct scfg_word *w, char out[PATH_MAX])
{
    const char *slash = strrchr(l->file, '/');
    int n;

    if (w->len == 0 || (w->text[0] != '/' && path_is_crooked(w->text, w->len, false))) {
        scfg_error(l->scfg, w,
                   "an include goes down from this file's directory, without . .. and //, or begins with /");
        return false;
    }
    if (w->text[0] == '/' || slash == NULL)
        n = snprintf(out, PATH_MAX, "%s", w->text);
    else
        n = snprintf(out, PATH_MAX, "%.*s/%s", (int)(slash - l->file), l->file, w->text);
    if (n >= PATH_MAX)
        scfg_error(l->scfg, w, "this path has %d bytes; it can have at most %d", n, PATH_MAX - 1);
    return n < PATH_MAX;
}

/* "a.scfg includes b.scfg, which includes it": from the file that closes the circle up to itself. */
static void circle_error(struct loader *l, const struct scfg_word *w, const struct loader *first)
{
    char names[PLACE_MAX] = "", shown[SHOWN_MAX];
    size_t n = 0;

    for (const struct loader *at = l; at != first && n < sizeof names; at = at->above)
        n += (size_t)snprintf(names + n, sizeof names - n, ", which is included by %s",
                              bytes_show(bytes_str(at->file), shown, sizeof shown));
    scfg_error(l->scfg, w, "a circle: %s includes itself here%s", first->file, names);
}

static bool include_fits(struct loader *l, const struct scfg_word *w, const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        scfg_error(l->scfg, w, "cannot be included: %s: %s", path, strerror(errno));
        return false;
    }
    for (const struct loader *at = l; at != NULL; at = at->above)
        if (at->dev == st.st_dev && at->ino == st.st_ino) {
            circle_error(l, w, at);
            return false;
        }
    if (l->depth + 1 == POLICY_DEPTH_MAX)
        scfg_error(l->scfg, w, "too deep: at most %d files include each other", POLICY_DEPTH_MAX);
    else if (l->all->count == POLICY_FILE_MAX)
        scfg_error(l->scfg, w, "too many files: a policy has at most %d", POLICY_FILE_MAX);
    else
        return true;
    return false;
}

void include_read(struct loader *l, const struct scfg_directive *d, void *into)
{
    char path[PATH_MAX];
    struct scfg *scfg = NULL;

    (void)into;
    if (!directive_expect_no_block(l, d) || !directive_expect_words(l, d, 2, 2, "include \"other.scfg\""))
        return;
    if (!l->on_disk) {
        scfg_error(l->scfg, &d->words[0], "only a policy that is a file can include others");
        return;
    }
    if (!include_path(l, &d->words[1], path) || !include_fits(l, &d->words[1], path))
        return;
    l->err = scfg_load(path, &scfg);
    if (l->err == OK)
        l->err = file_read(l->all, scfg, path, true, l);
}
