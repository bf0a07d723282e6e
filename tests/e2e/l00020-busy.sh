#!/bin/sh
# A graft in use: not unloaded under a call, unless that is what was asked for.
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<END
graft default { limit cpu 20s wall 20s; allow read write kv "*" }
END
start
load_graft "$TOP/grafts/bank/bank.c"
load_naughty loop_after_write
state >"$dir/before"

spin() { # in the background, to be waited for as $spinner
    graftctl call loop_after_write.run "$@" >"$dir/spin.out" 2>"$dir/spin.err" &
    spinner=$!
    background=$spinner
    until_true "the call to run" is_running
}
is_running() { graftctl txn list | grep -q 'running.*loop_after_write'; }
spin_ends_with() { # WORD
    status=0
    wait "$spinner" || status=$?
    background=
    [ "$status" -eq 1 ] || fail "the call ended with $status"
    grep -q "^$1 .*undone=1" "$dir/spin.err" || fail "expected $1 and undone=1: $(cat "$dir/spin.err")"
}

claim "UNLOAD while a call runs: BUSY, and the call goes on"
spin
fail_with BUSY ctl unload loop_after_write
said "1 calls of loop_after_write run"
is_running || fail "the call was ended"

claim "WAIT waits, and gives up with BUSY when the time is over"
fail_with BUSY ctl unload loop_after_write --wait 100
is_running || fail "the call was ended"

claim "other grafts are called meanwhile"
expect 5 call bank.deposit elsewhere 5
expect 1 ctl del elsewhere

claim "FORCE ends the call: KILLED, undone"
ctl unload loop_after_write --force >/dev/null
spin_ends_with KILLED
state_is "$dir/before"
fail_with NOGRAFT call loop_after_write.run

claim "WAIT takes the graft once its calls have ended"
load_naughty loop_after_write
spin --timeout 500
ctl unload loop_after_write --wait 5000 >/dev/null
spin_ends_with TIMEOUT
state_is "$dir/before"
fail_with NOGRAFT call loop_after_write.run

claim "while it waits, a new call of the graft is refused with BUSY"
load_naughty loop_after_write
spin --timeout 1000
graftctl unload loop_after_write --wait 5000 >/dev/null &
unloader=$!
background="$spinner $unloader"
is_refused() { ! graftctl call loop_after_write.run --timeout 50 2>"$dir/stderr" && grep -q '^BUSY' "$dir/stderr"; }
until_true "a refusal" is_refused
wait "$unloader" || fail "the unload failed"
spin_ends_with TIMEOUT
state_is "$dir/before"
stop
