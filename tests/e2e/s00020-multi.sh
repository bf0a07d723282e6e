#!/bin/sh
# MULTI … EXEC is one transaction: all or nothing.
. "$(dirname "$0")/lib.sh"
start
load_graft "$TOP/grafts/bank/bank.c"
load_naughty deadlock
raw() { "$TOOL/raw" "$GRAFTD_SOCKET" | tr -d '\r'; }
talk() { # COMMANDS: one connection, one write; its replies
    printf '%b' "$1" | raw >"$dir/talk"
}
heard() { # LINE…: just these
    printf '%s\n' "$@" >"$dir/expected"
    diff "$dir/expected" "$dir/talk" || fail "the replies differ"
}

claim "EXEC answers with all replies; DISCARD leaves nothing"
talk 'MULTI\nSET a 1\nINCR a\nMGET a b\nFCALL bank.deposit 1 acct:a 5\nPING\nEXEC\nGET a\n'
heard +OK +QUEUED +QUEUED +QUEUED +QUEUED +QUEUED '*5' +OK :2 '*2' '$1' 2 '$-1' :5 +PONG '$1' 2
talk 'MULTI\nSET a 9\nDISCARD\nGET a\nMULTI\nEXEC\nUNWATCH\n'
heard +OK +QUEUED +OK '$1' 2 +OK '*0' +OK
expect_match '	committed	EXEC	.*	3($|	)' ctl txn list

claim "one that fails when it runs: nothing of the others stays"
talk 'SET text x\nMULTI\nSET a 7\nINCR text\nSET b 7\nEXEC\nMGET a b text\n'
heard +OK +OK +QUEUED +QUEUED +QUEUED "$(grep '^-' "$dir/talk")" '*3' '$1' 2 '$-1' '$1' x
grep -q '^-EXECABORT ERR incr, command 2 of 3: value is not an integer or out of range; rolled back. txn=[0-9]* undone=1$' "$dir/talk" || fail "$(cat "$dir/talk")"
talk 'MULTI\nSET a 7\nFCALL bank.transfer 2 acct:a acct:b 500\nEXEC\nGET a\nGET acct:a\n'
grep -q '^-EXECABORT ABORTED fcall, command 2 of 2: bank.transfer: insufficient funds' "$dir/talk" || fail "$(cat "$dir/talk")"
tail -n 4 "$dir/talk" >"$dir/t" && mv "$dir/t" "$dir/talk"
heard '$1' 2 '$1' 5

claim "one that is refused when it comes: EXEC runs none"
for wrong in 'NOSUCHTHING' 'SET a' 'BEGIN' 'COMMIT' 'SHUTDOWN' 'GRAFT LIST' 'MULTI' 'WATCH a'; do
    talk "MULTI\nSET a 7\n$wrong\nEXEC\nGET a\n"
    [ "$(grep -c '^-' "$dir/talk")" -eq 2 ] && grep -q '^-EXECABORT a command since MULTI' "$dir/talk" || fail "$wrong: $(cat "$dir/talk")"
    [ "$(tail -n 1 "$dir/talk")" = 2 ] || fail "$wrong: something was run"
done
talk 'EXEC\nDISCARD\nWATCH a\nBEGIN\nEXEC\nROLLBACK\n'
[ "$(grep -c '^-ERR ' "$dir/talk")" -eq 4 ] || fail "$(cat "$dir/talk")"

claim "the queue has a bound"
{
    echo MULTI
    yes "INCR many" | head -n 1025
    echo EXEC
    echo GET many
} | raw >"$dir/talk"
grep -q '^-LIMIT MULTI takes at most 1024' "$dir/talk" && grep -q '^-EXECABORT' "$dir/talk" || fail "no bound"
{
    echo MULTI
    yes "INCR many" | head -n 1024
    echo EXEC
    echo GET many
} | raw >"$dir/talk"
[ "$(tail -n 1 "$dir/talk")" = 1024 ] || fail "1024 commands: $(tail -n 3 "$dir/talk")"

claim "deadlocks between EXECs are undone and run again, unseen (T6)"
swaps() { # FIRST SECOND
    i=0
    while [ "$i" -lt 300 ]; do
        printf 'MULTI\nINCR %s\nINCR %s\nEXEC\n' "$1" "$2"
        i=$((i + 1))
    done
}
swaps x y >"$dir/one"
swaps y x >"$dir/two"
raw <"$dir/one" >"$dir/one.out" &
background=$!
raw <"$dir/two" >"$dir/two.out"
wait $background
background=
! grep -h -m 3 '^-' "$dir/one.out" "$dir/two.out" || fail "an error"
expect "array 2
  600
  600" resp MGET x y
talk 'MULTI\nFCALL deadlock.run 0 - one two 3000000\nEXEC\n' &
background=$!
printf 'MULTI\nFCALL deadlock.run 0 - two one 3000000\nEXEC\n' | raw >"$dir/two.out"
wait $background || fail "talk"
background=
! grep '^-' "$dir/talk" "$dir/two.out" || fail "a deadlock was told"

claim "RESP3, and a connection that goes before EXEC, or in it"
talk 'HELLO 3\nMULTI\nGET nothing\nSET r3 1\nEXEC\n'
tail -n 6 "$dir/talk" >"$dir/t" && mv "$dir/t" "$dir/talk"
heard +OK +QUEUED +QUEUED '*2' _ +OK
talk 'MULTI\nSET r3 2\nQUIT\n'
talk 'MULTI\nSET r3 2\nRESET\nGET r3\nEXEC\n'
heard +OK +QUEUED +RESET '$1' 1 '-ERR exec without MULTI'

claim "redis-cli"
if command -v redis-cli >/dev/null; then
    printf 'MULTI\nSET cli 1\nINCR cli\nEXEC\nBEGIN\nSET cli 9\nROLLBACK\nGET cli\n' | redis-cli -s "$GRAFTD_SOCKET" >"$dir/out"
    printf '%s\n' OK QUEUED QUEUED OK 2 OK OK OK 2 | diff - "$dir/out" || fail "redis-cli"
fi

claim "redis-py: pipeline(transaction=True)"
if /usr/bin/python3 -c 'import redis' 2>/dev/null; then
    /usr/bin/python3 - "$GRAFTD_SOCKET" <<'END' || fail "redis-py"
import sys
import redis

r = redis.Redis(unix_socket_path=sys.argv[1], decode_responses=True)
with r.pipeline(transaction=True) as p:
    p.set("py", "1").incr("py").get("py").execute_command("FCALL", "bank.deposit", 1, "acct:py", 3)
    assert p.execute() == [True, 2, "2", 3]
    p.set("py", "9").incr("text").set("py", "10")
    try:
        p.execute()
        raise SystemExit("a transaction with an error succeeded")
    except redis.exceptions.ExecAbortError as e:
        assert "not an integer" in str(e), e
    assert r.get("py") == "2"
    p.set("py", "9").execute_command("NOSUCHTHING")
    try:
        p.execute()
        raise SystemExit("a transaction with an unknown command succeeded")
    except redis.exceptions.ResponseError as e:
        assert "NOSUCHTHING" in str(e), e
    assert r.get("py") == "2"
    for i in range(500):
        p.incr("py")
    assert p.execute()[-1] == 502
END
fi
stop
