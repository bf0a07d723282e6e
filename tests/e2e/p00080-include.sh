#!/bin/sh
# A policy of several files: a later one goes before an earlier one; include reads another where it stands.
. "$(dirname "$0")/lib.sh"
mkdir "$dir/policy" "$dir/policy/more"
cat >"$dir/policy/00-default.scfg" <<'END'
limit clients 500
history keep 2d
graft default { limit cpu 40ms wall 5s; allow read write kv "*" }
graft bank { limit cpu 30ms; allow read write kv "acct:*" }
caller any { allow info }
END
cat >"$dir/policy/50-site.scfg" <<'END'
limit clients 7
include "more/bank.rules"
caller user 12345 { allow call "bank.*" }
END
cat >"$dir/policy/more/bank.rules" <<'END'
graft bank { allow read kv "acct:*"; allow write kv "acct:ada" }
END
start

claim "an operator's 50-site.scfg goes before the packaged 00-default.scfg, item by item"
expect_match '^limit key 4K value 16M clients 7 ' ctl policy show
expect_match '^history keep 2d ' ctl policy show
load_graft "$TOP/grafts/bank/bank.c"
expect_match '^limit cpu 30ms .*00-default\.scfg:4:' ctl info bank
expect_match '^limit wall 5s .*00-default\.scfg:3:' ctl info bank

claim "rules of a graft do not add up: the later file has them all; each denial names the included file"
expect 5 call bank.deposit acct:ada 5
fail_with DENIED call bank.deposit acct:bob 5
expect_match "$dir/policy/more/bank\.rules:1:" ctl policy why graft bank read kv acct:bob
expect_match "50-site\.scfg:3:" ctl policy why 12345 call bank.transfer

claim "callers add up"
expect_match "00-default\.scfg:5:" ctl policy why 12345 info

claim "a circle, a missing file and a way up are errors at the word, and change nothing"
echo 'include "more/bank.rules"' >"$dir/policy/60-more.scfg"
echo 'include "../00-default.scfg"
include "none.rules"' >>"$dir/policy/more/bank.rules"
exits 1 ctl policy reload
grep -q 'bank\.rules:2:9: error: an include goes down from' "$dir/stderr" || fail "the way up is not named"
grep -q 'bank\.rules:3:9: error: cannot be included: .*none\.rules' "$dir/stderr" || fail "the missing one is not named"
echo 'include "60-more.scfg"' >"$dir/policy/70-circle.scfg"
echo "include \"$dir/policy/60-more.scfg\"" >"$dir/policy/more/bank.rules"
exits 1 graftd --check --policy "$dir/policy"
grep -q 'bank\.rules:1:9: error: a circle: .*60-more\.scfg includes itself here' "$dir/stderr" || fail "the circle is not named"
expect 10 call bank.deposit acct:ada 5

claim "in one file a setting stands once"
rm "$dir/policy/60-more.scfg" "$dir/policy/70-circle.scfg"
: >"$dir/policy/more/bank.rules"
echo 'limit clients 8' >>"$dir/policy/50-site.scfg"
exits 1 ctl policy reload
grep -q '50-site\.scfg:4:7: error: limit clients is set twice; first at .*50-site\.scfg:1:7' "$dir/stderr" ||
    fail "the second one is not named: $(cat "$dir/stderr")"
stop
