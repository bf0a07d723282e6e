#!/bin/sh
# The audit log: who did what to whom and by which rule, a JSON object a line, and never in the way.
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<END
socket "$GRAFTD_SOCKET" mode 0666
graft default { allow read write kv "*" }
graft denied { allow read write kv "mine"; deny write kv "else*" }
caller user 12345 { allow call "bank.*"; deny call "bank.audit"; allow unload "bank"; deny command "backup" "graft load" }
END
chmod 755 "$dir"
start
me=$(id -u)
noted() { # PATTERN…: some line has them all
    ctl log -n 1000 >"$dir/noted"
    for pattern; do
        grep -E -e "$pattern" "$dir/noted" >"$dir/noted.next" || return 1
        mv "$dir/noted.next" "$dir/noted"
    done
}
must_note() { noted "$@" || fail "no line of the audit log has: $* in: $(ctl log -n 1000)"; }

claim "loads, unloads, kills, undos and changes of the policy have a line each: who, what, how it went"
load_graft "$TOP/grafts/bank/bank.c"
load_naughty denied sleep
must_note '"event":"load"' "\"uid\":$me," '"gid":[0-9]+' '"pid":[0-9]+' '"what":"bank"' '"verdict":"ok"' \
    '^\{"time":"20[0-9-]+T[0-9:.]+Z",.*\}$'
fail_with BUSY resp GRAFT LOAD bank "@$dir/bank.graft"
must_note '"event":"load"' '"what":"bank"' '"verdict":"BUSY"' '"why":"'
expect 5 call bank.deposit acct:ada 5
ctl txn undo "$(ctl txn list --count 1 --function deposit | cut -f1)" >/dev/null
must_note '"event":"undo"' '"what":"[0-9]+"' '"verdict":"ok"'
fail_with ERR resp TXN UNDO 999999
must_note '"event":"undo"' '"what":"999999"' '"verdict":"ERR"'
ctl policy reload >/dev/null
must_note '"event":"policy"' "\"what\":\"reload $dir/policy\"" '"verdict":"ok"'
ctl unload denied >/dev/null
must_note '"event":"unload"' '"what":"denied"' '"verdict":"ok"'

claim "a transaction that is killed"
running() { graftctl txn list | grep "	running	sleep.run" | cut -f1 | grep .; }
graftctl call sleep.run >/dev/null 2>&1 &
background="$background $!"
until_true "the call to run" running
id=$(running)
ctl txn kill "$id" >/dev/null
must_note '"event":"kill"' "\"what\":\"$id\"" '"verdict":"ok"'

claim "what a graft is denied names the rule, and is one line for many in a second"
load_naughty denied
for i in 1 2 3 4 5 6 7 8 9 10; do
    fail_with DENIED call denied.run no elsewhere:denied
done
must_note '"event":"denied"' '"graft":"denied.run","what":"write kv elsewhere:denied"' "\"rule\":\"$dir/policy:3:44\"" '"count":[0-9]+'
expect_match '^[1-9]$' grep -c '"graft":"denied.run"' "$dir/data/audit.log"

claim "the file is ours alone; graftctl log shows its end, and the daemon's own words are the same"
expect 600 stat -c %a "$dir/data/audit.log"
expect "$(tail -n 3 "$dir/data/audit.log")" ctl log -n 3

claim "SIGHUP opens it anew, for whoever moved it away"
mv "$dir/data/audit.log" "$dir/data/audit.log.1"
kill -HUP "$daemon"
until_true "a new audit log" test -e "$dir/data/audit.log"
until_true "the reload by SIGHUP in it" noted '"event":"policy"' "\"pid\":$daemon"
old=$(wc -l <"$dir/data/audit.log.1")
ctl unload bank >/dev/null
must_note '"event":"unload"' '"what":"bank"'
[ "$(wc -l <"$dir/data/audit.log.1")" -eq "$old" ] || fail "the old file grows"

claim "what waits is written before the end; half a line that a crash left is ended first"
fail_with DENIED call denied.run no elsewhere:late
stop
grep -q 'elsewhere:late' "$dir/data/audit.log" || fail "the last denial is lost"
printf '{"half' >>"$dir/data/audit.log"
start
ctl policy reload >/dev/null
must_note '"event":"policy"' '^\{"time":'
expect '{"half' grep '^{"half' "$dir/data/audit.log"
stop

claim "a log that is no plain file of ours is refused at the start"
rm "$dir/data/audit.log"
ln -s /dev/null "$dir/data/audit.log"
exits 1 graftd --policy "$dir/policy" --data "$dir/data" --socket "$GRAFTD_SOCKET"
grep -q "cannot write audit.log in the data directory" "$dir/stderr" || fail "it said $(cat "$dir/stderr")"
rm "$dir/data/audit.log"

[ "$me" -eq 0 ] && command -v setpriv >/dev/null || exit 0 # the rest is about somebody else
start
load_graft "$TOP/grafts/bank/bank.c"
cp "$TOOL/ask" "$dir/"
asks() { setpriv --reuid 12345 --regid 12345 --clear-groups "$dir/ask" "$GRAFTD_SOCKET" "$@"; } # WORD…

claim "what a caller is denied: the right, the subject and the rule, or that there is none"
fail_with NOPERM asks FCALL bank.audit 0
must_note '"event":"denied"' '"uid":12345,"gid":12345' '"what":"call bank.audit"' '"verdict":"denied"' "\"rule\":\"$dir/policy:4:42\""
fail_with NOPERM asks SET 'quo"te\' 5
must_note '"event":"denied"' '"what":"write kv quo\\"te' '"rule":"no rule"'
fail_with NOPERM asks AUDIT
must_note '"what":"admin"' '"rule":"no rule"'
expect OK asks GRAFT UNLOAD bank
must_note '"event":"unload"' '"uid":12345' "\"rule\":\"$dir/policy:4:66\""

claim "commands that are denied by name"
fail_with NOPERM asks BACKUP /tmp/x
said "may not use the command \"backup\": $dir/policy:4:[0-9]+ denies it"
must_note '"what":"command backup"' "\"rule\":\"$dir/policy:4:[0-9]+\""
fail_with NOPERM asks Graft Load bank x
said "may not use the command \"graft load\""
fail_with NOPERM asks GRAFT LIST
said "may not info"
fail_with NOPERM asks GET x
said "no rule allows it"

claim "a flood of different denials is bounded, and what is left out is counted"
cp "$TOOL/raw" "$dir/"
seq -f 'GET flood:%g' 1 400 | setpriv --reuid 12345 --regid 12345 --clear-groups "$dir/raw" "$GRAFTD_SOCKET" >"$dir/said"
expect 400 grep -c '^-NOPERM' "$dir/said"
must_note '"what":"read kv flood:1"'
stop
kept=$(grep -c '"what":"read kv flood:' "$dir/data/audit.log")
lost=$(sed -n 's/.*"event":"lost","lines":\([0-9]*\).*/\1/p' "$dir/data/audit.log" | awk '{ n += $1 } END { print n + 0 }')
[ "$kept" -lt 400 ] && [ $((kept + lost)) -eq 400 ] || fail "$kept lines and $lost lost are not 400"
