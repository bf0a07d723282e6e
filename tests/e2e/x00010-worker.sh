#!/bin/sh
# SIGKILL of a worker in the middle of a call, and of an idle one: CRASHED for that call, and a new worker.
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<'END'
graft default { limit cpu 20s wall 20s; workers max 1; allow read write kv "*" }
END
start
load_graft "$TOP/grafts/bank/bank.c"
load_naughty loop_after_write
resp MSET a 1 >/dev/null
bystander_start

# keeper, its zygote, its templates in the order of loading, their workers
template() { children "$(children "$(children "$daemon" | head -n 1)" | head -n 1)" | sed -n "$1p"; }
children() { cat /proc/"$1"/task/*/children | tr ' ' '\n' | grep .; }
worker() { children "$(template "$1")" | head -n 1; }
running() { graftctl txn list | grep -q '	running	loop_after_write'; }

for i in 1 2 3; do
    claim "a worker is killed in a call: CRASHED, undone, replaced ($i)"
    state bystander: >"$dir/before"
    graftctl call loop_after_write.run >"$dir/out" 2>"$dir/err" &
    client=$!
    background="$background $client"
    until_true "the call to run" running
    victim=$(worker 2)
    kill -KILL "$victim"
    status=0
    wait "$client" || status=$?
    [ "$status" -eq 1 ] || fail "the call ended with $status"
    grep -q '^CRASHED loop_after_write\.run .*SIGKILL.*; rolled back\. txn=[0-9]* undone=1$' "$dir/err" || fail "the caller was told: $(cat "$dir/err")"
    state_is "$dir/before" bystander:
    fail_with TIMEOUT call --timeout 50 loop_after_write.run
    state_is "$dir/before" bystander:
done
bystander_stop

claim "an idle worker is killed: the next call gets another"
for i in 1 2 3; do
    victim=$(worker 1)
    kill -KILL "$victim"
    until_true "the worker to go" is_gone_or_zombie "$victim"
    expect "$i" call bank.deposit counted 1
done
stop
