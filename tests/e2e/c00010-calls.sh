#!/bin/sh
# FCALL, FCALL_RO, CALL: keys, arguments, options; every kind of reply, in RESP2 and RESP3.
. "$(dirname "$0")/lib.sh"
start
load_graft "$TOP/grafts/bank/bank.c"
load_graft "$TOP/grafts/nop/nop.c"
load_naughty harmless rich

claim "FCALL: declared keys, then arguments"
expect 100 resp FCALL bank.deposit 1 acct:ada 100
expect 70 resp FCALL bank.transfer 2 acct:ada acct:bob 30
expect 60 resp FCALL bank.transfer 0 acct:ada acct:bob 10

claim "CALL: KEYS, TIMEOUT, ARGS, in any order but that ARGS is last"
expect 50 resp CALL bank.transfer KEYS 2 acct:ada acct:bob ARGS 10
expect 40 resp CALL bank.transfer TIMEOUT 1000 KEYS 2 acct:ada acct:bob ARGS 10
expect 30 resp call bank.transfer keys 2 acct:ada acct:bob timeout 1000 args 10
expect 20 resp CALL bank.transfer ARGS acct:ada acct:bob 10
expect ARGS resp CALL nop.nop ARGS ARGS
expect "(nil)" resp CALL nop.nop
expect "map 4
  accounts
  2
  total
  100" resp FCALL_RO bank.audit 0

claim "FCALL_RO and READONLY refuse any effect, and leave nothing"
state >"$dir/before"
fail_with READONLY resp FCALL_RO bank.deposit 1 acct:ada 100
said "txn=[0-9]+ undone=0"
fail_with READONLY resp CALL bank.deposit READONLY ARGS acct:ada 100
fail_with READONLY resp FCALL_RO harmless.run 0 write
expect_match "^map 2" resp FCALL_RO harmless.run 0
state_is "$dir/before"

claim "a graft that says no: ABORTED with its words"
fail_with ABORTED resp FCALL bank.transfer 2 acct:ada acct:bob 1000
said '^ABORTED bank.transfer: insufficient funds; rolled back. txn=[0-9]+ undone=0$'
state_is "$dir/before"

claim "no graft, no function, no name"
fail_with NOGRAFT resp FCALL nobody.transfer 0
fail_with NOFUNC resp FCALL bank.rob 0
fail_with BADARG resp FCALL bank 0

claim "words that are wrong"
fail_with BADARG resp FCALL bank.transfer 3 acct:ada acct:bob
fail_with BADARG resp FCALL bank.transfer -1 acct:ada
fail_with BADARG resp FCALL bank.transfer x acct:ada
fail_with ERR resp CALL bank.transfer KEYS 9 acct:ada
fail_with ERR resp CALL bank.transfer TIMEOUT 0
fail_with ERR resp CALL bank.transfer NOW
fail_with ERR resp FCALL bank.transfer
fail_with BADARG resp FCALL bank.deposit 1 "" 5
state_is "$dir/before"

claim "every kind of reply, to the byte"
frames() { LC_ALL=C sed -n l "$1"; } # a line each, every byte visible
printf 'FCALL rich.run 0\r\nQUIT\r\n' | "$TOOL/raw" "$GRAFTD_SOCKET" >"$dir/resp2"
printf 'HELLO 3\r\nFCALL rich.run 0\r\nQUIT\r\n' | "$TOOL/raw" "$GRAFTD_SOCKET" >"$dir/resp3"
for protocol in 2 3; do
    frames "$dir/resp$protocol" | sed -n '/^\*13/,$p' | diff "$TOP/tests/e2e/rich.resp$protocol" - || fail "the RESP$protocol reply is another"
done
stop
