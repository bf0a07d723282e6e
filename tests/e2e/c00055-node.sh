#!/bin/sh
# The npm packages redis and ioredis, at the versions of package.json, work unchanged.
. "$(dirname "$0")/lib.sh"
{ command -v node && command -v npm; } >/dev/null || skip "node or npm is not installed (Debian: nodejs, npm)"
modules=$BIN/../tests/node # kept in the build tree
mkdir -p "$modules"
if ! cmp -s "$TOP/tests/e2e/package.json" "$modules/installed.json"; then
    cp "$TOP/tests/e2e/package.json" "$modules/package.json"
    (cd "$modules" && npm install --silent --no-audit --no-fund --no-package-lock) >"$dir/npm" 2>&1 || fail "npm install: $(cat "$dir/npm")"
    cp "$modules/package.json" "$modules/installed.json"
fi
start
load_graft "$TOP/grafts/bank/bank.c"
load_naughty segv
claim "redis and ioredis: commands, calls, errors, requests sent ahead, scans"
NODE_PATH=$modules/node_modules node "$TOP/tests/e2e/client.js" "$GRAFTD_SOCKET" || fail "client.js"
stop
