#!/bin/sh
# Which walls stand: doctor, the line at start, the filters; layers that are missing, by name.
. "$(dirname "$0")/lib.sh"
column() { cut -f"$1" "$dir/doctor"; }

claim "doctor needs no daemon: a line for each wall"
status=0
graftctl doctor >"$dir/doctor" 2>"$dir/verdict" || status=$?
[ "$(column 1 | sort -u | wc -l)" -ge 20 ] || fail "walls are missing: $(cat "$dir/doctor")"
for wall in seccomp no-new-privs self-test landlock mseal cgroup; do
    column 1 | grep -qx "$wall" || fail "nothing is said of $wall"
done
column 2 | grep -vxE 'stands|missing|missing, may|not asked for' && fail "a strange state"
if [ "$status" -eq 0 ]; then
    grep -q 'would start' "$dir/verdict" || fail "no verdict"
else
    grep -q 'would not start' "$dir/verdict" || fail "no verdict"
    skip "this machine lacks walls"
fi

claim "doctor as JSON"
graftctl doctor --json 2>/dev/null | /usr/bin/python3 -c '
import json, sys
walls = {w["wall"]: w for w in json.load(sys.stdin)}
assert walls["seccomp"]["state"] == "stands", walls
assert all(set(w) == {"wall", "state", "purpose", "reason", "hint", "running"} for w in walls.values())
assert all(w["running"] == "" for w in walls.values())'

claim "the filters, for people, with the hash that the start tells"
graftd --dump-filter >"$dir/filter"
hash=$(sed -n 's/^seccomp filters, \([0-9a-f]*\)\..*/\1/p' "$dir/filter")
[ ${#hash} -eq 16 ] || fail "no hash: $(head -n 1 "$dir/filter")"
worker_calls=$(sed -n '/^worker/,$p' "$dir/filter" | sed -n 's/^    allow //p' | sort | tr '\n' ',')
[ "$worker_calls" = "exit_group,read if argument 0 is 3,rt_sigreturn,write if argument 0 is 3," ] ||
    fail "a worker may: $worker_calls"
start
grep -q "seccomp=2-stage/$hash .*selftest=1" "$dir/log" || fail "the line at start: $(cat "$dir/log")"
graftctl stat grafts | grep -q "selftest=1" || fail "INFO does not tell"

claim "doctor tells of the walls of the daemon that runs, beside its own trial"
graftctl doctor >"$dir/doctor" 2>"$dir/verdict"
[ "$(grep -v '^cgroup' "$dir/doctor" | cut -f6 | sort -u)" = stands ] || fail "of the running one: $(cat "$dir/doctor")"
grep -q "^the graftd that runs (process $daemon): seccomp=2-stage/$hash .* degraded=none daemon=" "$dir/verdict" || fail "it said: $(cat "$dir/verdict")"
stop
graftctl doctor >"$dir/doctor" 2>"$dir/verdict"
[ "$(column 6 | sort -u)" = "" ] && grep -q '^no graftd runs that tells' "$dir/verdict" || fail "nobody runs: $(cat "$dir/doctor" "$dir/verdict")"

claim "a policy names the layers that must stand, and those that may be missing"
cat >"$dir/policy" <<'END'
sandbox require seccomp
END
exits 1 graftd --policy "$dir/policy" --check
grep -q 'seccomp always stands' "$dir/stderr" || fail "$(cat "$dir/stderr")"
echo 'sandbox allow-missing landlok' >"$dir/policy"
exits 1 graftd --policy "$dir/policy" --check
grep -q 'did you mean "landlock"' "$dir/stderr" || fail "$(cat "$dir/stderr")"
printf 'sandbox allow-missing self-test\nsandbox require mdwe\nsandbox allow-missing mdwe\n' >"$dir/policy"
exits 1 graftd --policy "$dir/policy" --check
grep -q 'self-test always stands' "$dir/stderr" || fail "$(cat "$dir/stderr")"
grep -q 'both required and allowed' "$dir/stderr" || fail "$(cat "$dir/stderr")"

# A machine without user namespaces, as far as a process in this one can tell.
cat >"$dir/poor" <<'END'
exec unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"' poor "$@"
END
poor() { sh "$dir/poor" "$@"; }
rm "$dir/policy"
if poor true 2>/dev/null; then
    claim "a missing wall refuses the start by name, with what to do"
    exits 1 poor graftd --data "$dir/data" --socket "$GRAFTD_SOCKET"
    grep -q -E 'lacks a wall: "(user|userns)".*allow-missing (user|userns)' "$dir/stderr" || fail "$(cat "$dir/stderr")"
    exits 1 poor graftctl doctor
    grep -q '^userns	missing	.*	allow namespaces' "$dir/stdout" || fail "$(cat "$dir/stdout")"

    claim "by name it may be missing, and graftd says so at each start"
    echo 'sandbox allow-missing user userns' >"$dir/policy"
    exits 0 poor graftctl doctor --policy "$dir/policy"
    grep -q '^userns	missing, may	' "$dir/stdout" || fail "$(cat "$dir/stdout")"
    sh "$dir/poor" graftd --data "$dir/data" --socket "$GRAFTD_SOCKET" --policy "$dir/policy" 2>"$dir/log" &
    daemon=$!
    until_true "graftd to be ready" graftctl ping
    grep -q 'degraded=user,userns daemon=' "$dir/log" || fail "$(cat "$dir/log")"
    graftctl doctor >"$dir/doctor" 2>&1
    [ "$(sed -n 's/^userns	//p' "$dir/doctor" | cut -f1,5)" = "stands	missing" ] || fail "where it runs: $(cat "$dir/doctor")"
    [ "$(sed -n 's/^mseal	//p' "$dir/doctor" | cut -f5)" = stands ] || fail "where it runs: $(cat "$dir/doctor")"
    load_graft "$TOP/grafts/nop/nop.c"
    load_naughty syscall
    fail_with CRASHED call syscall.run
    said SIGSYS
    stop
fi
