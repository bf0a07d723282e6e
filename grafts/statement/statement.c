/*
 * Keeps a bank statement for each account: a text file that grows by a line, is closed once a month, and is not
 * forgotten.
 *
 *     graftctl call statement.add ada 1000 salary          statements/ada.txt grows by "2026-11-23	1000	salary"
 *     graftctl call statement.show ada
 *     graftctl call statement.close ada 2026-11            it becomes statements/closed/ada-2026-11.txt
 *     graftctl call statement.closed                       what was closed so far
 *
 * The line, the event that tells of it ("bank.statement") and the reminder that is set with the first line are one
 * transaction: all of it is there when the call succeeded, and nothing of it when it failed, whatever happens meanwhile.
 * A month later the reminder calls statement.remind, unless the statement was closed: closing takes it back.
 *
 * What it needs of the policy is in statement.scfg.
 */
#include <graft.h>

#include <string.h>

GRAFT_MODULE("statement", "1.0.0", "keeps bank statements as files");

#define DAY_US (24LL * 60 * 60 * 1000 * 1000)
#define MONTH_MS (30LL * 24 * 60 * 60 * 1000)

/* An account names a file: only what cannot be mistaken for anything else. */
static int is_plain(graft_bytes name)
{
    const char *p = name.data;

    for (size_t i = 0; i < name.len; i++)
        if (memchr("abcdefghijklmnopqrstuvwxyz0123456789_-", p[i], 38) == NULL)
            return 0;
    return name.len > 0 && name.len <= 64;
}

static int read_account(graft_call *call, graft_bytes *account)
{
    *account = graft_arg(call, 0);
    if (!is_plain(*account))
        return graft_abort(call, "an account is 1 to 64 small letters, digits, _ and -");
    return GRAFT_OK;
}

static graft_bytes path_of(graft_call *call, graft_bytes account)
{
    return graft_format(call, "statements/%s.txt", graft_text(call, account));
}

static graft_bytes reminder_of(graft_call *call, graft_bytes account)
{
    return graft_format(call, "statement:%s:reminder", graft_text(call, account));
}

/* The day of the call as text, by the calendar in use since 1582. */
static graft_bytes today(graft_call *call)
{
    long day = (long)(graft_now(call) / DAY_US) + 719468, era = day / 146097; /* days since March of the year 0 */
    long of_era = day % 146097, year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    long of_year = of_era - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;
    long of_month = of_year - (153 * month + 2) / 5 + 1;

    month = month < 10 ? month + 3 : month - 9;
    return graft_format(call, "%04ld-%02ld-%02ld", year + era * 400 + (month <= 2), month, of_month);
}

/* Sets the reminder with a statement's first line, and remembers its name. */
static int remind_later(graft_call *call, graft_bytes account)
{
    graft_bytes key = reminder_of(call, account), id;
    int set, err;

    if ((err = graft_kv_exists(call, key, &set)) != GRAFT_OK || set)
        return err;
    if ((err = graft_after(call, MONTH_MS, "statement.remind", &account, 1, &id)) != GRAFT_OK)
        return err;
    return graft_kv_put(call, key, id);
}

/* Takes it back, if it has not fired. */
static int remind_no_more(graft_call *call, graft_bytes account)
{
    graft_bytes key = reminder_of(call, account), id;
    int err = graft_kv_get(call, key, &id);

    if (err == GRAFT_OK)
        err = graft_cancel(call, id);
    if (err == GRAFT_OK)
        err = graft_kv_delete(call, key);
    return err == GRAFT_NOT_FOUND ? GRAFT_OK : err;
}

/* Replies the line. */
GRAFT_FUNCTION(add, "account cents text")
{
    graft_bytes account, line;
    int64_t cents;
    int err;

    if ((err = read_account(call, &account)) != GRAFT_OK)
        return err;
    if (graft_arg_i64(call, 1, &cents) != GRAFT_OK)
        return graft_abort(call, "an amount is a whole number of cents");
    if (strpbrk(graft_text(call, graft_arg(call, 2)), "\t\n") != NULL)
        return graft_abort(call, "the text is one line, without tabs");
    line = graft_format(call, "%s\t%lld\t%s\n", graft_text(call, today(call)), (long long)cents,
                        graft_text(call, graft_arg(call, 2)));
    if ((err = graft_file_append(call, path_of(call, account), line)) != GRAFT_OK)
        return err;
    if ((err = remind_later(call, account)) != GRAFT_OK)
        return err;
    line.len--;
    if ((err = graft_emit(call, graft_str("bank.statement"),
                          graft_format(call, "%s\t%.*s", graft_text(call, account), (int)line.len,
                                       (const char *)line.data))) != GRAFT_OK)
        return err;
    return graft_reply_bytes(call, line);
}

/* The whole statement, or nil. */
GRAFT_FUNCTION_RO(show, "account")
{
    graft_bytes account, content;
    int err;

    if ((err = read_account(call, &account)) != GRAFT_OK)
        return err;
    err = graft_file_read(call, path_of(call, account), &content);
    if (err == GRAFT_NOT_FOUND)
        return graft_reply_nil(call);
    return err != GRAFT_OK ? err : graft_reply_bytes(call, content);
}

/* Replies where it is now. What was closed stays closed. */
GRAFT_FUNCTION(close, "account month")
{
    graft_bytes account, month = graft_arg(call, 1), closed;
    graft_file_info info;
    int err;

    if ((err = read_account(call, &account)) != GRAFT_OK)
        return err;
    if (!is_plain(month))
        return graft_abort(call, "a month is written as 2026-11");
    closed = graft_format(call, "statements/closed/%s-%s.txt", graft_text(call, account), graft_text(call, month));
    err = graft_file_stat(call, closed, &info);
    if (err == GRAFT_OK)
        return graft_abort(call, "%s is there already", graft_text(call, closed));
    if (err != GRAFT_NOT_FOUND)
        return err;
    err = graft_file_rename(call, path_of(call, account), closed);
    if (err == GRAFT_NOT_FOUND)
        return graft_abort(call, "there is no open statement of %s", graft_text(call, account));
    if (err == GRAFT_OK)
        err = remind_no_more(call, account);
    return err != GRAFT_OK ? err : graft_reply_bytes(call, closed);
}

/* What the timer calls, for the one who added the first line: tells that a statement waits to be closed. */
GRAFT_FUNCTION(remind, "account")
{
    graft_bytes account;
    int err;

    if ((err = read_account(call, &account)) != GRAFT_OK)
        return err;
    err = graft_kv_delete(call, reminder_of(call, account));
    if (err != GRAFT_OK && err != GRAFT_NOT_FOUND)
        return err;
    return graft_emit(call, graft_str("bank.statement.due"), account);
}

static int count_one(graft_call *call, graft_bytes path, const graft_file_info *info, void *user)
{
    size_t *count = user;

    (void)call;
    (void)path;
    *count += !info->directory;
    return GRAFT_OK;
}

static int reply_one(graft_call *call, graft_bytes path, const graft_file_info *info, void *user)
{
    (void)user;
    if (info->directory)
        return GRAFT_OK;
    graft_reply_bytes(call, path);
    return graft_reply_i64(call, (int64_t)info->size);
}

/* A map from each closed statement to its size in bytes. */
GRAFT_FUNCTION_RO(closed, "")
{
    size_t count = 0;
    int err = graft_file_list(call, graft_str("statements/closed"), count_one, &count);

    if (err == GRAFT_OK)
        err = graft_reply_map(call, count);
    return err != GRAFT_OK ? err : graft_file_list(call, graft_str("statements/closed"), reply_one, NULL);
}
