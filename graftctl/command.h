/*
 * The commands of graftctl as a table (command.def), and one invocation of one of them.
 */
#ifndef GRAFTD_GRAFTCTL_COMMAND_H
#define GRAFTD_GRAFTCTL_COMMAND_H

#include "include/graft_client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What graftctl exits with. */
enum outcome {
    OUTCOME_DONE = 0,
    OUTCOME_FAILED = 1, /* the call failed and was rolled back; or whatever else was asked for did */
    OUTCOME_USAGE = 2,
    OUTCOME_UNREACHABLE = 3, /* graftd does not answer, or no longer */
    OUTCOME_DENIED = 4,      /* DENIED or NOPERM */
};

enum {
    COMMAND_ARG_MAX = 64 * 1024, /* arguments of one command line; the system allows fewer bytes anyway */
};

struct invocation;

struct command {
    const char *name;
    enum outcome (*run)(struct invocation *in);
    size_t arg_min, arg_max;
    const char *options, *usage, *help, *example;
};

struct option {
    const char *name; /* without dashes; borrowed from the command's options, not ended */
    size_t name_len;
    const char *value; /* NULL for an option without */
};

struct invocation {
    const struct command *command; /* NULL: none was named */
    const char **args;             /* owned array of borrowed words */
    size_t arg_count;
    struct option *options; /* owned */
    size_t option_count;
    const char *socket; /* --socket, or NULL */
    bool help, version;
    graft_client *client; /* owned; NULL until something is asked (ask.h) */
};

/* Takes argv apart. Borrows from it. OUTCOME_USAGE: the reason is on stderr. invocation_fini() either way. */
enum outcome invocation_read(struct invocation *in, int argc, char **argv);
void invocation_fini(struct invocation *in);

/* The option's last value, "" for one without a value; NULL if it was not given. */
const char *option_value(const struct invocation *in, const char *name);
static inline bool option_given(const struct invocation *in, const char *name)
{
    return option_value(in, name) != NULL;
}
/* A whole number from 0 to max; *value untouched if it was not given. OUTCOME_USAGE: the reason is on stderr. */
enum outcome option_number(const struct invocation *in, const char *name, uint64_t max, uint64_t *value);

/* Says on stderr what is wrong with the command line, and how it goes. */
enum outcome usage_error(const struct invocation *in, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* --help, of the command or of all. */
void help_print(const struct command *command);

#define COMMAND(function, ...) enum outcome command_##function(struct invocation *in);
#include "graftctl/command.def"
#undef COMMAND

#endif
