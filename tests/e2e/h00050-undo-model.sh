#!/bin/sh
# Random changes, and random ones of them taken back: the state is that of a run that never did these. SEED repeats a run.
. "$(dirname "$0")/lib.sh"
command -v /usr/bin/python3 >/dev/null || skip "no python3"
seed=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
echo 'graft default { limit cpu 1s wall 5s; allow read write kv "*"; allow read write file "*"; allow emit "*"; allow timer "*" }' >"$dir/policy"
start
load_graft "$TOP/grafts/bank/bank.c"
load_graft "$TOP/tests/e2e/filer.c"
call filer.run write d/keep x remove d/keep >/dev/null
contents() { (cd "$dir/data/files" && find . -path ./.graftd -prune -o -type f -print0 | sort -z | xargs -0 -r sha256sum); }
claim "after each undo, redo and cascade, as if what is taken back had never been (SEED=$seed)"
/usr/bin/python3 "$TOP/tests/e2e/undo.py" "$GRAFTD_SOCKET" "$seed" "${STEPS:-600}" "$dir/data/files" || fail "SEED=$seed"
claim "and after a crash"
state >"$dir/before"
contents >"$dir/files"
kill9
start
state_is "$dir/before"
contents | cmp - "$dir/files" || fail "the files are others"
stop
