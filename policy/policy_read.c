/*
 * From scfg to a policy: gives the words of one file their meaning, and lists all that is wrong with them.
 *
 * P3: reading goes on behind each error, so that the operator sees all of them at once; what belongs to a
 * refused block is still checked, and then thrown away.
 */
#include "policy/policy_loader.h"

#include "policy/manifest.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- graft NAME { … } ---- */

static void read_graft_limit(struct loader *l, const struct scfg_directive *d, void *into)
{
    struct graft_block *b = into;

    amounts_read(l, d, item_quantities, ITEM_COUNT, NULL, b->settings);
}

static void read_graft_workers(struct loader *l, const struct scfg_directive *d, void *into)
{
    struct graft_block *b = into;
    const struct setting *min = &b->settings[ITEM_WORKER_MIN], *max = &b->settings[ITEM_WORKER_MAX];

    amounts_read(l, d, item_quantities, ITEM_COUNT, NULL, b->settings);
    if (min->place.line != 0 && max->place.line != 0 && max->value > 0 && min->value > max->value)
        scfg_error(l->scfg, &d->words[0], "workers min %u is more than max %u", (unsigned)min->value,
                   (unsigned)max->value);
}

static void read_graft_rule(struct loader *l, const struct scfg_directive *d, void *into)
{
    struct graft_block *b = into;

    if (b->rules.count > 0 && b->rules.list[0].place.file != l->file)
        policy_rules_free(&b->rules); /* those of an earlier file: rules do not add up */
    rule_read(l, d, false, &b->rules);
}

static const struct row graft_rows[] = {
    { "limit", read_graft_limit },
    { "workers", read_graft_workers },
    { "worker", read_graft_limit },
    { "allow", read_graft_rule },
    { "deny", read_graft_rule },
};
static const char *const graft_rows_later[] = { "sign", "on-fault", "param", NULL };

static struct graft_block *graft_known(struct loader *l, const struct scfg_word *name)
{
    if (word_is(name, "default"))
        return &l->p->standard;
    for (size_t i = 0; i < l->p->graft_count; i++)
        if (word_is(name, l->p->grafts[i].name))
            return &l->p->grafts[i];
    return NULL;
}

/* The block that `graft NAME` fills, or NULL with an error. */
static struct graft_block *graft_take(struct loader *l, const struct scfg_word *name)
{
    struct policy *p = l->p;
    struct graft_block *known = graft_known(l, name), *list;

    if (known != NULL)
        return word_settle(l, name, "graft", &known->place) ? known : NULL;
    if (!manifest_name_valid(bytes_of(name->text, name->len))) {
        scfg_error(
            l->scfg, name,
            "no graft has this name: it is a letter, then letters, digits and _, all lower case, at most %d bytes",
            MANIFEST_NAME_MAX);
        return NULL;
    }
    if (p->graft_count == POLICY_GRAFT_MAX) {
        scfg_error(l->scfg, name, "too many graft blocks: at most %d", POLICY_GRAFT_MAX);
        return NULL;
    }
    list = array_grow(p->grafts, &p->graft_count, &p->graft_cap, sizeof *list);
    if (list == NULL) {
        l->err = ERR_NOMEM;
        return NULL;
    }
    p->grafts = list;
    list[p->graft_count - 1].name = word_dup(l, name);
    list[p->graft_count - 1].place = word_place(l, name);
    return l->err == OK ? &list[p->graft_count - 1] : NULL;
}

static void read_graft(struct loader *l, const struct scfg_directive *d, void *into)
{
    struct graft_block refused = { 0 }, *b = NULL;

    (void)into;
    if (directive_expect_words(l, d, 2, 2, "graft bank { … }") && directive_expect_block(l, d))
        b = graft_take(l, &d->words[1]);
    rows_read(l, d->child, graft_rows, COUNT(graft_rows), graft_rows_later, b != NULL ? b : &refused);
    policy_rules_free(&refused.rules);
}

/* ---- caller … { … } ---- */

static void read_caller_rule(struct loader *l, const struct scfg_directive *d, void *into)
{
    struct caller_block *b = into;

    rule_read(l, d, true, &b->rules);
}

static const struct row caller_rows[] = {
    { "allow", read_caller_rule },
    { "deny", read_caller_rule },
};
static const char *const caller_rows_later[] = { "limit", "account", NULL };
static const char *const caller_kinds[] = { [CALLER_ANY] = "any", [CALLER_USER] = "user", [CALLER_GROUP] = "group" };

static bool read_principal(struct loader *l, const struct scfg_directive *d, struct caller_block *b)
{
    static const struct choice kinds = { caller_kinds, COUNT(caller_kinds), NULL };
    static const char usage[] = "caller user app { … }, caller group ops { … } or caller any { … }";
    int kind;

    if (!directive_expect_words(l, d, 2, 3, usage))
        return false;
    kind = word_choose(l, &kinds, &d->words[1], "kind of caller");
    if (kind < 0)
        return false;
    b->kind = (enum caller_kind)kind;
    b->place = word_place(l, &d->words[1]);
    if (!directive_expect_words(l, d, kind == CALLER_ANY ? 2 : 3, kind == CALLER_ANY ? 2 : 3, usage))
        return false;
    return kind == CALLER_ANY || word_id(l, &d->words[2], kind == CALLER_GROUP, &b->id);
}

static void read_caller(struct loader *l, const struct scfg_directive *d, void *into)
{
    struct policy *p = l->p;
    struct caller_block b = { 0 }, *list;
    bool good = read_principal(l, d, &b) && directive_expect_block(l, d);

    (void)into;
    rows_read(l, d->child, caller_rows, COUNT(caller_rows), caller_rows_later, &b);
    if (good && p->caller_count == POLICY_CALLER_MAX)
        scfg_error(l->scfg, &d->words[0], "too many caller blocks: at most %d", POLICY_CALLER_MAX);
    if (!good || p->caller_count == POLICY_CALLER_MAX || l->err != OK) {
        policy_rules_free(&b.rules);
        return;
    }
    list = array_grow(p->callers, &p->caller_count, &p->caller_cap, sizeof *list);
    if (list == NULL) {
        policy_rules_free(&b.rules);
        l->err = ERR_NOMEM;
        return;
    }
    p->callers = list;
    list[p->caller_count - 1] = b;
}

/* ---- the top level ---- */

static void read_data(struct loader *l, const struct scfg_directive *d, void *into)
{
    struct policy *p = l->p;
    bool first = word_settle(l, &d->words[0], "data", &p->data_place);

    (void)into;
    if (directive_expect_no_block(l, d) && directive_expect_words(l, d, 2, 2, "data \"/var/lib/graftd\"") &&
        path_check(l, &d->words[1], PATH_MAX - 1) && first) {
        free(p->data);
        p->data = word_dup(l, &d->words[1]);
    }
}

static void read_backup(struct loader *l, const struct scfg_directive *d, void *into)
{
    struct policy *p = l->p;
    bool first = word_settle(l, &d->words[0], "backup", &p->backup_place);

    (void)into;
    if (directive_expect_no_block(l, d) && directive_expect_words(l, d, 2, 2, "backup \"/var/backups/graftd\"") &&
        path_check(l, &d->words[1], PATH_MAX - 1) && first) {
        free(p->backup);
        p->backup = word_dup(l, &d->words[1]);
    }
}

static void read_durability(struct loader *l, const struct scfg_directive *d, void *into)
{
    static const char *const words[] = {
        [DURABILITY_FULL] = "full", [DURABILITY_NORMAL] = "normal", [DURABILITY_OFF] = "off"
    };
    static const struct choice c = { words, COUNT(words), NULL };
    bool first = word_settle(l, &d->words[0], "durability", &l->p->durability_place);
    int n;

    (void)into;
    if (!directive_expect_no_block(l, d) || !directive_expect_words(l, d, 2, 2, "durability full"))
        return;
    n = word_choose(l, &c, &d->words[1], "durability");
    if (first && n >= 0)
        l->p->durability = (enum durability)n;
}

static void read_socket_mode(struct loader *l, const struct scfg_word *w)
{
    char shown[SHOWN_MAX];
    mode_t mode = 0;

    if (w->len >= 3 && w->len <= 4 && strspn(w->text, "01234567") == w->len)
        for (size_t i = 0; i < w->len; i++)
            mode = mode << 3 | (mode_t)(w->text[i] - '0');
    if (mode > 0777 || (mode & 0600) != 0600)
        scfg_error(l->scfg, w, "\"%s\" is not a mode for a socket; it is octal, 0600 to 0777, such as 0660",
                   word_show(w, shown));
    else
        l->p->socket_mode = mode;
}

static void read_socket_option(struct loader *l, const struct scfg_word *name, const struct scfg_word *value,
                               bool seen[2])
{
    static const char *const words[] = { "mode", "group" };
    static const struct choice c = { words, 2, NULL };
    int n = word_choose(l, &c, name, "socket option");
    uint32_t id;

    if (n < 0)
        return;
    if (seen[n])
        scfg_error(l->scfg, name, "socket %s is set twice on this line", words[n]);
    else if (value == NULL)
        scfg_error(l->scfg, name, "socket %s has no value behind it", words[n]);
    else if (n == 0)
        read_socket_mode(l, value);
    else if (word_id(l, value, true, &id))
        l->p->socket_group = id;
    seen[n] = true;
}

static void read_socket(struct loader *l, const struct scfg_directive *d, void *into)
{
    struct policy *p = l->p;
    bool seen[2] = { false, false }, first = word_settle(l, &d->words[0], "socket", &p->socket_place);

    (void)into;
    if (!directive_expect_no_block(l, d)
        || !directive_expect_words(l, d, 2, 6, "socket \"/run/graftd/graftd.sock\" mode 0660 group ops"))
        return;
    if (path_check(l, &d->words[1], POLICY_SOCKET_MAX) && first) {
        free(p->socket);
        p->socket = word_dup(l, &d->words[1]);
        p->socket_mode = POLICY_SOCKET_MODE;
        p->socket_group = (gid_t)-1;
    }
    for (size_t i = 2; i < d->word_count; i += 2)
        read_socket_option(l, &d->words[i], i + 1 < d->word_count ? &d->words[i + 1] : NULL, seen);
}

static void read_daemon_amounts(struct loader *l, const struct scfg_directive *d, void *into)
{
    static const char *const later[] = { "idle", NULL };

    (void)into;
    amounts_read(l, d, daemon_quantities, DAEMON_ITEM_COUNT, word_is(&d->words[0], "txn") ? later : NULL,
                 l->p->settings);
}

static const struct row top_rows[] = {
    { "data", read_data },
    { "durability", read_durability },
    { "socket", read_socket },
    { "limit", read_daemon_amounts },
    { "txn", read_daemon_amounts },
    { "history", read_daemon_amounts },
    { "events", read_daemon_amounts },
    { "timers", read_daemon_amounts },
    { "sandbox", sandbox_read },
    { "root", root_read },
    { "include", include_read },
    { "graft", read_graft },
    { "caller", read_caller },
    { "backup", read_backup },
};
static const char *const top_rows_later[] = { "point", "sign", "keyring", "accessor", NULL };

enum err file_read(struct reading *all, struct scfg *scfg, const char *name, bool on_disk, const struct loader *above)
{
    struct loader l = { .all = all,
                        .p = all->p,
                        .scfg = scfg,
                        .file = strdup(name),
                        .above = above,
                        .depth = above == NULL ? 0 : above->depth + 1 };
    struct stat st;

    all->list[all->count++] = scfg;
    if (l.file == NULL)
        return ERR_NOMEM;
    all->p->files[all->p->file_count++] = (char *)l.file;
    if (on_disk && stat(name, &st) == 0) {
        l.on_disk = true;
        l.dev = st.st_dev;
        l.ino = st.st_ino;
    }
    rows_read(&l, scfg_first(scfg), top_rows, COUNT(top_rows), top_rows_later, NULL);
    return l.err;
}
