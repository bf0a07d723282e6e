#!/bin/sh
# SIGKILL of a worker in the middle of a call: CRASHED for that call, and a new worker. Of one that had said nothing yet: unseen, once.
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
running() { graftctl txn list | grep -q -E '	running	loop_after_write.*	1(	|$)'; } # with its write: it has been heard

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

# The template is stopped meanwhile, so nobody can report the death: the call is given to the dead.
dead_but_unreported() { # COMMAND…: with the worker of bank
    parent=$(template 1)
    victim=$(worker 1)
    kill -STOP "$parent"
    kill -KILL "$victim"
    until_true "the worker to die" is_gone_or_zombie "$victim"
    "$@" >"$dir/out" 2>"$dir/err" &
    client=$!
    background=$client
    until_true "the call to be given to it" given_out
    kill -CONT "$parent"
    status=0
    wait "$client" || status=$?
    background=
    [ "$status" -eq 0 ] || fail "the call ended with $status: $(cat "$dir/err")"
}
given_out() { graftctl txn list | grep -q -E '	(running|open)	'; }

claim "a call that is given to a dead worker, whose death nobody has reported yet, is begun again, unseen"
for i in 1 2 3; do
    dead_but_unreported graftctl call bank.deposit again 1
    [ "$(cat "$dir/out")" = "$i" ] || fail "deposit $i: $(cat "$dir/out")"
done
expect 3 resp GET again

claim "so is one in a transaction that a connection holds, which keeps what it did before (T8)"
printf 'BEGIN\nSET before 1\nFCALL bank.deposit 1 again 1\nCOMMIT\n' >"$dir/in"
held() { "$TOOL/raw" "$GRAFTD_SOCKET" <"$dir/in"; }
for i in 4 5 6; do
    dead_but_unreported held
    [ "$(tr -d '\r' <"$dir/out" | xargs)" = "+OK +OK :$i +OK" ] || fail "deposit $i: $(cat "$dir/out")"
done
expect 6 resp GET again
expect 1 resp GET before

claim "the second time it is CRASHED"
load_naughty loop
graftctl call loop.run >"$dir/out" 2>"$dir/err" &
client=$!
background=$client
last=
another() { victim=$(worker 3) && [ "$victim" != "$last" ] && given_out; }
for i in 1 2; do
    until_true "the call to run" another
    last=$victim
    kill -KILL "$victim"
done
status=0
wait "$client" || status=$?
background=
[ "$status" -eq 1 ] || fail "the call ended with $status"
grep -q '^CRASHED loop\.run was killed (SIGKILL); rolled back\. txn=[0-9]* undone=0' "$dir/err" || fail "the caller was told: $(cat "$dir/err")"

claim "an idle worker is killed: the next call gets another"
for i in 1 2 3; do
    victim=$(worker 1)
    kill -KILL "$victim"
    until_true "the worker to go" is_gone_or_zombie "$victim"
    expect "$i" call bank.deposit counted 1
done
stop
