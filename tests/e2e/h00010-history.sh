#!/bin/sh
# The past: TXN LIST with filters, TXN SHOW with the calls inside, TXN STATUS, BLAME, GETAT.
. "$(dirname "$0")/lib.sh"
start
load_graft "$TOP/grafts/bank/bank.c"
load_graft "$TOP/grafts/market/market.c"
last() { graftctl txn list --count 1 "$@" | cut -f1; } # [FILTER…]: the newest
ids() { graftctl txn list --count 100 "$@" | cut -f1 | tr '\n' ' '; }

call bank.deposit acct:ada 100 >/dev/null
deposit=$(last)
call bank.transfer acct:ada acct:bob 30 >/dev/null
transfer=$(last)
resp SET plain 1 >/dev/null
set=$(last)
resp SET plain 2 >/dev/null
fail_with ABORTED resp FCALL bank.transfer 0 acct:ada acct:bob 1000
aborted=$(last)

claim "TXN LIST: every filter, and filters together"
expect "$aborted $transfer $deposit " ids --graft bank
expect "$aborted $transfer " ids --function transfer
expect "$transfer " ids --function transfer --outcome committed
expect "$aborted " ids --outcome ABORTED
expect "$((set + 1)) $set " ids --function set
expect "$transfer $deposit " ids --key acct:ada
expect "$transfer " ids --key acct:ada --count 1
expect "$deposit " ids --key acct:ada --before "$transfer"
expect "$aborted $transfer $deposit " ids --graft bank --uid "$(id -u)"
expect "" ids --uid 4294967294
expect "" ids --graft nobody
expect "$deposit " ids --graft bank --before "$transfer"
expect "" ids --until 2020-01-01
expect "" ids --since 2099-12-31T23:59:59.5Z
expect "$deposit " ids --since 2020-01-01T00:00Z --until 4102444800 --function deposit
fail_with ERR resp TXN LIST SINCE yesterday
fail_with ERR resp TXN LIST UID -1
fail_with ERR resp TXN LIST KEY
fail_with ERR resp TXN LIST KEY ""
fail_with ERR resp TXN LIST GRAFT a GRAFT b

claim "TXN STATUS: what became of it"
expect committed ctl txn status "$transfer"
expect "rolled back" ctl txn status "$aborted"
expect unknown ctl txn status 999999999
fail_with ERR resp TXN STATUS 0
fail_with ERR resp TXN STATUS x

claim "TXN SHOW: every effect from and to, times, CPU, waits"
expect_match '"effects_list":\[\{"seq":0,"resource":"kv","key":"acct:ada","before":"100","after":"70"\},\{"seq":1,"resource":"kv","key":"acct:bob","before":null,"after":"30"\}\]' \
    ctl txn show "$transfer" --json
expect_match '"cpu_ms":[0-9.e-]+,"lock_wait_ms":0(\.0)?,' ctl txn show "$transfer" --json
expect_match '"nested":\[\]' ctl txn show "$transfer" --json
expect_match '^  ~ acct:ada: 100 → 70$' ctl txn show "$transfer"
expect_match '^  \+ acct:bob: 30$' ctl txn show "$transfer"
fail_with ERR resp TXN SHOW 999999999

claim "the calls inside it are a tree, with the effects of each"
tree() { graftctl txn show "$1" | sed -n '/^[a-z]*\.[a-z]* 1/,$p' | sed 's/, [0-9.]* ms, CPU [0-9.]* ms//'; } # ID
call market.offer apple 5 7 >/dev/null
call bank.deposit acct:poor 1 >/dev/null
call market.buy apple eve acct:poor acct:ada >/dev/null || fail "the purchase failed"
buy=$(last)
expect "market.buy 1.0.0: committed
  ~ stock:apple: 5 → 4
  + owned:eve:apple: 1
  bank.transfer 1.0.0: ABORTED: insufficient funds
  bank.transfer 1.0.0: committed
    ~ acct:ada: 70 → 63
    + acct:market: 7" tree "$buy"
fail_with ABORTED resp FCALL market.buy 0 apple eve acct:poor
expect "market.buy 1.0.0: ABORTED: nobody paid: ABORTED bank.transfer: insufficient funds
  bank.transfer 1.0.0: ABORTED: insufficient funds" tree "$(last)"

claim "waiting for a lock is told"
mkfifo "$dir/fifo"
"$TOOL/raw" "$GRAFTD_SOCKET" <"$dir/fifo" >/dev/null &
background="$background $!"
exec 3>"$dir/fifo"
printf 'BEGIN\r\nSET held 1\r\n' >&3
until_true "the holder to have the key" sh -c 'graftctl txn list --json | grep -q "\"open\".*\"effects\":1,"'
holder=$(graftctl txn list --outcome open | cut -f1)
expect running ctl txn status "$holder"
expect_match "^outcome	open$" ctl txn show "$holder"
resp SET held 2 >/dev/null &
waiter=$!
background="$background $waiter"
sleep 0.3 # it waits
printf 'COMMIT\r\nQUIT\r\n' >&3
exec 3>&-
wait "$waiter"
expect_match "^lock_wait_ms	[1-9]" ctl txn show "$(last --key held)"

claim "BLAME: who changed it, newest first, from and to"
blame() { graftctl blame "$@" | cut -f1,2,6,7; }
expect "$((set + 1))	set	1	2
$set	set	-	1" blame plain
expect "$set	set	-	1" blame plain --before "$((set + 1))"
expect "" blame nothing

claim "GETAT: what it held then"
expect 1 ctl get plain --at "$set"
expect 2 ctl get plain --at "$((set + 1))"
expect 100 ctl get acct:ada --at "$deposit"
expect 70 ctl get acct:ada --at "$transfer"
exits 1 ctl get plain --at "$transfer"
expect "(nil)" resp GETAT plain "$transfer"
fail_with BADARG resp GETAT plain "$aborted"
fail_with ERR resp GETAT plain 999999999

claim "all of it is there after a restart"
stop
start
expect "$set	set	-	1" blame plain --before "$((set + 1))"
expect 100 ctl get acct:ada --at "$deposit"
[ "$(tree "$buy" | wc -l)" -eq 7 ] || fail "the tree is another"
stop
