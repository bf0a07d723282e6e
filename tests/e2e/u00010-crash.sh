#!/bin/sh
# A graft that dies leaves nothing: each way to die, with and without a write before it; on one connection and beside others.
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<'END'
graft default { limit cpu 5s wall 20s memory 8M; allow read write kv "*" }
END
start
load_graft "$TOP/grafts/bank/bank.c"
load_naughty harmless segv fpe ill stack abort_c exit scribble syscall fork
resp MSET a 1 naughty:other "left as it was" >/dev/null
bystander_start

# name, words before the arguments of run, what the sentence says
while read -r name arg pattern; do
    [ "$arg" != - ] || arg=
    claim "$name $arg: CRASHED, undone"
    sin CRASHED "undone=1$" call "$name.run" write $arg
    said "^CRASHED $name\.run .*$pattern"
    sin CRASHED "undone=0$" call "$name.run" no $arg
    said "^CRASHED $name\.run .*$pattern"
    expect_match "^harmless	1$" call harmless.run
done <<END
segv     -      SIGSEGV.at.address.0x0
fpe      -      SIGFPE
ill      -      SIGILL
stack    -      stack.overflow
abort_c  -      abort
exit     -      exited.with.status.0
scribble stack  SIG
scribble data   SIG
scribble code   SIGSEGV
scribble heap   SIG
syscall  open   SIGSYS
syscall  socket SIGSYS
syscall  exec   SIGSYS
syscall  kill   SIGSYS
syscall  ptrace SIGSYS
syscall  x32    SIGSYS
syscall  int80  SIG
fork     -      SIGSYS
END

claim "the same connection goes on: error, then answers"
for name in segv exit syscall; do
    printf 'PING\r\nFCALL %s.run 0 write\r\nFCALL bank.deposit 1 acct:x 5\r\nDEL acct:x\r\nFCALL %s.run 0 write\r\nGET a\r\nQUIT\r\n' "$name" "$name" |
        "$TOOL/raw" "$GRAFTD_SOCKET" | tr -d '\r' | sed 's/^-\([A-Z]*\) .*/-\1/' >"$dir/replies"
    printf '+PONG\n-CRASHED\n:5\n:1\n-CRASHED\n$1\n1\n+OK\n' | diff - "$dir/replies" || fail "the replies after $name"
done

claim "what was there before is there, and nothing else of theirs"
expect "naughty:other" ctl scan naughty:
bystander_stop
stop
