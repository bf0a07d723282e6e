/*
 * Files under kill -9. Each call of a client writes a file whole, lets one grow, renames one and lets it grow, makes one in
 * a directory, removes another, and leaves its number in a key: one transaction. Some calls fail in the end; some clients
 * take a call back again; others share one more file, to which each call adds a line.
 *
 * So the number N in the key tells what every file must hold, byte for byte, with its mode, and that there is no other file.
 * After a crash N is that of the last call that was answered, or the one that was asked for; and what .graftd holds is
 * content that committed transactions replaced, and nothing else (txn/file_disk.h).
 */
#include "tests/tool/crash.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum {
    CLIENTS = 3,
    PERIOD = 16, /* as in tests/e2e/clerk.c */
    CONTENT_MAX = 2000,
    CONTENT_LARGE = 100 * 1000, /* of some: more than is kept in memory */
    GROWN_MAX = 1024,
    PATH_SIZE = 8192,
    MODE = 0640, /* of "whole", which is there before all calls, and keeps it */
    JOURNAL_MAX = 64 * 1024 * 1024,
    FORGET_TRIES = 1000, /* of 2 ms */
};

struct client {
    int number;
    uint64_t round, total;
    int64_t now, next; /* numbers: of what is there, of what may be */
};

static struct client clients[CLIENTS];

/* Those write into the journal, and take nothing back, since others build on it. */
static bool is_writer(const struct client *c) { return c->number % 2 == 0; }

/* ---- what a number means ---- */

static size_t content_of(const struct client *c, int64_t n, char *out)
{
    uint64_t r = mix(crash_seed ^ (uint64_t)c->number << 56 ^ (uint64_t)n);
    size_t len = r % 32 == 0 ? CONTENT_LARGE : r % CONTENT_MAX;

    if (n == 0)
        return 0;
    for (size_t i = 0; i < len; i++)
        out[i] = (char)('a' + (r + i / 7 + i) % 26);
    return len;
}

static size_t grown_of(int64_t n, char out[GROWN_MAX])
{
    size_t len = 0;

    for (int64_t i = n - (n - 1) % PERIOD; n > 0 && i <= n; i++)
        len += (size_t)snprintf(out + len, GROWN_MAX - len, "%" PRId64 ".", i);
    return len;
}

/* ---- the load ---- */

static void make_call(const struct client *c, struct words *w, int64_t n, char *content, const char *how)
{
    say(w, "CALL", "clerk.shelve", "ARGS", NULL);
    add(w, "file:%d", c->number);
    add(w, "%" PRId64, n);
    add_bytes(w, content, content_of(c, n, content));
    add(w, "%s", is_writer(c) ? "journal" : "");
    add(w, "%s", how);
}

static bool do_it(struct client *c, graft_client *connection, const struct words *w)
{
    graft_reply *r = try_ask(connection, w);

    if (r == NULL)
        return false;
    graft_client_free_reply(&r);
    c->now = c->next;
    c->total++;
    return true;
}

/* Back to the number before. */
static bool take_back(struct client *c, graft_client *connection)
{
    struct words w;
    graft_reply *r;
    int64_t id;

    say(&w, "BLAME", NULL);
    add(&w, "file:%d", c->number);
    add(&w, "COUNT");
    add(&w, "1");
    r = try_ask(connection, &w);
    if (r == NULL)
        return false;
    id = graft_client_integer(graft_client_find(graft_client_item(r, 0), "id"));
    graft_client_free_reply(&r);
    say(&w, "TXN", "UNDO", NULL);
    add(&w, "%" PRId64, id);
    c->next = c->now - 1;
    return do_it(c, connection, &w);
}

static bool one_round(struct client *c, graft_client *connection, char *content)
{
    uint64_t chance = mix(crash_seed ^ (uint64_t)c->number << 24 ^ ++c->round);
    struct words w;

    if (chance % 4 == 0) {
        make_call(c, &w, c->now + 1, content, chance % 16 == 0 ? "crash" : "abort");
        return try_refused(connection, &w);
    }
    c->next = c->now + 1;
    make_call(c, &w, c->next, content, "well");
    return do_it(c, connection, &w) && (is_writer(c) || chance % 5 > 0 || take_back(c, connection));
}

static void *run_client(void *arg)
{
    struct client *c = arg;
    graft_client *connection = reach();
    char *content = malloc(CONTENT_LARGE);

    while (connection != NULL && one_round(c, connection, content))
        ;
    free(content);
    graft_client_free(&connection);
    return NULL;
}

/* ---- after a crash ---- */

/* The file's content, borrowed until the next; NULL: there is none. */
static char *content_at(const char *path, size_t *len)
{
    static char text[JOURNAL_MAX];
    FILE *f = fopen(path, "r");

    if (f == NULL)
        return NULL;
    *len = fread(text, 1, sizeof text, f);
    fclose(f);
    return text;
}

static void check_file(const struct client *c, const char *name, unsigned mode, const char *want, size_t want_len)
{
    char path[PATH_SIZE];
    size_t len = 0;
    struct stat st;
    const char *text;

    snprintf(path, sizeof path, "%s/file:%d/%s", crash_files, c->number, name);
    text = content_at(path, &len);
    if (text == NULL || len != want_len || memcmp(text, want, len) != 0)
        complain("file client %d: number %" PRId64
                 " is there in part: %s has %zu bytes, %.40s…, instead of %zu, %.40s…",
                 c->number, c->now, path, len, text == NULL ? "(none)" : text, want_len, want);
    if (stat(path, &st) != 0 || (st.st_mode & 07777) != mode)
        complain("file client %d: %s has mode %o instead of %o", c->number, path, (unsigned)st.st_mode & 07777, mode);
}

/* How many entries; sub: directories among them. */
static size_t count_entries(const char *path, size_t *sub)
{
    DIR *d = opendir(path);
    const struct dirent *e;
    size_t n = 0;

    *sub = 0;
    while (d != NULL && (e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        n++;
        *sub += e->d_type == DT_DIR;
    }
    if (d != NULL)
        closedir(d);
    return n;
}

/* In three directories, as they came; the files of the last two numbers. */
static size_t check_shifted(const struct client *c, size_t *directories)
{
    char name[64], text[24], path[PATH_SIZE];
    size_t none;

    *directories = (size_t)(c->now < 3 ? c->now : 3);
    for (int64_t n = c->now > 1 ? c->now - 1 : 1; n <= c->now; n++) {
        snprintf(name, sizeof name, "%d/x", (int)(n % 3));
        snprintf(text, sizeof text, "%" PRId64, n);
        check_file(c, name, 0644, text, strlen(text));
    }
    for (int i = 0; i < 3; i++) {
        bool full = c->now >= 1 && (i == c->now % 3 || (c->now >= 2 && i == (c->now - 1) % 3));
        snprintf(path, sizeof path, "%s/file:%d/%d", crash_files, c->number, i);
        if (count_entries(path, &none) != full)
            complain("file client %d: number %" PRId64 ": %s holds what it should not", c->number, c->now, path);
    }
    return *directories;
}

static void check_tree(const struct client *c)
{
    static char content[CONTENT_LARGE], grown[GROWN_MAX];
    char name[64], path[PATH_SIZE];
    size_t want = 1, sub_want, sub;

    check_file(c, "whole", MODE, content, content_of(c, c->now, content));
    if (c->now > 0) {
        size_t len = grown_of(c->now, grown);
        check_file(c, "log", 0644, grown, len);
        snprintf(name, sizeof name, "at.%" PRId64, c->now);
        check_file(c, name, 0644, grown, len);
        want += 2;
    }
    want += check_shifted(c, &sub_want);
    snprintf(path, sizeof path, "%s/file:%d", crash_files, c->number);
    if (count_entries(path, &sub) != want || sub != sub_want)
        complain("file client %d: number %" PRId64 ": %s holds %zu entries, %zu directories, instead of %zu and %zu",
                 c->number, c->now, path, count_entries(path, &sub), sub, want, sub_want);
}

static void check_client(struct client *c, graft_client *connection)
{
    struct words w;
    graft_reply *r;
    int64_t found;

    say(&w, "GET", NULL);
    add(&w, "file:%d", c->number);
    r = ask(connection, &w);
    found = graft_client_kind(r) == GRAFT_REPLY_NIL ? 0 : strtoll(graft_client_text(r, NULL), NULL, 10);
    graft_client_free_reply(&r);
    if (found != c->now && found != c->next)
        complain("file client %d: was at number %" PRId64 ", asked for %" PRId64 ", and the key says %" PRId64,
                 c->number, c->now, c->next, found);
    c->now = c->next = found;
    check_tree(c);
}

/* Each writer's lines are there, once, in their order, and nothing else. */
static void check_journal(void)
{
    char path[PATH_SIZE];
    int64_t seen[CLIENTS] = { 0 }, n;
    size_t len = 0;
    int number, used;

    snprintf(path, sizeof path, "%s/journal", crash_files);
    for (const char *at = content_at(path, &len), *end = at + len; at != NULL && at < end; at += used) {
        used = 0;
        if (sscanf(at, "file:%d %" SCNd64 "\n%n", &number, &n, &used) != 2 || used == 0 || number < 0 ||
            number >= CLIENTS || n != ++seen[number])
            complain("the journal of the file clients is broken at: %.40s", at);
    }
    for (int i = 0; i < CLIENTS; i += 2)
        if (seen[i] != clients[i].now)
            complain("file client %d: number %" PRId64 " is there in part: the journal says %" PRId64, i,
                     clients[i].now, seen[i]);
}

/* Forgetting is at work in the background: what is forgotten goes at once, but not at that very instant. */
static void check_kept(const char *directory, graft_client *connection)
{
    uint64_t txn = strtoull(strrchr(directory, '/') + 1, NULL, 10);
    const struct dirent *e;
    struct words w;
    graft_reply *r;
    DIR *d;
    bool good = false;

    for (int i = 0; i < FORGET_TRIES && !good; i++) {
        say(&w, "TXN", "STATUS", NULL);
        add(&w, "%" PRIu64, txn == 0 ? 1 : txn);
        r = ask(connection, &w);
        good = txn > 0 && (strcmp(graft_client_text(r, NULL), "committed") == 0 ||
                           strcmp(graft_client_text(r, NULL), "undone") == 0);
        graft_client_free_reply(&r);
        if ((d = opendir(directory)) == NULL && errno == ENOENT)
            return;
        while (d != NULL && (e = readdir(d)) != NULL)
            if (e->d_name[0] != '.' && strncmp(e->d_name, "old.", 4) != 0)
                complain("a crash left %s/%s of a file client", directory, e->d_name);
        if (d != NULL)
            closedir(d);
        if (!good)
            nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
    }
    if (!good)
        complain("a crash left %s of a file client, which is no transaction of the history", directory);
}

static void check_kept_all(graft_client *connection)
{
    char path[PATH_SIZE], one[2 * PATH_SIZE];
    const struct dirent *e;
    DIR *d;

    snprintf(path, sizeof path, "%s/.graftd", crash_files);
    d = opendir(path);
    while (d != NULL && (e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(one, sizeof one, "%s/%s", path, e->d_name);
        check_kept(one, connection);
    }
    if (d != NULL)
        closedir(d);
}

/* ---- the resource ---- */

static void set_up(graft_client *connection)
{
    char path[PATH_SIZE];

    (void)connection;
    for (int i = 0; i < CLIENTS; i++) {
        FILE *f;
        clients[i] = (struct client){ .number = i };
        snprintf(path, sizeof path, "%s/file:%d", crash_files, i);
        mkdir(path, 0755);
        snprintf(path, sizeof path, "%s/file:%d/whole", crash_files, i);
        f = fopen(path, "w");
        if (f == NULL || fchmod(fileno(f), MODE) != 0 || fclose(f) != 0)
            complain("%s: %s", path, strerror(errno));
    }
}

static void check(graft_client *connection)
{
    for (int i = 0; i < CLIENTS; i++)
        check_client(&clients[i], connection);
    check_journal();
    check_kept_all(connection);
}

const struct resource crash_file = { "files", set_up, CRASH_CLIENTS(clients, run_client), NULL, check, NULL };
