#include "worker/import.h"

#include "include/graft.h"
#include "worker/libc.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct import {
    const char *name;
    unsigned since; /* ABI */
    void *address;
};

/* In the table these names are ours. */
#define abort libc_abort
#define __assert_fail libc_assert_fail
#define qsort libc_qsort

static const struct import imports[] = {
#define IMPORT(symbol, since) { #symbol, since, (void *)symbol },
#include "include/graft_import.def"
#undef IMPORT
};

void *import_find(const char *name, unsigned abi)
{
    for (size_t i = 0; i < sizeof imports / sizeof imports[0]; i++)
        if (strcmp(imports[i].name, name) == 0)
            return imports[i].since <= abi ? imports[i].address : NULL;
    return NULL;
}
