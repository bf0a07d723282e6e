#!/bin/sh
# Clients that want more than their share: places, unfinished requests, unread replies, memory. Each bound says its name (W5, W6).
. "$(dirname "$0")/lib.sh"
[ -x /usr/bin/python3 ] || skip "there is no python3"
cat >"$dir/policy" <<END
socket "$GRAFTD_SOCKET" mode 0666
limit clients 50 clients-per-user 40 idle 400ms drain 300ms
graft default { limit cpu 20s wall 20s; workers max 1; allow read write kv "*" }
caller any { allow call "*" }
END
chmod 755 "$dir"
flood() { /usr/bin/python3 "$TOP/tests/e2e/flood.py" "$GRAFTD_SOCKET" "$@" || fail "flood.py $*"; }
start

claim "places: limit clients-per-user, and limit clients; the reason is told, and a place that is left is free at once"
flood places 40 50
claim "a connection that is closed, but still owes replies, has its place"
flood lingering 40
claim "half a request: TIMEOUT and the end, also when a byte comes now and then; who just waits may wait"
flood half
claim "replies that are not read at all: the end; who reads slowly gets everything"
flood unread
claim "memory that one user's unfinished requests hold is bounded, and small requests go on"
flood heavy
claim "impossible, nested, giant, endless requests; a pipeline of 20000 from one that half-closed"
flood shapes
peak=$(sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$daemon/status")
case $(cat "$BIN/../config.log" 2>/dev/null) in
*enable-sanitizers*) ;; # quarantined memory counts there
*) [ "$peak" -lt 700000 ] || fail "the daemon needed $peak KiB" ;;
esac

claim "refusals are logged once in a while, with their count"
lines=$(grep -c "clients turned away" "$dir/log")
[ "$lines" -ge 1 ] && [ "$lines" -le 5 ] || fail "$lines lines"
expect_match "clients_turned_away:[1-9]" resp INFO clients

claim "a stop does not wait for a client that does not read"
/usr/bin/python3 "$TOP/tests/e2e/flood.py" "$GRAFTD_SOCKET" stuck 60 &
background=$!
sleep 0.3
kill -TERM "$daemon"
steps=0
until is_gone_or_zombie "$daemon"; do
    steps=$((steps + 1))
    [ "$steps" -lt 1500 ] || fail "graftd waits for ever"
    sleep 0.02
done
daemon_status
[ "$ended" -eq 0 ] || fail "graftd ended with $ended"

claim "a full queue answers BUSY at once"
echo 'limit queue 3' >>"$dir/policy"
start
load_naughty loop
for i in 1 2 3 4; do
    graftctl call loop.run >/dev/null 2>&1 &
    background="$background $!"
done
until_true "one to run and three to wait" sh -c '[ "$(graftctl txn list | grep -c loop.run)" -eq 4 ]'
fail_with BUSY call loop.run
stop
