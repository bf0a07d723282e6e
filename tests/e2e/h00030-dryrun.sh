#!/bin/sh
# CALL … DRYRUN: what it says is what the call does, and nothing is left of it.
. "$(dirname "$0")/lib.sh"
echo 'txn spill 64K
limit lock-wait 10s
graft default { limit cpu 5s wall 20s; allow read write kv "*" }' >"$dir/policy"
start
load_graft "$TOP/grafts/bank/bank.c"
load_graft "$TOP/grafts/market/market.c"
load_graft "$TOP/tests/e2e/ledger.c"
last() { graftctl txn list --count 1 | cut -f1; }
effects() { sed 's/.*"effects\(_list\)\{0,1\}":\[\(.*\)\].*/\2/'; }

call bank.deposit acct:ada 100 >/dev/null
state >"$dir/before"

claim "the reply, and a diff"
expect "70

~ acct:ada: 100 → 70
+ acct:bob: 30" call bank.transfer acct:ada acct:bob 30 --dry-run
state_is "$dir/before"
expect "map 4
  reply
  70
  effects
  array 2
    map 10
      seq
      0
      resource
      kv
      key
      acct:ada
      before
      100
      after
      70
    map 10
      seq
      1
      resource
      kv
      key
      acct:bob
      before
      (nil)
      after
      30" resp CALL bank.transfer DRYRUN KEYS 2 acct:ada acct:bob ARGS 30
state_is "$dir/before"

claim "its trace is a row in the history"
expect_match "^outcome	DRYRUN$" ctl txn show "$(last)"
expect "rolled back" ctl txn status "$(last)"
graftctl txn show "$(last)" | grep -q "^  [+~-]" && fail "it left effects"

claim "its list is that of the real call, with calls inside, and when it is larger than what is kept in memory of others"
call market.offer apple 5 7 >/dev/null
for words in "bank.transfer acct:ada acct:bob 30" "market.buy apple eve acct:ada" "ledger.bulk big: 4711" "bank.audit"; do
    state >"$dir/before"
    graftctl call $words --dry-run --json >"$dir/tried"
    state_is "$dir/before"
    effects <"$dir/tried" >"$dir/tried.effects"
    reply=$(sed 's/^{"reply":\(.*\),"effects":\[.*/\1/' "$dir/tried")
    before=$(last)
    expect "$reply" call $words --json
    if [ "$(last)" = "$before" ]; then
        [ ! -s "$dir/tried.effects" ] || [ "$(cat "$dir/tried.effects")" = "" ] || fail "$words: it changes nothing and the dry run did"
        continue
    fi
    graftctl txn show "$(last)" --json | effects >"$dir/real.effects"
    cmp "$dir/tried.effects" "$dir/real.effects" || fail "$words: the lists differ"
done

claim "a call that fails, fails"
state >"$dir/before"
fail_with ABORTED call bank.transfer acct:ada acct:bob 1000000 --dry-run
said "; rolled back. txn=[0-9]+ undone=0$"
state_is "$dir/before"

claim "not between BEGIN and COMMIT, and not with IDEM"
fail_with BADARG resp CALL bank.audit DRYRUN IDEM t
printf 'BEGIN\r\nCALL bank.audit DRYRUN\r\nROLLBACK\r\nQUIT\r\n' | "$TOOL/raw" "$GRAFTD_SOCKET" >"$dir/raw"
grep -q '^-BADARG' "$dir/raw" || fail "it was let in: $(cat "$dir/raw")"
exits 2 ctl call --batch "$dir/before" --dry-run
stop
