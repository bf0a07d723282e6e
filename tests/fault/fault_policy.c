/*
 * The nth allocation fails, n = 1, 2, … until none was hit: loading a policy, showing it, reading a manifest and making
 * a grant all say ERR_NOMEM, leak nothing, and leave what they should not touch. Link with
 * -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=free; leaks are counted here.
 */
#include "policy/why.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FAULT_MAX = 100000 }; /* more allocations than any of these makes */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);
void __real_free(void *p);
void __wrap_free(void *p);

static size_t left; /* allocations that still succeed; 0: none is refused */
static bool refused;
static long live; /* allocated and not freed */

static bool is_refused(void)
{
    if (left == 0 || --left > 0)
        return false;
    refused = true;
    return true;
}

static void *counted(void *p)
{
    live += p != NULL;
    return p;
}

void *__wrap_malloc(size_t size) { return is_refused() ? NULL : counted(__real_malloc(size)); }
void *__wrap_calloc(size_t n, size_t size) { return is_refused() ? NULL : counted(__real_calloc(n, size)); }
char *__wrap_strdup(const char *s) { return is_refused() ? NULL : counted(__real_strdup(s)); }

void *__wrap_realloc(void *p, size_t size)
{
    void *grown;

    if (is_refused())
        return NULL;
    grown = __real_realloc(p, size);
    live += p == NULL && grown != NULL;
    return grown;
}

void __wrap_free(void *p)
{
    live -= p != NULL;
    __real_free(p);
}

static const char good[] =
    "data /d; socket /s mode 0660\n"
    "graft default { limit cpu 1ms; allow read kv \"*\" }\n"
    "graft bank { workers min 1; allow read write kv \"a*\" \"b*\" \"c*\"; deny write kv \"a\" }\n"
    "graft till { allow read write file \"s/*\"; allow emit \"t.*\"; allow timer \"t.*\"; limit disk 1G }\n"
    "root s /srv/s; root t /srv/t; events keep 1d; limit timers 5 locks 1M\n"
    "caller any { allow call \"*\"; allow load unload undo kill; allow read event \"*\"; deny command \"backup\" }\n"
    "caller user 0 { deny call \"bank.*\" }\n";
static const char broken[] = "data d; dta\n"
                             "graft bank { limit cpu 2d memry 5 }; graft bank { allow read kv \"a*b\" }\n"
                             "caller user 99999999999 { allow x }; }\n\"\n"
                             "root s /s; root s /t; root X y; graft g { allow read file \"/x\" }\n";

static char directory[] = "/tmp/fault_policy.XXXXXX";

static enum err parse(const char *text)
{
    struct policy *p = NULL;
    struct buf out;
    enum err err;

    buf_init(&out, 1 << 16);
    err = policy_parse("t.scfg", bytes_str(text), 1, &p, &out);
    if (err == OK)
        err = policy_show(p, &out);
    policy_free(&p);
    buf_fini(&out);
    return err;
}

static enum err load_good(void) { return parse(good); }
static enum err load_broken(void) { return parse(broken); }

static enum err load_directory(void)
{
    struct buf out;
    enum err err;

    buf_init(&out, 1 << 16);
    err = policy_check(directory, 1, &out);
    buf_fini(&out);
    return err;
}

/* A policy that is refused the memory to be replaced stays, and says what it said. */
static enum err replace(void)
{
    struct policy *p = NULL, *by = NULL;
    const struct principal who = { .uid = 7 };
    struct place place;
    struct buf out;
    enum err err;

    buf_init(&out, 1 << 16);
    err = policy_parse("old", bytes_str("caller any { allow kill }; root r /r"), 1, &p, &out);
    if (err == OK)
        err = policy_parse("new", bytes_str(good), 1, &by, &out);
    if (err == OK && (err = policy_replace(p, &by, &out)) != OK &&
        (by == NULL || !policy_caller_may(p, &who, RIGHT_KILL, bytes_of(NULL, 0), &place) ||
         strcmp(place.file, "old") != 0))
        err = ERR_PROTOCOL;
    policy_free(&by);
    policy_free(&p);
    buf_fini(&out);
    return err;
}

static enum err ask_why(void)
{
    const struct bytes words[] = { bytes_str("write"), bytes_str("kv"), bytes_str("z") };
    const struct principal who = { .uid = 7 };
    struct policy *p = NULL;
    struct question q = { 0 };
    struct failure why = { 0 };
    struct buf out;
    enum err err;

    buf_init(&out, 1 << 16);
    err = policy_parse("t.scfg", bytes_str(good), 1, &p, &out);
    if (err == OK)
        err = question_read(words, 3, true, &q, &why);
    if (err == OK)
        err = policy_why_caller(p, &who, "app", &q, &out);
    if (err == OK)
        err = policy_why_graft(p, "shop", NULL, &q, &out);
    policy_free(&p);
    buf_fini(&out);
    return err;
}

static enum err read_manifest(void)
{
    static const char text[] = "module\t1\tbank\t1\t\0function\tf\tread\t";
    struct manifest m = { 0 };
    struct failure why = { 0 };
    enum err err = manifest_read(bytes_of(text, sizeof text), &m, &why);

    if (err != why.err)
        return ERR_PROTOCOL;
    manifest_fini(&m);
    return err;
}

static enum err make_grant(void)
{
    struct policy *p = NULL;
    struct manifest m = { .name = "bank" };
    struct grant *g = NULL;
    struct buf out;
    enum err err;

    buf_init(&out, 1 << 16);
    err = policy_parse("t.scfg", bytes_str(good), 1, &p, &out);
    if (err == OK)
        err = grant_new(p, &m, &g);
    policy_free(&p);
    if (err == OK)
        err = grant_show(g, &out);
    grant_free(&g);
    buf_fini(&out);
    return err;
}

/* Runs body with each of its allocations refused in turn. */
static bool survives(const char *name, enum err (*body)(void), enum err usual)
{
    for (size_t n = 1; n < FAULT_MAX; n++) {
        long before = live;
        enum err err;

        left = n;
        refused = false;
        err = body();
        left = 0;
        if (live != before || err != (refused ? ERR_NOMEM : usual)) {
            printf("%s: allocation %zu refused: %s, %ld blocks leaked\n", name, n, err_name(err), live - before);
            return false;
        }
        if (!refused) {
            printf("%s: ok, %zu allocations refused\n", name, n - 1);
            return n > 1;
        }
    }
    return false;
}

static void write_file(const char *name, const char *text)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    f = fopen(path, "w");
    if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0)
        abort();
}

static void remove_file(const char *name)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    unlink(path);
}

int main(void)
{
    bool good_all = true;
    char below[128];

    alarm(60);
    umask(022); /* what everybody may write is refused */
    if (mkdtemp(directory) == NULL)
        abort();
    write_file("a.scfg", good);
    write_file("b.scfg",
               "limit key 1K; include c/c.scfg; data /e; socket /t; root s /srv/u; graft bank { allow emit x }\n");
    snprintf(below, sizeof below, "%s/c", directory);
    if (mkdir(below, 0755) != 0)
        abort();
    write_file("c/c.scfg", "limit value 1K\n");
    good_all &= survives("load a policy", load_good, OK);
    good_all &= survives("list errors", load_broken, ERR_BADARG);
    good_all &= survives("load a directory", load_directory, OK);
    good_all &= survives("replace a policy", replace, OK);
    good_all &= survives("ask why", ask_why, OK);
    good_all &= survives("read a manifest", read_manifest, OK);
    good_all &= survives("make a grant", make_grant, OK);
    remove_file("a.scfg");
    remove_file("b.scfg");
    remove_file("c/c.scfg");
    rmdir(below);
    rmdir(directory);
    return good_all ? 0 : 1;
}
