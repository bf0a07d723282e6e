/* Writes one key after the other without end. LIMIT, naming the limit on effects; all of them undone. */
#include "naughty.h"

GRAFT_MODULE("effects", "1.0.0", "writes without end");

GRAFT_FUNCTION(run, "[write]")
{
    write_if_asked(call, "effects");
    for (int64_t i = 0;; i++)
        graft_kv_put_i64(call, graft_format(call, "naughty:effects:%lld", (long long)i), i);
}
