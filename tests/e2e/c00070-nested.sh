#!/bin/sh
# Calls inside calls: nested transactions (T8), to a bounded depth, without waiting for workers that wait themselves.
. "$(dirname "$0")/lib.sh"
start
load_naughty recurse

claim "a call inside a call is part of its transaction"
expect 3 call recurse.run 3
expect 4 ctl get naughty:recurse

claim "what fails inside is undone alone, and its caller goes on"
expect "1: ABORTED recurse.run: deep enough" call recurse.run 1 fail
expect 5 ctl get naughty:recurse

claim "the depth is bounded"
expect_match "LIMIT.*depth of 8.*limit=8" call recurse.run 9

claim "many at once, all on one key and deeper than the pool has workers, all succeed"
ctl set naughty:recurse 0 >/dev/null
i=0
while [ "$i" -lt 12 ]; do
    graftctl call recurse.run 6 >"$dir/out.$i" 2>&1 &
    i=$((i + 1))
done
while [ "$i" -gt 0 ]; do
    i=$((i - 1))
    until_true "call $i has ended" test -s "$dir/out.$i"
    expect 6 cat "$dir/out.$i"
done
expect 84 ctl get naughty:recurse
stop
