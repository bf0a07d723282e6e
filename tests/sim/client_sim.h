/*
 * A simulated client: asks at random, in pipelines, reads its replies in order and judges each with the model. It may
 * stop reading for a while, half-close, or hang up at any time.
 */
#ifndef GRAFTD_TESTS_SIM_CLIENT_SIM_H
#define GRAFTD_TESTS_SIM_CLIENT_SIM_H

#include "graftd/core.h"
#include "lib/resp_reply.h"
#include "tests/sim/model.h"
#include "tests/sim/port_sim.h"

enum { CLIENT_SIM_ASKED_MAX = 32 }; /* asked and not answered, of one client */

/* What a reply must look like. */
enum question {
    ASKED_ANYTHING,
    ASKED_ECHO,    /* the number, as it was sent */
    ASKED_CHANGE,  /* OK: op took place */
    ASKED_FAILURE, /* never OK */
    ASKED_ADD,     /* the counter, op's bit in it */
    ASKED_COUNTER,
    ASKED_MARK,  /* one of op's marks, or nil */
    ASKED_MARKS, /* how many of op's marks there are: all or none */
    ASKED_NONE,  /* 0: how many there are of keys that no call leaves behind */
    ASKED_SUM,   /* of all accounts */
    ASKED_ACCOUNTS,
    ASKED_EXEC, /* an array: op took place; an error: it did not */
    ASKED_EXEC_FAILURE, /* never an array */
};

struct asked {
    enum question question;
    int number; /* the op's, the counter's, or what to echo */
    uint64_t when;
};

struct client_sim {
    struct peer peer; /* first */
    struct core *core;
    struct chance *chance;
    struct model *model;
    unsigned left; /* requests that it will still ask */
    bool patient;  /* never hangs up: each of its requests must be answered */
    bool honest;   /* it and the others use good grafts alone, and nothing else goes wrong with processes: none crashes */
    struct resp_reply_parser parser;
    struct asked asked[CLIENT_SIM_ASKED_MAX]; /* a ring: */
    unsigned asked_first, asked_count;
    unsigned unloads_seen; /* calls that stood behind others when it asked for an unload */
};

void client_sim_init(struct client_sim *c, struct core *core, struct model *model, struct chance *chance,
                     unsigned requests);
void client_sim_fini(struct client_sim *c);
bool client_sim_done(const struct client_sim *c);

#endif
