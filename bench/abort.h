/* Put before a graft by the bench, for the abort path: the graft does all its work and then, instead of replying, gives up. Its module is
 * NAME_abort, so that both can be loaded. */
#include <graft.h>

#undef GRAFT_MODULE
#define GRAFT_MODULE(name, version, about) \
    GRAFT_RECORD_(graft_record_module, "module\t" GRAFT_STR_(GRAFT_ABI) "\t" name "_abort\t" version "\t" about); \
    struct graft_swallow_semicolon_
#define graft_reply_i64(call, value) graft_abort(call, "%lld", (long long)(value))
#define graft_reply_bytes(call, value) graft_abort(call, "%zu bytes", (value).len)
#define graft_reply_array(call, count) graft_abort(call, "%zu values", (size_t)(count))
