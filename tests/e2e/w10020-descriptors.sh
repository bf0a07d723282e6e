#!/bin/sh
# Out of file descriptors: newcomers are told, those who are in go on, and so do workers and the store.
. "$(dirname "$0")/lib.sh"
[ -x /usr/bin/python3 ] || skip "there is no python3"
cat >"$dir/policy" <<'END'
limit clients 1000 clients-per-user 1000
graft default { limit cpu 20s wall 20s; allow read write kv "*" }
END
ulimit -n 120 # less than twice what is kept back: half is for clients
start
ulimit -S -n 100
load_graft "$TOP/grafts/bank/bank.c"
load_naughty segv
cat >"$dir/crowd.py" <<'END'
import socket, subprocess, sys, time
path, ctl = sys.argv[1:]
mine = socket.socket(socket.AF_UNIX)
mine.settimeout(20)
mine.connect(path)
def ask(text):
    mine.sendall(text)
    return mine.recv(65536)
crowd, refused = [], 0
for i in range(90):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(path)
    try:
        s.sendall(b"PING\r\n")
    except ConnectionError:
        pass  # what it was told can still be read
    try:
        reply = s.recv(4096)
    except ConnectionError:
        reply = b""
    if reply.startswith(b"+PONG"):
        crowd.append(s)
    else:
        assert reply == b"" or b"BUSY graftd is out of file descriptors" in reply, reply
        refused += 1
assert crowd and refused > 10, (len(crowd), refused)
for i in range(20):
    assert ask(b"CALL segv.run\r\n").startswith(b"-CRASHED"), "no worker"
    assert ask(b"CALL bank.deposit ARGS acct:full 1\r\n").startswith(b":"), "no call"
assert ask(b"BACKUP %s\r\n" % sys.argv[2].encode()).startswith(b"+OK"), "no backup"
print("%d let in, %d refused" % (len(crowd), refused))
END

claim "a crowd: the rest is told, and calls, workers' births and a backup go on"
/usr/bin/python3 "$dir/crowd.py" "$GRAFTD_SOCKET" "$dir/copy" || fail "crowd.py"
[ -s "$dir/copy" ] || fail "no backup"

claim "once it has gone, everybody is let in again"
expect_match PONG resp PING
lines=$(grep -c "clients turned away.*file descriptors" "$dir/log")
[ "$lines" -le 3 ] || fail "$lines lines for one crowd"
stop
