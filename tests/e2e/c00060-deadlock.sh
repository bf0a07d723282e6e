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
claim "MSET, DEL and EXISTS of the same keys in opposite order all succeed"
pairs() { # FIRST SECOND VALUE
    i=0
    while [ "$i" -lt 300 ]; do
        printf 'MSET k%d%s %s k%d%s %s\r\n' "$i" "$1" "$3" "$i" "$2" "$3"
        [ $((i % 3)) -ne 0 ] || printf 'DEL k%d%s k%d%s\r\nMSET k%d%s %s k%d%s %s\r\n' "$i" "$1" "$i" "$2" "$i" "$1" "$3" "$i" "$2" "$3"
        i=$((i + 1))
    done
    printf 'QUIT\r\n'
}
pairs a b 1 >"$dir/one"
pairs b a 2 >"$dir/two"
"$TOOL/raw" "$GRAFTD_SOCKET" <"$dir/one" >"$dir/one.out" &
first=$!
background=$first
"$TOOL/raw" "$GRAFTD_SOCKET" <"$dir/two" >"$dir/two.out"
wait "$first"
background=
! grep -h -m 3 "^-" "$dir/one.out" "$dir/two.out" || fail "an error"
[ "$(wc -l <"$dir/one.out")" -eq 501 ] && [ "$(wc -l <"$dir/two.out")" -eq 501 ] || fail "a reply is missing"
i=0
while [ "$i" -lt 300 ]; do
    printf 'MGET k%da k%db\r\n' "$i" "$i"
    i=$((i + 1))
done >"$dir/look"
"$TOOL/raw" "$GRAFTD_SOCKET" <"$dir/look" | tr -d '\r' | paste - - - - - | awk '$3 != $5 { print; bad = 1 } END { exit bad || NR != 300 }' ||
    fail "a pair that was written together differs"

expect_match "^deadlocks:[1-9]" resp INFO store
stop
