#!/bin/sh
# Files: read, written, appended to, renamed, removed, listed; others see a call's changes when it has committed, all of
# them or none (T1, T3).
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tree.sh"
cat >"$dir/policy" <<'END'
txn spill 64K
limit lock-wait 20s
graft default { limit cpu 200ms wall 5s; allow read write kv "*"; allow read write file "*" }
END
start
load_graft "$TOP/tests/e2e/filer.c"
files=$dir/data/files
run() { call filer.run "$@"; }
holds() { # PATH TEXT
    printf %s "$2" | cmp -s - "$files/$1" || fail "$1 does not hold \"$2\": $(cat "$files/$1" 2>&1)"
}

claim "what is written is there when the call has ended, with its directories"
expect "0
0" run write s/2026/ada "hello" write top "x"
holds s/2026/ada hello
holds top x
[ "$(stat -c %a "$files/s/2026/ada")" = 644 ] || fail "a new file has mode $(stat -c %a "$files/s/2026/ada")"

claim "a call sees what it did itself, and others do not before it has committed"
expect "hello
0
hello+more
0
10
file 10" run read s/2026/ada append s/2026/ada +more read s/2026/ada write z 10 read z stat s/2026/ada
holds s/2026/ada hello+more

claim "parts, and the end of a file"
expect "llo

hello+more" run part s/2026/ada 2 3 part s/2026/ada 10 5 part s/2026/ada 0 1000
expect "1" run part nothing 0 5
expect "1" run read nothing

claim "a file keeps its mode"
chmod 600 "$files/top"
expect "0
0" run write top yy append top zz
holds top yyzz
[ "$(stat -c %a "$files/top")" = 600 ] || fail "the mode of top became $(stat -c %a "$files/top")"

claim "renamed: the old name is gone, and what was there is replaced; twice in one call, too"
expect "0
1
yyzz" run rename top s/new read top read s/new
expect "0
0
0" run write b from-b rename b s/new rename s/new c
holds c from-b
[ ! -e "$files/s/new" ] || fail "s/new is still there"
expect "1" run rename nothing c

claim "removed, and written again in the same call"
expect "0
1
1
0
again" run remove c read c remove c write c again read c
holds c again

claim "listed: direct children in byte order, directories end in a slash, own changes included"
expect "0
0
s/2026/ 0
s/a 1
s/b 2" run write s/b 22 write s/a 1 list s
expect "c 5
s/ 0
z 2" run list ""
expect "" run list nothing
expect "0
s/2026/ 0
s/b 2" run remove s/a list s/

claim "bytes of every value, and none at all"
head -c 300000 /dev/urandom >"$files/random"
expect_match "^file 300000$" run stat random rename random moved
cp "$files/moved" "$dir/random"
expect "0" run write empty ""
[ -e "$files/empty" ] && [ ! -s "$files/empty" ] || fail "an empty file is not there, or not empty"
expect "
file 0" run read empty stat empty

claim "what is larger than one answer comes in parts, and what is larger than the limit does not come"
expect "0
3000000
x" run fill large 3000000 length large part large 2999999 5
expect "3000000" run length large
truncate -s 16777217 "$files/larger"
expect "5" run length larger
rm "$files/larger"

claim "many at once add to one file: each line is there, once"
i=0
while [ "$i" -lt 12 ]; do
    graftctl call filer.run append log "line $i
" >"$dir/out.$i" 2>&1 &
    i=$((i + 1))
done
while [ "$i" -gt 0 ]; do
    i=$((i - 1))
    until_true "call $i has ended" test -s "$dir/out.$i"
    expect 0 cat "$dir/out.$i"
    [ "$(grep -c "^line $i\$" "$files/log")" = 1 ] || fail "line $i: $(cat "$files/log")"
done

claim "between BEGIN and COMMIT nothing is to be seen, and a statement that fails is taken back alone"
tree "$files" >"$dir/before.tree"
{
    printf 'BEGIN\r\nCALL filer.run ARGS write held 1 append log more\r\nCALL filer.run ARGS write held 2 abort\r\n'
    printf 'CALL filer.look ARGS read held\r\n'
    until_true "a look at the tree meanwhile" test -e "$dir/looked"
    printf 'COMMIT\r\nBEGIN\r\nCALL filer.run ARGS write held 3 remove log\r\nROLLBACK\r\nQUIT\r\n'
} | "$TOOL/raw" "$GRAFTD_SOCKET" >"$dir/raw" &
background=$!
sleep 0.2
tree_is "$files" "$dir/before.tree"
: >"$dir/looked"
wait "$background" || fail "the connection: $(cat "$dir/raw")"
background=
holds held 1
expect_match "^file" run stat log
grep -q '^-ABORTED' "$dir/raw" || fail "no statement failed: $(cat "$dir/raw")"

claim "a call that fails leaves the tree as it was, byte for byte, with mode and time: by its own word"
tree "$files" >"$dir/before.tree"
everything="write c changed append s/b more remove z rename s/2026/ada moved write new/d/file x append moved more"
undone_all() { # WORD HOW
    fail_with "$1" call filer.run put k v $everything $2
    said "; rolled back\. txn=[0-9]+ undone=[0-9]+"
    tree_is "$files" "$dir/before.tree"
    expect "(nil)" resp GET k
    no_stage "$files"
}
undone_all ABORTED abort
undone_all ABORTED code

claim "when it was written early, being large"
big=$(head -c 70000 /dev/zero | tr '\0' x)
fail_with ABORTED call filer.run write c changed put big "$big" append s/b more put big2 "$big" write new/d/e x abort
tree_is "$files" "$dir/before.tree"
no_stage "$files"
expect "(nil)" resp GET big

claim "by a crash, by a deadline"
undone_all CRASHED crash
undone_all TIMEOUT loop

claim "what changes nothing in a dry run, and tells what it would"
graftctl call filer.run $everything --dry-run >"$dir/tried" || fail "the dry run failed"
grep -q "new/d/file" "$dir/tried" || fail "a dry run did not tell of new/d/file: $(cat "$dir/tried")"
tree_is "$files" "$dir/before.tree"
no_stage "$files"

claim "a nested call that failed is taken back alone (T8)"
expect "0
ABORTED filer.fails: it fails
kept" run write n1 kept try filer.fails n1 read n1
holds n1 kept
expect_match "kept\+nested$" run try filer.appends n1 read n1
holds n1 kept+nested

claim "a function that changes nothing may look, and may not change"
expect "again" call filer.look read c
tree "$files" >"$dir/before.tree"
for op in "write c x" "append c x" "remove c" "rename c d"; do
    fail_with READONLY call filer.look $op
done
tree_is "$files" "$dir/before.tree"

claim "after a restart all is as it was"
stop
start
tree_is "$files" "$dir/before.tree"
expect "again" run read c
stop
