#!/bin/sh
# The daemon's own death, with workers idle, spinning, and with much dirty memory: nothing outlives it, and a start right
# after it recovers by itself, whatever the dead one left lying about. KILLS times each (5); the times printed are for people.
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<'END'
graft default { limit cpu 1h wall 1h memory 300M; workers max 3; allow read write kv "*" }
END
start
load_graft "$TOP/tests/e2e/burn.c"
load_graft "$TOP/grafts/bank/bank.c"
stop

for load in idle spin dirty; do
    claim "killed while workers are at work ($load): all of it goes; the next one answers, and has what was answered"
    "$TOOL/death" "$BIN/graftd" "$dir" "${KILLS:-5}" "$load" || fail "see above"
done

claim "what a dead one left half-written does not hinder the next, and is cleared up"
start
load_graft "$TOP/grafts/nop/nop.c"
expect 5 call bank.deposit acct:ada 5
graftctl call burn.spin >/dev/null 2>&1 &
background=$!
kill9
background=
[ -S "$GRAFTD_SOCKET" ] && [ -e "$dir/data/lock" ] || fail "it left no socket or no lock"
echo half >"$dir/data/grafts/0123456789abcdef.new.0123456789abcdef"
echo half >"$dir/data/graftd.db.new"
start
expect 5 ctl get acct:ada
call nop.nop >/dev/null || fail "a graft is gone"
[ ! -e "$dir/data/grafts/0123456789abcdef.new.0123456789abcdef" ] || fail "half a graft was left"

claim "a backup cut short by a kill is replaced by the next one of that name; a file that is no backup is not"
resp BACKUP "$dir/copy" >/dev/null
mv "$dir/copy" "$dir/copy.partial"
resp BACKUP "$dir/copy" >/dev/null || fail "the partial backup is in the way"
[ -s "$dir/copy" ] && [ ! -e "$dir/copy.partial" ] || fail "the backup is not there whole"
echo precious >"$dir/other.partial"
fail_with BADARG resp BACKUP "$dir/other"
expect precious cat "$dir/other.partial"
stop
