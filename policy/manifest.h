/*
 * What a graft says about itself, read without running it: the text records that GRAFT_MODULE and
 * GRAFT_FUNCTION put into section .graft. Records end with NUL, fields are separated by tabs:
 *
 *     module    <abi> <name> <version> <about>
 *     function  <name> read|write <parameters>        (their order is the function's index on the wire)
 *
 * The text comes from a graft by way of its template, so every byte of it is hostile.
 */
#ifndef GRAFTD_POLICY_MANIFEST_H
#define GRAFTD_POLICY_MANIFEST_H

#include "lib/buf.h"

enum {
    MANIFEST_TEXT_MAX = 32 * 1024, /* bytes */
    MANIFEST_NAME_MAX = 63,        /* bytes of a graft's or function's name: [a-z][a-z0-9_]* */
    MANIFEST_VERSION_MAX = 31,     /* printable, no space */
    MANIFEST_ABOUT_MAX = 255,      /* bytes, printable or UTF-8, no control bytes */
    MANIFEST_FUNCTION_MAX = 256,   /* functions of one graft */
};

struct manifest_function {
    char name[MANIFEST_NAME_MAX + 1];
    char parameters[MANIFEST_ABOUT_MAX + 1];
    bool readonly;
};

struct manifest {
    unsigned abi;
    char name[MANIFEST_NAME_MAX + 1];
    char version[MANIFEST_VERSION_MAX + 1];
    char about[MANIFEST_ABOUT_MAX + 1];
    size_t function_count;
    struct manifest_function *functions; /* owned */
};

/* Reads the records whole: exactly one module, one to MANIFEST_FUNCTION_MAX functions, names unique, an ABI of 1 to
 * GRAFT_ABI. ERR_BADGRAFT says which record and why; ERR_NOMEM. On success *m is owned by the caller: manifest_fini().
 */
enum err manifest_read(struct bytes text, struct manifest *m, struct failure *why);
void manifest_fini(struct manifest *m);
/* Index of the function, or -1. */
int manifest_find(const struct manifest *m, struct bytes function);
/* [a-z][a-z0-9_]*, 1 to MANIFEST_NAME_MAX bytes. */
bool manifest_name_valid(struct bytes name);

#endif
