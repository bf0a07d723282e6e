#!/bin/sh
# SIGTERM: running calls end, or are rolled back at their deadline; then all is gone, and the status is 0.
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<'END'
limit drain 5s
graft default { limit cpu 600ms wall 5s; allow read write kv "*" }
graft forever { limit cpu 1h wall 1h; allow read write kv "*" }
END
cat >"$dir/slow.c" <<'END'
#include <graft.h>
GRAFT_MODULE("slow", "1.0.0", "takes its time");
GRAFT_FUNCTION(run, "key spins")
{
    int64_t spins;
    if (graft_arg_i64(call, 1, &spins) != GRAFT_OK)
        return graft_abort(call, "how many spins?");
    graft_kv_put(call, graft_arg(call, 0), graft_str("begun"));
    for (int64_t i = 0; i < spins; i++)
        __asm__ volatile("");
    graft_kv_put(call, graft_arg(call, 0), graft_str("done"));
    return graft_reply_status(call, "OK");
}
END
sed 's/"slow"/"forever"/' "$dir/slow.c" >"$dir/forever.c"
start
load_graft "$dir/slow.c"
load_graft "$dir/forever.c"
load_naughty loop_after_write
running() { graftctl txn list | grep -q "	running	$1"; }
background_call() { # GRAFT ARG…: as $client, and waits until it runs
    graftctl call "$@" >"$dir/out.$1" 2>"$dir/err.$1" &
    client=$!
    background="$background $client"
    until_true "$1 to run" running "$1"
}
ends_with() { # PID STATUS
    status=0
    wait "$1" || status=$?
    [ "$status" -eq "$2" ] || fail "a call ended with $status, expected $2"
}

claim "a call that runs ends as it would have; one that spins is rolled back at its deadline; new ones are refused"
background_call slow.run slow 800000000
slow=$client
background_call loop_after_write.run
loop=$client
list=$(descendants "$daemon")
kill -TERM "$daemon"
ends_with "$slow" 0
ends_with "$loop" 1
grep -q "^TIMEOUT loop_after_write.run .*undone=1 cpu_ms=[0-9]* limit_ms=600" "$dir/err.loop_after_write.run" || fail "the spinning call was told: $(cat "$dir/err.loop_after_write.run")"
daemon_status
background=
[ "$ended" -eq 0 ] || fail "graftd ended with $ended"
expect_gone "$list"
start
expect done ctl get slow
expect "(nil)" resp GET naughty:loop_after_write

claim "a call without an end is ended when the drain is over: KILLED, undone"
stop
sed -i 's/limit drain 5s/limit drain 300ms/' "$dir/policy"
start
background_call forever.run forever 1000000000000
list=$(descendants "$daemon")
kill -TERM "$daemon"
ends_with "$client" 1
grep -q "^KILLED forever.run .*undone=1" "$dir/err.forever.run" || fail "the endless call was told: $(cat "$dir/err.forever.run")"
daemon_status
background=
[ "$ended" -eq 0 ] || fail "graftd ended with $ended"
expect_gone "$list"
start
expect "(nil)" resp GET forever
stop
