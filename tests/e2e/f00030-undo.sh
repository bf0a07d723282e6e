#!/bin/sh
# A committed change of files is taken back later (T9), each kind of it, and a crash at any moment leaves each call whole
# or not at all (T7).
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tree.sh"
echo 'graft default { limit cpu 1s wall 5s; allow read write kv "*"; allow read write file "*" }' >"$dir/policy"
start
load_graft "$TOP/tests/e2e/filer.c"
files=$dir/data/files
last() { graftctl txn list --count 1 | cut -f1; }
contents() { (cd "$files" && find . -path ./.graftd -prune -o -type f -printf '%p %m ' -exec sha256sum {} \; | sort); }

call filer.run write s/a one write s/b two write s/c three >/dev/null
chmod 640 "$files/s/b"

for what in "write s/a changed" "write s/new/deep new" "append s/b +more" "append s/new/deep more" "remove s/b" \
    "rename s/a s/moved" "rename s/a s/b" "write s/a x remove s/b rename s/c s/a append s/d d put k v"; do
    claim "undone: $what"
    contents >"$dir/before"
    call filer.run $what >/dev/null
    contents >"$dir/after"
    ! cmp -s "$dir/before" "$dir/after" || fail "it changed nothing"
    ctl txn undo "$(last)" >/dev/null || fail "cannot undo"
    contents | cmp - "$dir/before" || fail "it is not as it was"
done

claim "a file that somebody else changed meanwhile is not touched"
call filer.run write s/a ours >/dev/null
txn=$(last)
printf theirs >"$files/s/a"
fail_with CONFLICT ctl txn undo "$txn"
said "look with BLAME s/a FILE"
[ "$(cat "$files/s/a")" = theirs ] || fail "their work is lost"

claim "BLAME path FILE: who changed a file"
expect_match "^$txn	filer.run	.*	4 bytes\$" sh -c "graftctl blame --file s/a --count 1"
expect "" ctl blame s/a
exits 2 ctl blame s/a --file s/a
exits 2 ctl blame
fail_with BADARG resp BLAME "" FILE
fail_with ERR resp BLAME s/a FILE TIMER

claim "a directory with a link in it, which no list tells of, does not go"
call filer.run write linked/a one >/dev/null
txn=$(last)
ln -s /nowhere "$files/linked/link"
fail_with CONFLICT ctl txn undo "$txn"
said "not empty"
[ -L "$files/linked/link" ] && [ "$(cat "$files/linked/a")" = one ] || fail "half of it is gone"
rm "$files/linked/link"
ctl txn undo "$txn" >/dev/null || fail "cannot undo when the link is gone"
[ ! -e "$files/linked" ] || fail "the directory is still there"

claim "what later calls built on goes with it, or it stays"
call filer.run write s/e one >/dev/null
txn=$(last)
call filer.run append s/e two >/dev/null
fail_with CONFLICT ctl txn undo "$txn"
ctl txn undo "$txn" --cascade >/dev/null || fail "cannot undo with what came later"
[ ! -e "$files/s/e" ] || fail "s/e is still there"

claim "killed at any moment: each call is there whole or not at all"
for round in 1 2 3 4 5; do
    i=0
    (
        trap - EXIT
        while graftctl call filer.run write "pair/$round/a" "$i" write "pair/$round/b" "$i" append "log/$round" "$i." \
            put "pair:$round" "$i" >/dev/null 2>&1; do
            i=$((i + 1))
        done
    ) &
    writer=$!
    background=$writer
    until_true "a few calls" test -s "$files/pair/$round/b"
    sleep "0.0$round"
    kill9
    wait "$writer" || :
    background=
    start
    a=$(cat "$files/pair/$round/a") b=$(cat "$files/pair/$round/b") k=$(graftctl get "pair:$round")
    [ "$a" = "$b" ] && [ "$a" = "$k" ] || fail "half a call: a=$a b=$b key=$k"
    [ "$(tr '.' '\n' <"$files/log/$round" | tail -n 1)" = "$a" ] || fail "the log ends otherwise: $(tail -c 20 "$files/log/$round")"
    has_no_stage "$files" || fail "stage files are left: $(ls "$files/.graftd")"
done
stop
