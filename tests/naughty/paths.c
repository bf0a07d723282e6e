/*
 * Says about files, events and timers what graft.h would not let it say: the first argument after "write" names what.
 *
 *     dots         a path that leads out of its root        hidden     one that leads into graftd's own directory
 *     absolute     one from /                               exclusive  a lock that is none
 *     none         a read of no bytes                       offset     a read from behind the end of all files
 *     page         a listing in pages of no entries         info       what only the daemon says
 *     topic        an event with a line end in its topic    function   a timer for no function
 *     args         a timer whose arguments are cut          far        a timer in 584 million years
 *
 * CRASHED, and undone.
 */
#include "naughty.h"

GRAFT_MODULE("paths", "1.0.0", "names files that are none of its business");

/* Numbers of lib/wire.def, written out: a liar does not include our headers. */
enum { FILE_STAT = 30, FILE_INFO = 31, FILE_READ = 32, FILE_WRITE = 33, FILE_LIST = 37, EMIT = 38, AFTER = 39 };

static unsigned char frame[256];
static size_t end;

static void add(const void *data, size_t len)
{
    memcpy(frame + end, data, len);
    end += len;
}

static void add_number(unsigned long long n, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        frame[end++] = (unsigned char)(n >> (8 * i));
}

static void add_text(const char *text)
{
    add_number(strlen(text), 4);
    add(text, strlen(text));
}

static void begin(unsigned char number)
{
    end = 4;
    frame[end++] = number;
}

static void say(void)
{
    size_t all = end;

    end = 0;
    add_number(all - 4, 4);
    system_call(SYS_WRITE, CHANNEL, (long)frame, (long)all);
}

static void write_to(const char *path)
{
    begin(FILE_WRITE);
    add_text(path);
    add_text("was here");
}

static void read_at(unsigned long long offset, unsigned len)
{
    begin(FILE_READ);
    add_text("naughty/a");
    add_number(offset, 8);
    add_number(len, 4);
}

static void set_timer(unsigned long long ms, const char *function, unsigned count)
{
    begin(AFTER);
    add_number(ms, 8);
    add_text(function);
    add_number(4, 4);
    add_number(count, 4);
}

GRAFT_FUNCTION(run, "[write] [dots|hidden|absolute|exclusive|none|offset|page|info|topic|function|args|far]")
{
    write_if_asked(call, "paths");
    if (arg_is(call, 1, "dots"))
        write_to("naughty/../../graftd.db");
    else if (arg_is(call, 1, "hidden"))
        write_to(".graftd/new.1.1");
    else if (arg_is(call, 1, "absolute"))
        write_to("/etc/passwd");
    else if (arg_is(call, 1, "none"))
        read_at(0, 0);
    else if (arg_is(call, 1, "offset"))
        read_at(~0ULL, 1);
    else if (arg_is(call, 1, "function"))
        set_timer(5, "nobody", 0);
    else if (arg_is(call, 1, "args"))
        set_timer(5, "paths.run", 7);
    else if (arg_is(call, 1, "far"))
        set_timer(~0ULL, "paths.run", 0);
    else if (arg_is(call, 1, "exclusive")) {
        begin(FILE_STAT);
        add_number(2, 1);
        add_text("naughty/a");
    } else if (arg_is(call, 1, "page")) {
        begin(FILE_LIST);
        add_text("naughty/");
        add_text("");
        add_number(0, 4);
    } else if (arg_is(call, 1, "topic")) {
        begin(EMIT);
        add_text("naughty\r\n+OK");
        add_text("");
    } else {
        begin(FILE_INFO);
        add_number(1, 1 + 1 + 8 + 8);
    }
    say();
    return graft_reply_status(call, "OK");
}
