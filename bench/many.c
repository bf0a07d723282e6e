/* One of a thousand: the bench writes another number into the name of the built file, which is as good as building it anew. */
#include <graft.h>

GRAFT_MODULE("many0000", "1.0.0", "one of many");

GRAFT_FUNCTION_RO(nop, "") { return graft_reply_nil(call); }
