#!/bin/sh
# A graft that lies to the daemon, past the host: one error for its caller, nothing left, nobody else notices (W2).
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<'END'
graft default { limit cpu 1s wall 1s; allow read write kv "*" }
graft bank { limit wall 20s cpu 5s; allow read write kv "*" }
END
start
load_graft "$TOP/grafts/bank/bank.c"
load_naughty harmless garbage lie
resp MSET a 1 >/dev/null
bystander_start

for how in noise huge phase wrong_way unknown empty truncated trailing; do
    claim "garbage $how: CRASHED, undone"
    sin CRASHED "undone=1$" call garbage.run write "$how"
done

claim "garbage cut, and then silence: TIMEOUT, undone"
sin TIMEOUT "undone=1 wall_ms=[0-9]+ limit_ms=1000$" call garbage.run write cut

claim "a reply given twice: the first one counts, and the worker goes"
for i in 1 2 3; do
    status=0
    call garbage.run no twice >/dev/null 2>&1 || status=$?
    expect_match "^harmless	1$" call harmless.run
done

claim "the truth, said in the same way, is believed"
call lie.run no truth >/dev/null || fail "it was not: is the transaction's id in another place of the worker's memory?"

for how in count kind depth trailing how line; do
    claim "lie $how: CRASHED, undone"
    sin CRASHED "undone=1$" call lie.run write "$how"
    said "sent a malformed DONE"
done

claim "lie other, the end of another call: the same"
sin CRASHED "undone=1$" call lie.run write other
said "said that another call had ended"

claim "the connection of the deceived caller goes on"
printf 'FCALL lie.run 0 write line\r\nGET a\r\nFCALL garbage.run 0 write huge\r\nGET a\r\nQUIT\r\n' |
    "$TOOL/raw" "$GRAFTD_SOCKET" | tr -d '\r' | sed 's/^-\([A-Z]*\) .*/-\1/' >"$dir/replies"
printf -- '-CRASHED\n$1\n1\n-CRASHED\n$1\n1\n+OK\n' | diff - "$dir/replies" || fail "the replies"
bystander_stop
stop
