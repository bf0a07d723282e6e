#!/bin/sh
# Taking back what was committed: TXN UNDO, CASCADE, DRYRUN, REDO, and when not.
. "$(dirname "$0")/lib.sh"
start
load_graft "$TOP/grafts/bank/bank.c"
load_graft "$TOP/grafts/market/market.c"
last() { graftctl txn list --count 1 | cut -f1; }
undo() { graftctl txn undo "$@"; }
redo() { graftctl txn redo "$@"; }

call bank.deposit acct:ada 100 >/dev/null
call bank.transfer acct:ada acct:bob 30 >/dev/null
transfer=$(last)
state >"$dir/after"

claim "an undo is a new transaction with the inverse effects"
expect "$transfer	-

- acct:bob: 30
~ acct:ada: 70 → 100" undo "$transfer" --dry-run
state_is "$dir/after"
expect DRYRUN sh -c 'graftctl txn list --count 1 | cut -f2'
undo "$transfer" >"$dir/undone"
by=$(last)
expect "$transfer	$by

- acct:bob: 30
~ acct:ada: 70 → 100" cat "$dir/undone"
expect 100 ctl get acct:ada
exits 1 ctl get acct:bob
expect undone ctl txn status "$transfer"
expect committed ctl txn status "$by"
expect_match "^undone_by	$by$" ctl txn show "$transfer"
expect_match "^undoes	$transfer$" ctl txn show "$by"
expect_match "^function	TXN UNDO$" ctl txn show "$by"

claim "and can be undone itself: REDO"
fail_with BADARG undo "$transfer"
said "was undone already, by transaction $by"
redo "$transfer" >/dev/null
state_is "$dir/after"
expect committed ctl txn status "$transfer"
expect undone ctl txn status "$by"
fail_with ERR redo "$transfer"
said "was not undone; there is nothing to redo"
undo "$transfer" >/dev/null
redo "$(last)" >/dev/null
state_is "$dir/after"

claim "refused: unknown, not committed, wrong words, no change"
fail_with ERR undo 999999999
said "is not in the history"
fail_with ERR redo 999999999
fail_with ABORTED resp FCALL bank.transfer 0 acct:ada acct:bob 1000
fail_with BADARG undo "$(last)"
said "did not commit"
fail_with ERR resp TXN UNDO
fail_with ERR resp TXN UNDO x
fail_with ERR resp TXN UNDO 1 NOW
fail_with ERR resp TXN UNDO 1 CASCADE CASCADE
exits 0 ctl call bank.audit --idem nothing-changed
fail_with ERR undo "$(last)"
said "changed nothing"

claim "what later ones build on is not undone alone"
resp SET k 1 >/dev/null
first=$(last)
resp SET k 2 >/dev/null
second=$(last)
resp MSET k 3 other x >/dev/null
third=$(last)
state >"$dir/after"
fail_with CONFLICT undo "$first"
said "^CONFLICT transaction $first cannot be undone alone: $third \(mset\), $second \(set\) build on it; CASCADE takes them back, too. dependents=2$"
fail_with CONFLICT undo "$second" --dry-run
said "$third \(mset\) builds on it"
state_is "$dir/after"

claim "CASCADE takes back all that builds on it, newest first, together, and tells of each"
expect "$third	-
$second	-
$first	-

- other: x
~ k: 3 → 2
~ k: 2 → 1
- k: 1" undo "$first" --cascade --dry-run
state_is "$dir/after"
undo "$first" --cascade | cut -f2 | head -n 1 >"$dir/base"
base=$(cat "$dir/base")
exits 1 ctl get k
exits 1 ctl get other
for id in "$first" "$second" "$third"; do
    expect undone ctl txn status "$id"
done
expect_match "^undone_by	$base$" ctl txn show "$third"
expect_match "^undone_by	$((base + 2))$" ctl txn show "$first"
expect_match '"effects_list":\[\{"seq":0,"resource":"kv","key":"k","before":"1","after":null\}\]' ctl txn show "$((base + 2))" --json

claim "a redo goes step by step, oldest first"
fail_with CONFLICT redo "$third"
redo "$first" >/dev/null
expect 1 ctl get k
redo "$second" >/dev/null
redo "$third" >/dev/null
state_is "$dir/after"
undo "$third" >/dev/null
expect 2 ctl get k

claim "what was undone in between is no hindrance"
undo "$second" >/dev/null
undo "$first" >/dev/null
exits 1 ctl get k

claim "many dependents: the sentence stays short"
resp SET many 0 >/dev/null
many=$(last)
for i in 1 2 3 4 5 6 7 8 9 10 11; do resp SET many "$i" >/dev/null; done
fail_with CONFLICT undo "$many"
said " and 3 more build on it; .* dependents=11$"
undo "$many" --cascade >/dev/null
exits 1 ctl get many

claim "a call with calls inside is taken back whole"
resp DEL other >/dev/null || :
call market.offer apple 5 7 >/dev/null
state >"$dir/before"
call market.buy apple eve acct:ada >/dev/null
undo "$(last)" >/dev/null
state_is "$dir/before"

claim "not between BEGIN and COMMIT"
printf 'BEGIN\r\nTXN UNDO %s\r\nROLLBACK\r\nQUIT\r\n' "$transfer" | "$TOOL/raw" "$GRAFTD_SOCKET" >"$dir/raw"
grep -q '^-BADARG' "$dir/raw" || fail "it was let in: $(cat "$dir/raw")"

claim "after a crash as before"
undo "$transfer" >/dev/null
state >"$dir/before"
kill9
start
state_is "$dir/before"
expect undone ctl txn status "$transfer"
redo "$transfer" >/dev/null
expect 30 ctl get acct:bob
stop

if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    claim "it takes the right to undo"
    cat >"$dir/policy" <<END
socket "$GRAFTD_SOCKET" mode 0666
caller user 12345 { allow info; allow read write kv "*" }
caller user 12346 { allow undo }
END
    chmod 755 "$dir"
    cp "$TOOL/ask" "$dir/"
    start
    as() { id=$1 && shift && setpriv --reuid "$id" --regid "$id" --clear-groups "$dir/ask" "$GRAFTD_SOCKET" "$@"; }
    fail_with NOPERM as 12345 TXN UNDO "$transfer"
    fail_with NOPERM as 12345 TXN REDO "$transfer"
    as 12346 TXN UNDO "$transfer" >/dev/null || fail "the right to undo is not enough"
    fail_with NOPERM as 12346 BLAME acct:ada
    fail_with NOPERM as 12346 BLAME some/file FILE
    fail_with NOPERM as 12346 BLAME 1.1 TIMER
    fail_with NOPERM as 12346 GETAT acct:ada "$transfer"
    stop
fi
