#!/bin/sh
# Keys and values for applications: the commands, SCAN to the end, pipelines, inline commands, bounds.
. "$(dirname "$0")/lib.sh"
start

claim "GET SET DEL EXISTS MGET MSET INCRBY and their kin"
expect "(nil)" resp GET a
expect OK resp SET a 1
expect 1 resp GET a
expect "(nil)" resp SET a 2 NX
expect "(nil)" resp SET b 2 XX
expect 1 resp SET a 3 GET
expect 3 resp GET a
expect OK resp MSET a 1 b 2 c ""
expect "array 4
  1
  2
  
  (nil)" resp MGET a b c d
expect 4 resp EXISTS a b c c d
expect 11 resp INCRBY a 10
expect 10 resp DECRBY a 1
expect 11 resp INCR a
expect 10 resp DECR a
expect 1 resp INCR new
expect 2 resp DEL a new nothing
expect 1 resp UNLINK b

claim "what is not a number stays as it is"
fail_with ERR resp INCR c
fail_with ERR resp INCRBY new x
expect OK resp SET max 9223372036854775807
fail_with ERR resp INCR max
expect 9223372036854775807 resp GET max
expect 1 resp DEL max

claim "wrong words are refused, and change nothing"
state >"$dir/before"
fail_with ERR resp SET a
fail_with ERR resp SET a 1 NX XX
fail_with ERR resp MSET a 1 b
fail_with ERR resp NOSUCHTHING
fail_with BADARG resp SET "" 1
fail_with BADARG resp SET "$(head -c 4097 /dev/zero | tr '\0' k)" 1
state_is "$dir/before"

claim "a value of 16 MiB goes in and comes out; one byte more is refused"
head -c 16777216 /dev/urandom >"$dir/large"
expect OK resp SET large "@$dir/large"
ctl get large --raw >"$dir/got"
cmp "$dir/large" "$dir/got" || fail "the large value came back as another"
printf x >>"$dir/large"
status=0
said=$(resp SET large "@$dir/large" 2>&1) || status=$?
[ "$status" -ne 0 ] || fail "a value of more than 16 MiB was taken"
ctl get large --raw >"$dir/got"
head -c 16777216 "$dir/large" | cmp - "$dir/got" || fail "the large value changed"
expect 1 ctl del large

claim "SCAN goes through all keys once, in pages of any size, and stops"
i=0
while [ "$i" -lt 2500 ]; do
    printf 'SET scan:%04d %d\r\n' "$i" "$i"
    i=$((i + 1))
done >"$dir/pipeline"
{ cat "$dir/pipeline" && printf 'QUIT\r\n'; } | "$TOOL/raw" "$GRAFTD_SOCKET" >"$dir/replies"
[ "$(grep -c '^+OK' "$dir/replies")" -eq 2501 ] || fail "2500 pipelined SETs and a QUIT gave $(wc -l <"$dir/replies") replies"
ctl scan scan: >"$dir/keys"
[ "$(sort -u "$dir/keys" | wc -l)" -eq 2500 ] && [ "$(wc -l <"$dir/keys")" -eq 2500 ] || fail "graftctl scan is not complete"
for count in 1 7 1000; do
    cursor=0 pages=0
    : >"$dir/keys"
    while :; do
        resp SCAN "$cursor" MATCH "scan:00*" COUNT "$count" >"$dir/page"
        sed -n '/^    /s/^ *//p' "$dir/page" >>"$dir/keys"
        cursor=$(sed -n '2s/^ *//p' "$dir/page")
        pages=$((pages + 1))
        [ "$cursor" != 0 ] || break
        [ "$pages" -lt 200 ] || fail "SCAN does not end"
    done
    [ "$(sort -u "$dir/keys" | wc -l)" -eq 100 ] && [ "$(wc -l <"$dir/keys")" -eq 100 ] ||
        fail "SCAN COUNT $count gave $(wc -l <"$dir/keys") keys"
done
claim "a costly pattern ends its page early, and no key is lost by it; a longer one than is sensible is refused"
a400=$(printf '%400s' '' | tr ' ' a)
i=0
while [ "$i" -lt 100 ]; do
    printf 'SET cost:%03d:%s%s 1\r\n' "$i" "$a400" "$a400"
    i=$((i + 1))
done >"$dir/pipeline"
{ printf 'SET cost:050:%sb 1\r\n' "$a400" && cat "$dir/pipeline" && printf 'QUIT\r\n'; } | "$TOOL/raw" "$GRAFTD_SOCKET" >/dev/null
cursor=0 pages=0
: >"$dir/keys"
while :; do
    resp SCAN "$cursor" MATCH "*${a400}b" COUNT 1000 >"$dir/page"
    sed -n '/^    /s/^ *//p' "$dir/page" >>"$dir/keys"
    cursor=$(sed -n '2s/^ *//p' "$dir/page")
    pages=$((pages + 1))
    [ "$cursor" != 0 ] || break
    [ "$pages" -lt 200 ] || fail "SCAN does not end"
done
[ "$pages" -gt 4 ] || fail "100 keys that cost much were all looked at for $pages pages"
[ "$(cat "$dir/keys")" = "cost:050:${a400}b" ] || fail "a costly SCAN found $(wc -l <"$dir/keys") keys"
fail_with LIMIT resp SCAN 0 MATCH "[$a400$a400$a400]"

fail_with ERR resp SCAN 999999999
fail_with ERR resp SCAN x

claim "a pipeline is answered in order, whatever its parts cost"
load_graft "$TOP/grafts/bank/bank.c"
printf 'SET p 1\r\nFCALL bank.deposit 1 acct:p 5\r\nGET p\r\nFCALL bank.nothing 0\r\nINCR p\r\nFCALL bank.deposit 1 acct:p 5\r\nPING\r\nECHO end\r\nQUIT\r\n' |
    "$TOOL/raw" "$GRAFTD_SOCKET" | tr -d '\r' | sed 's/^-\([A-Z]*\) .*/-\1/' >"$dir/replies"
printf '+OK\n:5\n$1\n1\n-NOFUNC\n:2\n:10\n+PONG\n$3\nend\n+OK\n' | diff - "$dir/replies" || fail "the pipeline's replies"

claim "inline commands, as typed: quotes, empty lines, line ends"
printf '\r\n  \r\nSET "a key" "line\\nend \\x41"\nGET '"'a key'"'\r\nQUIT\r\n' | "$TOOL/raw" "$GRAFTD_SOCKET" | tr -d '\r' >"$dir/replies"
printf '+OK\n$10\nline\nend A\n+OK\n' | diff - "$dir/replies" || fail "the inline commands' replies"

claim "bytes that are no command: an error, the connection closes, and others go on"
printf '*1\r\n$-5\r\nPING\r\n' | "$TOOL/raw" "$GRAFTD_SOCKET" | grep -q '^-ERR' || fail "no protocol error"
printf '*99999999\r\n' | "$TOOL/raw" "$GRAFTD_SOCKET" | grep -q '^-ERR' || fail "no protocol error"
printf 'GET "a\r\n' | "$TOOL/raw" "$GRAFTD_SOCKET" | grep -q '^-ERR' || fail "no protocol error"
head -c 100000 /dev/urandom | "$TOOL/raw" "$GRAFTD_SOCKET" >/dev/null
expect PONG ctl ping
stop
