#!/bin/sh
# What one connection asks for takes effect in its order, though its calls are begun before those before them are decided:
# also where some fail, wait, are slow or are taken back, and where other commands stand between them.
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<'END'
graft default { limit cpu 400ms wall 20s; workers max 3; allow read write kv "*" }
END
start
load_graft "$TOP/tests/e2e/row.c"
load_graft "$TOP/tests/e2e/moody.c"

CLIENTS=6
CALLS=300 # of each

# On standard error: the numbers of the calls that go well.
asks() { # CLIENT MOODS
    awk -v client="$1" -v n="$CALLS" -v moods="$2" 'BEGIN {
        count = split(moods, mood, " ")
        for (i = 0; i < n; i++) {
            k = (i * 13 + client * 17) % 41
            m = k < count ? mood[k + 1] : "quick"
            if (m == "get")
                printf "GET row:%d\r\n", client
            else if (m == "other") # of another graft, and of one that there is not
                printf "FCALL moody.count 1 own:%d:%d quick\r\nFCALL nobody.home 0\r\n", client, i
            else if (m == "idem" || m == "dry")
                printf "CALL row.add %s ARGS row:%d %d quick\r\n", m == "dry" ? "DRYRUN" : "IDEM " client "." i, client, i
            else
                printf "FCALL row.add 0 row:%d %d %s\r\n", client, i, m
            if (m !~ /^(no|crash|get|other|dry)$/)
                printf "%d ", i >"/dev/stderr"
        }
        printf "QUIT\r\n"
    }'
}
check() { # MOODS
    clients=
    i=0
    while [ "$i" -lt "$CLIENTS" ]; do
        resp DEL "row:$i" >/dev/null
        asks "$i" "$1" >"$dir/asks.$i" 2>"$dir/expected.$i"
        "$TOOL/raw" "$GRAFTD_SOCKET" <"$dir/asks.$i" >"$dir/told.$i" &
        clients="$clients $!"
        background="$background $!"
        i=$((i + 1))
    done
    for pid in $clients; do
        wait "$pid" || fail "a client did not end"
    done
    background=
    i=0
    while [ "$i" -lt "$CLIENTS" ]; do
        ctl get "row:$i" >"$dir/row.$i"
        [ "$(cat "$dir/row.$i")" = "$(cat "$dir/expected.$i")" ] ||
            fail "client $i asked for $(cat "$dir/expected.$i"), and there is $(cat "$dir/row.$i")"
        i=$((i + 1))
    done
}

claim "quick calls"
check ""
[ "$(resp INFO grafts | tr -d '\r' | sed -n 's/^calls_behind://p')" -gt 0 ] || fail "none was begun behind another"

claim "some say no, some crash"
check "no quick crash quick no"

claim "some wait for a key that all want, some are slow"
check "hot spin hot quick hot no"

claim "other commands and other grafts stand between them"
check "get other no get quick other hot"

claim "calls with tokens, and calls that are only tried"
check "idem idem quick dry idem no dry idem quick crash idem"
stop
