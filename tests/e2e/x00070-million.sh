#!/bin/sh
# One call with very many effects, COUNT (60000; a long run takes 1000000): the daemon's memory grows by at most 100 MiB, for a
# million as for fewer, and it stays one transaction: all of it or nothing, over a crash in the middle, too (T3, T4, T7).
. "$(dirname "$0")/lib.sh"
count=${COUNT:-60000}
cat >"$dir/policy" <<'END'
limit lock-wait 10s locks 64M
graft default { limit cpu 1000s wall 1000s effects 2000000; workers max 1; allow read write kv "*" }
END
start
load_graft "$TOP/tests/e2e/flood.c"
memory() { sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB$/\1/p' "/proc/$daemon/status"; }
keys() { state | grep -c '^f:' || :; }
expect 10 call flood.put 10
before=$(memory)

claim "$count keys in one call"
expect "$count" call flood.put "$count"
grown=$(($(memory) - before))
echo "  the daemon grew by $grown KiB"
if ! ldd "$BIN/graftd" | grep -q -E "lib(asan|ubsan)"; then # a sanitizer keeps what was freed
    [ "$grown" -le $((100 * 1024)) ] || fail "that is more than 100 MiB"
    [ "$count" -gt 100000 ] || [ "$grown" -le $((60 * 1024)) ] || fail "that is more than 60 MiB, for so few"
fi
expect value ctl get f:00000000
expect value ctl get "$(printf 'f:%08d' $((count - 1)))"
exits 1 ctl get "$(printf 'f:%08d' "$count")"

claim "a call that fails after as many leaves nothing"
resp SET f:00000003 mine >/dev/null
fail_with ABORTED call flood.put "$count" abort
expect mine ctl get f:00000003
resp SET f:00000003 value >/dev/null

claim "killed in the middle: nothing of it is there"
stop
rm -r "$dir/data"
start
load_graft "$TOP/tests/e2e/flood.c"
graftctl call flood.put "$count" >/dev/null 2>&1 &
asker=$!
until_true "some of it to be on disk" sh -c "[ \$(stat -c %s '$dir/data/graftd.db-wal') -gt 2000000 ]"
kill9
wait "$asker" || :
start
grep -q "recovered: 1 unfinished" "$dir/log" || fail "there was nothing to recover: the kill came too late"
[ "$(keys)" = 0 ] || fail "$(keys) keys are there"
stop
