#!/bin/sh
# Undo over all resources: how it is told, what cannot be taken back, and what stands in its way (T9, T10).
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tree.sh"
echo 'graft default { limit cpu 1s wall 5s; allow read write kv "*"; allow read write file "*"; allow emit "*"; allow timer "*" }' >"$dir/policy"
start
load_graft "$TOP/tests/e2e/filer.c"
files=$dir/data/files
last() { graftctl txn list --count 1 | cut -f1; }

claim "effects are told in words"
call filer.run write s/a one put k v after 86400000 filer.run emit bank.moved 34,bytes >/dev/null
txn=$(last)
ctl txn show "$txn" >"$dir/shown"
for line in "+ file s/: (none) → directory" "+ file s/a: (none) → 3 bytes" "+ k: v" "+ event bank.moved: 8 bytes: 34,bytes" \
    "+ timer $txn.1: filer.run due 20"; do
    grep -qF -- "$line" "$dir/shown" || fail "no line \"$line\" in: $(cat "$dir/shown")"
done
expect_match '"resource":"file","key":"s/a","before":null,"after":"3 bytes"' ctl txn show "$txn" --json

claim "a dry run of an undo tells the same, events that stay told among it, and touches nothing"
tree "$files" >"$dir/before"
ctl txn undo "$txn" --dry-run | tail -n +2 >"$dir/tried"
tree_is "$files" "$dir/before"
grep -qF -- "- file s/a: 3 bytes → (none)" "$dir/tried" || fail "no file in: $(cat "$dir/tried")"
grep -q "^bank.moved	$txn	34,bytes$" "$dir/tried" || fail "no event in: $(cat "$dir/tried")"
ctl txn undo "$txn" | tail -n +2 | cmp - "$dir/tried" || fail "the undo told something else"
[ -z "$(ls "$files")" ] || fail "there are files left: $(ls "$files")"
expect "[]" ctl timers --json

claim "REDO puts all of it there again, but for the event"
ctl txn redo "$txn" >/dev/null
expect one cat "$files/s/a"
expect v ctl get k
expect_match "$txn.1" ctl timers

claim "a directory in which others have put something stays, and so does the rest"
call filer.run write s/b two >/dev/null
tree "$files" >"$dir/before"
fail_with CONFLICT ctl txn undo "$txn"
said 'has "s/b" in it by now'
tree_is "$files" "$dir/before"
expect v ctl get k

claim "what is kept is gone: nothing is touched, and the error says so"
call filer.run write s/b three put k w >/dev/null
txn=$(last)
tree "$files" >"$dir/before"
rm "$files/.graftd/$txn"/old.*
fail_with STORAGE ctl txn undo "$txn"
said "transaction $txn cannot be undone: "
said "s/b"
tree_is "$files" "$dir/before"
expect w ctl get k
call filer.run write s/b four >/dev/null || fail "the daemon no longer writes files"
stop
