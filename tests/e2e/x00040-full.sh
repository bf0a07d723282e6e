#!/bin/sh
# A disk that fills up, a real one: STORAGE, the call undone, nothing lost; and graftd serves again when there is room, without
# a restart (T3). A disk that may only be read is refused.
if [ -z "${ISOLATED:-}" ]; then # mounts are ours alone, and end with us
    ISOLATED=1
    export ISOLATED
    unshare --mount true 2>/dev/null && exec unshare --mount sh "$0" "$@"
    echo "skipped: this machine lets us mount nothing" && exit 77
fi
. "$(dirname "$0")/lib.sh"
mkdir -m 700 "$dir/data"
mount -t tmpfs -o size=6m,mode=700 tmpfs "$dir/data" 2>/dev/null || skip "this machine lets us mount nothing"
cat >"$dir/policy" <<'END'
txn spill 64K
graft default { limit cpu 10s wall 20s; workers max 2; allow read write kv "*" }
END
start
load_graft "$TOP/grafts/bank/bank.c"
load_graft "$TOP/tests/e2e/ledger.c"
was=$daemon
head -c 5600000 /dev/zero >"$dir/large" # nor does it fit into what the log has taken already

fill() { # until nothing fits
    dd if=/dev/zero of="$dir/data/ballast" bs=4096 2>/dev/null || :
}

resp MSET acct:ada 10000 acct:bob 0 >/dev/null
round=0 told=0
while [ "$round" -lt 3 ]; do
    round=$((round + 1))
    fill
    truncate -s -256K "$dir/data/ballast"
    claim "what finds no room is told STORAGE and undone, small or written early ($round)"
    i=0
    while [ "$i" -lt 1000 ] && graftctl call bank.transfer acct:ada acct:bob 1 >/dev/null 2>"$dir/err"; do
        i=$((i + 1)) told=$((told + 1))
    done
    if [ "$i" -lt 1000 ]; then
        grep -q '^STORAGE ' "$dir/err" || fail "the caller was told: $(cat "$dir/err")"
    else # the log has grown by now, and on a slow machine small commits need no more than it has
        [ "$round" -gt 1 ] || fail "the disk never got full"
    fi
    fill
    fail_with STORAGE resp SET large "@$dir/large"
    if [ "$round" = 1 ]; then # later the log may have taken as much as it needs
        fail_with STORAGE call ledger.bulk bulk: 7
        expect "(nil)" resp GET bulk:0
    fi
    claim "it still runs, and reads"
    [ "$daemon" = "$was" ] && kill -0 "$daemon" || fail "graftd ended"
    expect "$told" ctl get acct:bob
    claim "with room again it serves, and nothing that was told is lost ($told transfers)"
    rm "$dir/data/ballast"
    expect OK call ledger.bulk "bulk$round:" 7
    graftctl call bank.transfer acct:ada acct:bob 1 >/dev/null || fail "it does not serve again"
    told=$((told + 1))
    expect "$told" ctl get acct:bob
    expect "$((10000 - told))" ctl get acct:ada
done
claim "and a crash in between loses nothing"
fill
fail_with STORAGE resp SET large "@$dir/large"
state >"$dir/before"
kill9
rm "$dir/data/ballast"
start
state_is "$dir/before"
expect "$told" ctl get acct:bob
stop

claim "where nothing can be written it does not start, and says why; later it does, with all that was there"
sha256sum "$dir"/data/graftd.db* >"$dir/sum"
mount -o remount,ro "$dir/data"
exits 1 graftd --data "$dir/data" --socket "$GRAFTD_SOCKET"
grep -q "Read-only file system" "$dir/stderr" || fail "no reason: $(cat "$dir/stderr")"
sha256sum --check --quiet "$dir/sum" || fail "the database was changed"
mount -o remount,rw "$dir/data"
start
state_is "$dir/before"
stop
umount "$dir/data"
