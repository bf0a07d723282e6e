#!/bin/sh
# Timers: armed at commit, once, over a restart; tried again, parked, released, dropped; undone.
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<'P'
timers tries 3 backoff 20ms
graft default { limit cpu 5s wall 20s; allow read write kv "*"; allow emit "*"; allow timer "*" }
graft meek { allow read write kv "*"; allow timer "meek.*" }
P
start
load_graft "$TOP/tests/e2e/bell.c"
is() { [ "$(graftctl get "$1" 2>/dev/null)" = "$2" ]; } # KEY VALUE
none() { [ -z "$(graftctl timers)" ]; }

claim "it fires, once, with its arguments, for who armed it"
call bell.arm 1 bell.note k one >/dev/null
until_true "the timer" is k one.
until_true "it to be gone" none
expect_match "^bell.note	1.0.0	$(id -u)	" sh -c "graftctl txn list --function note --count 1 | cut -f3-6"

claim "what fails arms nothing; a dry run neither"
fail_with ABORTED call bell.arm_and_fail 0 bell.note k
resp CALL bell.arm DRYRUN ARGS 0 bell.note k no >/dev/null
none || fail "armed: $(graftctl timers)"

claim "one that was cancelled does not fire"
id=$(call bell.arm 100000 bell.note k no)
expect_match "^$id	armed	bell.note	" ctl timers
expect OK call bell.cancel "$id"
expect NONE call bell.cancel "$id"
none || fail "still there"

claim "it arms itself again"
call bell.tick ticks 5 1 >/dev/null
until_true "five ticks" is ticks 5

claim "it survives a crash, and fires when graftd is back"
call bell.arm 100000 bell.note k never >"$dir/never"
call bell.arm 300 bell.note k late >/dev/null
kill9
sleep 0.3
start
until_true "the timer" is k one.late.
expect_match "^$(cat "$dir/never")	armed	" ctl timers
expect OK ctl timer drop "$(cat "$dir/never")"
none || fail "it was not dropped"

claim "a failing one is tried again, then parked, with its error"
id=$(call bell.arm 0 bell.refuse k no)
until_true "it to be parked" sh -c "graftctl timers | grep -q '^$id	parked	bell.refuse	.*	3	.*always says no'"
expect_match "^error	.*always says no" ctl timer show "$id"
is k one.late. || fail "a failed call left something"
sleep 0.2
expect 3 sh -c "graftctl txn list --function refuse | wc -l"

claim "parked over a restart; released it is tried again, and dropped it is gone"
stop
start
expect_match "^$id	parked	" ctl timers
expect OK ctl timer release "$id"
until_true "six tries" sh -c "[ \$(graftctl txn list --function refuse | wc -l) -eq 6 ]"
until_true "it to be parked" sh -c "graftctl timers | grep -q '^$id	parked'"
expect OK ctl timer drop "$id"
exits 1 ctl timer drop "$id"
none || fail "it was not dropped"

claim "a graft that is not there is a failure like another"
id=$(call bell.arm 0 ghost.walk)
until_true "it to be parked" sh -c "graftctl timers | grep -q '^$id	parked	ghost.walk	.*NOGRAFT\|no such graft\|ghost'"
ctl timer drop "$id" >/dev/null

claim "what the policy does not allow is denied"
sed 's/"bell"/"meek"/; s/"bell\./"meek./' "$TOP/tests/e2e/bell.c" >"$dir/meek.c"
load_graft "$dir/meek.c"
fail_with DENIED call meek.arm 0 bell.note k no
said "no rule allows"

claim "undo of the arming takes the timer back"
id=$(call bell.arm 100000 bell.note k no)
txn=$(graftctl txn list --function arm --count 1 | cut -f1)
ctl txn undo "$txn" >/dev/null
none || fail "still armed"
ctl txn redo "$txn" >/dev/null
expect_match "^$id	armed	" ctl timers
ctl timer drop "$id" >/dev/null

claim "BLAME id TIMER: who armed it, who dropped it"
expect 4 sh -c "graftctl blame --timer $id | wc -l"
expect_match "^$txn	bell.arm	.*	-	bell.note due " sh -c "graftctl blame --timer $id | tail -n 1"
expect "" ctl blame "$id"

claim "once it has fired, the undo of the arming names the call, and takes it along with --cascade"
call bell.arm 0 bell.note u fired >/dev/null
txn=$(graftctl txn list --function arm --count 1 | cut -f1)
until_true "the timer" is u fired.
fired=$(graftctl txn list --function note --count 1 | cut -f1)
fail_with CONFLICT ctl txn undo "$txn"
said "$fired"
ctl txn undo "$txn" --cascade >/dev/null
exits 1 ctl get u
none || fail "the timer is there again: $(graftctl timers)"

claim "undo of the call alone leaves the timer parked, not firing again"
call bell.arm 0 bell.note v fired >/dev/null
until_true "the timer" is v fired.
fired=$(graftctl txn list --function note --count 1 | cut -f1)
ctl txn undo "$fired" >/dev/null
exits 1 ctl get v
expect_match "	parked	bell.note	" ctl timers
ctl timer drop "$(graftctl timers | cut -f1)" >/dev/null

claim "undo of a cancel leaves the timer armed as it was, also when its own function cancelled it, called or fired"
id=$(call bell.arm 100000 bell.cancel none)
expect OK call bell.cancel "$id"
none || fail "still armed"
undo_last() { ctl txn undo "$(graftctl txn list --function "$1" --count 1 | cut -f1)" >/dev/null; }
undo_last cancel
expect_match "^$id	armed	bell.cancel	" ctl timers
fires=$(call bell.arm 0 bell.cancel "$id")
until_true "the timer to cancel the other" none
undo_last cancel
expect "$fires	parked
$id	armed" sh -c 'graftctl timers | cut -f1,2 | sort -k2,2r'
ctl timer drop "$id" >/dev/null
ctl timer drop "$fires" >/dev/null
stop

[ -x /usr/bin/python3 ] || exit 0
claim "limit timers holds for calls that arm at the same moment; what comes to nothing gives its place back"
echo 'limit timers 2' >>"$dir/policy"
start
/usr/bin/python3 - "$GRAFTD_SOCKET" <<'P'
import socket, sys

class Client:
    def __init__(self):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(10)
        self.s.connect(sys.argv[1])
        self.f = self.s.makefile("rb")
    def ask(self, line):
        self.s.sendall(line.encode() + b"\r\n")
        head = self.f.readline().rstrip()
        return self.f.read(int(head[1:]) + 2)[:-2] if head[:1] == b"$" else head

def refused(reply):
    assert reply.startswith(b"-LIMIT ") and reply.endswith(b"limit=timers allowed=2 used=3"), reply

ARM = "CALL bell.arm ARGS 100000 bell.note k v"
a, b = Client(), Client()
assert a.ask(ARM)[:1] != b"-"
assert a.ask("BEGIN") == b"+OK"
assert a.ask("SAVEPOINT before") == b"+OK"
assert a.ask(ARM)[:1] != b"-"
refused(b.ask(ARM))  # nothing of a's is committed
assert a.ask("ROLLBACK TO before") == b"+OK"
assert b.ask("CALL bell.arm_and_fail ARGS 100000 bell.note k")[:9] == b"-ABORTED "
assert b.ask("BEGIN") == b"+OK"
assert b.ask(ARM)[:1] != b"-"
refused(a.ask(ARM))
assert a.ask("ROLLBACK") == b"+OK"
assert b.ask("ROLLBACK") == b"+OK"
second = a.ask(ARM).decode()
assert second[:1] != "-"
refused(b.ask(ARM))
assert b.ask("TIMER DROP " + second) == b"+OK"
assert b.ask("CALL bell.arm ARGS 0 bell.note fires v")[:1] != b"-"
P
until_true "the timer" is fires v.
expect_match "^[^ ]*$" sh -c 'graftctl timers | cut -f1'
expect OK resp FCALL bell.cancel 0 "$(graftctl timers | cut -f1)"
call bell.arm 100000 bell.note k v >/dev/null
call bell.arm 100000 bell.note k v >/dev/null
fail_with LIMIT call bell.arm 100000 bell.note k v
kill9
start
fail_with LIMIT call bell.arm 100000 bell.note k v
stop
