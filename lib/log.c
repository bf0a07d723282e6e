#include "lib/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static enum log_level threshold = LOG_INFO;

void log_threshold(enum log_level level) { threshold = level; }

static size_t stamp(char *out, size_t size)
{
    struct timespec ts;
    struct tm tm;
    size_t n;

    if (getenv("JOURNAL_STREAM") != NULL)
        return 0;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
    return n + (size_t)snprintf(out + n, size - n, ".%03ldZ ", ts.tv_nsec / 1000000);
}

void log_line(enum log_level level, const char *format, ...)
{
    static const char *const names[] = { "debug", "info", "warning", "error" };
    char line[LOG_LINE_MAX];
    size_t n, begin;
    va_list ap;

    if (level < threshold)
        return;
    n = stamp(line, sizeof line);
    n += (size_t)snprintf(line + n, sizeof line - n, "%s: ", names[level]);
    begin = n;
    va_start(ap, format);
    vsnprintf(line + n, sizeof line - n - 1, format, ap);
    va_end(ap);
    n = strlen(line);
    for (size_t i = begin; i < n; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, n) < 0)
        return; /* nobody is listening: there is nobody to tell */
}
