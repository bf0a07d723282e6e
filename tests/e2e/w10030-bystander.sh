#!/bin/sh
# While grafts spin, crash and eat memory, and clients flood: no call of another graft fails (W6). Times are printed for people.
. "$(dirname "$0")/lib.sh"
[ -x /usr/bin/python3 ] || skip "there is no python3"
cat >"$dir/policy" <<'END'
limit idle 1s clients 200 clients-per-user 120
graft default { limit cpu 2s wall 4s memory 64M; workers max 4; allow read write kv "*" }
END
start
load_graft "$TOP/grafts/bank/bank.c"
load_naughty loop_after_write segv memory
flood() { /usr/bin/python3 "$TOP/tests/e2e/flood.py" "$GRAFTD_SOCKET" "$@" || fail "flood.py $*"; }
begin() { # FUNCTION ARG…: in the background, until the file enough is there
    /usr/bin/python3 "$TOP/tests/e2e/flood.py" "$GRAFTD_SOCKET" "$@" "$dir/enough" &
    background="$background $!"
}
end() {
    : >"$dir/enough"
    for pid in $background; do
        wait "$pid" || fail "a flood ended with $?"
    done
    background=
    rm "$dir/enough"
}
head -c 4000000 /dev/zero >"$dir/big"
resp SET big "@$dir/big" >/dev/null
calls=${CALLS:-300}
admitted() { flood bystander "$@"; }

slowed() { resp INFO grafts | tr -d '\r' | sed -n 's/^workers_slowed://p'; }
is_slowed() { [ "$(slowed)" = "$1" ]; }
claim "a call that uses much CPU gives way: its worker is slowed; one that uses little is not"
expect 1 call bank.deposit quick 1
expect 0 slowed
fail_with TIMEOUT call --timeout 400 loop_after_write.run
expect 1 slowed
graftctl call loop_after_write.run >/dev/null 2>&1 &
client=$!
background=$client
until_true "it to be slowed" is_slowed 2
ps -eo ni,comm | grep -q "^ *10 graft-worker" || fail "no worker is nicer than others"
kill -KILL "$client"
wait "$client" || :
background=

claim "no call of another graft fails: alone, beside grafts that spin, crash, eat memory"
admitted "alone" "$calls"
for i in 1 2 3 4; do
    begin flood_calls loop_after_write.run
done
admitted "4 spinning" "$calls"
end
begin flood_calls segv.run
begin flood_calls memory.run
admitted "crashing, eating memory" "$calls"
end

claim "nor when clients flood"
/usr/bin/python3 "$TOP/tests/e2e/flood.py" "$GRAFTD_SOCKET" bystander "flood" "$calls" >"$dir/during" 2>&1 &
bystander=$!
sleep 0.2 # it is connected: a flood of the same user may take every place that is left
/usr/bin/python3 "$TOP/tests/e2e/flood.py" "$GRAFTD_SOCKET" storm "$dir/enough" loop_after_write.run segv.run memory.run 2>"$dir/storm" &
background=$!
status=0
wait "$bystander" || status=$?
cat "$dir/during"
[ "$status" -eq 0 ] || fail "a call failed"
: >"$dir/enough"
wait "$background" || fail "the storm: $(cat "$dir/storm")"
background=
expect_match "^$((4 * calls))$" resp GET bystander
stop
