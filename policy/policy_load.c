/*
 * From files to a policy. P3: a policy comes out only if there was no error at all; the errors of all files come out
 * together.
 */
#include "policy/policy_loader.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Without a policy file: every graft may use everything, nobody but the owner and root may do anything. */
static const char built_in_name[] = "built-in";
static const char built_in[] = "graft default { allow read write kv \"*\"; allow read write file \"*\"; "
                               "allow emit \"*\"; allow timer \"*\" }\n";

/* ---- what the policy does not say ---- */

static uint64_t worker_max_standard(void)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t most = item_quantities[ITEM_WORKER_MAX].max;

    if (online < 2)
        return 2;
    return (uint64_t)online > most ? most : (uint64_t)online;
}

static void fill_standard(const struct quantity *table, struct setting *settings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (settings[i].place.line == 0)
            settings[i].value = table[i].standard;
}

void policy_limits_fill(struct policy *p)
{
    p->limits = (struct policy_limits){
        .key_max = p->settings[DAEMON_KEY].value,
        .value_max = p->settings[DAEMON_VALUE].value,
        .client_max = p->settings[DAEMON_CLIENTS].value,
        .client_user_max = p->settings[DAEMON_CLIENTS_PER_USER].value,
        .queue_max = p->settings[DAEMON_QUEUE].value,
        .lock_wait_ms = p->settings[DAEMON_LOCK_WAIT].value,
        .cache_bytes = p->settings[DAEMON_CACHE].value,
        .spill_bytes = p->settings[DAEMON_SPILL].value,
        .history_ms = p->settings[DAEMON_HISTORY_KEEP].value,
        .history_bytes = p->settings[DAEMON_HISTORY_SIZE].value,
        .events_ms = p->settings[DAEMON_EVENTS_KEEP].value,
        .events_bytes = p->settings[DAEMON_EVENTS_SIZE].value,
        .drain_ms = p->settings[DAEMON_DRAIN].value,
        .idle_ms = p->settings[DAEMON_IDLE].value,
        .timer_max = p->settings[DAEMON_TIMERS].value,
        .timer_tries = p->settings[DAEMON_TIMER_TRIES].value,
        .timer_backoff_ms = p->settings[DAEMON_TIMER_BACKOFF].value,
        .locks_bytes = p->settings[DAEMON_LOCKS].value,
    };
}

static bool asks_for_shares(const struct policy *p)
{
    bool weighs = p->standard.settings[ITEM_CPU_WEIGHT].place.line != 0;

    for (size_t i = 0; i < p->graft_count && !weighs; i++)
        weighs = p->grafts[i].settings[ITEM_CPU_WEIGHT].place.line != 0;
    return weighs || (p->layers.required & layer_bit(LAYER_CGROUP)) != 0;
}

static void policy_complete(struct policy *p)
{
    struct setting *min = &p->standard.settings[ITEM_WORKER_MIN], *max = &p->standard.settings[ITEM_WORKER_MAX];

    fill_standard(daemon_quantities, p->settings, DAEMON_ITEM_COUNT);
    fill_standard(item_quantities, p->standard.settings, ITEM_COUNT);
    if (max->place.line == 0)
        max->value = worker_max_standard() > min->value ? worker_max_standard() : min->value;
    policy_limits_fill(p);
    p->shares_cpu = asks_for_shares(p);
}

/* ---- files ---- */

static struct policy *policy_new(uid_t owner)
{
    struct policy *p = calloc(1, sizeof *p);

    if (p == NULL)
        return NULL;
    p->owner = owner;
    p->socket_mode = POLICY_SOCKET_MODE;
    p->socket_group = (gid_t)-1;
    return p;
}

/* An error of the directory itself; what does not fit into errors is left out, as in scfg_errors(). */
static enum err directory_error(struct buf *errors, const char *path, const char *what)
{
    char shown[PLACE_MAX];
    enum err err = buf_addf(errors, "%s: error: %s\n", bytes_show(bytes_str(path), shown, sizeof shown), what);

    return err == ERR_NOMEM ? ERR_NOMEM : ERR_BADARG;
}

static enum err reading_begin(struct reading *r, uid_t owner)
{
    *r = (struct reading){ .p = policy_new(owner) };
    return r->p == NULL ? ERR_NOMEM : OK;
}

/* What was read becomes a policy, or ERR_BADARG and all errors; unless err says that it was not read whole. */
static enum err reading_end(struct reading *r, enum err err, struct policy **p, struct buf *errors)
{
    size_t error_count = 0;

    for (size_t i = 0; i < r->count; i++)
        error_count += scfg_error_count(r->list[i]);
    for (size_t i = 0; i < r->count && err == OK && error_count > 0; i++)
        err = scfg_errors(r->list[i], errors);
    if (err == OK && error_count > 0)
        err = ERR_BADARG;
    for (size_t i = 0; i < r->count; i++)
        scfg_free(&r->list[i]);
    if (err != OK) {
        policy_free(&r->p);
        return err;
    }
    policy_complete(r->p);
    *p = r->p;
    return OK;
}

enum err policy_parse(const char *name, struct bytes text, uid_t owner, struct policy **p, struct buf *errors)
{
    struct reading r;
    struct scfg *scfg = NULL;
    enum err err = reading_begin(&r, owner);

    if (err == OK)
        err = scfg_parse(name, text, &scfg);
    if (err == OK)
        err = file_read(&r, scfg, name, false, NULL);
    return reading_end(&r, err, p, errors);
}

static enum err load_files(char *const *paths, size_t count, uid_t owner, struct policy **p, struct buf *errors)
{
    struct reading r;
    struct scfg *scfg = NULL;
    enum err err = reading_begin(&r, owner);

    for (size_t i = 0; i < count && err == OK; i++) {
        if (r.count == POLICY_FILE_MAX) { /* only what was included can make it so many */
            (void)reading_end(&r, ERR_BADARG, p, errors);
            return directory_error(errors, paths[i], "more than 64 policy files, with what they include");
        }
        err = scfg_load(paths[i], &scfg);
        if (err == OK)
            err = file_read(&r, scfg, paths[i], true, NULL);
    }
    return reading_end(&r, err, p, errors);
}

static int compare_paths(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static bool is_policy_file(const char *name)
{
    const char *dot = strrchr(name, '.');

    return name[0] != '.' && dot != NULL && strcmp(dot, ".scfg") == 0;
}

/* Fills paths with what is owned by the caller then, also when it fails. */
static enum err list_directory(const char *path, DIR *dir, char **paths, size_t *count, struct buf *errors)
{
    const struct dirent *entry;

    errno = 0;
    while ((entry = readdir(dir)) != NULL) {
        struct buf name;

        if (!is_policy_file(entry->d_name))
            continue;
        if (*count == POLICY_FILE_MAX)
            return directory_error(errors, path, "more than 64 policy files (*.scfg) in one directory");
        buf_init(&name, 2 * PATH_MAX);
        if (buf_addf(&name, "%s/%s", path, entry->d_name) != OK || buf_add_u8(&name, '\0') != OK) {
            buf_fini(&name);
            return ERR_NOMEM;
        }
        paths[(*count)++] = (char *)name.data;
    }
    if (errno != 0)
        return directory_error(errors, path, strerror(errno));
    return *count > 0 ? OK : directory_error(errors, path, "no policy file (*.scfg) in this directory");
}

static enum err load_directory(const char *path, uid_t owner, struct policy **p, struct buf *errors)
{
    char *paths[POLICY_FILE_MAX] = { NULL };
    size_t count = 0;
    DIR *dir = opendir(path);
    enum err err;

    if (dir == NULL)
        return directory_error(errors, path, strerror(errno));
    err = list_directory(path, dir, paths, &count, errors);
    closedir(dir);
    if (err == OK) {
        qsort(paths, count, sizeof paths[0], compare_paths);
        err = load_files(paths, count, owner, p, errors);
    }
    for (size_t i = 0; i < count; i++)
        free(paths[i]);
    return err;
}

enum err policy_load(const char *path, uid_t owner, struct policy **p, struct buf *errors)
{
    char *paths[] = { (char *)path };
    struct stat st;

    if (path == NULL)
        return policy_parse(built_in_name, bytes_str(built_in), owner, p, errors);
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return load_files(paths, 1, owner, p, errors);
    if ((st.st_mode & S_IWOTH) != 0)
        return directory_error(errors, path,
                               "everybody may add files to this directory; take that away with chmod o-w");
    return load_directory(path, owner, p, errors);
}

size_t policy_rule_count(const struct policy *p)
{
    size_t n = p->standard.rules.count;

    for (size_t i = 0; i < p->graft_count; i++)
        n += p->grafts[i].rules.count;
    for (size_t i = 0; i < p->caller_count; i++)
        n += p->callers[i].rules.count;
    return n;
}

enum err policy_check(const char *path, uid_t owner, struct buf *out)
{
    struct policy *p = NULL;
    enum err err = policy_load(path, owner, &p, out);

    if (err != OK)
        return err;
    err = buf_addf(out, "policy ok: %zu rules\n", policy_rule_count(p));
    policy_free(&p);
    return err;
}
