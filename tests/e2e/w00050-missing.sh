#!/bin/sh
# Machines that lack walls: what graftd refuses, what it goes on without, and what the policy says of it.
. "$(dirname "$0")/lib.sh"
MSEAL=462 LANDLOCK=444 PIDFD=434 SECCOMP=317 UNSHARE=272
namespaces="userns mntns pidns netns ipcns utsns cgroupns"
refused() { # NUMBERS PATTERN: to start, with a sentence
    exits 1 "$TOOL/lack" "$1" graftd --data "$dir/data" --socket "$GRAFTD_SOCKET" --policy "$dir/policy"
    grep -q -E -e "$2" "$dir/stderr" || fail "lacking $1: $(cat "$dir/stderr")"
    exits 1 "$TOOL/lack" "$1" graftctl doctor --policy "$dir/policy"
}
runs() { # NUMBERS PATTERN: starts, says so, and holds a graft that asks the kernel
    exits 0 "$TOOL/lack" "$1" graftctl doctor --policy "$dir/policy"
    "$TOOL/lack" "$1" graftd --data "$dir/data" --socket "$GRAFTD_SOCKET" --policy "$dir/policy" 2>"$dir/log" &
    daemon=$!
    until_true "graftd to be ready" graftctl ping
    grep -q -E -e "$2" "$dir/log" || fail "lacking $1: $(cat "$dir/log")"
    for what in open socket exec kill int80; do
        fail_with CRASHED call syscall.run write "$what"
        said SIGSYS
    done
    expect "(nil)" resp GET naughty:syscall
    stop
}
policy() { printf '%s\n' "$@" 'graft default { allow read write kv "*" }' >"$dir/policy"; }

policy
start
load_naughty syscall
stop

claim "without mseal or landlock graftd goes on, and says so"
runs $MSEAL 'landlock=[1-9].* mseal=0 .*degraded=mseal '
runs $LANDLOCK,$MSEAL 'landlock=0 .*degraded=landlock,mseal '

claim "unless the policy requires them"
policy 'sandbox require mseal'
refused $MSEAL 'lacks a wall: "mseal" .*sandbox allow-missing mseal'
policy 'sandbox require landlock' 'sandbox degraded allow'
refused $LANDLOCK 'lacks a wall: "landlock"'

claim "without namespaces graftd does not start"
policy
refused $UNSHARE 'lacks a wall: "userns" .*sandbox allow-missing userns'

claim "by name it goes on, behind landlock; and not when that is missing, too"
policy "sandbox allow-missing $namespaces root"
runs $UNSHARE 'ns=none root=0 landlock=[1-9] .*degraded=userns,mntns,pidns,netns,ipcns,utsns,cgroupns,root '
refused $UNSHARE,$LANDLOCK 'lacks a wall: "landlock"'

claim "with \`sandbox degraded allow\` the filters alone stand, and hold"
policy 'sandbox degraded allow'
runs $UNSHARE,$LANDLOCK,$MSEAL 'ns=none root=0 landlock=0 .*mseal=0 .*selftest=1 '

claim "what always stands is waived by nothing"
refused $PIDFD 'lacks a wall: "pidfd" .*cannot run grafts without it'
refused $SECCOMP 'lacks a wall: "seccomp" .*cannot run grafts without it'
