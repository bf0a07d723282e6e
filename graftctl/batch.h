/*
 * Many calls from a file or standard input: one a line, sent ahead within a bounded window, answered in order.
 */
#ifndef GRAFTD_GRAFTCTL_BATCH_H
#define GRAFTD_GRAFTCTL_BATCH_H

#include "graftctl/command.h"
#include "graftctl/json.h"

enum {
    BATCH_WINDOW = 64,     /* calls sent and not answered */
    BATCH_REASON_MAX = 32, /* error words told apart; further ones are counted as "others" */
    BATCH_SAMPLE_MAX = 3,  /* sentences shown for each */
};

/* What each line becomes. */
struct batch_options {
    size_t keys;         /* the first so many arguments are declared keys */
    bool readonly;       /* any effect fails the call */
    const char *timeout; /* milliseconds as text, or NULL */
    const char *token;   /* of one call alone, or NULL */
    bool dry_run;        /* the same */
};

/* Reads one line: a JSON array when it begins with "[", else words with tabs between them. The words are the function
 * and its arguments. ERR_BADARG, ERR_LIMIT, ERR_NOMEM: *why says what is wrong with it. */
enum err batch_read_line(struct bytes line, struct json_list *words, struct failure *why);
/* The command for those words, in list. ERR_BADARG (fewer arguments than keys), ERR_LIMIT, ERR_NOMEM. */
enum err batch_command(const struct json_list *words, const struct batch_options *options, struct json_list *command,
                       struct failure *why);
/* Runs them all; the summary goes to stdout. path "-" is standard input. OUTCOME_FAILED if any call failed. */
enum outcome batch_run(struct invocation *in, const char *path, const struct batch_options *options, bool json);

#endif
