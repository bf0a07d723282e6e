#!/bin/sh
# Calls that wait for each other: one is undone and run again, and nobody sees it (T6).
. "$(dirname "$0")/lib.sh"
start
load_naughty deadlock

claim "two calls that lock the same keys in opposite order both succeed"
for i in 1 2 3 4 5; do
    graftctl call deadlock.run - "one$i" "two$i" 3000000 >"$dir/a" 2>&1 &
    first=$!
    background=$first
    expect OK call deadlock.run - "two$i" "one$i" 3000000
    wait "$first" || fail "the other call: $(cat "$dir/a")"
    background=
    expect 2 ctl get "one$i"
    expect 2 ctl get "two$i"
done
expect_match "^deadlocks:[1-9]" resp INFO store
stop
