#include "lib/iso_time.h"

#include <stdio.h>
#include <time.h>

const char *iso_time(int64_t us, char out[32])
{
    time_t seconds = (time_t)(us / 1000000);
    struct tm tm;
    size_t n;

    gmtime_r(&seconds, &tm);
    n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, 32 - n, ".%03dZ", (int)(us / 1000 % 1000));
    return out;
}
