/*
 * What graftd's own probe of this machine says: works without a daemon, for it asks the program. If a daemon answers, what
 * it says of its own walls stands beside: it may run as another user, since before a change of the machine, or elsewhere.
 */
#include "graftctl/ask.h"
#include "graftctl/command.h"
#include "graftctl/json.h"
#include "graftctl/show.h"
#include "graftctl/table.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PROBED = 5, /* columns of the probe's; the last one is the daemon's */
    COLUMNS = 6,
    JSON_MAX = 64 * 1024,
    LINE_MAX_BYTES = 2048,
    ANSWER_MS_MAX = 2000, /* for the daemon */
};

static const char *const titles[COLUMNS] = { "WALL", "STATE", "PURPOSE", "REASON", "WHAT TO DO", "RUNNING" };
static const char *const keys[COLUMNS] = { "wall", "state", "purpose", "reason", "hint", "running" };

/* ---- the daemon that runs ---- */

/* The value of a line "name:value" of INFO; no data: there is none. */
static struct bytes info_value(struct bytes info, const char *name)
{
    size_t len = strlen(name);

    while (info.len > 0) {
        const char *line = info.data, *end = memchr(line, '\n', info.len);
        size_t n = end == NULL ? info.len : (size_t)(end - line), used = n + (end != NULL);
        if (n > len && memcmp(line, name, len) == 0 && line[len] == ':')
            return bytes_of(line + len + 1, n - len - 1 - (line[n - 1] == '\r'));
        info = bytes_of(line + used, info.len - used);
    }
    return bytes_of(NULL, 0);
}

/* Whether the line of walls says that this one is missing: degraded=a,b,… */
static bool is_degraded(struct bytes walls, const char *wall)
{
    static const char mark[] = "degraded=";
    const char *at = memmem(walls.data, walls.len, mark, sizeof mark - 1), *end;

    if (at == NULL)
        return false;
    end = (const char *)walls.data + walls.len;
    for (at += sizeof mark - 1; at < end && *at != ' '; at++) {
        const char *word = at;
        while (at < end && *at != ',' && *at != ' ')
            at++;
        if (bytes_equal(bytes_of(word, (size_t)(at - word)), bytes_str(wall)))
            return true;
        if (at == end || *at == ' ')
            return false;
    }
    return false;
}

/* "stands", "missing"; "": nobody answers. A wall that is graftd's own has a line of its own: "none" if it is missing, or,
 * for shares of the CPU, not asked for. */
static const char *runs_behind(struct bytes info, const char *wall)
{
    struct bytes walls = info_value(info, "sandbox"), own;
    char name[LINE_MAX_BYTES + sizeof "sandbox_"];

    if (walls.data == NULL)
        return "";
    snprintf(name, sizeof name, "sandbox_%s", wall);
    own = info_value(info, name);
    if (own.data != NULL)
        return !bytes_equal(own, bytes_str("none")) ? "stands" : strcmp(wall, "cgroup") == 0 ? "none" : "missing";
    return is_degraded(walls, wall) ? "missing" : "stands";
}

/* What INFO says, owned; NULL: nobody answers, or none of our business, as is told. */
static graft_reply *ask_running(struct invocation *in)
{
    graft_reply *reply = NULL;
    graft_client *c = graft_client_new();

    if (c == NULL)
        return NULL;
    graft_client_timeout(c, ANSWER_MS_MAX);
    if (graft_client_connect(c, in->socket) != GRAFT_CLIENT_OK ||
        graft_client_ask(c, &reply, "INFO", "server", "grafts", NULL) != GRAFT_CLIENT_OK) {
        fprintf(stderr, "no graftd runs that tells of its walls: %s\n", graft_client_error(c));
    } else if (graft_client_kind(reply) == GRAFT_REPLY_ERROR) {
        complain_reply(reply);
        graft_client_free_reply(&reply);
    }
    graft_client_free(&c);
    return reply;
}

static void tell_running(struct bytes info)
{
    struct bytes pid = info_value(info, "process_id"), walls = info_value(info, "sandbox"),
                 own = info_value(info, "sandbox_daemon");

    if (walls.data != NULL)
        fprintf(stderr, "the graftd that runs (process %.*s): %.*s daemon=%.*s\n", (int)pid.len, (const char *)pid.data,
                (int)walls.len, (const char *)walls.data, (int)own.len, own.len == 0 ? "" : (const char *)own.data);
}

/* ---- the probe ---- */

/* graftd beside this program, else the one that PATH has. */
static const char *find_graftd(char out[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - sizeof "/graftd");
    char *slash;

    if (n > 0) {
        out[n] = '\0';
        slash = strrchr(out, '/');
        if (slash != NULL) {
            memcpy(slash, "/graftd", sizeof "/graftd");
            if (access(out, X_OK) == 0)
                return out;
        }
    }
    return "graftd";
}

static pid_t start_doctor(const char *policy, int *from)
{
    char path[PATH_MAX];
    const char *graftd = find_graftd(path);
    int ends[2];
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        if (policy != NULL)
            execlp(graftd, "graftd", "--doctor", "--policy", policy, (char *)NULL);
        else
            execlp(graftd, "graftd", "--doctor", (char *)NULL);
        fprintf(stderr, "graftctl: cannot run %s: %s\n", graftd, strerror(errno));
        _exit(EXIT_FAILURE);
    }
    close(ends[1]);
    *from = ends[0];
    return pid;
}

/* The cells of one line; false if there are too few. */
static bool cut(char *line, struct bytes info, struct bytes cells[COLUMNS])
{
    char *wall = line;

    line[strcspn(line, "\n")] = '\0';
    for (int i = 0; i < PROBED; i++) {
        size_t n = strcspn(line, "\t");

        if (line[n] == '\0' && i + 1 < PROBED)
            return false;
        cells[i] = bytes_of(line, n);
        line += n + (line[n] != '\0');
    }
    wall[cells[0].len] = '\0';
    cells[PROBED] = bytes_str(runs_behind(info, wall));
    return true;
}

static enum err add_json(struct buf *out, const struct bytes cells[COLUMNS], bool first)
{
    enum err err = buf_add_str(out, first ? "[{" : ",{");

    for (int i = 0; i < COLUMNS && err == OK; i++) {
        if (i > 0)
            err = buf_add_str(out, ",");
        if (err == OK)
            err = json_add_str(out, keys[i]);
        if (err == OK)
            err = buf_add_str(out, ":");
        if (err == OK)
            err = json_add_bytes(out, cells[i]);
    }
    return err == OK ? buf_add_str(out, "}") : err;
}

static enum err read_lines(FILE *from, struct bytes info, bool json, struct table *t, struct buf *out)
{
    char line[LINE_MAX_BYTES];
    struct bytes cells[COLUMNS];
    enum err err = OK;

    while (err == OK && fgets(line, sizeof line, from) != NULL) {
        if (!cut(line, info, cells))
            continue;
        if (json)
            err = add_json(out, cells, buf_len(out) == 0);
        for (int i = 0; i < COLUMNS && err == OK && !json; i++)
            err = table_add(t, cells[i], false);
    }
    return err;
}

enum outcome command_doctor(struct invocation *in)
{
    bool json = option_given(in, "json");
    struct table t;
    struct buf out;
    int fd = -1, status = 0;
    pid_t pid = start_doctor(option_value(in, "policy"), &fd);
    FILE *from = pid < 0 ? NULL : fdopen(fd, "r");
    graft_reply *running = NULL;
    struct bytes info = { NULL, 0 };
    enum err err;

    if (from == NULL)
        return complain("cannot run graftd: %s", strerror(errno));
    table_init(&t, COLUMNS);
    buf_init(&out, JSON_MAX);
    running = ask_running(in);
    if (running != NULL)
        info = reply_bytes(running);
    err = read_lines(from, info, json, &t, &out);
    fclose(from);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (err == OK && json)
        printf("%s%.*s]\n", buf_len(&out) == 0 ? "[" : "", (int)buf_len(&out), (const char *)buf_bytes(&out).data);
    else if (err == OK)
        table_print(&t, titles);
    tell_running(info);
    graft_client_free_reply(&running);
    table_fini(&t);
    buf_fini(&out);
    if (err != OK)
        return complain("the walls: %s", err_sentence(err));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? OUTCOME_DONE : OUTCOME_FAILED;
}
