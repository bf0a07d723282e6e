#!/bin/sh
# CALL … IDEM token: of all calls with one token one takes effect, and each is told its reply, over a crash too.
. "$(dirname "$0")/lib.sh"
echo 'graft default { limit cpu 10s wall 10s; workers max 4; allow read write kv "*" }' >"$dir/policy"
start
load_graft "$TOP/grafts/bank/bank.c"
load_graft "$TOP/grafts/nop/nop.c"
load_naughty sleep loop
once() { token=$1 && shift && graftctl call --idem "$token" "$@"; } # TOKEN CALL…
deposit="bank.deposit acct:ada 100"

claim "a repeat is told the first reply, and does nothing"
expect 100 once t1 $deposit
expect 100 once t1 $deposit
expect 100 ctl get acct:ada
expect 200 once t2 $deposit
expect 200 once t2 $deposit

claim "the token alone counts; a reply may be nil, nested, or without effects"
expect 100 once t1 bank.deposit acct:bob 5
exits 1 ctl get acct:bob
expect "(nil)" resp CALL nop.nop IDEM nil
expect "(nil)" resp CALL nop.nop IDEM nil ARGS other
expect '{"accounts":1,"total":200}' once audit bank.audit --json
once t3 $deposit >/dev/null
expect '{"accounts":1,"total":200}' once audit bank.audit --json
expect "map 4
  accounts
  1
  total
  200" resp CALL bank.audit IDEM audit

claim "a call that failed left nothing, its token neither"
fail_with ABORTED once poor bank.transfer acct:eve acct:bob 5
call bank.deposit acct:eve 5 >/dev/null
expect 0 once poor bank.transfer acct:eve acct:bob 5
expect 0 once poor bank.transfer acct:eve acct:bob 5

claim "kill -9 between the reply and the repeat"
kill9
start
expect 100 once t1 $deposit
expect 0 once poor bank.transfer acct:eve acct:bob 5
expect 300 ctl get acct:ada

claim "kill -9 at any moment of the call: the repeat makes it one effect"
for pause in 0 0.001 0.002 0.004 0.006 0.008 0.01 0.015 0.02 0.03; do
    graftctl call --idem "crash$pause" bank.deposit "acct:crash$pause" 7 >/dev/null 2>&1 &
    asker=$!
    sleep "$pause"
    kill9
    wait "$asker" || :
    start
    expect 7 once "crash$pause" bank.deposit "acct:crash$pause" 7
    expect 7 ctl get "acct:crash$pause"
done

claim "also when the graft is gone meanwhile"
ctl unload bank >/dev/null
expect 100 once t1 $deposit
fail_with NOGRAFT once new $deposit
load_graft "$TOP/grafts/bank/bank.c"
expect 400 once new $deposit

claim "repeats while the first runs wait for it, and are told its reply: many at once, one effect"
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
    graftctl call --idem crowd bank.deposit acct:crowd 7 >"$dir/crowd.$i" 2>&1 &
    background="$background $!"
done
for pid in $background; do wait "$pid" || fail "one of the crowd failed: $(cat "$dir"/crowd.*)"; done
background=
[ "$(cat "$dir"/crowd.* | sort -u)" = 7 ] || fail "they were told different things: $(cat "$dir"/crowd.*)"
expect 7 ctl get acct:crowd

claim "in one pipeline, too"
printf 'CALL bank.deposit IDEM pipe ARGS acct:pipe 3\r\nCALL bank.deposit IDEM pipe ARGS acct:pipe 3\r\nGET acct:pipe\r\nQUIT\r\n' |
    "$TOOL/raw" "$GRAFTD_SOCKET" | tr -d '\r' >"$dir/raw"
[ "$(tr '\n' ' ' <"$dir/raw")" = ":3 :3 \$1 3 +OK " ] || fail "the pipeline: $(cat "$dir/raw")"

claim "who waits longer than its TIMEOUT is told to come again; when the first fails, the next one runs"
graftctl call --idem slow sleep.run 2>"$dir/slow" &
slow=$!
background="$background $slow"
until_true "the slow call to run" sh -c 'graftctl txn list | grep -q sleep.run'
fail_with BUSY once slow $deposit --timeout 20
said "running for longer than 20 ms"
graftctl call --idem slow bank.deposit acct:slow 9 >"$dir/next" 2>&1 &
next=$!
background="$background $next"
graftctl txn kill "$(graftctl txn list | grep sleep.run | grep -v TIMEOUT | cut -f1 | head -n 1)" >/dev/null
wait "$slow" && fail "the killed call went well"
wait "$next" || fail "the next one failed: $(cat "$dir/next")"
background=
expect 9 cat "$dir/next"
expect 9 once slow $deposit

claim "tokens are 1 to 255 bytes"
long=$(printf '%0255d' 7)
expect 11 once "$long" bank.deposit acct:long 11
expect 11 once "$long" bank.deposit acct:long 11
fail_with BADARG once "${long}0" $deposit
fail_with BADARG resp CALL bank.audit IDEM ""
fail_with ERR resp CALL bank.audit IDEM
exits 2 ctl call --batch "$dir/next" --idem t

claim "not between BEGIN and COMMIT"
printf 'BEGIN\r\nCALL bank.audit IDEM inside\r\nROLLBACK\r\nQUIT\r\n' | "$TOOL/raw" "$GRAFTD_SOCKET" >"$dir/raw"
grep -q '^-BADARG' "$dir/raw" || fail "it was let in: $(cat "$dir/raw")"

if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    claim "each user has tokens of its own"
    stop
    echo "socket \"$GRAFTD_SOCKET\" mode 0666
caller user 12345 { allow call \"*\" }" >>"$dir/policy"
    chmod 755 "$dir"
    cp "$TOOL/ask" "$dir/"
    start
    expect 5 setpriv --reuid 12345 --regid 12345 --clear-groups "$dir/ask" "$GRAFTD_SOCKET" CALL bank.deposit IDEM t1 ARGS acct:other 5
    expect 100 once t1 $deposit
fi
stop
