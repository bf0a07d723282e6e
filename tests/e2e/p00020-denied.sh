#!/bin/sh
# What a graft may not do is denied, by the rule's place or because there is none, and leaves nothing (P1).
. "$(dirname "$0")/lib.sh"
cat >"$dir/policy" <<'END'
graft default { allow read write kv "*" }
graft denied {
    allow read write kv "naughty:*" "mine"
    allow read kv "read:*"
    deny write kv "naughty:frozen*"
}
graft bank { limit wall 20s cpu 5s; allow read write kv "acct:*" "bystander:*" }
graft harmless { limit cpu 50ms }
graft ratelimit { deny read kv "rate:secret" }
END
start
load_graft "$TOP/grafts/bank/bank.c"
load_graft "$TOP/grafts/ratelimit/ratelimit.c"
load_naughty denied harmless
resp MSET read:a 1 elsewhere:secret 2 naughty:frozen 3 bystander:x 1 >/dev/null
bystander_start

claim "no rule: DENIED says so; what was written before is undone"
sin DENIED "undone=1$" call denied.run write
said 'no rule allows it to write kv "elsewhere:denied"'
sin DENIED "undone=0$" call denied.run no
sin DENIED "undone=1$" call denied.run write elsewhere:secret read
said 'no rule allows it to read kv "elsewhere:secret"'
sin DENIED "undone=1$" call denied.run write read:a
said 'no rule allows it to write kv "read:a"'

claim "a deny goes before every allow, and is named file:line:column"
sin DENIED "undone=1$" call denied.run write naughty:frozen:1
said "$dir/policy:5:[0-9]+ denies it to write kv \"naughty:frozen:1\""

claim "a declared key that may not be read is not given"
fail_with DENIED call denied.run --key elsewhere:secret no mine
fail_with DENIED call bank.deposit --key elsewhere:secret 5

claim "what is allowed works"
expect OK call denied.run no mine
expect 1 call denied.run no read:a read
expect "was here" ctl get mine

claim "a graft with only a deny has no right at all; one with only limits has those of default"
fail_with DENIED call ratelimit.take x 5 1
expect_match "^harmless	1$" call harmless.run write

claim "effects of a function that says it has none: READONLY"
sin READONLY "undone=0$" call denied.read_only

claim "GRAFT INFO shows what is in force and where it stands"
expect_match '^deny write kv "naughty:frozen\*" .*:5:' ctl info denied
bystander_stop
stop

claim "with no policy at all, the one who started it may do everything"
rm "$dir/policy"
start
expect OK call denied.run no elsewhere:denied
stop
