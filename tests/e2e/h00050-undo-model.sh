#!/bin/sh
# Random changes, and random ones of them taken back: the state is that of a run that never did these. SEED repeats a run.
. "$(dirname "$0")/lib.sh"
command -v /usr/bin/python3 >/dev/null || skip "no python3"
seed=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
start
load_graft "$TOP/grafts/bank/bank.c"
claim "after each undo, redo and cascade, as if what is taken back had never been (SEED=$seed)"
/usr/bin/python3 "$TOP/tests/e2e/undo.py" "$GRAFTD_SOCKET" "$seed" "${STEPS:-600}" || fail "SEED=$seed"
claim "and after a crash"
state >"$dir/before"
kill9
start
state_is "$dir/before"
stop
