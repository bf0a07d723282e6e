#!/bin/sh
# A takeover that fails: whenever the new daemon dies before it serves, the one that runs serves again, and nobody is refused.
. "$(dirname "$0")/lib.sh"
[ -x /usr/bin/python3 ] || skip "there is no python3"
mkdir "$dir/copies" "$dir/root"
cat >"$dir/policy" <<END
backup "$dir/copies" # with it graftd's own files are walled in, too
root other "$dir/root"
limit drain 20s
graft default { limit cpu 5s wall 10s; allow read write kv "*"; allow emit "*"; allow timer "*" }
END
start
load_graft "$TOP/grafts/bank/bank.c"
load_graft "$TOP/tests/e2e/bell.c"
load_naughty loop_after_write

answers_as() { [ "$(resp INFO server | tr -d '\r' | sed -n 's/^process_id://p')" = "$1" ]; }
said_again() { [ "$(grep -c 'this one serves again' "$dir/log")" -eq "$1" ]; }
again=0
serves_again() { # after a takeover that failed: the same process, with its grafts and its data
    again=$((again + 1))
    until_true "the daemon to serve again" said_again "$again"
    until_true "the daemon to answer" answers_as "$daemon"
    expect "$again" call bank.deposit kept 1
    expect "" sh -c 'graftctl list | grep -v "	ready	" | grep failed || :'
    expect "$again" resp GET kept
}
heir() { # OPTION…: a new graftd
    graftd --data "$dir/data" --policy "$dir/policy" --socket "$GRAFTD_SOCKET" --takeover "$@" 2>>"$dir/heir.log" &
    heir=$!
    background="$background $heir"
}
heir_is_gone() {
    wait "$heir" 2>/dev/null || :
    background=$loop
}
/usr/bin/python3 "$TOP/tests/e2e/takeover.py" "$GRAFTD_SOCKET" "$dir/enough" >"$dir/loop" 2>&1 &
loop=$!
background=$loop

claim "it dies when it has the socket, or hangs up, or when the store is free"
for when in given silent released; do
    /usr/bin/python3 "$TOP/tests/e2e/heir.py" "$GRAFTD_SOCKET" "$when" || fail "the heir failed"
    serves_again
done

claim "a timer that was due meanwhile is called, and a transaction goes on to its end"
call bell.arm 1 bell.note rung once >/dev/null
/usr/bin/python3 "$TOP/tests/e2e/heir.py" "$GRAFTD_SOCKET" released
serves_again
until_true "the timer" sh -c '[ "$(graftctl get rung)" = once. ]'

claim "it is killed while a call of the old one still runs: the call ends as it would have"
graftctl call loop_after_write.run >/dev/null 2>"$dir/err" &
client=$!
until_true "the call to run" sh -c 'graftctl txn list | grep -q "	running	loop_after_write"'
heir
until_true "the old one to give its socket" grep -q 'gave its socket' "$dir/heir.log"
kill -KILL "$heir"
heir_is_gone
serves_again
resp TXN KILL "$(graftctl txn list | sed -n 's/^\([0-9]*\)	running	loop_after_write.*/\1/p')" >/dev/null
status=0
wait "$client" || status=$?
[ "$status" -eq 1 ] && grep -q '^KILLED .*undone=1' "$dir/err" || fail "the caller was told: $(cat "$dir/err")"

claim "it ends by itself, or is killed, when it has opened the store already"
printf '#!/bin/sh\nexit 1\n' >"$dir/ends"
printf '#!/bin/sh\necho $$ >"%s/sleeper"\nexec sleep 60\n' "$dir" >"$dir/sleeps"
chmod 755 "$dir" "$dir/ends" "$dir/sleeps"
heir --worker "$dir/ends"
serves_again
heir_is_gone
heir --worker "$dir/sleeps"
until_true "it to have the store" grep -q "^$heir$" "$dir/data/lock"
until_true "its worker" test -s "$dir/sleeper"
kill -KILL "$heir"
heir_is_gone
kill -KILL "$(cat "$dir/sleeper")"
serves_again

claim "stopped while it waits for the new one, it ends, and the new one serves"
resp SET last 1 >/dev/null
given=$(grep -c "another graftd takes over" "$dir/log")
heir
until_true "it to be asked" sh -c '[ "$(grep -c "another graftd takes over" "$1")" -gt "$2" ]' sh "$dir/log" "$given"
kill -TERM "$daemon" 2>/dev/null || :
daemon_status
[ "$ended" -eq 0 ] || fail "it ended with status $ended"
daemon=$heir
background=$loop
until_true "the new daemon to answer" answers_as "$daemon"
expect 1 resp GET last
: >"$dir/enough"
status=0
wait "$loop" || status=$?
background=
cat "$dir/loop"
[ "$status" -eq 0 ] || fail "a client was refused, or a write is lost"
stop
[ ! -e "$GRAFTD_SOCKET" ] || fail "the socket is there"
