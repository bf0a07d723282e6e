#!/bin/sh
# redis-cli and redis-benchmark work unchanged.
. "$(dirname "$0")/lib.sh"
for tool in redis-cli redis-benchmark; do
    command -v "$tool" >/dev/null || skip "$tool is not installed (Debian: redis-tools)"
done
start
load_graft "$TOP/grafts/bank/bank.c"
load_graft "$TOP/grafts/nop/nop.c"
cli() { redis-cli -s "$GRAFTD_SOCKET" "$@"; }
scan_sorted() { cli --scan | sort; }

claim "redis-cli: commands, calls, errors, RESP3, a file of commands, --scan"
expect PONG cli PING
expect OK cli SET a 1
expect 1 cli GET a
expect 100 cli FCALL bank.deposit 1 acct:ada 100
expect 70 cli FCALL bank.transfer 2 acct:ada acct:bob 30
expect_match "^ABORTED bank.transfer: insufficient funds" cli FCALL bank.transfer 2 acct:ada acct:bob 3000
expect_match '^1# "accounts" => .integer. 2$' cli -3 --no-raw FCALL_RO bank.audit 0
expect 2 cli -3 INCR a
printf 'SET b 1\nINCR b\nGET b\n' | cli >"$dir/out"
printf 'OK\n2\n2\n' | diff - "$dir/out" || fail "commands from a file"
expect "a
acct:ada
acct:bob
b" scan_sorted
expect "acct:ada
acct:bob" cli --scan --pattern 'acct:*'
printf '*3\r\n$3\r\nSET\r\n$1\r\nc\r\n$1\r\n3\r\n' | cli --pipe >"$dir/out"
grep -q 'errors: 0, replies: 1' "$dir/out" || fail "--pipe: $(cat "$dir/out")"
expect 3 cli GET c
expect_match '^graftd_version:' cli INFO server

claim "redis-benchmark: SET, GET, INCR, MSET, pipelines, FCALL"
bench() { # ARG…: no error, and a rate
    redis-benchmark -s "$GRAFTD_SOCKET" -n 2000 -c 16 --csv "$@" >"$dir/out" 2>"$dir/err" || fail "redis-benchmark $*: $(cat "$dir/err")"
    ! grep -i error "$dir/out" "$dir/err" || fail "redis-benchmark $*"
    grep -q '^"' "$dir/out" || fail "redis-benchmark $*: no result"
}
bench -t set,get,incr,mset,ping
bench -P 16 -t set,get
bench -3 -t set,get
bench FCALL nop.nop 0
bench -P 8 FCALL bank.deposit 1 acct:bench 1
expect 2000 cli GET acct:bench
cli SET acct:rich 1000000 >/dev/null
bench FCALL bank.transfer 2 acct:rich acct:bench 1
expect 998000 cli GET acct:rich
expect 4000 cli GET acct:bench
stop
