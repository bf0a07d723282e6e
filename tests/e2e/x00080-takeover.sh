#!/bin/sh
# An upgrade in place: a new daemon takes the socket over from the one that runs, or has it from systemd. Nobody is refused.
. "$(dirname "$0")/lib.sh"
[ -x /usr/bin/python3 ] || skip "there is no python3"
cat >"$dir/policy" <<'END'
limit drain 5s
graft default { limit cpu 500ms wall 5s; allow read write kv "*" }
END
start
load_graft "$TOP/grafts/bank/bank.c"
load_naughty loop_after_write

answers_as() { [ "$(resp INFO server | tr -d '\r' | sed -n 's/^process_id://p')" = "$1" ]; }
take_over() { # as $daemon; the one before must end well
    old=$daemon
    graftd --data "$dir/data" --policy "$dir/policy" --socket "$GRAFTD_SOCKET" --takeover 2>>"$dir/log" &
    daemon=$!
    background="$background $old"
    until_true "the old daemon to end" is_gone_or_zombie "$old"
    ended=0
    wait "$old" || ended=$?
    [ "$ended" -eq 0 ] || fail "the old daemon ended with $ended"
    until_true "the new daemon to answer" answers_as "$daemon"
}

claim "clients that connect and call all the time, through five takeovers: none is refused, every answered write is there"
/usr/bin/python3 "$TOP/tests/e2e/takeover.py" "$GRAFTD_SOCKET" "$dir/enough" >"$dir/loop" 2>&1 &
loop=$!
background=$loop
for i in 1 2 3 4 5; do
    sleep 0.2
    take_over
    background=$loop
done
: >"$dir/enough"
status=0
wait "$loop" || status=$?
background=
cat "$dir/loop"
[ "$status" -eq 0 ] || fail "a client was refused, or a write is lost"

claim "a call that runs is ended by its own limits, and answered, before the socket changes hands"
graftctl call loop_after_write.run >"$dir/out" 2>"$dir/err" &
client=$!
until_true "the call to run" sh -c 'graftctl txn list | grep -q "	running	loop_after_write"'
take_over
background=
status=0
wait "$client" || status=$?
[ "$status" -eq 1 ] && grep -q '^TIMEOUT .*undone=1' "$dir/err" || fail "the caller was told: $(cat "$dir/err")"
expect "(nil)" resp GET naughty:loop_after_write

claim "with a policy that is broken, or another program's socket, the running one goes on"
echo 'limit nonsense 1' >"$dir/broken"
exits 1 graftd --data "$dir/data" --policy "$dir/broken" --socket "$GRAFTD_SOCKET" --takeover
answers_as "$daemon" || fail "the running daemon is gone"
exits 1 graftd --data "$dir/data" --worker "$dir/broken" --socket "$GRAFTD_SOCKET" --takeover
answers_as "$daemon" || fail "the running daemon is gone"

claim "HANDOVER is answered only when it is alone on its connection"
printf 'ECHO a\r\nSHUTDOWN HANDOVER\r\n' | "$TOOL/raw" "$GRAFTD_SOCKET" >"$dir/out"
grep -q -a '^-BUSY SHUTDOWN HANDOVER must be alone' "$dir/out" || fail "it was answered: $(cat "$dir/out")"
answers_as "$daemon" || fail "the running daemon is gone"

claim "at the end the socket's file goes with the last of them; with nobody there a takeover is a start"
stop
[ ! -e "$GRAFTD_SOCKET" ] || fail "the socket is there"
start --takeover
expect "(nil)" resp GET naughty:loop_after_write
stop

claim "a socket from systemd: it is used, passed on by a takeover, and its file stays; another process's is not used"
activate=$TOP/tests/e2e/activate.py # PID-OR-self SOCKETS SOCKET COMMAND…
/usr/bin/python3 "$activate" self 1 "$dir/passed" graftd --data "$dir/data" --socket "$dir/unused" 2>>"$dir/log" &
daemon=$!
GRAFTD_SOCKET=$dir/passed
until_true "the daemon to answer" graftctl ping
[ ! -e "$dir/unused" ] || fail "it made a socket of its own"
expect OK resp SET activated 1
take_over
expect 1 resp GET activated
stop
[ -S "$dir/passed" ] || fail "the file of systemd's socket is gone"
exits 1 /usr/bin/python3 "$activate" self 2 "$dir/two" graftd --data "$dir/data" --socket "$dir/unused"
grep -q "systemd passed 2 sockets" "$dir/stderr" || fail "it said: $(cat "$dir/stderr")"
GRAFTD_SOCKET=$dir/unused
/usr/bin/python3 "$activate" 1 1 "$dir/others" graftd --data "$dir/data" --socket "$dir/unused" 2>>"$dir/log" &
daemon=$!
until_true "the daemon to answer on its own socket" graftctl ping
stop
