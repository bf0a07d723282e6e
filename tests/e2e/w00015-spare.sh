#!/bin/sh
# Calls that use up their workers find the next one ready: spare workers come with aborts, within the pool's most, and go when it
# is quiet; what a failed call left in memory is seen by nobody (W4), and births that fail make no storm (W6).
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<'END'
graft default { workers min 1 max 4; allow read write kv "*" }
END
for name in quick quiet; do
    cat >"$dir/$name.c" <<END
#include <graft.h>
GRAFT_MODULE("$name", "1.0.0", "counts in memory what no other call should see after a failed one");
static int count;
GRAFT_FUNCTION(no, "") { return graft_abort(call, "no %d", ++count); }
GRAFT_FUNCTION(count, "") { return graft_reply_i64(call, ++count); }
END
done
fact() { resp INFO grafts | tr -d '\r' | sed -n "s/^$1://p"; }
workers_of() { graftctl info "$1" | sed -n 's/^workers\t//p'; }
has_workers() { [ "$(workers_of "$1")" = "$2" ]; }
no_spares() { [ "$(fact workers_spare)" = 0 ]; }
aborts() { # GRAFT COUNT
    i=0
    while [ "$i" -lt "$2" ]; do
        echo "[\"$1.no\"]"
        i=$((i + 1))
    done >"$dir/calls"
    graftctl call --batch "$dir/calls" >"$dir/answers" 2>&1 || :
}

start
load_graft "$dir/quick.c"
load_graft "$dir/quiet.c"

claim "a graft whose calls do not fail has the workers that the policy says, and no more"
expect 1 call quiet.count
expect 2 call quiet.count
has_workers quiet 1 || fail "quiet has $(workers_of quiet) workers"
no_spares || fail "spares are wanted, and no call failed"

claim "where they fail spare workers come, up to \`workers max\`, and for that graft alone"
aborts quick 200
[ "$(fact workers_spare)" -gt 1 ] || fail "$(fact workers_spare) spares are wanted after 200 aborts"
[ "$(workers_of quick)" -le 4 ] || fail "quick has $(workers_of quick) workers"
has_workers quiet 1 || fail "quiet has $(workers_of quiet) workers"

claim "each of those calls had a worker that no other call had touched"
grep -q 'no 1' "$dir/answers" || fail "nothing was aborted: $(head -n 3 "$dir/answers")"
! grep -E 'no ([2-9]|1[0-9])' "$dir/answers" || fail "another call's memory was seen"
fail_with ABORTED call quick.no
echo "$said" | grep -q 'no 1;' || fail "another call's memory was seen: $said"
expect 1 call quick.count

claim "when it is quiet they go, and the worker that has served stays"
until_true "the spares to go" no_spares
until_true "the workers to go" has_workers quick 1
expect 2 call quick.count
expect 3 call quiet.count

claim "the dead leave no process behind"
tree_is() { [ "$(descendants "$daemon" | wc -l)" -eq "$1" ]; } # keeper, zygote, two templates with a worker each
until_true "all to be reaped" tree_is 6

claim "while no worker can be born few are ordered, other grafts go on, and so does this one afterwards"
template=$(descendants "$daemon" | sed -n 3p) # of quick, which was loaded first
kill -STOP "$template"
before=$(fact workers_forked)
aborts quick 4
grep -q '^failed	4' "$dir/answers" || fail "a call got an answer from nobody: $(cat "$dir/answers")"
forked=$(($(fact workers_forked) - before))
[ "$forked" -le 40 ] || fail "$forked births were ordered of a process that does not answer"
expect 4 call quiet.count
kill -CONT "$template"
until_true "quick to have a worker again" call quick.count
fail_with ABORTED call quick.no
fail_with ABORTED call quick.no
echo "$said" | grep -q 'no 1;' || fail "another call's memory was seen: $said"
stop
