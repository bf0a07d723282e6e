#!/bin/sh
# SUBSCRIBE: events as they are stored, over RESP2 and RESP3, to readers fast and slow.
. "$(dirname "$0")/lib.sh"
echo 'graft default { limit cpu 5s wall 20s effects 100000; allow read write kv "*"; allow emit "*" }' >"$dir/policy"
/usr/bin/python3 -c 'import redis' 2>/dev/null || skip "python3-redis is not there"
start
load_graft "$TOP/tests/e2e/bell.c"

claim "redis-py hears what is rung, and only that"
/usr/bin/python3 - "$GRAFTD_SOCKET" <<'P'
import redis, sys
ask = redis.Redis(unix_socket_path=sys.argv[1])
ear = redis.Redis(unix_socket_path=sys.argv[1]).pubsub()
ask.fcall("bell.ring", 0, "t", "before")
ear.subscribe("t", "u")
assert [ear.get_message(timeout=5)["type"] for _ in range(2)] == ["subscribe"] * 2
ask.fcall("bell.ring", 0, "t", "one", "two")
try:
    ask.fcall("bell.ring_and_fail", 0, "t", "no")
    sys.exit("it did not fail")
except redis.ResponseError:
    pass
ask.fcall("bell.ring", 0, "u", "three")
heard = [ear.get_message(timeout=5) for _ in range(3)]
assert [(m["type"], m["channel"], m["data"]) for m in heard] == [
    ("message", b"t", b"one"), ("message", b"t", b"two"), ("message", b"u", b"three")], heard
ear.unsubscribe("t")
assert ear.get_message(timeout=5)["type"] == "unsubscribe"
ask.fcall("bell.ring", 0, "t", "four")
ask.fcall("bell.ring", 0, "u", "five")
assert ear.get_message(timeout=5)["data"] == b"five"
P

claim "RESP2: nothing else may be asked meanwhile; the id stands behind the payload"
{
    printf 'SUBSCRIBE t AFTER 0\r\nGET k\r\nPING\r\nUNSUBSCRIBE\r\nPING\r\nQUIT\r\n'
} | "$TOOL/raw" "$GRAFTD_SOCKET" >"$dir/raw"
grep -q "^-ERR Can't execute 'get'" "$dir/raw" || fail "it was let in: $(cat "$dir/raw")"
grep -q '^+PONG' "$dir/raw" || fail "no reply after UNSUBSCRIBE: $(cat "$dir/raw")"
tr -d '\r' <"$dir/raw" | head -n 7 | tr '\n' ' ' | grep -q '^\*3 \$9 subscribe \$1 t :1 ' || fail "the first is not the confirmation: $(cat "$dir/raw")"

claim "RESP3: pushes between replies, from an id on, and every other command"
/usr/bin/python3 - "$GRAFTD_SOCKET" <<'P'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(10)
s.connect(sys.argv[1])
f = s.makefile("rb")
def value():
    line = f.readline().rstrip(b"\r\n")
    kind, rest = line[:1], line[1:]
    if kind in b"*>": return (kind, [value() for _ in range(int(rest))])
    if kind == b"%": return (kind, [(value(), value()) for _ in range(int(rest))])
    if kind == b"$":
        data = f.read(int(rest) + 2)[:-2]
        return data
    return line
s.sendall(b"HELLO 3\r\nSUBSCRIBE t AFTER 0\r\n")
value()
assert value() == (b">", [b"subscribe", b"t", b":1"])
got = [value()[1] for _ in range(4)]
assert [m[2] for m in got] == [b"before", b"one", b"two", b"four"], got
ids = [int(m[3][1:]) for m in got]
assert ids == sorted(set(ids)), ids
s.sendall(b"ECHO hello\r\n")
assert value() == b"hello"
s.sendall(b"SUBSCRIBE t AFTER 0\r\n")
P

claim "a reader that does not read misses nothing, and delays nobody"
/usr/bin/python3 - "$GRAFTD_SOCKET" <<'P'
import redis, socket, sys
ask = redis.Redis(unix_socket_path=sys.argv[1])
slow = socket.socket(socket.AF_UNIX)
slow.connect(sys.argv[1])
slow.settimeout(20)
slow.sendall(b"HELLO 3\r\nSUBSCRIBE big\r\n")
data = b""
while b"subscribe" not in data:
    data += slow.recv(65536)
big = b"x" * 100000
for i in range(300):
    ask.fcall("bell.ring", 0, "big", b"%d:" % i + big)
seen = 0
data = b""
while seen < 300:
    more = slow.recv(1 << 20)
    assert more, "closed after %d" % seen
    data += more
    while True:
        at = data.find(b"$", data.find(b"$3\r\nbig\r\n") + 9) if b"$3\r\nbig\r\n" in data else -1
        if at < 0: break
        end = data.find(b"\r\n", at)
        if end < 0: break
        size = int(data[at + 1:end])
        if len(data) < end + 2 + size: break
        assert data[end + 2:end + 2 + size].startswith(b"%d:" % seen), seen
        data = data[end + 2 + size:]
        seen += 1
P

claim "it ends with its connection, and a stop waits for no subscriber"
resp SUBSCRIBE t >/dev/null 2>&1 || :
until_true "the listeners to go" sh -c "graftctl stat | grep -q 'event_listeners.0'"
/usr/bin/python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b"SUBSCRIBE t\r\n"); s.recv(100)
s.recv(100)' "$GRAFTD_SOCKET" &
background="$background $!"
until_true "the subscriber" sh -c "graftctl stat | grep -q 'event_listeners.1'"
stop
