#!/bin/sh
# Who may ask for what: by the uid of the socket's other end.
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null || skip "needs root and setpriv, to be somebody else"
cat >"$dir/policy" <<END
socket "$GRAFTD_SOCKET" mode 0666
graft default { allow read write kv "*" }
caller user 12345 {
    allow call "bank.*"
    deny call "bank.audit"
    allow read kv "acct:*"
}
caller group 23456 { allow load unload "bank"; allow kill info; deny unload "bank" }
caller user 34567 { allow admin }
END
chmod 755 "$dir"
start
load_graft "$TOP/grafts/bank/bank.c"
load_naughty harmless
resp MSET acct:ada 100 other 1 >/dev/null
cp "$BIN/graftctl" "$TOOL/ask" "$dir/"
as() { # UID COMMAND…
    id=$1
    shift
    setpriv --reuid "$id" --regid "$id" --clear-groups "$@"
}
asks() { # UID WORD…: "ask" as that user
    id=$1
    shift
    as "$id" "$dir/ask" "$GRAFTD_SOCKET" "$@"
}

claim "root may do everything"
expect 1 resp GET other
expect_match "total" call bank.audit

claim "an application calls what it may; NOPERM or DENIED names the rule, or that there is none"
denied() { # PATTERN COMMAND…: exit code 4 from graftctl for either word
    pattern=$1
    shift
    status=0
    "$@" >"$dir/stdout" 2>"$dir/stderr" || status=$?
    said=$(cat "$dir/stderr")
    [ "$status" -ne 0 ] || fail "$*: succeeded"
    said "^(NOPERM|DENIED) "
    said "$pattern"
}
expect 90 asks 12345 FCALL bank.transfer 2 acct:ada acct:bob 10
denied "may not call \"bank.audit\": .*policy:5:[0-9]+ denies it" asks 12345 FCALL bank.audit 0
denied "no rule" asks 12345 FCALL harmless.run 0
expect 90 asks 12345 GET acct:ada
denied "no rule" asks 12345 GET other
denied "no rule" asks 12345 MGET acct:ada other
denied "no rule" asks 12345 SET acct:ada 5
denied "no rule" asks 12345 DEL acct:ada
denied "no rule" asks 12345 GRAFT UNLOAD bank
denied "no rule" asks 12345 GRAFT LIST
denied "no rule" asks 12345 SHUTDOWN
denied "no rule" asks 12345 TXN KILL 1
denied "no rule" asks 12345 INFO
expect 90 asks 12345 GET acct:ada
exits 4 as 12345 "$dir/graftctl" unload bank

claim "SCAN shows the keys that the caller may read, and no other"
asks 12345 SCAN 0 COUNT 100 >"$dir/keys"
grep -q acct:ada "$dir/keys" || fail "a key is missing"
! grep -q other "$dir/keys" || fail "a key that may not be read"

claim "an operator by its group: load, list; a deny goes before"
expect_match bank asks 23456 GRAFT LIST
denied "policy:8:[0-9]+" asks 23456 GRAFT UNLOAD bank
denied "no rule" asks 23456 GRAFT UNLOAD harmless
expect_match "^map" asks 23456 GRAFT LOAD bank "@$dir/bank.graft" REPLACE
denied "no rule" asks 23456 GRAFT LOAD harmless "@$dir/harmless.graft" REPLACE
denied "no rule" asks 23456 GET acct:ada

claim "nobody in particular may say hello, and no more"
expect PONG asks 45678 PING
denied "no rule" asks 45678 GET acct:ada
denied "no rule" asks 45678 FCALL bank.audit 0

claim "admin may shut it down"
as 34567 "$dir/graftctl" --socket "$GRAFTD_SOCKET" shutdown >/dev/null
daemon_status
[ "$ended" -eq 0 ] || fail "graftd ended with $ended"
