#!/bin/sh
# The policy is read again while graftd runs, by POLICY RELOAD and SIGHUP; with any error the one in force stays (P3).
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<END
socket "$GRAFTD_SOCKET" mode 0600
limit clients 100
graft default { allow read write kv "*" }
caller user 12345 { allow info }
END
start
in_force() { # LINE: POLICY SHOW has it
    ctl policy show | sed 's/ *#.*//' | grep -q -F -x -e "$1"
}
log_has() { grep -E -q -e "$1" "$dir/log"; } # PATTERN
in_force "    allow info" || fail "the policy is not in force"

claim "a good one is in force at once"
sed -i 's/allow info/allow kill info/' "$dir/policy"
expect "policy reloaded: 2 rules" ctl policy reload
in_force "    allow kill info" || fail "the new policy is not in force"

claim "a broken one changes nothing: all its errors are in the reply and in the log"
cp "$dir/policy" "$dir/good"
printf 'limt key 1K\ngraft bank { allow raed kv "x" }\ncaller any { allow undo }\n' >>"$dir/policy"
exits 1 ctl policy reload
cat >"$dir/expected" <<END
$dir/policy:5:1: error: unknown directive "limt"; did you mean "limit"?
    limt key 1K
    ^~~~
$dir/policy:6:20: error: unknown right "raed"; did you mean "read"?
    graft bank { allow raed kv "x" }
                       ^~~~
the policy has errors; the one in force stays
END
diff "$dir/expected" "$dir/stderr" || fail "it said something else"
log_has 'policy:5:1: error: unknown directive "limt"' || fail "the log has no first error"
log_has 'policy:6:20: error: unknown right "raed"' || fail "the log has no second error"
in_force "    allow kill info" || fail "the policy in force did not stay"
! in_force "    allow undo" || fail "a part of the broken policy is in force"
rm "$dir/policy"
exits 1 ctl policy reload
grep -q "No such file" "$dir/stderr" || fail "the missing file is not named"
in_force "    allow kill info" || fail "the policy in force did not stay"

claim "SIGHUP does the same, and tells the log"
sed 's/allow kill info/allow undo info/' "$dir/good" >"$dir/policy"
kill -HUP "$daemon"
until_true "the policy of SIGHUP" in_force "    allow undo info"
echo '}' >>"$dir/policy"
kill -HUP "$daemon"
until_true "the errors of SIGHUP in the log" log_has 'policy:5:1: error: this } closes nothing'
in_force "    allow undo info" || fail "the policy in force did not stay"

claim "what needs a restart stays as it is, and is named; the rest changes"
sed -e 's/0600/0666/' -e 's/clients 100/clients 2 key 1K/' "$dir/good" >"$dir/policy"
expect "policy reloaded: 2 rules
restart needed for: socket, limit key" ctl policy reload
in_force "socket \"$GRAFTD_SOCKET\" mode 0600" || fail "the socket in force is another"
ctl policy show | grep -q '^limit key 4K .* clients 2 ' || fail "limits in force are others: $(ctl policy show | grep ^limit)"
resp GET "$(printf '%02000d' 1)" >/dev/null || fail "a key of 2000 bytes is refused before the restart"
stop
start
in_force "socket \"$GRAFTD_SOCKET\" mode 0666" || fail "the restart did not take it"
fail_with BADARG resp GET "$(printf '%02000d' 1)"

claim "a command that there is none of is warned about, at the start and at a reload"
sed 's/allow kill info/deny command "bakcup" "graft laod" "txn undo" "graft*" "shutdown"/' "$dir/good" >"$dir/policy"
cat >"$dir/expected" <<END
policy reloaded: 6 rules
restart needed for: socket, limit key
$dir/policy:4:21: warning: no command is named "bakcup", so this denies nothing
$dir/policy:4:21: warning: no command is named "graft laod", so this denies nothing
END
expect "$(cat "$dir/expected")" ctl policy reload
exits 0 graftd --check --policy "$dir/policy"
sed -n 3,4p "$dir/expected" | diff - "$dir/stderr" || fail "it said something else at the start"

claim "many reloads, while others call"
load_graft "$TOP/grafts/bank/bank.c"
bystander_start
i=0
while [ $i -lt 40 ]; do
    sed "s/allow kill info/allow info; allow read kv \"n:$i\"/" "$dir/good" >"$dir/policy.new"
    mv "$dir/policy.new" "$dir/policy"
    ctl policy reload >/dev/null || [ $? -eq 1 ] || fail "reload $i"
    kill -HUP "$daemon"
    i=$((i + 1))
done
until_true "the last policy" in_force '    allow read kv "n:39"'
bystander_stop
stop

claim "without a policy there is nothing to read again; SIGHUP is no end"
rm "$dir/policy"
start
fail_with BADARG ctl policy reload
said "graftd was started without --policy"
kill -HUP "$daemon"
until_true "word of SIGHUP in the log" log_has "SIGHUP: graftd was started without --policy"
expect PONG ctl ping

claim "POLICY CHECK takes a text, reads no file, and changes nothing"
expect_match "policy ok: 1 rules" resp POLICY CHECK 'caller any { allow info }'
expect_match 'policy:1:14: error: unknown directive "alow"; did you mean "allow"\?' resp POLICY CHECK 'caller any { alow info }'
expect_match 'only a policy that is a file can include others' resp POLICY CHECK 'include "/etc/passwd"'
stop
