#include "lib/iso_time.h"

#include <stdbool.h>
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

/* What is left of a text that is being read. */
struct rest {
    const char *at, *end;
};

static bool skip(struct rest *r, char c)
{
    bool there = r->at < r->end && *r->at == c;

    r->at += there;
    return there;
}

/* Exactly so many digits: a number from min to max. */
static bool number(struct rest *r, unsigned digits, int min, int max, int *value)
{
    int v = 0;

    for (; digits > 0; digits--, r->at++) {
        if (r->at == r->end || *r->at < '0' || *r->at > '9')
            return false;
        v = v * 10 + (*r->at - '0');
    }
    *value = v;
    return v >= min && v <= max;
}

/* A day of the calendar, in seconds since 1970. */
static bool read_day(struct rest *r, int64_t *seconds)
{
    int year, month, day;
    struct tm tm;

    if (!number(r, 4, 1970, 9999, &year) || !skip(r, '-') || !number(r, 2, 1, 12, &month) || !skip(r, '-') ||
        !number(r, 2, 1, 31, &day))
        return false;
    tm = (struct tm){ .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day };
    *seconds = timegm(&tm);
    return tm.tm_mday == day; /* else the month has no such day, and timegm went on into the next */
}

/* Up to six digits, and at least one, behind a point: in us. */
static bool read_fraction(struct rest *r, int *us)
{
    int digit, unit = 100000;

    *us = 0;
    for (; unit > 0 && number(r, 1, 0, 9, &digit); unit /= 10)
        *us += digit * unit;
    return unit < 100000;
}

/* 10, 10:00, 10:00:00 or 10:00:00.5: the time of the day, in us. */
static bool read_clock(struct rest *r, int64_t *us)
{
    int hour, minute = 0, second = 0, fraction = 0;
    bool good = number(r, 2, 0, 23, &hour);

    if (good && skip(r, ':')) {
        good = number(r, 2, 0, 59, &minute);
        if (good && skip(r, ':'))
            good = number(r, 2, 0, 60 /* a leap second */, &second) && (!skip(r, '.') || read_fraction(r, &fraction));
    }
    if (good)
        *us = (int64_t)(hour * 3600 + minute * 60 + second) * 1000000 + fraction;
    return good;
}

static bool read_iso(struct rest r, int64_t *us)
{
    int64_t day, clock = 0;

    if (!read_day(&r, &day) || (skip(&r, 'T') && !read_clock(&r, &clock)))
        return false;
    skip(&r, 'Z');
    *us = day * 1000000 + clock;
    return r.at == r.end && *us > 0;
}

bool iso_time_read(struct bytes text, int64_t *us)
{
    const char *begin = text.data;
    uint64_t seconds;
    int64_t found;

    if (text.len == 0)
        return false;
    if (bytes_to_u64(text, &seconds)) {
        if (seconds >= INT64_MAX / 1000000)
            return false;
        found = (int64_t)seconds * 1000000;
    } else if (!read_iso((struct rest){ begin, begin + text.len }, &found)) {
        return false;
    }
    *us = found;
    return true;
}
