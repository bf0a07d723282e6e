#!/bin/sh
# Regression: pipelined large replies passed every bound, and a client that half-closed first was not missed when it went.
. "$(dirname "$0")/lib.sh"
[ -x /usr/bin/python3 ] || skip "there is no python3"
start
claim "a pipeline of large reads is answered whole, in bounded memory; who goes away in two steps is undone (T3)"
/usr/bin/python3 "$TOP/tests/e2e/hostile.py" "$GRAFTD_SOCKET" || fail "hostile.py"
peak=$(sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$daemon/status")
case $(cat "$BIN/../config.log" 2>/dev/null) in
*enable-sanitizers*) ;; # quarantined memory counts there
*) [ "$peak" -lt 200000 ] || fail "the daemon needed $peak KiB" ;;
esac
stop
