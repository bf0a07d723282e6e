#!/bin/sh
# The daemon runs out of memory: who wants much is closed at once, others go on, and nothing is lost.
. "$(dirname "$0")/lib.sh"
[ -x /usr/bin/python3 ] || skip "there is no python3"
command -v prlimit >/dev/null || skip "there is no prlimit"
case $(cat "$BIN/../config.log" 2>/dev/null) in
*enable-sanitizers*) skip "sanitizers need all the address space there is" ;;
esac
cat >"$dir/policy" <<'END'
limit idle 1h
graft default { allow read write kv "*" }
END
start
load_graft "$TOP/grafts/bank/bank.c"
size=$(sed -n 's/^VmSize:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$daemon/status")

claim "with 40 MB of address space left, requests of 60 MB end their connections; small ones and calls are served"
prlimit --pid "$daemon" --as=$(((size + 40000) * 1024))
/usr/bin/python3 "$TOP/tests/e2e/flood.py" "$GRAFTD_SOCKET" short || fail "flood.py short"
expect 20 ctl get short
stop

claim "what was answered is there"
start
expect 20 ctl get short
stop
