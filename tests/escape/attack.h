/*
 * What hostile code in a worker would try, by group. Each attack is harmless where it succeeds: it opens and does not
 * write, signals with 0, asks for what it gives back at once. Its result is as a system call's: negative, an errno,
 * when it was refused; anything else: it had its effect.
 */
#ifndef TESTS_ESCAPE_ATTACK_H
#define TESTS_ESCAPE_ATTACK_H

#include <stddef.h>

struct attack {
    const char *group, *name;
    long (*run)(void); /* NULL: the system call below */
    long number, args[6];
};

extern const struct attack attacks[];
extern const size_t attack_count;

/* The kernel's three doors. */
long door_64(long number, const long args[6]);
long door_int80(long number, const long args[6]);

enum {
    ATTACK_EFFECT = 200, /* exit status of a process that an attack brought to run */
    X32_BIT = 0x40000000,
};

#endif
