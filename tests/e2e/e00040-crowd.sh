#!/bin/sh
# Events and timers of those who want too much: they keep nobody waiting, and get no more than the policy gives them now.
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<'P'
txn spill 64K
graft default { limit cpu 5s wall 20s effects 100000; allow read write kv "*"; allow emit "*"; allow timer "*" }
P
start
load_graft "$TOP/tests/e2e/bell.c"
load_graft "$TOP/tests/e2e/hog.c"
is() { [ "$(graftctl get "$1" 2>/dev/null)" = "$2" ]; } # KEY VALUE

claim "one graft with many slow timers due keeps the timer of another waiting no longer than a call"
expect 300 call hog.spin_often 300
call bell.arm 0 bell.note k one >/dev/null
until_true "the timer of another" is k one.
graftctl timers | grep -q 'hog.spin' || fail "all of them are through: this shows nothing"
stop
rm -r "$dir/data"
start
load_graft "$TOP/tests/e2e/bell.c"
load_graft "$TOP/tests/e2e/hog.c"

claim "timers cancelled by a transaction that was written early are gone, and nobody waits for them"
expect 2000 call hog.arm 2000 3000
expect 2000 call hog.cancel 2000
until_true "none to be counted" sh -c "graftctl stat | grep -q 'timers.0$'"
call bell.arm 3500 bell.note k two >/dev/null
until_true "the one behind them" is k two.

claim "many readers who ask and do not wait are answered in their turn"
ulimit -n 1024 2>/dev/null || :
/usr/bin/python3 - "$GRAFTD_SOCKET" <<'P'
import socket, sys
asking = []
for i in range(150):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.setblocking(False)
    asking.append(s)
for i in range(5):
    for s in asking:
        try:
            s.send(b"EVENTS READ t AFTER 0\r\n" * 1024)
        except BlockingIOError:
            pass
for s in asking[:2]:
    s.setblocking(True)
    s.settimeout(20)
    got = 0
    while got < 1024:
        more = s.recv(65536)
        assert more, "closed"
        got += more.count(b"*0\r\n")
P
expect PONG ctl ping

claim "many topics of one who does not read cost one page, and all is there when it is read"
/usr/bin/python3 - "$GRAFTD_SOCKET" "$daemon" <<'P'
import socket, sys, time
def ask(s, *words):
    s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
def resident():
    with open("/proc/%s/statm" % sys.argv[2]) as f:
        return int(f.read().split()[1]) * 4096
bell = socket.socket(socket.AF_UNIX)
bell.connect(sys.argv[1])
big = b"x" * 400000
for i in range(64):
    ask(bell, b"CALL", b"bell.ring", b"ARGS", b"many%d" % i, *[big] * 8)
    assert bell.recv(100).startswith(b"+OK"), i
ask(bell, b"CALL", b"bell.ring", b"ARGS", b"last", b"x")
assert bell.recv(100).startswith(b"+OK")
before = resident()
ear = socket.socket(socket.AF_UNIX)
ear.connect(sys.argv[1])
ear.settimeout(20)
ask(ear, b"SUBSCRIBE", *[b"many%d" % i for i in range(64)], b"AFTER", b"0")
time.sleep(1)
assert resident() - before < 100 << 20, "%d MiB" % ((resident() - before) >> 20)
got, seen = 0, b""
while got < 64 * 8:
    more = ear.recv(1 << 20)
    assert more, "closed after %d" % got
    seen += more
    got += seen.count(b"message")
    seen = seen[-6:]
P
expect PONG ctl ping
stop

[ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null || exit 0 # the rest is about somebody else
rights() { # RULE
    printf 'socket "%s" mode 0666\ngraft default { allow emit "*" }\ncaller user 12345 { allow info; %s }\n' \
        "$GRAFTD_SOCKET" "$1" >"$dir/policy"
}
rights 'allow read event "*"'
chmod 755 "$dir"
start

claim "who may read a topic no more hears no more of it: neither who subscribed before, nor who waited before"
setpriv --reuid 12345 --regid 12345 --clear-groups /usr/bin/python3 - "$GRAFTD_SOCKET" >"$dir/heard" <<'P' &
import socket, sys
def reach():
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.settimeout(20)
    return s
ear, wait = reach(), reach()
ear.sendall(b"HELLO 3\r\nSUBSCRIBE secret open\r\n")
seen = b""
while b"$4\r\nopen\r\n:2\r\n" not in seen:
    seen += ear.recv(65536)
wait.sendall(b"EVENTS READ secret AFTER 0 BLOCK 20000\r\n")
print("ready", flush=True)
seen = b""
while b"after" not in seen:
    more = ear.recv(65536)
    assert more, "closed"
    seen += more
print(seen, wait.recv(65536))
P
listener=$!
background="$background $listener"
until_true "the listener" grep -q ready "$dir/heard"
until_true "all three to listen" sh -c "graftctl stat | grep -q 'event_listeners.3'"
rights 'allow read event "open"'
ctl policy reload >/dev/null
call bell.ring secret hidden >/dev/null
call bell.ring open after >/dev/null
wait "$listener" || fail "the listener failed"
! grep -q hidden "$dir/heard" || fail "it heard: $(cat "$dir/heard")"
grep -q 'unsubscribe.*secret' "$dir/heard" || fail "it was not told that the subscription has ended: $(cat "$dir/heard")"
grep -q 'NOPERM' "$dir/heard" || fail "it was not told why it waits no more: $(cat "$dir/heard")"
stop
