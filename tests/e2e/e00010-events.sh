#!/bin/sh
# Events: told at commit and never otherwise, in order, kept over a restart, forgotten as the policy says.
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<'P'
events size 64K
graft default { limit cpu 5s wall 20s effects 100000; allow read write kv "*"; allow emit "*" }
graft meek { allow emit "meek.*" }
caller any { allow call "*" }
P
start
load_graft "$TOP/tests/e2e/bell.c"
data_of() { graftctl events "$@" | cut -f4; }

claim "in the order of the calls, and of the emits within one"
expect OK call bell.ring t one two
expect OK call bell.ring t three
expect OK call bell.ring other elsewhere
expect "one
two
three" data_of t
expect "elsewhere" data_of other
ids=$(graftctl events t | cut -f1 | tr '\n' ' ')
[ "$(echo $ids | tr ' ' '\n' | sort -n -u | tr '\n' ' ')" = "$ids" ] || fail "the ids do not rise: $ids"

claim "what fails tells nothing: aborted, crashed, a call inside"
fail_with ABORTED call bell.ring_and_fail t no
fail_with CRASHED call bell.ring_and_crash t no
expect OK call bell.ring_round t round
expect "one
two
three
round" data_of t
resp CALL bell.ring DRYRUN ARGS t tried >/dev/null
expect "one
two
three
round" data_of t

claim "a transaction of a connection tells at COMMIT, and not what was rolled back to a savepoint"
printf 'BEGIN\r\nCALL bell.ring ARGS s a\r\nSAVEPOINT p\r\nCALL bell.ring ARGS s b\r\nROLLBACK TO p\r\nCALL bell.ring ARGS s c\r\nEVENTS READ s AFTER 0\r\nCOMMIT\r\nQUIT\r\n' |
    "$TOOL/raw" "$GRAFTD_SOCKET" >"$dir/raw"
grep -q '^\*0' "$dir/raw" || fail "seen before COMMIT: $(cat "$dir/raw")"
expect "a
c" data_of s

claim "READ: AFTER, COUNT"
first=$(echo $ids | cut -d' ' -f1)
expect "two" data_of t --after "$first" --count 1
expect "array 0" resp EVENTS READ nobody AFTER 0
fail_with BADARG resp EVENTS READ "no topic" AFTER 0
fail_with ERR resp EVENTS READ t AFTER -1

claim "BLOCK waits until there is one, or the time is over"
expect "array 0" resp EVENTS READ later AFTER 0 BLOCK 50
resp EVENTS READ later AFTER 0 BLOCK 10000 >"$dir/blocked" &
background="$background $!"
blocked=$!
until_true "the reader to wait" sh -c "graftctl stat | grep -q 'event_listeners.1'"
expect OK call bell.ring later now
wait "$blocked"
grep -q now "$dir/blocked" || fail "the reader got: $(cat "$dir/blocked")"
printf 'BEGIN\r\nEVENTS READ t AFTER 0 BLOCK 10\r\nROLLBACK\r\nQUIT\r\n' | "$TOOL/raw" "$GRAFTD_SOCKET" >"$dir/raw"
grep -q '^-BADARG' "$dir/raw" || fail "it waited inside a transaction"

claim "they are there after a crash, and the ids go on"
last=$(graftctl events t | tail -n 1 | cut -f1)
kill9
start
expect "one
two
three
round" data_of t
call bell.ring t five >/dev/null
[ "$(graftctl events t | tail -n 1 | cut -f1)" -gt "$last" ] || fail "an id was given again"

claim "a larger transaction than memory keeps tells all of its own, once"
expect 30000 call bell.ring_many big 30000
count=$(graftctl events big --count 1000000 | wc -l)
[ "$count" -le 30000 ] || fail "$count events of 30000"

claim "old ones are forgotten, and a reader is told so"
until_true "the old ones to go" sh -c "graftctl topics | grep -q '^t	0'"
fail_with LIMIT resp EVENTS READ t AFTER "$first"
said "forgotten="
expect "array 0" resp EVENTS READ t AFTER 0

claim "SUBSCRIBE of several topics is all or nothing: what one lacks refuses all"
call bell.ring kept one >/dev/null
kept=$(($(graftctl events kept | tail -n 1 | cut -f1) - 1))
printf 'SUBSCRIBE kept t AFTER %s\r\nGET k\r\nSUBSCRIBE kept AFTER %s\r\nQUIT\r\n' "$first" "$kept" |
    "$TOOL/raw" "$GRAFTD_SOCKET" >"$dir/raw"
grep -q '^-LIMIT events of .*forgotten=' "$dir/raw" || fail "it was not refused: $(cat "$dir/raw")"
! grep -q "^-ERR Can't execute" "$dir/raw" || fail "it is subscribed nevertheless: $(cat "$dir/raw")"
tr -d '\r' <"$dir/raw" | tr '\n' ' ' | grep -q ' \$9 subscribe \$4 kept :1 ' || fail "then it does not work: $(cat "$dir/raw")"

claim "what the policy does not allow is denied by its rule"
sed 's/"bell"/"meek"/' "$TOP/tests/e2e/bell.c" >"$dir/meek.c"
load_graft "$dir/meek.c"
expect OK call meek.ring meek.x hello
fail_with DENIED call meek.ring t hello
said "no rule allows"

claim "undo takes back what can be; what was told stays told, and is named"
call bell.ring undone said >/dev/null
id=$(graftctl txn list --count 1 | cut -f1)
graftctl txn undo "$id" >"$dir/undo" || fail "the undo failed"
expect "said" data_of undone
stop
