#!/bin/sh
# A graft's life: built, verified, loaded, listed, called, replaced, kept across a restart, unloaded.
. "$(dirname "$0")/lib.sh"
start

claim "an empty daemon has no graft, and says so"
expect "" ctl list
fail_with NOGRAFT call bank.audit

claim "VERIFY tells what an object is, and loads nothing"
bank=$(build_graft "$TOP/grafts/bank/bank.c")
expect_match "^name	bank$" ctl verify "$bank"
expect "" ctl list

claim "LOAD gives name, version, digest and functions; the digest is that of the file"
sha256=$(sha256sum "$bank" | cut -d' ' -f1)
expect "name	bank
version	1.0.0
sha256	$sha256
functions	audit deposit transfer" ctl load "$bank"
expect "bank	1.0.0	ready	3	1	0	0	$sha256" ctl list
expect 100 call bank.deposit acct:ada 100
expect_match "^calls	1$" ctl info bank
expect_match '"name":"bank"' ctl list --json

claim "the same source gives the same bytes"
mkdir "$dir/again"
ctl build "$TOP/grafts/bank/bank.c" -o "$dir/again/bank.graft" >/dev/null
cmp "$bank" "$dir/again/bank.graft" || fail "two builds of bank.c differ"

claim "a name is taken once: BUSY, unless it is to be replaced"
fail_with BUSY ctl load "$bank"
said REPLACE
sed 's/"1\.0\.0"/"2.0.0"/; s/have - amount/1000 + have - amount/' "$TOP/grafts/bank/bank.c" >"$dir/bank.c"
expect 60 call bank.transfer acct:ada acct:bob 40
load_graft "$dir/bank.c" --replace
expect_match "^bank	2\.0\.0	ready" ctl list
expect 1050 call bank.transfer acct:ada acct:bob 10

claim "a replacement that is refused leaves the old one at work"
echo garbage >"$dir/garbage"
fail_with BADGRAFT raw_load bank "$dir/garbage" REPLACE
expect 1040 call bank.transfer acct:ada acct:bob 10

claim "grafts and values are there after a restart"
state >"$dir/before"
stop
start
expect_match "^bank	2\.0\.0	ready" ctl list
state_is "$dir/before"
expect 1030 call bank.transfer acct:ada acct:bob 10

claim "UNLOAD takes the graft, and not its values"
state >"$dir/before"
ctl unload bank >/dev/null
expect "" ctl list
fail_with NOGRAFT call bank.audit
fail_with NOGRAFT ctl unload bank
state_is "$dir/before"
stop
start
expect "" ctl list
state_is "$dir/before"

claim "a graft can be loaded again"
ctl load "$bank" >/dev/null
expect "accounts	2
total	100" call bank.audit
stop
