#!/bin/sh
# A transaction that a connection holds: COMMIT, ROLLBACK, savepoints, failures inside, isolation, limits, its loss.
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<'END'
limit idle 1s lock-wait 100ms drain 300ms
graft default { limit cpu 50ms wall 1s; allow read write kv "*" }
END
start
load_graft "$TOP/grafts/bank/bank.c"
load_naughty segv loop_after_write
raw() { "$TOOL/raw" "$GRAFTD_SOCKET" | tr -d '\r'; }
talk() { # COMMANDS: one connection, one write; its replies
    printf '%b' "$1" | raw >"$dir/talk"
}
heard() { # LINE…: just these
    printf '%s\n' "$@" >"$dir/expected"
    diff "$dir/expected" "$dir/talk" || fail "the replies differ"
}

# A connection that stays: hold_open, say WORDS, and hear PATTERN, which is the last line so far.
hold_open() {
    mkfifo "$dir/in"
    "$TOOL/raw" "$GRAFTD_SOCKET" <"$dir/in" >"$dir/held" &
    background=$!
    exec 3>"$dir/in"
}
say() { printf '%s\r\n' "$*" >&3; }
last_is() { tail -n 1 "$dir/held" | tr -d '\r' | grep -E -q -e "$1"; }
hear() { until_true "a reply like $1" last_is "$1"; }
hang_up() {
    kill -KILL $background 2>/dev/null || :
    wait $background 2>/dev/null || :
    background=
    exec 3>&-
    rm "$dir/in"
}

claim "COMMIT keeps, ROLLBACK leaves nothing, and BEGIN to COMMIT may come in one write"
talk 'SET a 1\nBEGIN\nSET a 2\nINCR n\nGET a\nCOMMIT\nGET a\n'
heard +OK +OK +OK :1 '$1' 2 +OK '$1' 2
talk 'BEGIN\nSET a 3\nDEL n\nMSET b 1 c 2\nEXISTS a b c n\nROLLBACK\nMGET a b c n\n'
heard +OK +OK :1 +OK :3 +OK '*4' '$1' 2 '$-1' '$-1' '$1' 1
talk 'BEGIN\nINCR n\nCOMMIT\nBEGIN\nINCR n\nROLLBACK\nBEGIN\nINCR n\nCOMMIT\nGET n\n'
heard +OK :2 +OK +OK :3 +OK +OK :3 +OK '$1' 3

claim "the history has one row for all of it"
talk 'BEGIN\nSET h1 1\nSET h2 2\nFCALL bank.deposit 1 acct:h 5\nCOMMIT\n'
heard +OK +OK +OK :5 +OK
expect_match '	committed	BEGIN	.*	3($|	)' ctl txn list

claim "what is out of place is refused with a sentence"
talk 'COMMIT\nROLLBACK\nSAVEPOINT s\nROLLBACK TO s\nRELEASE s\nBEGIN TIMEOUT 0\nBEGIN NOW\nBEGIN\nBEGIN\nMULTI\nROLLBACK BACK\nROLLBACK\n'
grep -c '^-ERR ' "$dir/talk" | grep -q '^10$' || fail "expected 10 errors: $(cat "$dir/talk")"
grep -q '^-ERR commit without BEGIN' "$dir/talk" || fail "COMMIT without BEGIN: $(cat "$dir/talk")"
grep -q '^-ERR BEGIN inside BEGIN' "$dir/talk" || fail "BEGIN inside BEGIN: $(cat "$dir/talk")"

claim "a command that fails is taken back alone; the rest stays (T8)"
talk 'SET text x\nBEGIN\nSET a 5\nINCR text\nINCRBY a 1\nCOMMIT\nGET a\nGET text\n'
heard +OK +OK +OK "-ERR value is not an integer or out of range" :6 +OK '$1' 6 '$1' x

claim "a nested call that fails, crashes or runs away is undone alone; others commit with the rest (T8)"
talk 'SET acct:x 10\nBEGIN\nSET a 7\nFCALL bank.transfer 2 acct:x acct:y 4\nFCALL bank.transfer 2 acct:x acct:y 400\nFCALL segv.run 0 write\nFCALL loop_after_write.run 0\nFCALL no.such 0\nGET acct:x\nCOMMIT\nMGET a acct:x acct:y naughty:segv naughty:loop_after_write\n'
grep -v '^-' "$dir/talk" >"$dir/rest"
printf '%s\n' +OK +OK +OK :6 '$1' 6 +OK '*5' '$1' 7 '$1' 6 '$1' 4 '$-1' '$-1' | diff - "$dir/rest" || fail "the replies differ"
grep -q '^-ABORTED bank.transfer: insufficient funds; rolled back' "$dir/talk" || fail "no ABORTED"
grep -q '^-CRASHED segv.run .* undone=1' "$dir/talk" || fail "no CRASHED: $(cat "$dir/talk")"
grep -q '^-TIMEOUT loop_after_write.run .* undone=1' "$dir/talk" || fail "no TIMEOUT: $(cat "$dir/talk")"
grep -q '^-NOGRAFT' "$dir/talk" || fail "no NOGRAFT"

claim "ROLLBACK TO goes back to a savepoint, which stays; newer ones go; RELEASE forgets"
talk 'SET a 0\nBEGIN\nSET a 1\nSAVEPOINT one\nSET a 2\nSET b 2\nSAVEPOINT two\nSET a 3\nROLLBACK TO two\nGET a\nROLLBACK TO SAVEPOINT one\nMGET a b\nSET a 4\nROLLBACK TO two\nROLLBACK TO one\nGET a\nRELEASE one\nROLLBACK TO one\nCOMMIT\nMGET a b\n'
heard +OK +OK +OK +OK +OK +OK +OK +OK +OK '$1' 2 +OK '*2' '$1' 1 '$-1' +OK \
    '-BADARG there is no savepoint "two" in this transaction' +OK '$1' 1 +OK \
    '-BADARG there is no savepoint "one" in this transaction' +OK '*2' '$1' 1 '$-1'
{
    echo BEGIN
    seq 1 17 | sed 's/^/SAVEPOINT s/'
    echo "ROLLBACK TO s16"
    echo ROLLBACK
} | raw >"$dir/talk"
[ "$(grep -c '^+OK' "$dir/talk")" -eq 19 ] && grep -q '^-LIMIT .*limit=16' "$dir/talk" || fail "the savepoints have no bound: $(cat "$dir/talk")"

claim "ROLLBACK TO goes back also behind what was written early"
head -c 3000000 /dev/zero | tr '\0' v >"$dir/large"
{
    printf 'SET a 1\nBEGIN\nSET a 2\nSAVEPOINT s\n'
    for i in 1 2 3 4; do
        printf '*3\r\n$3\r\nSET\r\n$2\r\nL%d\r\n$3000000\r\n' $i
        cat "$dir/large"
        printf '\r\n'
    done
    printf 'EXISTS L1 L2 L3 L4\nROLLBACK TO s\nEXISTS L1 L2 L3 L4\nINCR a\nCOMMIT\nGET a\n'
} | raw >"$dir/talk"
heard +OK +OK +OK +OK +OK +OK +OK +OK :4 +OK :0 :3 +OK '$1' 3
expect_match '^spilled:[1-9]' resp INFO store

claim "what comes next on the connection does not wait in vain for the locks of a large commit, however slow the disk"
stop
sed 's/lock-wait 100ms/lock-wait 1ms/' "$dir/policy" >"$dir/hasty" && cp "$dir/policy" "$dir/patient" && cp "$dir/hasty" "$dir/policy"
start
{
    echo BEGIN
    for i in 1 2 3 4; do
        printf '*3\r\n$3\r\nSET\r\n$2\r\nL%d\r\n$3000000\r\n' $i
        cat "$dir/large"
        printf '\r\n'
    done
    printf 'COMMIT\nEXISTS L1 L2 L3 L4\nDEL L1 L2 L3 L4\nEXISTS L1\n'
} | raw >"$dir/talk"
heard +OK +OK +OK +OK +OK +OK :4 :4 :0
stop
cp "$dir/patient" "$dir/policy"
start

claim "nobody sees what is not committed: others wait, and get CONFLICT; SCAN locks what it looked at"
expect OK resp SET iso 1
hold_open
say BEGIN
say SET iso 2
say SET iso:new 2
hear '^\+OK'
expect_match '^sessions:1' resp INFO clients
for i in 1 2; do
    fail_with CONFLICT resp GET iso
    fail_with CONFLICT resp SET iso:new 3
    say PING
done
say COMMIT
say ECHO done
hear '^done'
expect 2 resp GET iso
say BEGIN
say SCAN 0 MATCH iso:* COUNT 100
hear '^iso:new'
fail_with CONFLICT resp SET iso:more 1
say ROLLBACK
say ECHO over
hear '^over'
expect OK resp SET iso:more 1
hang_up

claim "a lost connection rolls back, also in the middle of a call"
hold_open
say BEGIN
say SET a lost
hear '^\+OK'
fail_with CONFLICT resp GET a
hang_up
expect 3 resp GET a
expect_match '^sessions:0' resp INFO clients
hold_open
say BEGIN
say SET a lost
say FCALL loop_after_write.run 0
hear '^(\+OK|-TIMEOUT)' # on a busy machine its 50 ms may be over before we look
hang_up
expect 3 resp GET a
expect "(nil)" resp GET naughty:loop_after_write
talk 'BEGIN\nSET a lost\nQUIT\n'
heard +OK +OK +OK
talk 'BEGIN\nSET a lost\nRESET\nGET a\nCOMMIT\n'
heard +OK +OK +RESET '$1' 3 '-ERR commit without BEGIN: this connection holds no transaction'

claim "idle too long: rolled back at once; all that would use it says so until the client ends it"
hold_open
say BEGIN
say SET a idle
hear '^\+OK'
expect_sessions() { resp INFO clients | grep -q "^sessions:$1"; }
until_true "the idle transaction to go" expect_sessions 0
expect 3 resp GET a
say GET a
hear '^-TIMEOUT the transaction waited its 1000 ms for the next request; rolled back: ROLLBACK ends it.* undone=1 idle_ms=[0-9]+ limit_ms=1000$'
say FCALL bank.deposit 1 acct:z 1
say SAVEPOINT s
say PING
hear '^\+PONG'
say COMMIT
hear '^-TIMEOUT .*; rolled back\. txn='
say SET a 4
hear '^\+OK'
say BEGIN
say SET a idle
say BEGIN
hear '^-ERR BEGIN inside'
until_true "the idle transaction to go" expect_sessions 0
say ROLLBACK
say GET a
hear '^4'
expect "(nil)" resp GET acct:z
[ "$(grep -c '^-TIMEOUT' "$dir/held")" -eq 4 ] || fail "not all were told: $(cat "$dir/held")"
expect_match '	TIMEOUT	BEGIN	' ctl txn list

claim "TIMEOUT bounds it as a whole, also while something waits in it"
say BEGIN TIMEOUT 100
say SET a late
until_true "the late transaction to go" expect_sessions 0
say GET a
hear '^-TIMEOUT the transaction took its 100 ms of time; rolled back.* undone=1 wall_ms=[0-9]+ limit_ms=100$'
say ROLLBACK
say BEGIN TIMEOUT 100
say SET a late
say CALL loop_after_write.run TIMEOUT 5000
say ECHO after
hear '^after'
say ROLLBACK
say ECHO fine
hear '^fine'
expect 4 resp GET a
hang_up

claim "TXN LIST shows it, TXN KILL ends it"
hold_open
say BEGIN
say SET a killed
hear '^\+OK'
expect_match '^[0-9]+	open	BEGIN	' ctl txn list
fail_with ERR resp TXN KILL 999999999
expect OK resp TXN KILL "$(ctl txn list | awk '$2 == "open" { print $1 }')"
expect 4 resp GET a
say GET a
hear '^-KILLED the transaction was ended by TXN KILL; rolled back.* undone=1$'
say COMMIT
hear '^-KILLED .*; rolled back\. txn='
hang_up

claim "two that wait for each other: one goes as a whole and is told DEADLOCK, the other commits"
expect OK resp MSET d1 0 d2 0
hold_open
say BEGIN
say SET d1 first
hear '^\+OK'
{
    printf 'BEGIN\nSET d2 second\nSET d1 second\nCOMMIT\n'
    sleep 0.5
} | raw >"$dir/second" &
second=$!
deadlocked() { resp INFO store | grep -q '^deadlocks:[1-9]'; }
sleep 0.05
say SET d2 first
say COMMIT
say ECHO end
hear '^end'
wait $second
cat "$dir/held" "$dir/second" >"$dir/both"
grep -q -E '^-(DEADLOCK|CONFLICT) .*rolled back' "$dir/both" || fail "nobody gave way: $(cat "$dir/both")"
expect_match '^(first first|second second)$' sh -c "\"$TOOL/ask\" \"$GRAFTD_SOCKET\" MGET d1 d2 | sed 1d | xargs"
hang_up

claim "RESP3: the same"
talk 'HELLO 3\nBEGIN\nGET nothing\nSET r3 1\nCOMMIT\nGET r3\n'
tail -n 6 "$dir/talk" >"$dir/t" && mv "$dir/t" "$dir/talk"
heard +OK _ +OK +OK '$1' 1

claim "what is loaded inside BEGIN is no part of it"
graftctl build "$TOP/grafts/nop/nop.c" -o "$dir/nop.graft" >/dev/null
size=$(stat -c %s "$dir/nop.graft")
{
    printf 'BEGIN\n*4\r\n$5\r\nGRAFT\r\n$4\r\nLOAD\r\n$3\r\nnop\r\n$%d\r\n' "$size"
    cat "$dir/nop.graft"
    printf '\r\nROLLBACK\nFCALL nop.nop 0\n'
} | raw >"$dir/talk"
! grep '^-' "$dir/talk" || fail "loading inside BEGIN"

claim "a drain waits for it to its end, and may be committed; else it is rolled back when the drain is over"
hold_open
say BEGIN
say SET drain yes
hear '^\+OK'
kill -TERM "$daemon"
say SET drain2 yes
say FCALL bank.deposit 1 acct:drain 1
say COMMIT
hear '^\+OK'
daemon_status
[ "$ended" -eq 0 ] || fail "graftd ended with $ended"
hang_up
start
expect yes resp GET drain2
expect 1 resp GET acct:drain
hold_open
say BEGIN
say SET drain no
hear '^\+OK'
kill -TERM "$daemon"
daemon_status
[ "$ended" -eq 0 ] || fail "graftd ended with $ended"
hang_up
start
expect yes resp GET drain

claim "a crash leaves nothing of an open one, also of what was written early (T7)"
hold_open
say BEGIN
say SET drain crash
for i in 1 2 3 4; do
    printf '*3\r\n$3\r\nSET\r\n$2\r\nL%d\r\n$3000000\r\n' $i >&3
    cat "$dir/large" >&3
    printf '\r\n' >&3
done
say ECHO written
hear '^written'
expect_match '^spilled:[1-9]' resp INFO store
kill9
hang_up
start
expect yes resp GET drain
expect 0 resp EXISTS L1 L2 L3 L4
stop
