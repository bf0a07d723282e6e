#!/bin/sh
# Each graft has a share of the CPU of its own, by control groups, where the policy asks for it and the machine has them (W6).
. "$(dirname "$0")/lib.sh"
graftctl doctor >"$dir/doctor" 2>/dev/null || :
grep -q '^cgroup	not asked for	.*limit cpu-weight' "$dir/doctor" || skip "no control groups for graftd: $(grep '^cgroup	' "$dir/doctor" | cut -f4)"

mkdir -p -m 700 "$dir/data" "$dir/other" "$dir/backups"
groups() { find /sys/fs/cgroup -type d -name "graftd-$(stat -c %D-%i "$1" | { # as graftd writes it: both in hex
    IFS=- read -r dev ino && printf '%s-%x' "$dev" "$ino"
})-[0-9]*.$2" 2>/dev/null | head -n 1; } # DATA daemon|grafts
group() { find "$(groups "$dir/data" grafts)" -type d -name "graft-$1-[0-9]*" ! -name '*-slow'; } # GRAFT
one_group() { [ "$(group "$1" | grep -c .)" -eq "$2" ]; }                        # GRAFT HOW-MANY
nothing_left() { [ -z "$(groups "$1" daemon)$(groups "$1" grafts)" ]; }          # DATA
weight() { cat "$1/cpu.weight" 2>/dev/null || echo $(($(cat "$1/cpu.shares") * 100 / 1024)); } # GROUP
holds() { # GROUP PID…
    at=$1
    shift
    for pid; do
        grep -qx "$pid" "$at/cgroup.procs" || fail "$pid is not in $at: $(cat "$at/cgroup.procs")"
    done
}
ticks() { # GROUP: CPU time of all in it, and of those of them that are slowed
    for pid in $(cat "$1/cgroup.procs" "$1-slow/cgroup.procs"); do
        sed 's/.*) //' "/proc/$pid/stat"
    done | awk '{ n += $12 + $13 } END { print n + 0 }'
}
claim "without a weight in the policy there are no groups, and nobody is moved"
own_groups() { cat /proc/"$1"/cgroup; } # PID
start
load_graft "$TOP/grafts/bank/bank.c"
expect 1 call bank.deposit a 1
nothing_left "$dir/data" || fail "groups: $(groups "$dir/data" daemon) $(groups "$dir/data" grafts)"
for pid in "$daemon" $(descendants "$daemon"); do
    [ "$(own_groups "$pid")" = "$(own_groups $$)" ] || fail "$pid was moved: $(own_groups "$pid")"
done
grep -q 'cgroup=none)' "$dir/log" || fail "the line at start: $(cat "$dir/log")"
graftctl stat grafts | grep -q 'sandbox_cgroup	none' || fail "INFO tells of groups"
! grep -q 'shares of the CPU' "$dir/log" || fail "nobody asked for shares: $(cat "$dir/log")"
! ctl info bank | grep cpu-weight || fail "a weight is told, and there is none"
stop

claim "the first weight takes a start, and the reload says so"
echo 'graft default { allow read write kv "*" }' >"$dir/policy"
start
echo 'graft bank { limit cpu-weight 200 }' >>"$dir/policy"
expect_match '^restart needed for: limit cpu-weight$' ctl policy reload
grep -q 'restart needed for: limit cpu-weight' "$dir/log" || fail "the log does not say it: $(cat "$dir/log")"
load_graft "$TOP/grafts/bank/bank.c" --replace
nothing_left "$dir/data" || fail "groups were made by a reload"
stop
exits 0 graftctl doctor --policy "$dir/policy"
grep -q '^cgroup	stands' "$dir/stdout" || fail "$(cat "$dir/stdout")"
start
[ "$(weight "$(group bank)")" -eq 200 ] || fail "the weight is not the policy's"
stop
nothing_left "$dir/data" || fail "groups are left after a stop"

cat >"$dir/policy" <<END
sandbox require cgroup
backup "$dir/backups"
graft default { limit cpu 1h wall 1h; workers max 8; allow read write kv "*" }
graft loop_after_write { limit cpu-weight 400 }
END

claim "graftd is in a group of its own, each graft's processes in another, with the policy's weight; behind all walls"
start
grep -q 'cgroup=v[12])' "$dir/log" || fail "the line at start: $(cat "$dir/log")"
graftctl stat grafts | grep -q 'sandbox_cgroup	v' || fail "INFO does not tell"
load_naughty loop loop_after_write segv
of_daemon=$(groups "$dir/data" daemon)
of_grafts=$(groups "$dir/data" grafts)
holds "$of_daemon" "$daemon" $(descendants "$daemon" | head -n 2)
[ -z "$(cat "$of_grafts/cgroup.procs")" ] || fail "processes between the groups"
[ "$(weight "$of_daemon")" -gt "$(weight "$of_grafts")" ] || fail "grafts weigh more than graftd"
[ "$(weight "$(group bank)")" -eq 100 ] || fail "the weight of bank is $(weight "$(group bank)")"
[ "$(weight "$(group loop_after_write)")" -eq 400 ] || fail "the weight is not the policy's"
expect_match '^limit cpu-weight 400 ' ctl info loop_after_write
expect_match 'cpu-weight 100' ctl policy show
for graft in loop loop_after_write segv bank; do # a template and a worker at least; no process of a graft is elsewhere
    [ "$(wc -l <"$(group $graft)/cgroup.procs")" -ge 2 ] || fail "$graft is not whole in its group"
done
everybody() { { echo "$daemon" && descendants "$daemon"; } | sort; }
in_groups() { cat "$of_daemon/cgroup.procs" "$of_grafts"/graft-*/cgroup.procs | sort; }
all_in_groups() { [ "$(everybody)" = "$(in_groups)" ]; }
until_true "all processes to be in the groups" all_in_groups

claim "a worker that replaces another one is born there"
before=$(cat "$(group segv)/cgroup.procs")
fail_with CRASHED call segv.run
has_new_worker() { cat "$(group segv)/cgroup.procs" | grep -vqxF "$before"; }
until_true "the new worker" has_new_worker
until_true "all processes to be in the groups again" all_in_groups

claim "replaced, it has one group again; unloaded, none"
load_graft "$TOP/grafts/bank/bank.c" --replace
until_true "the old group to go" one_group bank 1
expect 2 call bank.deposit a 1
graftctl unload bank >/dev/null
until_true "the group to go" one_group bank 0
stop
nothing_left "$dir/data" || fail "groups are left after a stop"

if command -v taskset >/dev/null; then
    claim "eight that spin in one graft take no more from another than its weight says"
    cpu=$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')
    taskset -c "$cpu" graftd --data "$dir/data" --socket "$GRAFTD_SOCKET" --policy "$dir/policy" 2>>"$dir/log" &
    daemon=$!
    until_true "graftd to be ready" graftctl ping
    for i in 1 2 3 4 5 6 7 8; do
        graftctl call loop.run >/dev/null 2>&1 &
        background="$background $!"
    done
    graftctl call loop_after_write.run >/dev/null 2>&1 &
    background="$background $!"
    all_spin() { [ "$(graftctl txn list | grep -c '	running	loop')" -eq 9 ]; }
    until_true "nine calls to run" all_spin
    many=$(group loop) one=$(group loop_after_write)
    slowed() { [ "$(wc -l <"$1-slow/cgroup.procs")" -ge "$2" ]; } # GROUP HOW-MANY
    until_true "the one to be moved aside" slowed "$one" 1
    for n in 1 3 5 8; do # on a busy machine they take their time
        until_true "$n of eight to be moved aside" slowed "$many" "$n"
    done
    many_before=$(ticks "$many") one_before=$(ticks "$one")
    sleep 3
    many_used=$(($(ticks "$many") - many_before)) one_used=$(($(ticks "$one") - one_before))
    echo "  eight workers at weight 100: $many_used ticks, one at weight 400: $one_used"
    [ "$one_used" -gt "$many_used" ] || fail "the graft with one worker had $one_used, the one with eight $many_used"
    for pid in $background; do
        kill -KILL "$pid" 2>/dev/null || :
        wait "$pid" 2>/dev/null || :
    done
    background=
else
    start
fi
kill9

claim "what a kill -9 leaves goes at the next start, of any graftd there"
[ -n "$(groups "$dir/data" daemon)" ] || fail "nothing was left: the claim is not tried"
start
one_group loop 1 || fail "not one group for a graft that was loaded again"
kill9
graftd --data "$dir/other" --socket "$GRAFTD_SOCKET" --policy "$dir/policy" 2>>"$dir/log" &
daemon=$!
until_true "graftd to be ready" graftctl ping
nothing_left "$dir/data" || fail "what the other one left is there still"
stop
nothing_left "$dir/other" || fail "groups are left after a stop"

cat >"$dir/poor" <<'END'
exec unshare -m sh -c 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"' poor "$@"
END
if sh "$dir/poor" true 2>/dev/null; then
    claim "where there are none graftd goes on and says so; not when the policy requires them"
    exits 1 sh "$dir/poor" graftd --data "$dir/data" --socket "$GRAFTD_SOCKET" --policy "$dir/policy"
    grep -q 'lacks a wall: "cgroup": ' "$dir/stderr" || fail "$(cat "$dir/stderr")"
    exits 1 sh "$dir/poor" graftctl doctor --policy "$dir/policy"
    grep -q '^cgroup	missing	.*Delegate=cpu' "$dir/stdout" || fail "$(cat "$dir/stdout")"
    sed -i 's/^sandbox.*//' "$dir/policy"
    exits 0 sh "$dir/poor" graftctl doctor --policy "$dir/policy"
    sh "$dir/poor" graftd --data "$dir/data" --socket "$GRAFTD_SOCKET" --policy "$dir/policy" 2>"$dir/log" &
    daemon=$!
    until_true "graftd to be ready" graftctl ping
    grep -q 'no shares of the CPU of their own' "$dir/log" || fail "$(cat "$dir/log")"
    grep -q 'cgroup=none)' "$dir/log" || fail "$(cat "$dir/log")"
    graftctl load --replace "$dir/loop.graft" >/dev/null
    stop
fi
