#include "tests/disk_watch.h"

char events[EVENTS_MAX][EVENT_MAX];
size_t event_count;
void (*meddle)(void);
void (*meddle_late)(void);

int __real_renameat(int from, const char *name, int to, const char *new_name);
int __real_renameat2(int from, const char *name, int to, const char *new_name, unsigned flags);
int __real_fsync(int fd);
int __wrap_renameat(int from, const char *name, int to, const char *new_name);
int __wrap_renameat2(int from, const char *name, int to, const char *new_name, unsigned flags);
int __wrap_fsync(int fd);

/* "sync files/.graftd/7" */
static void event(const char *what, int fd, const char *name)
{
    char link[64], path[256] = "";
    const char *rest = path + strlen(kit.top);

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof path - 1) > 0 && event_count < EVENTS_MAX)
        snprintf(events[event_count++], EVENT_MAX, "%s %.80s%s%.30s", what, rest + 1, *name == '\0' ? "" : "/", name);
}

int __wrap_renameat(int from, const char *name, int to, const char *new_name)
{
    int done = __real_renameat(from, name, to, new_name);
    void (*now)(void) = meddle;

    event("rename", to, new_name);
    if (strcmp(new_name, "was") == 0 && now != NULL) {
        meddle = NULL;
        now();
    }
    return done;
}

int __wrap_renameat2(int from, const char *name, int to, const char *new_name, unsigned flags)
{
    void (*now)(void) = meddle_late;

    event("rename", to, new_name);
    if (strncmp(new_name, "old.", 4) == 0 && now != NULL) {
        meddle_late = NULL;
        now();
    }
    return __real_renameat2(from, name, to, new_name, flags);
}

int __wrap_fsync(int fd)
{
    event("sync", fd, "");
    return __real_fsync(fd);
}

size_t event_at(const char *what)
{
    for (size_t i = 0; i < event_count; i++)
        if (strcmp(events[i], what) == 0)
            return i;
    for (size_t i = 0; i < event_count; i++)
        print_error("%s\n", events[i]);
    print_error("there is no \"%s\" among these\n", what);
    fail_msg("no such event");
    return 0;
}

size_t last_event(const char *what)
{
    size_t found = event_at(what);

    for (size_t i = found; i < event_count; i++)
        if (strcmp(events[i], what) == 0)
            found = i;
    return found;
}

int setup_watched(void **state)
{
    meddle = meddle_late = NULL;
    setup(state);
    event_count = 0;
    return 0;
}
