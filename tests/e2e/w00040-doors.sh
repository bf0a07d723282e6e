#!/bin/sh
# Every system call number by each of the kernel's doors, from a graft that graftd runs: its call fails, is undone, and
# nobody else notices (W1).
. "$(dirname "$0")/lib.sh"
DOORS=${DOORS:-64 x32 int80}
cat >"$dir/policy" <<'END'
graft default { limit cpu 2s wall 20s; workers max 2; allow read write kv "*" }
END
start
load_graft "$TOP/grafts/bank/bank.c"
load_naughty door
bystander_start
state bystander: >"$dir/before"

# The few that do not die of the filter: exit_group ends the process, rt_sigreturn finds no frame, 335 (uretprobe) and 336
# (uprobe) pass every filter by the kernel's design: the first brings SIGILL, which the fault handler tells of and comes
# back from, so the worker speaks on after its last words; the second does nothing for who is not probed.
others() { grep -v -E '^[0-9]+	CRASHED	.*SIGSYS' "$1" | cut -f1 | sed 's/$/-1/' | bc | tr '\n' ' '; }
for door in $DOORS; do
    claim "$door: the numbers 0 to 600"
    i=0
    while [ "$i" -le 600 ]; do
        echo "[\"door.run\",\"write\",\"$i\",\"$door\"]"
        i=$((i + 1))
    done >"$dir/calls"
    graftctl call --batch "$dir/calls" --results "$dir/results" >/dev/null && fail "none of them failed"
    [ "$(wc -l <"$dir/results")" -eq 601 ] || fail "some are not answered"
    case $door in
    64)
        for number in $(others "$dir/results"); do
            line=$(sed -n "s/^$((number + 1))	//p" "$dir/results")
            case $number:$line in
            15:CRASHED*SIGSEGV* | 231:CRASHED*exit* | 335:CRASHED* | 336:ok*) ;;
            *) fail "number $number: $line" ;;
            esac
        done
        ;;
    *) [ -z "$(others "$dir/results")" ] || fail "not killed by the filter: $(others "$dir/results")" ;;
    esac
done
resp DEL naughty:door >/dev/null # of 336, which came to an end
state_is "$dir/before" bystander:
bystander_stop
stop
