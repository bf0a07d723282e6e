/* Fills the disk, file by file and line by line, without end. LIMIT, naming the limit on disk; nothing of it is left. */
#include "naughty.h"

GRAFT_MODULE("disk", "1.0.0", "writes files without end");

GRAFT_FUNCTION(run, "[write]")
{
    static char line[4096];

    write_if_asked(call, "disk");
    memset(line, 'x', sizeof line);
    for (int i = 0;; i++)
        graft_file_append(call, graft_format(call, "naughty/disk/%d", i % 10), graft_bytes_of(line, sizeof line));
}
