/* What graftd's own probe of this machine says: works without a daemon, for it asks the program, not the daemon. */
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

enum { COLUMNS = 5, JSON_MAX = 64 * 1024 };

static const char *const titles[COLUMNS] = { "WALL", "STATE", "PURPOSE", "REASON", "WHAT TO DO" };
static const char *const keys[COLUMNS] = { "wall", "state", "purpose", "reason", "hint" };

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
static bool cut(char *line, struct bytes cells[COLUMNS])
{
    line[strcspn(line, "\n")] = '\0';
    for (int i = 0; i < COLUMNS; i++) {
        size_t n = strcspn(line, "\t");

        if (line[n] == '\0' && i + 1 < COLUMNS)
            return false;
        cells[i] = bytes_of(line, n);
        line += n + (line[n] != '\0');
    }
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

static enum err read_lines(FILE *from, bool json, struct table *t, struct buf *out)
{
    char line[2048];
    struct bytes cells[COLUMNS];
    enum err err = OK;

    while (err == OK && fgets(line, sizeof line, from) != NULL) {
        if (!cut(line, cells))
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
    enum err err;

    if (from == NULL)
        return complain("cannot run graftd: %s", strerror(errno));
    table_init(&t, COLUMNS);
    buf_init(&out, JSON_MAX);
    err = read_lines(from, json, &t, &out);
    fclose(from);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (err == OK && json)
        printf("%s%.*s]\n", buf_len(&out) == 0 ? "[" : "", (int)buf_len(&out), (const char *)buf_bytes(&out).data);
    else if (err == OK)
        table_print(&t, titles);
    table_fini(&t);
    buf_fini(&out);
    if (err != OK)
        return complain("the walls: %s", err_sentence(err));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? OUTCOME_DONE : OUTCOME_FAILED;
}
