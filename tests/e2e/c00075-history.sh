#!/bin/sh
# Many clients at once on few keys, in every kind of transaction: what they were told fits one order of whole transactions,
# which is that of the clock (T1, T3, T6, T8). SEED repeats the clients' choices, HISTORY_SECONDS makes it longer.
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<'END'
limit lock-wait 2s
graft default { limit cpu 60ms wall 5s; workers max 4; allow read write kv "*" }
END
seed=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}

claim "a graft that forgets a value now and then is found out: the check can fail"
start
sed 's/old\.len == 0 ? number/old.len == 0 || old.len % 64 > 60 ? number/' "$TOP/tests/e2e/lists.c" >"$dir/lists.c"
load_graft "$dir/lists.c"
second=0
while "$TOOL/history" "$GRAFTD_SOCKET" 1 1 >"$dir/stdout" 2>"$dir/stderr"; do # a slow machine does little in one
    second=$((second + 1))
    [ "$second" -lt 20 ] || fail "it was not"
done
grep -q -E "^(lost|incompatible|internal): " "$dir/stderr" || fail "it failed for another reason: $(cat "$dir/stderr")"
stop
rm -r "$dir/data"

start
load_graft "$TOP/tests/e2e/lists.c"
claim "no anomaly among answered transactions, and no append lost or made twice (SEED=$seed)"
"$TOOL/history" "$GRAFTD_SOCKET" "${HISTORY_SECONDS:-4}" "$seed" || fail "SEED=$seed"
claim "and after a crash the lists are the same"
state >"$dir/before"
kill9
start
state_is "$dir/before"
stop
