# The harness of the e2e scripts, sourced by each: a daemon of its own in a temporary directory, and short words to ask it.
#
#     TOP   the source tree
#     BIN   where graftd, graftctl and graft-worker are ($PWD/bin)
#     TOOL  where the helper programs of tests/tool/ are ($BIN/../tests/tool)
#
# A script prints what it claims, one line each; the first claim that does not hold ends it with 1 and the daemon's log.
# Whatever it started ends with it, by process id.
set -eu

script=$(basename "$0" .sh)
TOP=$(cd "${TOP:-$(dirname "$0")/../..}" && pwd)
BIN=$(cd "${BIN:-$PWD/bin}" && pwd)
TOOL=${TOOL:-$BIN/../tests/tool}
dir=$(mktemp -d "${TMPDIR:-/tmp}/graftd-e2e-XXXXXX")
unset XDG_RUNTIME_DIR
PATH=$BIN:$PATH
LC_ALL=C.UTF-8
GRAFTD_SOCKET=$dir/socket
GRAFT_INCLUDE=$TOP/include
export PATH LC_ALL GRAFTD_SOCKET GRAFT_INCLUDE

daemon=       # its process id, or nothing
background=   # what else runs
WAIT_STEPS=500 # of 20 ms: what a script waits for comes within 10 s, or never

# ---- the end ----

finish() {
    status=$?
    trap - EXIT
    for pid in $background $daemon; do
        kill -KILL "$pid" 2>/dev/null || :
        wait "$pid" 2>/dev/null || :
    done
    if [ "$status" -ne 0 ] && [ "$status" -ne 77 ]; then
        echo "$script: FAILED with status $status" >&2
        [ ! -s "$dir/log" ] || { echo "the daemon's last words:" && tail -n 30 "$dir/log"; } >&2
    fi
    [ -n "${KEEP:-}" ] && echo "kept: $dir" || rm -rf "$dir"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

fail() { # WHAT
    echo "$script: $1" >&2
    exit 1
}

skip() { # WHY
    echo "skipped: $1"
    exit 77
}

claim() { echo "- $1"; } # WHAT

# ---- waiting, always with a bound ----

until_true() { # WHAT COMMAND…: until the command succeeds
    what=$1
    shift
    steps=0
    until "$@" >/dev/null 2>&1; do
        steps=$((steps + 1))
        [ "$steps" -lt "$WAIT_STEPS" ] || fail "waited too long for $what"
        sleep 0.02
    done
}

is_gone() { ! kill -0 "$1" 2>/dev/null; } # PID

# ---- the daemon ----

start() { # [OPTION…]: with $dir/policy, if there is one, and waits until it answers
    [ ! -e "$dir/policy" ] || set -- --policy "$dir/policy" "$@"
    graftd --data "$dir/data" --socket "$GRAFTD_SOCKET" "$@" 2>>"$dir/log" &
    daemon=$!
    steps=0
    until graftctl ping >/dev/null 2>&1; do
        kill -0 "$daemon" 2>/dev/null || fail "graftd ended before it was ready"
        steps=$((steps + 1))
        [ "$steps" -lt "$WAIT_STEPS" ] || fail "graftd did not get ready"
        sleep 0.02
    done
}

daemon_status() { # waits until the daemon ended, and prints its status
    ended=0
    until_true "graftd to end" is_gone_or_zombie "$daemon"
    wait "$daemon" || ended=$?
    daemon=
}

is_gone_or_zombie() { # PID
    ! kill -0 "$1" 2>/dev/null || grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null
}

stop() { # as an operator does: it must end well, and leave no process behind
    list=$(descendants "$daemon")
    kill -TERM "$daemon"
    daemon_status
    [ "$ended" -eq 0 ] || fail "graftd ended with status $ended after SIGTERM"
    expect_gone "$list"
}

kill9() { # as a crash does: all that it started must go too
    list=$(descendants "$daemon")
    kill -KILL "$daemon"
    daemon_status
    expect_gone "$list"
}

descendants() { # PID: all below it, a line each
    for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
        echo "$child"
        descendants "$child"
    done
}

expect_gone() { # PIDS
    for pid in $1; do
        until_true "process $pid to go with its daemon" is_gone_or_zombie "$pid"
    done
}

# ---- asking ----

ctl() { graftctl "$@"; }
call() { graftctl call "$@"; }

expect() { # EXPECTED COMMAND…: it succeeds and prints just that
    expected=$1
    shift
    got=$("$@" 2>"$dir/stderr") || fail "$*: failed: $(cat "$dir/stderr")"
    [ "$got" = "$expected" ] || fail "$*: expected \"$expected\", got \"$got\""
}

expect_match() { # PATTERN COMMAND…: it succeeds and prints something that matches (extended regular expression)
    pattern=$1
    shift
    got=$("$@" 2>"$dir/stderr") || fail "$*: failed: $(cat "$dir/stderr")"
    echo "$got" | grep -E -q -e "$pattern" || fail "$*: nothing matches \"$pattern\" in: $got"
}

fail_with() { # WORD COMMAND…: it fails, and the first word on stderr is WORD; $said keeps all that it said
    word=$1
    shift
    status=0
    "$@" >"$dir/stdout" 2>"$dir/stderr" || status=$?
    said=$(cat "$dir/stderr")
    [ "$status" -ne 0 ] || fail "$*: succeeded, expected $word"
    case $said in
    "$word" | "$word "*) ;;
    *) fail "$*: expected $word, got status $status: $said" ;;
    esac
}

said() { # PATTERN: what fail_with heard matches
    echo "$said" | grep -E -q -e "$1" || fail "nothing matches \"$1\" in: $said"
}

exits() { # STATUS COMMAND…
    expected=$1
    shift
    status=0
    "$@" >"$dir/stdout" 2>"$dir/stderr" || status=$?
    [ "$status" -eq "$expected" ] || fail "$*: status $status, expected $expected: $(cat "$dir/stdout" "$dir/stderr")"
}

state() { "$TOOL/dump" "$GRAFTD_SOCKET" "$@"; } # [WITHOUT-PREFIX]: every key and value, byte for byte, sorted

state_is() { # FILE [WITHOUT-PREFIX]
    file=$1
    shift
    state "$@" >"$dir/state.now"
    cmp -s "$file" "$dir/state.now" || {
        diff "$file" "$dir/state.now" >&2 || :
        fail "the state is not what it was"
    }
}

# ---- grafts ----

build_graft() { # FILE: prints the path of the .graft
    graftctl build "$1" -o "$dir/$(basename "$1" .c).graft"
}

load_graft() { # FILE.c [OPTION…]
    source=$1
    shift
    graftctl load "$(build_graft "$source")" "$@" >/dev/null || fail "cannot load $source"
}

load_naughty() { # NAME…
    for name; do
        load_graft "$TOP/tests/naughty/$name.c"
    done
}

# graftctl load and verify look into the file first; these let the daemon do it.
raw_load() { # NAME FILE [REPLACE]
    name=$1 object=$2
    shift 2
    resp GRAFT LOAD "$name" "@$object" "$@"
}
raw_verify() { resp GRAFT VERIFY "@$1"; } # FILE

resp() { "$TOOL/ask" "$GRAFTD_SOCKET" "$@"; } # WORD…: one command, "@FILE" is a file's content; an error goes to stderr, status 1

# ---- somebody else's calls, at the same moment ----

# Transfers to and fro between two accounts, until bystander_stop: every one of them must succeed.
bystander_start() {
    resp MSET bystander:a 1000 bystander:b 0 >/dev/null
    : >"$dir/bystander.count"
    bystander_run 2>"$dir/bystander.err" &
    bystander=$!
    background="$background $bystander"
}

bystander_run() {
    trap - EXIT
    while [ ! -e "$dir/bystander.stop" ]; do
        graftctl call bank.transfer bystander:a bystander:b 7 >/dev/null || exit 1
        graftctl call bank.transfer bystander:b bystander:a 7 >/dev/null || exit 1
        echo >>"$dir/bystander.count"
    done
}

bystander_stop() {
    : >"$dir/bystander.stop"
    wait "$bystander" || fail "a call of another graft failed: $(cat "$dir/bystander.err")"
    background=
    [ -s "$dir/bystander.count" ] || fail "no call of another graft was made"
    expect "array 2
  1000
  0" resp MGET bystander:a bystander:b
}

# One sin: the call fails with WORD, its sentence matches PATTERN, the state is as before, the next calls succeed.
sin() { # WORD PATTERN CALL…
    word=$1 pattern=$2
    shift 2
    state bystander: >"$dir/before"
    fail_with "$word" "$@"
    said "; rolled back\. txn=[0-9]+ $pattern"
    state_is "$dir/before" bystander:
}
