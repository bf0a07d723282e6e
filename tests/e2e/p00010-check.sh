#!/bin/sh
# A broken policy: all errors at once, each with its place and a caret; nothing is started.
. "$(dirname "$0")/lib.sh"
cat >"$dir/broken.scfg" <<'END'
# a policy with slips
durability fulll
limit key 8K
graft bank {
    limit memry 64M
    limit cpu 50
    allow read kv "a*b"
    allow raed kv "acct:*"
}
caller user "nobody-of-that-name" { allow call "bank.*" }
graft bank { limit cpu 10ms }
END

claim "graftd --check lists every error, with a caret and a did-you-mean, and ends with 1"
cd "$dir"
exits 1 graftd --check --policy broken.scfg
diff "$TOP/tests/e2e/broken.said" "$dir/stderr" || fail "what it said is another"

claim "graftctl policy check says the same without a daemon"
exits 1 ctl policy check broken.scfg
grep -v '^graftd: ' "$TOP/tests/e2e/broken.said" >"$dir/expected"
cat "$dir/stdout" "$dir/stderr" | grep -v '^graftctl: ' | diff "$dir/expected" - || fail "what it said is another"

claim "graftd does not start with it, and makes nothing"
exits 1 graftd --policy broken.scfg --data "$dir/data" --socket "$GRAFTD_SOCKET"
[ ! -e "$dir/data" ] && [ ! -e "$GRAFTD_SOCKET" ] || fail "something was made"

claim "a good policy, a file or a directory of them"
exits 0 graftd --check --policy "$TOP/policy/example.scfg"
exits 0 ctl policy check "$TOP/policy/example.scfg"
mkdir policy.d
echo 'graft default { allow read write kv "*" }' >policy.d/10-all.scfg
echo 'graft bank { limit cpu 10ms }' >policy.d/20-bank.scfg
exits 0 graftd --check --policy policy.d
echo 'graft bank { limit cpu 20ms }' >policy.d/30-later.scfg
exits 0 graftd --check --policy policy.d
echo 'graft bank { limit cpu 30ms }' >>policy.d/30-later.scfg
exits 1 graftd --check --policy policy.d
grep -q '^policy\.d/30-later\.scfg:2:' "$dir/stderr" || fail "the place is not named: $(cat "$dir/stderr")"

claim "a policy that everybody may write is refused; so is one that is not there"
cp "$TOP/policy/example.scfg" open.scfg
chmod 666 open.scfg
exits 1 graftd --check --policy open.scfg
exits 1 graftd --check --policy nowhere.scfg

claim "what POLICY SHOW prints is a policy again, and the same"
cat >"$dir/policy" <<'END'
graft bank { limit cpu 20ms; allow read write kv "acct:*"; deny write kv "acct:frozen" }
caller user 1000 { allow call "bank.*"; allow read kv "acct:*" }
END
start
ctl policy show >"$dir/shown"
stop
mv "$dir/shown" "$dir/policy"
start
without_places() { sed 's/ *#.*//' "$1"; }
ctl policy show >"$dir/again"
without_places "$dir/policy" >"$dir/a"
without_places "$dir/again" >"$dir/b"
diff "$dir/a" "$dir/b" || fail "the policy changed"
stop
