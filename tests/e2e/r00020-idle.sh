#!/bin/sh
# Regression: a worker that lies about being ready could fork for ever, or spin where no call's deadline counts (W3, W6).
. "$(dirname "$0")/lib.sh"
start

claim "workers that die unused come ever more slowly"
load_naughty early_exit
sleep 2
forked=$(resp INFO grafts | tr -d '\r' | sed -n 's/^workers_forked://p')
[ "$forked" -lt 40 ] || fail "$forked workers were forked in two seconds"
expect OK ctl unload early_exit

claim "a worker that spins while it serves nobody is found and killed"
load_naughty early_spin
until_true "it is killed" grep -q "early_spin: worker .* killed: used CPU time while it served nobody" "$dir/log"
expect OK ctl unload early_spin
expect_match PONG resp PING
stop
