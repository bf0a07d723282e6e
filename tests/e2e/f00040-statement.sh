#!/bin/sh
# grafts/statement, with the policy that it comes with: a line, an event and a reminder are one transaction.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tree.sh"
{
    echo 'graft default { limit cpu 1s wall 5s }'
    cat "$TOP/grafts/statement/statement.scfg"
} >"$dir/policy"
start
load_graft "$TOP/grafts/statement/statement.c"
files=$dir/data/files
tab=$(printf '\t')
day=$(date -u +%F)

claim "a line is added, and told"
got=$(call statement.add ada 1000 "salary of may")
[ "$got" = "$day${tab}1000${tab}salary of may" ] || [ "$day" != "$(date -u +%F)" ] || fail "it replied: $got"
call statement.add ada -250 rent >/dev/null
[ "$(wc -l <"$files/statements/ada.txt")" -eq 2 ] || fail "the statement: $(cat "$files/statements/ada.txt")"
expect "$(cat "$files/statements/ada.txt")" call statement.show ada
expect_match "ada.*1000.*salary of may" resp EVENTS READ bank.statement AFTER 0

claim "one reminder is set, with the first line"
reminder=$(graftctl get statement:ada:reminder)
[ -n "$reminder" ] || fail "no reminder is set"

claim "what fails leaves no line, no event, no reminder"
tree "$files" >"$dir/before.tree"
resp EVENTS READ bank.statement AFTER 0 >"$dir/before.events"
state >"$dir/before"
fail_with ABORTED call statement.add bob x rent
fail_with ABORTED call statement.add ../bob 5 rent
fail_with ABORTED call statement.add bob 5 "two
lines"
call statement.add bob 5 rent --dry-run >/dev/null
tree_is "$files" "$dir/before.tree"
state_is "$dir/before"
resp EVENTS READ bank.statement AFTER 0 | cmp - "$dir/before.events" || fail "an event was told"

claim "closed: it is moved, its reminder taken back"
expect "statements/closed/ada-2026-11.txt" call statement.close ada 2026-11
[ ! -e "$files/statements/ada.txt" ] || fail "the statement is still open"
expect "" ctl scan statement:
expect_match "ada-2026-11.txt" call statement.closed
fail_with ABORTED call statement.close ada 2026-11
call statement.add ada 1 new >/dev/null
fail_with ABORTED call statement.close ada 2026-11
said "is there already"

claim "reminded by hand: the event that says so"
call statement.remind ada >/dev/null
expect_match "ada" resp EVENTS READ bank.statement.due AFTER 0
stop
