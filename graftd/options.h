/* The command line of graftd. */
#ifndef GRAFTD_OPTIONS_H
#define GRAFTD_OPTIONS_H

#include <stdbool.h>

/* Borrowed from the arguments; NULL: not given. */
struct options {
    const char *data, *policy, *socket, *worker;
    bool check, doctor, dump_filter, takeover;
};

/* 0, or the status to end with, when it has said what is wrong. --verbose takes effect at once; --help and --version end
 * the process. */
int options_read(int argc, char **argv, struct options *o);

#endif
