#!/bin/sh
# Who has many connections does not have many turns: users take turns in the queue of a graft (W6).
. "$(dirname "$0")/lib.sh"
[ -x /usr/bin/python3 ] || skip "there is no python3"
[ "$(id -u)" -eq 0 ] || skip "only root can be several users"
cat >"$dir/policy" <<END
socket "$GRAFTD_SOCKET" mode 0666
limit lock-wait 20s idle 20s
graft default { limit wall 20s hold 20s; workers max 1; allow read write kv "*" }
caller any { allow call "*"; allow read write kv "*"; allow info }
END
chmod 755 "$dir"
start
load_graft "$TOP/grafts/bank/bank.c"

claim "behind thirty calls of one user, another's two and a third's one come in turn; so they do behind a pipeline"
/usr/bin/python3 "$TOP/tests/e2e/turns.py" "$GRAFTD_SOCKET" || fail "turns.py"
stop
