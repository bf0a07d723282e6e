#!/bin/sh
# A graft that takes too much is stopped, told which limit it was and what it used, and leaves nothing.
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<'END'
graft default {
    limit cpu 60ms wall 20s memory 8M effects 100
    allow read write kv "*"
}
graft sleep { limit wall 300ms }
graft bank { limit cpu 5s }
graft leak { limit cpu 5s }
END
start
load_graft "$TOP/grafts/bank/bank.c"
load_naughty harmless loop loop_after_write sleep memory effects leak big
resp MSET a 1 >/dev/null
bystander_start

claim "spins: TIMEOUT, by its CPU"
sin TIMEOUT "undone=0 cpu_ms=[0-9]+ limit_ms=60$" call loop.run
said "^TIMEOUT loop.run used its 60 ms of CPU; rolled back"
sin TIMEOUT "undone=1 cpu_ms=(6[0-9]|[7-9][0-9]|[1-9][0-9][0-9]) limit_ms=60$" call loop.run write

claim "spins after it has written: TIMEOUT, and the write is gone"
sin TIMEOUT "undone=1 cpu_ms=[0-9]+ limit_ms=60$" call loop_after_write.run

claim "sleeps: TIMEOUT, by the clock"
sin TIMEOUT "undone=1 wall_ms=(3[0-9][0-9]|[4-9][0-9][0-9]|[0-9]{4}) limit_ms=300$" call sleep.run
said "^TIMEOUT sleep.run took its 300 ms of time"

claim "TIMEOUT of the caller makes a deadline nearer, and never farther"
sin TIMEOUT "undone=1 wall_ms=[0-9]+ limit_ms=100$" call --timeout 100 sleep.run
sin TIMEOUT "undone=1 wall_ms=[0-9]+ limit_ms=300$" call --timeout 10000 sleep.run
sin TIMEOUT "undone=1 (wall|cpu)_ms=[0-9]+ limit_ms=20$" call --timeout 20 loop_after_write.run
sin TIMEOUT "undone=1 cpu_ms=[0-9]+ limit_ms=60$" call --timeout 10000 loop_after_write.run

claim "takes memory: LIMIT, with what was allowed, used and wanted"
sin LIMIT "undone=1 limit=memory allowed=8388608 used=[0-9]+ wanted=1048576$" call memory.run write
sin LIMIT "undone=0 limit=memory allowed=8388608 used=[0-9]+ wanted=1048576$" call memory.run
fail_with_any() { # the stubborn one: LIMIT or TIMEOUT
    fail_with "$(graftctl call memory.run write stubborn 2>&1 | sed 's/^\(LIMIT\|TIMEOUT\) .*/\1/;q')" call memory.run write stubborn
}
state bystander: >"$dir/before"
fail_with_any
said "^(LIMIT|TIMEOUT) memory.run .*undone=1 "
state_is "$dir/before" bystander:

claim "makes effects without end: LIMIT, all of them undone"
sin LIMIT "undone=100 limit=effects allowed=100 used=101$" call effects.run
said "policy:2:"
sin LIMIT "undone=100 limit=effects allowed=100 used=101$" call effects.run write

claim "writes what is too large: the call fails"
for what in value key reply; do
    state bystander: >"$dir/before"
    exits 1 call big.run write "$what"
    state_is "$dir/before" bystander:
done

claim "memory ends with the call: one that never frees can be called for ever"
i=0
while [ "$i" -lt 20 ]; do
    expect OK call leak.run
    i=$((i + 1))
done

claim "the next calls succeed, on the same connection too"
expect_match "^harmless	1$" call harmless.run
printf 'FCALL loop.run 0 write\r\nFCALL harmless.run 0\r\nFCALL sleep.run 0\r\nGET a\r\nQUIT\r\n' |
    "$TOOL/raw" "$GRAFTD_SOCKET" | tr -d '\r' | sed 's/^-\([A-Z]*\) .*/-\1/' >"$dir/replies"
printf -- '-TIMEOUT\n*2\n$8\nharmless\n:1\n-TIMEOUT\n$1\n1\n+OK\n' | diff - "$dir/replies" || fail "the replies"
bystander_stop
stop
