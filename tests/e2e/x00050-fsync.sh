#!/bin/sh
# Errors of the disk below a daemon at work, above all in the sync of a commit: who asked is told UNKNOWN or loses the
# connection, graftd ends with a status and a line in its log, and after the next start TXN STATUS and the same token tell the
# truth (T2, T7). LIMIT bounds how many places are tried.
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<'END'
txn spill 64K
graft default { limit cpu 10s wall 20s; workers max 2; allow read write kv "*" }
END
mkdir "$dir/fault"
start
load_graft "$TOP/grafts/bank/bank.c"
load_graft "$TOP/tests/e2e/ledger.c"
stop

start_failing() {
    rm -f "$dir"/fault/*
    "$TOOL/failing" "$dir/fault" --worker "$BIN/graft-worker" --policy "$dir/policy" --data "$dir/data" \
        --socket "$GRAFTD_SOCKET" 2>>"$dir/log" &
    daemon=$!
    until_true "graftd to get ready" graftctl ping
}

claim "a sync that fails in a commit: UNKNOWN, an end with a status, a clear line"
start_failing
expect 5 call --idem first bank.deposit acct:ada 5
echo 1 >"$dir/fault/sync"
status=0
graftctl call --idem second bank.deposit acct:ada 7 >"$dir/out" 2>"$dir/err" || status=$?
[ "$status" -eq 1 ] || [ "$status" -eq 3 ] || fail "status $status: $(cat "$dir/out" "$dir/err")"
grep -q -E "^UNKNOWN .*txn=[0-9]+|closed|lost|connection" "$dir/err" || fail "the caller was told: $(cat "$dir/err")"
cp "$dir/err" "$dir/told"
daemon_status
[ "$ended" -ne 0 ] || fail "graftd ended as if all were well"
grep -q "I/O error hit a commit" "$dir/log" || fail "no line in the log"

claim "the next start recovers: TXN STATUS tells the truth, and the same token makes it one effect"
start
expect_match '^(5|12)$' ctl get acct:ada
found=$got
txn=$(sed -n 's/.*txn=\([0-9]*\).*/\1/p' "$dir/told")
if [ -n "$txn" ]; then
    expect_match '^(committed|unknown|rolled back)$' resp TXN STATUS "$txn"
    [ "$found:$got" != "12:committed" ] || claim "(it took place)"
    case $found:$got in
    12:committed | 5:unknown | "5:rolled back") ;;
    *) fail "the account has $found, and TXN STATUS says $got" ;;
    esac
fi
expect 12 call --idem second bank.deposit acct:ada 7
expect 12 call --idem second bank.deposit acct:ada 7
expect 12 ctl get acct:ada
expect 5 call --idem first bank.deposit acct:ada 5
stop

# What is done while the nth operation fails: each answer is written down as "amount answer".
body() {
    for amount in 1 2 3; do
        answer=lost
        if graftctl call --idem "$try-$amount" bank.deposit "acct:$try" "$amount" >"$dir/out" 2>"$dir/err"; then
            answer=done
        elif grep -q -E '^(STORAGE|BUSY) ' "$dir/err"; then
            answer=undone
        fi
        echo "$amount $answer" >>"$dir/answers"
        [ "$amount" -ne 2 ] || graftctl call ledger.bulk "bulk$try:" 7 >/dev/null 2>&1 || :
    done
}

# The sum must be that of what was answered, with or without what nobody knows of; then each token is used again.
judge() {
    least=0 most=0
    while read -r amount answer; do
        case $answer in
        done) least=$((least + amount)) most=$((most + amount)) ;;
        lost) most=$((most + amount)) ;;
        esac
    done <"$dir/answers"
    found=$(graftctl get "acct:$try" 2>/dev/null) || found=0
    [ "$found" -ge "$least" ] && [ "$found" -le "$most" ] ||
        fail "$try: answered $(tr '\n' ' ' <"$dir/answers"), found $found"
    pieces=$(resp EXISTS "bulk$try:0" "bulk$try:1" "bulk$try:2" "bulk$try:3" "bulk$try:4" "bulk$try:5" "bulk$try:6" "bulk$try:7")
    [ "$pieces" = 0 ] || [ "$pieces" = 8 ] || fail "$try: $pieces of 8 pieces"
    for amount in 1 2 3; do
        graftctl call --idem "$try-$amount" bank.deposit "acct:$try" "$amount" >/dev/null || fail "$try: a repeat failed"
    done
    expect 6 ctl get "acct:$try"
}

tried=0
for operation in sync write full truncate; do
    claim "the nth $operation fails, n = 1, 2, …: what was answered holds, the rest is there whole or not at all, and once"
    n=0 hit=1
    while [ -n "$hit" ] && [ "$n" -lt "${LIMIT:-10}" ]; do
        n=$((n + 1)) try=$operation$n hit=
        : >"$dir/answers"
        start_failing
        lines=$(wc -l <"$dir/log")
        echo "$n" >"$dir/fault/$operation"
        body
        kill -TERM "$daemon" 2>/dev/null || :
        daemon_status
        [ ! -e "$dir/fault/hit" ] || hit=1 tried=$((tried + 1))
        [ "$ended" -eq 0 ] || tail -n "+$((lines + 1))" "$dir/log" | grep -q -i error || fail "$try: ended without a word"
        [ "$ended" -eq 0 ] || echo "$try" >>"$dir/ended"
        start
        judge
        stop
    done
    [ "$n" -gt 1 ] || fail "no $operation was hit"
done
echo "$tried errors, of which $(wc -l <"$dir/ended") ended the daemon"
