#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void check_failed(const char *file, int line, const char *cond)
{
    fprintf(stderr, "graftd: bug: %s:%d: CHECK(%s) failed\n", file, line, cond);
    abort();
}
