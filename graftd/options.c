#include "graftd/options.h"

#include "lib/log.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { EXIT_USAGE = 2 };

static const char usage[] =
    "usage: graftd [--data DIR] [--policy FILE|DIR] [--socket PATH] [--takeover] [--check]\n"
    "\n"
    "Hosts grafts: C extensions in sandboxed workers, each call a transaction.\n"
    "\n"
    "  --data DIR       where state is kept; made if it is not there\n"
    "                   (else the policy's, else /var/lib/graftd for root, else ~/.local/state/graftd)\n"
    "  --policy FILE    the rules; a directory's *.scfg are read as one (else a safe default)\n"
    "  --socket PATH    where clients connect (else the policy's, $GRAFTD_SOCKET, $XDG_RUNTIME_DIR/graftd.sock,\n"
    "                   /run/graftd/graftd.sock)\n"
    "  --takeover       in place of the graftd that runs: takes its socket over, waits for its store, and serves;\n"
    "                   who connects meanwhile waits, and is not refused. That one goes on if this one fails.\n"
    "                   Starts as usual when none runs\n"
    "  --check          reads the policy, says what is wrong with it, and ends\n"
    "  --doctor         tries which walls this machine has, says what is missing, and ends\n"
    "  --dump-filter    prints the system call filters of grafts, and ends\n"
    "  --worker PATH    the worker program (else beside graftd, else where it was installed)\n"
    "  --verbose        logs the deaths of workers that were asked to die, and the like\n"
    "  --version, --help\n"
    "\n"
    "example: graftd --data /tmp/grafts --socket /tmp/graftd.sock &\n"
    "         GRAFTD_SOCKET=/tmp/graftd.sock graftctl ping\n";

int options_read(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        { "data", required_argument, NULL, 'd' },   { "policy", required_argument, NULL, 'p' },
        { "socket", required_argument, NULL, 's' }, { "worker", required_argument, NULL, 'w' },
        { "takeover", no_argument, NULL, 't' },     { "check", no_argument, NULL, 'c' },
        { "doctor", no_argument, NULL, 'D' },       { "dump-filter", no_argument, NULL, 'F' },
        { "verbose", no_argument, NULL, 'v' },      { "version", no_argument, NULL, 'V' },
        { "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
    };
    int c;

    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (c) {
        case 'd':
            o->data = optarg;
            break;
        case 'p':
            o->policy = optarg;
            break;
        case 's':
            o->socket = optarg;
            break;
        case 'w':
            o->worker = optarg;
            break;
        case 't':
            o->takeover = true;
            break;
        case 'c':
            o->check = true;
            break;
        case 'D':
            o->doctor = true;
            break;
        case 'F':
            o->dump_filter = true;
            break;
        case 'v':
            log_threshold(LOG_DEBUG);
            break;
        case 'V':
            printf("graftd %s\n", PACKAGE_VERSION);
            exit(EXIT_SUCCESS);
        case 'h':
            fputs(usage, stdout);
            exit(EXIT_SUCCESS);
        default:
            fputs(usage, stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "graftd: what is \"%s\"?\n%s", argv[optind], usage);
        return EXIT_USAGE;
    }
    return 0;
}
