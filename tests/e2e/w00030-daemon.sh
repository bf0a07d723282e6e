#!/bin/sh
# The walls round graftd itself, and where backups may go.
. "$(dirname "$0")/lib.sh"
threads() { cat /proc/"$daemon"/task/*/status; } # of the daemon
each() { # LINE: in the status of each thread
    [ "$(threads | grep -c -E "^$1\$")" -eq "$(threads | grep -c '^Name:')" ] ||
        fail "not every thread has \"$1\": $(threads | grep -E "^(Name|Seccomp|NoNewPrivs)")"
}
work() { # what a daemon does: load, call, crash, history, figures
    load_graft "$TOP/grafts/bank/bank.c" --replace
    load_graft "$TOP/tests/naughty/loop_after_write.c" --replace
    resp DEL acct:ada >/dev/null
    expect 100 call bank.deposit acct:ada 100
    fail_with TIMEOUT call --timeout 50 loop_after_write.run
    expect_match committed ctl txn list
    expect_match workers ctl stat
}

start
if grep -q 'daemon=none' "$dir/log"; then skip "this graftd is instrumented"; fi

claim "after its start graftd has given up privileges and system calls, in every thread"
each 'NoNewPrivs:	1'
each 'Seccomp:	2'
grep -q 'daemon=nnp,seccomp cgroup=' "$dir/log" || fail "$(cat "$dir/log")"
work

claim "without \`backup\` in the policy a backup goes wherever the administrator says"
ctl backup "$dir/copy.db" >/dev/null
stop

claim "a place for backups that is not there refuses the start"
echo "backup \"$dir/backups\"" >"$dir/policy"
exits 1 graftd --data "$dir/data" --socket "$GRAFTD_SOCKET" --policy "$dir/policy"
grep -q "cannot be written to $dir/backups" "$dir/stderr" || fail "$(cat "$dir/stderr")"

mkdir "$dir/backups"
echo "backup \"$dir/backups\"; graft default { allow read write kv \"*\" }" >"$dir/policy"
start

claim "with it graftd is limited to its own files too, and does its work"
grep -q 'daemon=nnp,seccomp' "$dir/log" || fail "$(cat "$dir/log")"
expect 150 call bank.deposit acct:ada 50
work
each 'Seccomp:	2'
graftctl stat grafts | grep -q 'sandbox_daemon' || fail "INFO does not tell"

claim "backups go below that directory alone"
ctl backup "$dir/backups/copy.db" >/dev/null
[ -s "$dir/backups/copy.db" ] || fail "there is no backup"
fail_with DENIED ctl backup "$dir/elsewhere.db"
said "backups are written below $dir/backups alone"
fail_with DENIED ctl backup "$dir/backups/../elsewhere.db"
fail_with DENIED ctl backup "$dir/backups2"

claim "not even by a link that leads out, where the machine has landlock"
if grep -q 'daemon=nnp,seccomp,landlock' "$dir/log"; then
    mkdir "$dir/outside"
    ln -s "$dir/outside" "$dir/backups/link"
    exits 1 graftctl backup "$dir/backups/link/copy.db"
    [ -z "$(ls "$dir/outside")" ] || fail "the backup went out"
fi

claim "a crash and a restart on the same data are as they were"
kill9
start
expect 100 call bank.deposit acct:bob 100
stop

claim "\`sandbox daemon off\` leaves graftd as it was started"
echo 'sandbox daemon off; graft default { allow read write kv "*" }' >"$dir/policy"
start
each 'Seccomp:	0'
grep -q 'daemon=none' "$dir/log" || fail "$(cat "$dir/log")"
expect_match '^sandbox daemon off$' ctl policy show
stop

claim "a start that fails leaves nothing running"
echo precious >"$dir/data/graftd.db"
exits 1 graftd --data "$dir/data" --socket "$GRAFTD_SOCKET"
pgrep -f "socket $GRAFTD_SOCKET" >/dev/null && fail "something runs on"
:
