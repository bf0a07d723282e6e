#!/bin/sh
# Starting: the socket and its mode, who has the data directory, files that are not ours.
. "$(dirname "$0")/lib.sh"

claim "the socket belongs to who started it, unless the policy says otherwise"
start
expect 600 stat -c %a "$GRAFTD_SOCKET"
expect 700 stat -c %a "$dir/data"

claim "a second daemon on the same data is refused with a sentence, and harms nothing"
expect OK resp SET a 1
exits 1 graftd --data "$dir/data" --socket "$dir/other"
grep -q -i -E "data|use|lock" "$dir/stderr" || fail "no reason: $(cat "$dir/stderr")"
[ ! -e "$dir/other" ] || fail "it made its socket"
expect 1 resp GET a

claim "a second daemon on the same socket is refused, and the first keeps it"
exits 1 graftd --data "$dir/data2" --socket "$GRAFTD_SOCKET"
grep -q "listens on $GRAFTD_SOCKET already" "$dir/stderr" || fail "no reason: $(cat "$dir/stderr")"
expect 1 resp GET a

claim "a socket that a dead daemon left is no hindrance; the values are there"
kill9
[ -S "$GRAFTD_SOCKET" ] || fail "the dead one took its socket along"
start
expect 1 resp GET a
stop

claim "a clean end takes the socket along"
[ ! -e "$GRAFTD_SOCKET" ] || fail "the socket is there"

claim "a file in the place of the socket is not removed"
echo precious >"$GRAFTD_SOCKET"
exits 1 graftd --data "$dir/data" --socket "$GRAFTD_SOCKET"
expect precious cat "$GRAFTD_SOCKET"
rm "$GRAFTD_SOCKET"

claim "the policy sets the mode"
cat >"$dir/policy" <<END
socket "$GRAFTD_SOCKET" mode 0660 group 0
END
start
expect 660 stat -c %a "$GRAFTD_SOCKET"
stop
rm "$dir/policy"

database=$(ls "$dir"/data/*.db | head -n 1)
name=$(basename "$database")

claim "a database of another program is refused, and not touched"
mkdir -m 700 "$dir/foreign"
/usr/bin/python3 - "$dir/foreign/$name" <<'END'
import sqlite3
import sys
db = sqlite3.connect(sys.argv[1])
db.execute("create table notes (text)")
db.execute("insert into notes values ('precious')")
db.commit()
END
sha256sum "$dir/foreign/$name" >"$dir/sum"
exits 1 graftd --data "$dir/foreign" --socket "$GRAFTD_SOCKET"
grep -q "another program" "$dir/stderr" || fail "no reason: $(cat "$dir/stderr")"
sha256sum --check --quiet "$dir/sum" || fail "the foreign database was changed"

claim "a file that is no database is refused, and not touched"
mkdir -m 700 "$dir/noise"
head -c 65536 /dev/urandom >"$dir/noise/$name"
sha256sum "$dir/noise/$name" >"$dir/sum"
exits 1 graftd --data "$dir/noise" --socket "$GRAFTD_SOCKET"
[ -s "$dir/stderr" ] || fail "no reason"
sha256sum --check --quiet "$dir/sum" || fail "the file was changed"

claim "a data directory that others can write to is refused"
mkdir "$dir/open"
chmod 777 "$dir/open"
exits 1 graftd --data "$dir/open" --socket "$GRAFTD_SOCKET"
grep -q "others can write" "$dir/stderr" || fail "no reason: $(cat "$dir/stderr")"

claim "a damaged stored graft is not loaded; the others are"
start
load_graft "$TOP/grafts/bank/bank.c"
load_graft "$TOP/grafts/nop/nop.c"
sha256=$(graftctl list | sed -n 's/^nop	.*	//p')
stop
object=$(ls "$dir/data/grafts/$sha256"*)
printf 'x' | dd of="$object" bs=1 seek=2000 conv=notrunc 2>/dev/null || { chmod u+w "$object"; printf 'x' | dd of="$object" bs=1 seek=2000 conv=notrunc 2>/dev/null; }
start
expect 5 call bank.deposit acct:ada 5
exits 1 call nop.nop
grep -q damaged "$dir/stderr" || fail "the reason is not told: $(cat "$dir/stderr")"
stop

if [ -x /usr/bin/python3 ]; then
    claim "the service manager is told when it is ready, and when it stops"
    told() { [ "$(tr '\n' ' ' <"$dir/told")" = "$* " ]; }
    for path in "$dir/notify" "@$dir/notify"; do # a file, and an abstract name
        rm -f "$dir/notify" "$dir/told"
        /usr/bin/python3 "$TOP/tests/e2e/notify.py" "$path" "$dir/told" &
        background=$!
        until_true "the listener" [ -e "$dir/told" ]
        NOTIFY_SOCKET=$path
        export NOTIFY_SOCKET
        start
        unset NOTIFY_SOCKET
        until_true "READY=1" told READY=1
        stop
        until_true "STOPPING=1" told READY=1 STOPPING=1
        kill "$background"
        background=
    done
fi

claim "an empty path is told as what it is"
exits 1 graftd --data "" --socket "$GRAFTD_SOCKET"
grep -q "the path of the data directory is empty" "$dir/stderr" || fail "no reason: $(cat "$dir/stderr")"

claim "wrong options: 2 and the usage"
exits 2 graftd --nonsense
exits 2 graftd nonsense
exits 0 graftd --help
exits 0 graftd --version
