#!/bin/sh
# A call that is ended from outside leaves nothing: its client hangs up, or somebody else kills it.
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<'END'
graft default { limit cpu 20s wall 20s; allow read write kv "*" }
END
start
load_graft "$TOP/grafts/bank/bank.c"
load_naughty harmless loop_after_write sleep
resp MSET a 1 >/dev/null
bystander_start
state bystander: >"$dir/before"

running() { graftctl txn list | grep "	running	$1" | cut -f1 | grep .; } # FUNCTION: its transactions
none_runs() { ! running "$1"; }

for name in loop_after_write sleep; do
    claim "$name: the client hangs up; the call is undone without it"
    graftctl call "$name.run" >/dev/null 2>&1 &
    client=$!
    background="$background $client"
    until_true "the call to run" running "$name.run"
    id=$(running "$name.run")
    kill -KILL "$client"
    wait "$client" 2>/dev/null || :
    until_true "the call to end" none_runs "$name.run"
    state_is "$dir/before" bystander:
    expect_match "^$id	KILLED	$name\.run	" ctl txn list --count 100
    expect_match "^harmless	1$" call harmless.run

    claim "$name: TXN KILL from another connection; the caller is told"
    graftctl call "$name.run" >"$dir/out" 2>"$dir/err" &
    client=$!
    background="$background $client"
    until_true "the call to run" running "$name.run"
    id=$(running "$name.run")
    ctl txn kill "$id" >/dev/null
    status=0
    wait "$client" || status=$?
    [ "$status" -eq 1 ] || fail "the killed call ended with $status"
    grep -q -E "^KILLED $name\.run .*; rolled back\. txn=$id undone=1" "$dir/err" || fail "the caller was told: $(cat "$dir/err")"
    state_is "$dir/before" bystander:
    expect_match "^harmless	1$" call harmless.run
done

claim "TXN KILL of what does not run is refused"
exits 1 ctl txn kill 999999
exits 1 ctl txn kill "$id"

claim "a client that hangs up in the middle of a pipeline: what was answered stays, the running call goes"
{ printf 'SET kept 1\r\nFCALL loop_after_write.run 0\r\nSET never 1\r\n' && sleep 0.3; } | timeout 0.2 "$TOOL/raw" "$GRAFTD_SOCKET" >"$dir/replies" || :
until_true "the call to end" none_runs loop_after_write.run
expect 1 resp GET kept
expect "(nil)" resp GET naughty:loop_after_write
expect "(nil)" resp GET never
bystander_stop
stop
