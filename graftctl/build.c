#include "graftctl/build.h"

#include "graftctl/file.h"
#include "graftctl/object.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
    ARGV_MAX = 64,                  /* words of one compiler command */
    SAID_MAX = 256 * 1024,          /* bytes of what the linker says that are looked at */
    PLACE_MAX = 1024,               /* bytes of "file:line" */
    SENTENCE_MAX = PLACE_MAX + 256, /* bytes of one about a forbidden call */
};

static const char *const compile_flags[] = {
    "-std=gnu11",
    "-O2",
    "-g",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-stack-protector",
    "-fcf-protection=none",
    "-fno-asynchronous-unwind-tables",
    "-fno-ident",
    "-Wall",
    "-c",
    /* The compiler may not put calls of these where the author wrote others: they are no imports. */
    "-fno-builtin-stpcpy",
    "-fno-builtin-bcmp",
    "-fno-builtin-exp2",
    "-fno-builtin-printf",
    NULL,
};
static const char *const stub_flags[] = { "-shared", "-nostdlib", NULL };
static const char *const check_flags[] = { "-shared", "-nostdlib", "-Wl,--no-undefined", NULL };
static const char *const link_flags[] = {
    "-shared", "-nostdlib", "-Wl,-z,now", "-Wl,-z,relro", "-Wl,-z,noexecstack", "-Wl,--build-id=none", "-Wl,-s", NULL,
};

/* A shared object that offers what a graft may call, and nothing else. */
static const char stub_source[] =
#define IMPORT(symbol, since) ".globl " #symbol "\n.type " #symbol ",@function\n" #symbol ":\n"
#include "include/graft_import.def"
#undef IMPORT
    ".section .note.GNU-stack,\"\",@progbits\n";

struct build {
    const char *cc;
    char *source;  /* owned; never looks like an option */
    char *include; /* owned; -isystem…: what is wrong in the use of a macro is told at the place of its use */
    char *map;     /* owned; NULL, or the option that keeps the source's folder out of the result */
    char *dir;     /* owned; a folder of ours for what lies between */
    char *object, *stub_source, *stub, *check, *graft; /* owned; in it */
};

struct command_line {
    const char *argv[ARGV_MAX];
    size_t argc;
};

static void add(struct command_line *line, const char *word)
{
    if (word != NULL && line->argc < ARGV_MAX - 1)
        line->argv[line->argc++] = word;
}

static struct command_line command_of(const char *cc, const char *const *flags)
{
    struct command_line line = { 0 };

    add(&line, cc);
    for (; *flags != NULL; flags++)
        add(&line, *flags);
    return line;
}

/* ---- running the compiler ---- */

static enum err read_said(int fd, struct buf *said)
{
    uint8_t rest[4096], *room;
    ssize_t n;

    do {
        bool fits = buf_reserve(said, sizeof rest, &room) == OK;
        n = read(fd, fits ? room : rest, sizeof rest);
        if (n > 0 && fits)
            buf_wrote(said, (size_t)n);
    } while (n > 0 || (n < 0 && errno == EINTR));
    return n == 0 ? OK : ERR_BADARG;
}

static enum err refuse_compiler(const char *cc, int errnum, struct failure *why)
{
    if (errnum == ENOENT)
        return fail(why, ERR_BADARG,
                    "there is no compiler %s: install the packages gcc and libc6-dev, or name one with --cc", cc);
    return fail(why, ERR_BADARG, "cannot run the compiler %s: %s", cc, strerror(errnum));
}

/* Runs it to its end; *good says whether it exited with 0. said, if not NULL, takes what it writes to stderr. */
static enum err run(struct command_line *line, struct buf *said, bool *good, struct failure *why)
{
    posix_spawn_file_actions_t actions;
    int ends[2] = { -1, -1 }, status = -1, errnum;
    enum err err = OK;
    pid_t pid;

    line->argv[line->argc] = NULL;
    if (said != NULL && pipe2(ends, O_CLOEXEC) != 0)
        return fail(why, ERR_BADARG, "cannot make a pipe: %s", strerror(errno));
    posix_spawn_file_actions_init(&actions);
    if (said != NULL)
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    errnum = posix_spawnp(&pid, line->argv[0], &actions, NULL, (char *const *)(uintptr_t)line->argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (said != NULL)
        close(ends[1]);
    if (errnum != 0)
        err = refuse_compiler(line->argv[0], errnum, why);
    else if (said != NULL && read_said(ends[0], said) != OK)
        err = fail(why, ERR_BADARG, "cannot read what the compiler says");
    if (said != NULL)
        close(ends[0]);
    while (errnum == 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    *good = errnum == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return err;
}

/* ---- what may not be called ---- */

/* "bank.c:12" of "/usr/bin/ld: /home/ada/bank.c:12: undefined reference to `open'"; the source alone if ld
 * knows no line. */
static void read_place(const struct build *b, const char *line, const char *end, char place[PLACE_MAX])
{
    char cwd[PATH_MAX] = "";
    const char *ld = memmem(line, (size_t)(end - line), "ld: ", 4), *colon;
    size_t n;

    line = ld != NULL ? ld + 4 : line;
    colon = memrchr(line, ':', (size_t)(end - line));
    if (colon == NULL || colon + 1 == end || strspn(colon + 1, "0123456789") != (size_t)(end - colon - 1)) {
        snprintf(place, PLACE_MAX, "%s", b->source);
        return;
    }
    n = getcwd(cwd, sizeof cwd) == NULL ? 0 : strlen(cwd);
    if (n > 0 && (size_t)(end - line) > n && strncmp(line, cwd, n) == 0 && line[n] == '/')
        line += n + 1;
    snprintf(place, PLACE_MAX, "%.*s", (int)(end - line), line);
}

/* One line of the linker's; true if it named a forbidden reference, or says no more than that there was one. */
static bool translate_line(const struct build *b, const char *line, char last[SENTENCE_MAX])
{
    static const char mark[] = ": undefined reference to `";
    const char *found = strstr(line, mark), *name, *end;
    char place[PLACE_MAX], text[SENTENCE_MAX];

    if (found == NULL)
        return strstr(line, ": in function `") != NULL || strstr(line, "more undefined references to `") != NULL
               || strncmp(line, "collect2: ", 10) == 0 || strstr(line, "linker command failed") != NULL;
    name = found + sizeof mark - 1;
    end = strchrnul(name, '\'');
    read_place(b, line, found, place);
    snprintf(text, sizeof text, "%s: a graft may not call %.*s()", place, (int)(end - name < 200 ? end - name : 200),
             name);
    if (strcmp(text, last) != 0)
        fprintf(stderr, "%s; it can reach the outside through graft_* calls alone (graft.h lists what there is)\n",
                text);
    memcpy(last, text, SENTENCE_MAX);
    return true;
}

/* Each forbidden reference with its line, as one sentence; what is not understood is passed on. */
static void translate(const struct build *b, char *said)
{
    char last[SENTENCE_MAX] = "", *rest = said, *line;

    while ((line = strsep(&rest, "\n")) != NULL)
        if (*line != '\0' && !translate_line(b, line, last))
            fprintf(stderr, "%s\n", line);
}

static enum err check_imports(const struct build *b, struct failure *why)
{
    struct command_line stub = command_of(b->cc, stub_flags), check = command_of(b->cc, check_flags);
    struct buf said;
    bool good = false;
    enum err err = file_create(b->stub_source, bytes_str(stub_source), 0600, why);

    if (err != OK)
        return err;
    add(&stub, "-o");
    add(&stub, b->stub);
    add(&stub, b->stub_source);
    err = run(&stub, NULL, &good, why);
    if (err != OK || !good)
        return err != OK ? err : fail(why, ERR_BADARG, "%s cannot link a shared object for x86-64", b->cc);

    add(&check, "-o");
    add(&check, b->check);
    add(&check, b->object);
    add(&check, b->stub);
    buf_init(&said, SAID_MAX);
    setenv("LC_ALL", "C", 1); /* its sentences are read */
    err = run(&check, &said, &good, why);
    if (err == OK && !good) {
        if (buf_add(&said, "", 1) == OK)
            translate(b, (char *)said.data);
        err = fail(why, ERR_BADGRAFT, "%s was not built", b->source);
    }
    buf_fini(&said);
    return err;
}

/* ---- the steps ---- */

static enum err compile(const struct build *b, struct failure *why)
{
    struct command_line line = command_of(b->cc, compile_flags);
    bool good;
    enum err err;

    add(&line, b->include);
    add(&line, b->map);
    add(&line, "-o");
    add(&line, b->object);
    add(&line, b->source);
    err = run(&line, NULL, &good, why);
    return err != OK || good ? err : fail(why, ERR_BADGRAFT, "%s was not built: the compiler refused it", b->source);
}

static enum err link_graft(const struct build *b, struct failure *why)
{
    struct command_line line = command_of(b->cc, link_flags);
    bool good;
    enum err err;

    add(&line, "-o");
    add(&line, b->graft);
    add(&line, b->object);
    err = run(&line, NULL, &good, why);
    return err != OK || good ? err : fail(why, ERR_BADGRAFT, "%s was not built: the linker refused it", b->source);
}

/* What was linked says what it is, and only then it is put where it was asked for. */
static enum err deliver(const struct build *b, const char *out, struct failure *why)
{
    char name[OBJECT_NAME_MAX + 1];
    struct bytes text;
    struct buf graft;
    enum err err;

    buf_init(&graft, OBJECT_SIZE_MAX);
    err = file_load(b->graft, &graft, why);
    if (err == OK)
        err = object_text(buf_bytes(&graft), &text, why);
    if (err == OK)
        err = object_name(text, name, why);
    if (err == ERR_BADGRAFT)
        fail_prefix(why, "%s", b->source);
    if (err == OK)
        err = file_save(out, buf_bytes(&graft), why);
    buf_fini(&graft);
    return err;
}

/* ---- preparing ---- */

static __attribute__((format(printf, 1, 2))) char *text_of(const char *format, ...)
{
    char *text;
    va_list ap;
    int n;

    va_start(ap, format);
    n = vasprintf(&text, format, ap);
    va_end(ap);
    return n < 0 ? NULL : text;
}

static bool has_graft_h(const char *dir)
{
    char path[PATH_MAX];

    return snprintf(path, sizeof path, "%s/graft.h", dir) < PATH_MAX && access(path, R_OK) == 0;
}

/* Where graft.h is: $GRAFT_INCLUDE, beside the program that runs (a build tree), or where it was installed. */
static enum err find_include(char **include, struct failure *why)
{
    static const char *const beside[] = { "include", "../include", "../../include" };
    const char *named = getenv("GRAFT_INCLUDE");
    char program[PATH_MAX - 32], dir[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    char *slash;

    if (named != NULL && *named != '\0') {
        if (!has_graft_h(named))
            return fail(why, ERR_BADARG, "GRAFT_INCLUDE is %s, and there is no graft.h", named);
        *include = text_of("-isystem%s", named);
        return OK;
    }
    program[n > 0 ? n : 0] = '\0';
    slash = strrchr(program, '/');
    for (size_t i = 0; slash != NULL && i < sizeof beside / sizeof beside[0]; i++) {
        snprintf(dir, sizeof dir, "%.*s/%s", (int)(slash - program), program, beside[i]);
        if (has_graft_h(dir)) {
            *include = text_of("-isystem%s", dir);
            return OK;
        }
    }
#ifdef GRAFT_INCLUDEDIR
    if (has_graft_h(GRAFT_INCLUDEDIR)) {
        *include = text_of("-isystem%s", GRAFT_INCLUDEDIR);
        return OK;
    }
#endif
    return fail(why, ERR_BADARG, "cannot find graft.h: name its folder in GRAFT_INCLUDE");
}

static void build_fini(struct build *b)
{
    char **files[] = { &b->object, &b->stub_source, &b->stub, &b->check, &b->graft };

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (*files[i] != NULL)
            unlink(*files[i]);
        free(*files[i]);
    }
    if (b->dir != NULL)
        rmdir(b->dir);
    free(b->dir);
    free(b->map);
    free(b->include);
    free(b->source);
}

/* The compiler takes a word with one of these in front as something else than a file. */
static bool looks_like_option(const char *source) { return *source == '-' || *source == '@'; }

static enum err build_init(struct build *b, const char *source, struct failure *why)
{
    const char *tmp = getenv("TMPDIR"), *slash = strrchr(source, '/');
    enum err err = find_include(&b->include, why);

    if (err != OK)
        return err;
    b->source = text_of("%s%s", looks_like_option(source) ? "./" : "", source);
    if (slash != NULL)
        b->map = text_of("-fmacro-prefix-map=%.*s=", (int)(slash + 1 - source), source);
    b->dir = text_of("%s/graftctl-XXXXXX", tmp != NULL && *tmp == '/' ? tmp : "/tmp");
    if (b->dir == NULL)
        return fail(why, ERR_NOMEM, "out of memory");
    if (mkdtemp(b->dir) == NULL) {
        fail(why, ERR_BADARG, "cannot make the folder %s: %s", b->dir, strerror(errno));
        free(b->dir);
        b->dir = NULL;
        return ERR_BADARG;
    }
    b->object = text_of("%s/graft.o", b->dir);
    b->stub_source = text_of("%s/host.s", b->dir);
    b->stub = text_of("%s/host.so", b->dir);
    b->check = text_of("%s/check.so", b->dir);
    b->graft = text_of("%s/graft.graft", b->dir);
    if (b->include == NULL || b->source == NULL || b->object == NULL || b->stub_source == NULL || b->stub == NULL
        || b->check == NULL || b->graft == NULL)
        return fail(why, ERR_NOMEM, "out of memory");
    return OK;
}

enum err build_graft(const char *source, const char *out, const char *cc, char **made, struct failure *why)
{
    struct build b = { .cc = cc };
    size_t n = strlen(source);
    char *path = NULL;
    enum err err;

    if (n < 3 || strcmp(source + n - 2, ".c") != 0)
        return fail(why, ERR_BADARG, "%s is not named FILE.c", source);
    if (access(source, R_OK) != 0)
        return fail(why, ERR_BADARG, "cannot read %s: %s", source, strerror(errno));
    path = out != NULL ? text_of("%s", out) : text_of("%.*s.graft", (int)(n - 2), source);
    err = path == NULL ? fail(why, ERR_NOMEM, "out of memory") : build_init(&b, source, why);
    if (err == OK)
        err = compile(&b, why);
    if (err == OK)
        err = check_imports(&b, why);
    if (err == OK)
        err = link_graft(&b, why);
    if (err == OK)
        err = deliver(&b, path, why);
    build_fini(&b);
    if (err != OK) {
        free(path);
        return err;
    }
    *made = path;
    return OK;
}
