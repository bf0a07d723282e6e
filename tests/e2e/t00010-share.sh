#!/bin/sh
# Time: a deadline covers waiting for a lock, for a worker and inside host calls; a runaway does not hold up the rest (W3, W6).
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<'END'
limit lock-wait 200ms
graft default { limit cpu 10s wall 10s; workers max 2; allow read write kv "*" }
graft effects { limit cpu 100ms wall 10s effects 1000000000; allow read write kv "*" }
END
start
load_graft "$TOP/grafts/bank/bank.c"
load_naughty loop_after_write sleep effects harmless
state >"$dir/before"
running() { [ "$(graftctl txn list | grep -c "	running	$1")" -eq "$2" ]; } # FUNCTION HOW-MANY
all_busy() { running sleep.run 1 && graftctl txn list | grep -q "	fetching	sleep.run" || running sleep.run 2; }
background_call() {
    graftctl call "$@" >/dev/null 2>&1 &
    background="$background $!"
}
end_background() {
    for pid in $background; do
        kill -KILL "$pid" 2>/dev/null || :
        wait "$pid" 2>/dev/null || :
    done
    background=
}

claim "a call that waits for a key which another one holds: CONFLICT in time, undone; a SET too"
background_call loop_after_write.run
until_true "the call to run" running loop_after_write.run 1
fail_with CONFLICT call loop_after_write.run
fail_with CONFLICT resp SET naughty:loop_after_write mine
fail_with CONFLICT resp GET naughty:loop_after_write

claim "the caller's TIMEOUT covers the wait for a key"
fail_with TIMEOUT call --timeout 50 loop_after_write.run
end_background
until_true "the call to end" running loop_after_write.run 0
state_is "$dir/before"

claim "and the wait for a worker, when all are busy"
background_call sleep.run
until_true "the first call to run" running sleep.run 1
background_call sleep.run
until_true "the second call to have a worker" all_busy
fail_with TIMEOUT call --timeout 100 sleep.run
said "wall_ms=[0-9]+ limit_ms=100"

claim "calls of another graft do not wait for them"
expect_match "^harmless	1$" call harmless.run
end_background

claim "CPU time inside host calls counts"
fail_with TIMEOUT call effects.run
said "undone=[1-9][0-9]* cpu_ms=[0-9]+ limit_ms=100$"

claim "two runaways at once, and two hundred calls of another graft go through"
background_call loop_after_write.run
background_call effects.run
i=0
while [ "$i" -lt 200 ]; do
    printf 'bank.deposit\tacct:share\t1\n'
    i=$((i + 1))
done | call --batch - >/dev/null || fail "a call failed"
expect 200 ctl get acct:share
expect 1 ctl del acct:share
end_background
until_true "the runaways to end" running effects.run 0
until_true "the runaways to end" running loop_after_write.run 0
state_is "$dir/before"
stop
