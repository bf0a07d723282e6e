/*
 * The system call filters of the jail: lists in jail_filter.c, built once, entered later. What is not on the list kills
 * the process; so do calls of another architecture (int 0x80, x32).
 */
#ifndef GRAFTD_POLICY_JAIL_FILTER_H
#define GRAFTD_POLICY_JAIL_FILTER_H

/* In order: each list is entered in addition to the one before it. */
enum jail_filter { JAIL_FILTER_TEMPLATE, JAIL_FILTER_WORKER, JAIL_FILTER_COUNT };

/* Builds all. 0, or -1 with errno. */
int jail_filter_prepare(void);
/* After it: the beginning of the SHA-256 of all programs in hex, the same as long as the filters are. */
const char *jail_filter_hash(void);
/* After it: the lists, for people, on the descriptor. */
void jail_filter_show(int fd);
/* Shuts. 0, or -1 with errno. no_new_privs must be set. */
int jail_filter_enter(enum jail_filter which);

#endif
