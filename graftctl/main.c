/*
 * graftctl: the command line of graftd. Wiring only; command.def says what it can do.
 */
#include "graftctl/ask.h"
#include "graftctl/command.h"

#include <stdio.h>

#ifndef PACKAGE_VERSION /* the build says */
#define PACKAGE_VERSION "unreleased"
#endif

static enum outcome run(struct invocation *in)
{
    if (in->version)
        printf("graftctl %s\n", PACKAGE_VERSION);
    else if (in->help)
        help_print(in->command);
    else
        return in->command->run(in);
    return OUTCOME_DONE;
}

int main(int argc, char **argv)
{
    struct invocation in;
    enum outcome outcome;

    outcome = invocation_read(&in, argc, argv);
    if (outcome == OUTCOME_DONE)
        outcome = run(&in);
    invocation_fini(&in);
    if ((fflush(stdout) != 0 || ferror(stdout)) && outcome == OUTCOME_DONE)
        outcome = complain("cannot write the output");
    return (int)outcome;
}
