#!/bin/sh
# graftctl: exit codes 0 to 4, --json, --batch, output that is the same each time.
. "$(dirname "$0")/lib.sh"

claim "3: nobody answers"
exits 3 ctl ping
exits 3 ctl get a
exits 3 ctl --socket "$dir/nowhere" ping
grep -q "$dir/nowhere" "$dir/stderr" || fail "the socket is not named"

cat >"$dir/policy" <<'END'
graft default { allow read write kv "acct:*" }
END
start
load_graft "$TOP/grafts/bank/bank.c"
load_graft "$TOP/grafts/nop/nop.c"
load_naughty segv

claim "0: done"
exits 0 ctl ping
exits 0 call bank.deposit acct:ada 100
exits 0 ctl set a 1
exits 0 ctl list

claim "1: the call failed and was rolled back"
exits 1 call bank.transfer acct:ada acct:bob 1000
grep -q "^ABORTED " "$dir/stderr" || fail "no ABORTED on stderr"
[ ! -s "$dir/stdout" ] || fail "something on stdout"
exits 1 call segv.run
exits 1 call nobody.there
exits 1 ctl get nothing
exits 1 ctl unload nobody

claim "2: usage, with the usage"
exits 2 ctl
exits 2 ctl nosuchcommand
exits 2 ctl get
exits 2 ctl get a b
exits 2 ctl list --nosuchoption
exits 2 call
exits 1 ctl load "$dir/nosuchfile"
exits 0 ctl --help
exits 0 ctl call --help

claim "4: denied"
exits 4 call bank.deposit elsewhere 100
grep -q "^DENIED " "$dir/stderr" || fail "no DENIED on stderr"

claim "values: plain for people, --json for programs, --raw for bytes"
expect "accounts	1
total	100" call bank.audit
expect '{"accounts":1,"total":100}' call bank.audit --json
expect '"100"' ctl get acct:ada --json
ctl set -- --odd "two	words
and a line" >/dev/null
expect '"two\twords\nand a line"' ctl get --json -- --odd
printf '\377\000x' >"$dir/bytes"
resp SET bytes "@$dir/bytes" >/dev/null
ctl get bytes --raw | cmp - "$dir/bytes" || fail "the raw bytes differ"
expect '{"base64":"/wB4"}' ctl get bytes --json
expect_match '^\[\{"name":"bank","version":"1\.0\.0"' ctl list --json
expect_match '^\{.*"name":"bank"' ctl info bank --json
expect_match '^\[\{"id":[0-9]+,"outcome":' ctl txn list --json
expect_match '^\["--odd","a","acct:ada","bytes"\]$' ctl scan --json
for command in "list" "info bank" "txn list" "scan" "stat"; do
    graftctl $command --json | /usr/bin/python3 -c 'import json, sys; json.load(sys.stdin)' || fail "$command --json is no JSON"
done

claim "a batch: each line a transaction of its own, a summary, 1 when one failed"
printf '["bank.deposit","acct:b%s","10"]\n' 1 2 3 >"$dir/batch"
printf 'bank.transfer\tacct:b1\tacct:b2\t4\n' >>"$dir/batch"
exits 0 call --batch "$dir/batch"
expect "array 3
  6
  14
  10" resp MGET acct:b1 acct:b2 acct:b3
printf '["bank.deposit","acct:b1",1]\n["bank.deposit","acct:b1",-1]\n["segv.run"]\nbank.deposit\telsewhere\t1\nbank.deposit\tacct:b1\t1\n' |
    { status=0; graftctl call --batch - >"$dir/stdout" 2>"$dir/stderr" || status=$?; [ "$status" -eq 1 ] || fail "status $status"; }
expect 8 ctl get acct:b1
for word in ABORTED CRASHED DENIED; do
    grep -q "$word" "$dir/stdout" "$dir/stderr" || fail "the summary does not say $word: $(cat "$dir/stdout" "$dir/stderr")"
done
printf 'bank.transfer\tacct:b1\tacct:b2\t1\n' | call --batch - --keys 2 >/dev/null || fail "a batch with declared keys"
expect 7 ctl get acct:b1
printf '{"no":"array"}\n' >"$dir/batch"
status=0
call --batch "$dir/batch" >/dev/null 2>"$dir/stderr" || status=$?
[ "$status" -ne 0 ] || fail "a batch of nonsense succeeded"
i=0
while [ "$i" -lt 5000 ]; do
    printf 'bank.deposit\tacct:many\t1\n'
    i=$((i + 1))
done | call --batch - >/dev/null
expect 5000 ctl get acct:many

claim "transactions are listed and shown"
id=$(graftctl txn list --count 1 | cut -f1)
expect_match "acct:many" ctl txn show "$id"

claim "backup: a copy while running, readable by sqlite3"
ctl backup "$dir/copy.db" >/dev/null
[ -s "$dir/copy.db" ] || fail "no copy"

claim "shutdown: it ends, and well"
ctl shutdown >/dev/null
daemon_status
[ "$ended" -eq 0 ] || fail "graftd ended with $ended"
exits 3 ctl ping
