/*
 * A daemon that is started to be killed, by crash and by death. It ends with the program that started it.
 */
#ifndef GRAFTD_TESTS_TOOL_DAEMON_H
#define GRAFTD_TESTS_TOOL_DAEMON_H

#include <stdbool.h>
#include <sys/types.h>

/* The program's own: what it found, and when; ends the program, and the daemon with it. */
_Noreturn void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct daemon {
    const char *program;                                   /* borrowed */
    char socket[108], data[4096], policy[4096], log[4096]; /* paths; what it logs is added to the last */
};

/* dir has policy, and data. From now on this process is the reaper of whatever a daemon leaves behind. */
void daemon_place(struct daemon *d, const char *program, const char *dir);
pid_t daemon_start(const struct daemon *d);
/* Until it answers; one that ends first, or never does, is a complaint. */
void daemon_wait(const struct daemon *d, pid_t pid, bool (*answers)(void *), void *arg);

#endif
