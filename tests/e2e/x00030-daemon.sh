#!/bin/sh
# SIGKILL of the daemon at random instants under load, KILLS times (200); SEED repeats a run's choices.
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<'END'
txn spill 64K
limit lock-wait 10s
graft default { limit cpu 10s wall 10s; workers max 4; allow read write kv "*" }
END
load_all() { # LEDGER
    start
    load_graft "$TOP/grafts/bank/bank.c"
    load_graft "$TOP/grafts/pkgindex/pkgindex.c"
    load_graft "$1"
    stop
}

claim "a graft that cheats by a cent is found out: the check can fail"
sed 's/, -amount, NULL/, -amount - 1, NULL/' "$TOP/tests/e2e/ledger.c" >"$dir/ledger.c"
load_all "$dir/ledger.c"
exits 1 "$TOOL/crash" "$BIN/graftd" "$dir" 5 1
grep -q -E "the (sum of all accounts|moves that took place)" "$dir/stderr" || fail "it failed for another reason: $(cat "$dir/stderr")"
rm -r "$dir/data"

load_all "$TOP/tests/e2e/ledger.c"
claim "what was answered is there, what was not is there whole or not at all, and no process stays behind"
"$TOOL/crash" "$BIN/graftd" "$dir" "${KILLS:-200}" "${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}" || fail "see above"
claim "and it starts again, serves, and stops"
start
expect_match "^total	8000$" call bank.audit
stop
