#!/bin/sh
# redis-py, as Debian has it, works unchanged.
. "$(dirname "$0")/lib.sh"
/usr/bin/python3 -c 'import redis' 2>/dev/null || skip "redis-py is not installed (Debian: python3-redis)"
start
load_graft "$TOP/grafts/bank/bank.c"
load_naughty segv
claim "redis-py: commands, calls, errors, pipelines, scan_iter, threads"
/usr/bin/python3 "$TOP/tests/e2e/client.py" "$GRAFTD_SOCKET" || fail "client.py"
stop
