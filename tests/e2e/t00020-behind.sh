#!/bin/sh
# Calls that are sent behind others in one worker: whatever becomes of those before them, each takes place once and whole,
# or fails as its own caller asked for, and leaves nothing (T3, T6, W4, W6).
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<'END'
graft default { limit cpu 400ms wall 20s; workers max 3; allow read write kv "*" }
END
start
load_graft "$TOP/tests/e2e/moody.c"

CLIENTS=12
CALLS=400 # of each

# Of every client: its moods, in places of their own; each call counts a key that is its own.
asks() { # CLIENT MOODS
    awk -v client="$1" -v n="$CALLS" -v moods="$2" 'BEGIN {
        count = split(moods, mood, " ")
        for (i = 0; i < n; i++) {
            m = (i * 7 + client * 31) % 97 < count ? mood[(i * 7 + client * 31) % 97 + 1] : "quick"
            other = m == "wait" ? " hot" : ""
            printf "FCALL moody.count 1 own:%d:%d %s%s\r\n", client, i, m, other
            print m >"/dev/stderr"
        }
        printf "QUIT\r\n"
    }'
}
of_all_keys() { # COMMAND CLIENT
    awk -v command="$1" -v client="$2" -v n="$CALLS" 'BEGIN {
        for (i = 0; i < n; i++)
            printf "%s own:%d:%d\r\n", command, client, i
        printf "QUIT\r\n"
    }' | "$TOOL/raw" "$GRAFTD_SOCKET" | tr -d '\r' | sed '$d'
}
all_ask() { # MOODS
    clients=
    i=0
    while [ "$i" -lt "$CLIENTS" ]; do
        asks "$i" "$1" >"$dir/asks.$i" 2>"$dir/moods.$i"
        of_all_keys DEL "$i" >/dev/null # and from here on the daemon has them in memory: no call waits for the disk
        i=$((i + 1))
    done
    i=0
    while [ "$i" -lt "$CLIENTS" ]; do
        "$TOOL/raw" "$GRAFTD_SOCKET" <"$dir/asks.$i" >"$dir/told.$i" &
        clients="$clients $!"
        background="$background $!"
        i=$((i + 1))
    done
    for pid in $clients; do
        wait "$pid" || fail "a client did not end"
    done
    background=
}
# What each was told belongs to its mood, and its key says the same.
judge() {
    i=0
    while [ "$i" -lt "$CLIENTS" ]; do
        of_all_keys GET "$i" | grep -v '^\$1$' | sed 's/^\$-1$/nil/' >"$dir/left.$i"
        tr -d '\r' <"$dir/told.$i" | sed '$d' >"$dir/said.$i"
        [ "$(wc -l <"$dir/said.$i")" -eq "$CALLS" ] || fail "client $i: $(wc -l <"$dir/said.$i") replies to $CALLS calls"
        [ "$(wc -l <"$dir/left.$i")" -eq "$CALLS" ] || fail "client $i: $(wc -l <"$dir/left.$i") keys of $CALLS"
        paste -d '|' "$dir/moods.$i" "$dir/left.$i" "$dir/said.$i" | awk -F '|' '
            function is(left, said) { return $2 == left && $3 ~ said }
            $1 == "no" && is("nil", "^-ABORTED moody.count: is in no mood; rolled back. txn=[0-9]+ undone=1$") { next }
            $1 == "crash" && is("nil", "^-CRASHED .*; rolled back. txn=[0-9]+ undone=1") { next }
            $1 == "loop" && is("nil", "^-TIMEOUT moody.count used its 400 ms of CPU; rolled back. txn=[0-9]+ undone=1 ") { next }
            $1 !~ /^(no|crash|loop)$/ && is("1", "^\\+OK$") { next }
            { print; bad = 1 }
            END { exit bad }' || fail "client $i: that was not what was asked for"
        i=$((i + 1))
    done
    resp DEL hot nested >/dev/null
}
counted() { # KEY MOOD: as often as it was asked for
    asked=$(cat "$dir"/moods.* | grep -c "^$2\$")
    expect "$asked" ctl get "$1"
}
number_of() { resp INFO grafts | tr -d '\r' | sed -n "s/^$1://p"; }

claim "many quick calls at once are sent behind each other"
all_ask ""
judge
[ "$(number_of calls_behind)" -gt 0 ] || fail "none was"

claim "one spins now and then: those behind it succeed elsewhere, once"
before=$(number_of calls_taken_back)
all_ask "spin"
judge
[ "$(number_of calls_taken_back)" -gt "$before" ] || fail "none was taken back"

claim "one says no, crashes or never ends: it fails alone"
all_ask "no quick crash quick no"
judge
CALLS=150
all_ask "loop"
judge
CALLS=400

claim "one waits for a key that others hold, or for a call inside it"
all_ask "wait nest wait nest"
counted hot wait
counted nested nest
judge

claim "nothing is left: no call, no lock, no transaction"
expect_match "^calls_running:0" resp INFO calls
expect_match "^txn_open:0" resp INFO store
stop
