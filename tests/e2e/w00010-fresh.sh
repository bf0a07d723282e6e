#!/bin/sh
# `worker fresh call`: no call sees the memory of another, not even of one that went well (W4).
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<'END'
graft default { workers min 1 max 2; allow read write kv "*" }
graft warm { workers max 1 }
graft fresh { worker fresh call }
END
for name in warm fresh; do
    cat >"$dir/$name.c" <<END
#include <graft.h>
#include <stdlib.h>
#include <string.h>
GRAFT_MODULE("$name", "1.0.0", "counts in memory what no other call should see");
static int count;
static char *kept;
GRAFT_INIT { kept = calloc(1, 100); return kept == NULL; }
GRAFT_FUNCTION(count, "") { return graft_reply_i64(call, ++count); }
GRAFT_FUNCTION(heap, "") { return graft_reply_i64(call, ++kept[0]); }
GRAFT_FUNCTION(stack, "")
{
    char deep[16384];
    int found;

    __asm__ volatile("" : "=m"(deep)); /* as it was found */
    found = deep[5000] == 's' && deep[5001] == 'e' && deep[5002] == 'c';

    deep[5000] = 's', deep[5001] = 'e', deep[5002] = 'c';
    __asm__ volatile("" : : "m"(deep));
    return graft_reply_i64(call, found);
}
GRAFT_FUNCTION(put, "") { graft_kv_put(call, graft_str("k"), graft_str("v")); return graft_reply_i64(call, ++count); }
GRAFT_FUNCTION(no, "") { count++; return graft_abort(call, "no"); }
END
done
start
load_graft "$dir/warm.c"
load_graft "$dir/fresh.c"

claim "by default a worker serves many calls, and its memory is theirs: what follows would show it"
expect 1 call warm.count
expect 2 call warm.count
expect 1 call warm.heap
expect 2 call warm.heap
call warm.stack >/dev/null
expect 1 call warm.stack

claim "with \`worker fresh call\` a global, the heap and the stack never carry over"
for i in 1 2 3 4 5; do
    expect 1 call fresh.count
    expect 1 call fresh.heap
    expect 0 call fresh.stack
    expect 1 call fresh.put
done
fail_with ABORTED call fresh.no
expect 1 call fresh.count

claim "nor when many calls come at a time: 300 calls, each the first of its worker"
i=0
while [ "$i" -lt 300 ]; do
    echo '["fresh.count"]'
    i=$((i + 1))
done >"$dir/calls"
graftctl call --batch "$dir/calls" >"$dir/summary" || fail "some failed: $(cat "$dir/summary")"
forked=$(graftctl stat grafts | sed -n 's/.*workers_forked	//p')
[ "$forked" -ge 321 ] || fail "only $forked workers were forked"
expect 1 call fresh.count

claim "the policy shows it"
expect_match '^ *worker fresh call$' ctl policy show
expect_match 'worker fresh call' ctl info fresh
fail_line() { graftctl policy check "$1" 2>&1 || :; }
echo 'graft default { worker fresh sometimes }' >"$dir/bad"
fail_line "$dir/bad" | grep -q 'write never or call' || fail "a wrong word is not explained: $(fail_line "$dir/bad")"
stop
