#!/bin/sh
# Database files that are damaged, cut off, of another format, or in another's hands: refused with a clear word, and not
# touched. A damaged log costs only what was not whole.
. "$(dirname "$0")/lib.sh"
start
i=0
while [ "$i" -lt 200 ]; do
    printf 'SET key%03d %0300d\r\n' "$i" "$i"
    i=$((i + 1))
done >"$dir/load"
echo QUIT | cat "$dir/load" - | "$TOOL/raw" "$GRAFTD_SOCKET" >/dev/null
state >"$dir/before"
stop
database=$dir/data/graftd.db
cp "$database" "$dir/good.db"

refused() { # PATTERN: it does not start, says why, and leaves the file as it is
    sha256sum "$database" >"$dir/sum"
    exits 1 graftd --data "$dir/data" --socket "$GRAFTD_SOCKET"
    grep -q -i -E "$1" "$dir/stderr" || fail "no reason that matches \"$1\": $(cat "$dir/stderr")"
    sha256sum --check --quiet "$dir/sum" || fail "the file was changed"
}
restore() { rm -f "$database"-* && cp "$dir/good.db" "$database"; }

claim "pages of noise in the middle"
pages=$(($(stat -c %s "$database") / 4096))
dd if=/dev/urandom of="$database" bs=4096 seek=$((pages / 2)) count=3 conv=notrunc 2>/dev/null
refused "damaged|malformed|corrupt"
restore

claim "a damaged schema, and a header with other numbers"
dd if=/dev/urandom of="$database" bs=1 seek=100 count=300 conv=notrunc 2>/dev/null
refused "damaged|malformed|corrupt|not a database"
restore
printf 'nope' | dd of="$database" bs=1 seek=68 count=4 conv=notrunc 2>/dev/null
refused "another program"
restore
printf '\000\000\003\347' | dd of="$database" bs=1 seek=60 count=4 conv=notrunc 2>/dev/null
refused "format 999"
restore

claim "cut off, to some pages, to half a header, to nothing"
truncate -s $((pages / 2 * 4096)) "$database"
refused "damaged|malformed|corrupt"
restore
truncate -s 50 "$database"
refused "database|damaged"
restore
: >"$database"
refused "empty|database|damaged"
restore

claim "a directory in its place, and one that we may not read"
rm "$database" && mkdir "$database"
exits 1 graftd --data "$dir/data" --socket "$GRAFTD_SOCKET"
[ -s "$dir/stderr" ] && [ -d "$database" ] || fail "no reason, or it is gone"
rmdir "$database"
restore

claim "in the hands of another process"
/usr/bin/python3 -c '
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("pragma locking_mode = exclusive")
db.execute("begin exclusive")
open(sys.argv[2], "w").close()
time.sleep(60)
' "$database" "$dir/held" &
holder=$!
background=$holder
until_true "the other to hold it" test -e "$dir/held"
refused "lock|use|busy|another process"
kill "$holder"
wait "$holder" 2>/dev/null || :
background=
restore

claim "after all that, the good one is served as it was"
start
state_is "$dir/before"

claim "while graftd has it, others cannot write it"
/usr/bin/python3 -c '
import sqlite3, sys
try:
    db = sqlite3.connect(sys.argv[1], timeout=0)
    db.execute("delete from kv")
    sys.exit("it was let in")
except sqlite3.OperationalError as e:
    print(e)
' "$database" >"$dir/out" || fail "another process wrote to the database"
state_is "$dir/before"

claim "a log that is damaged in its last quarter: what is whole before that is kept, in order, and nothing behind it"
i=0
while [ "$i" -lt 20 ]; do
    ctl set last "$i" >/dev/null
    ctl set "also$i" "$i" >/dev/null
    i=$((i + 1))
done
kill9
log=$database-wal
size=$(stat -c %s "$log")
[ "$size" -gt 40000 ] || fail "the log is too short for this test: $size"
dd if=/dev/urandom of="$log" bs=1 seek=$((size * 3 / 4)) count=500 conv=notrunc 2>/dev/null
start
last=$(graftctl get last) || last=-1
i=0
while [ "$i" -lt 20 ]; do
    if [ "$i" -lt "$last" ]; then
        expect "$i" ctl get "also$i"
    elif [ "$i" -gt "$last" ]; then
        exits 1 ctl get "also$i"
    fi
    i=$((i + 1))
done
[ "$last" -ge 5 ] && [ "$last" -lt 19 ] || fail "of 20 writes $((last + 1)) are left"
stop
