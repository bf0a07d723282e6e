#!/bin/sh
# SIGKILL of the processes between daemon and workers. A template: its graft alone. The zygote, first process of the grafts'
# world, or its keeper: the daemon ends, loudly, and a restart recovers.
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<'END'
graft default { limit cpu 20s wall 20s; allow read write kv "*" }
END
children() { cat /proc/"$1"/task/*/children | tr ' ' '\n' | grep .; }
keeper() { children "$daemon" | head -n 1; }
zygote() { children "$(keeper)" | head -n 1; }
template() { children "$(zygote)" | sed -n "$1p"; }
running() { graftctl txn list | grep -q '	running	loop_after_write'; }
spin() { # as $client
    graftctl call loop_after_write.run >"$dir/out" 2>"$dir/err" &
    client=$!
    background=$client
    until_true "the call to run" running
}

start
load_graft "$TOP/grafts/bank/bank.c"
load_naughty loop_after_write
expect 100 call bank.deposit acct:ada 100
state >"$dir/before"

kill_template() { # of loop_after_write, under a call
    spin
    victim=$(template 2)
    list=$(descendants "$victim")
    kill -KILL "$victim"
    status=0
    wait "$client" || status=$?
    background=
    [ "$status" -eq 1 ] || fail "the call ended with $status"
    grep -q '^CRASHED .*undone=1$' "$dir/err" || fail "the caller was told: $(cat "$dir/err")"
    expect_gone "$list"
    state_is "$dir/before"
    expect 105 call bank.deposit acct:ada 5
    expect 100 resp DECRBY acct:ada 5
}
is_back() { ! graftctl call --timeout 50 loop_after_write.run 2>"$dir/err" && grep -q '^TIMEOUT .*undone=1' "$dir/err"; }

claim "a template is killed under a call: it fails, undone; other grafts go on; no worker outlives it; the graft comes back"
sleep 1.2 # one that dies sooner after its loading is held to be bad
kill_template
until_true "the graft to be back" is_back
expect_match "^loop_after_write	1\.0\.0	ready	" ctl list
state_is "$dir/before"

claim "one that dies young is left as it is, with the reason, until somebody loads it again"
kill_template
if graftctl list | grep -q "^loop_after_write	.*	failed	"; then # on a slow machine it is not young any more
    fail_with BADGRAFT call loop_after_write.run
    said "SIGKILL"
fi
ctl load "$dir/loop_after_write.graft" --replace >/dev/null
fail_with TIMEOUT call --timeout 50 loop_after_write.run
state_is "$dir/before"

for process in zygote keeper; do
    claim "the $process is killed while a call runs: the daemon ends with a status, says why, and leaves nothing running"
    spin
    list=$(descendants "$daemon")
    kill -KILL "$($process)"
    daemon_status
    [ "$ended" -ne 0 ] || fail "graftd ended with 0"
    expect_gone "$list"
    wait "$client" && fail "the call succeeded"
    background=
    grep -q 'error: the zygote.* is gone' "$dir/log" || fail "graftd did not say why"

    claim "a restart recovers: what was answered is there, what was not is gone"
    start
    state_is "$dir/before"
    expect 105 call bank.deposit acct:ada 5
    expect 100 resp DECRBY acct:ada 5
done
stop
