#!/bin/sh
# POLICY WHY: the deciding rule with its place, or the line that would have to stand there.
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<'END'
graft default { allow read kv "rates:*" }
graft bank { allow read write kv "acct:*"; deny write kv "acct:frozen" }
caller user 12345 {
    allow call "bank.*"
    deny call "bank.audit"
    deny command "graft load"
}
caller any { allow info }
END
start

allowed() { # PATTERN QUESTION…
    pattern=$1
    shift
    exits 0 ctl policy why "$@"
    grep -E -q -e "^allowed: $pattern" "$dir/stdout" || fail "$*: said $(cat "$dir/stdout")"
}
denied() { # PATTERN QUESTION…: and its exit code is that of a denial
    pattern=$1
    shift
    exits 4 ctl policy why "$@"
    grep -E -q -e "^denied: $pattern" "$dir/stdout" || fail "$*: said $(cat "$dir/stdout")"
}

claim "a caller's answer names the rule"
allowed "$dir/policy:4:5: allow call \"bank\.\*\"" 12345 call bank.transfer
denied "$dir/policy:5:5: deny call \"bank\.audit\"" 12345 call bank.audit
denied "$dir/policy:6:5: deny command" 12345 command GRAFT LOAD
allowed "no rule denies this command" 12345 command backup
allowed "$dir/policy:8:14: allow info" 23456 info
allowed "uid 0 is root" root admin

claim "without a rule, what it prints is a line for the policy, and then the answer is yes"
denied "no rule allows it" 12345 write kv acct:1
grep '^caller ' "$dir/stdout" >>"$dir/policy"
ctl policy reload >/dev/null
allowed "$dir/policy:9:" 12345 write kv acct:1

claim "a graft's answer, before and after it is loaded: its rights are frozen"
allowed "$dir/policy:2:14: allow read write kv" graft bank write kv acct:1
denied "$dir/policy:2:44: deny write kv" graft bank write kv acct:frozen
allowed "$dir/policy:1:17: allow read kv" graft other read kv rates:eur
denied "no rule allows it; inside graft bank at $dir/policy:2:7" graft bank write file statements/x
grep -q '^    allow write file "statements/x"$' "$dir/stdout" || fail "no line to paste: $(cat "$dir/stdout")"
denied "no rule allows it; this would:" graft other write kv rates:eur
sed 1d "$dir/stdout" >>"$dir/policy"
load_graft "$TOP/grafts/bank/bank.c"
sed -i 's/^graft bank .*/graft bank { allow emit "x" }/' "$dir/policy"
ctl policy reload >"$dir/reloaded"
grep -q "^grafts that are loaded keep the rights" "$dir/reloaded" || fail "it does not say what loaded grafts keep"
allowed "$dir/policy:[0-9]+:[0-9]+: allow write kv \"rates:eur\"" graft other write kv rates:eur
allowed "$dir/policy:2:14: allow read write kv" graft bank write kv acct:1
grep -q "^Loaded again\|Loaded again, graft bank would be$" "$dir/stdout" || fail "it does not say what would be"
expect 5 call bank.deposit acct:ada 5
ctl load --replace "$dir/bank.graft" >/dev/null
denied "no rule allows it" graft bank write kv acct:1
allowed "$dir/policy:2:14: allow emit" graft bank emit x
fail_with DENIED call bank.deposit acct:ada 5

claim "what asks nothing is refused with how it goes"
fail_with BADARG ctl policy why nobody-of-that-name info
said "there is no user"
fail_with BADARG ctl policy why 12345 emit x
said "ask about a caller with one of: call GRAFT.FUNCTION"
fail_with BADARG ctl policy why graft bank call x.y
said "ask about a graft with one of: read kv KEY"
fail_with BADARG ctl policy why graft Bank emit x
exits 2 ctl policy why 12345
stop
