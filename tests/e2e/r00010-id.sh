#!/bin/sh
# Regression: a transaction id beyond what SQLite can hold ended the daemon.
. "$(dirname "$0")/lib.sh"
start

claim "an id that cannot be is refused, and graftd goes on"
for id in 9223372036854775808 18446744073709551615 18446744073709551616 0 -1 x; do
    for words in SHOW KILL; do
        fail_with ERR resp TXN "$words" "$id"
    done
    [ "$id" = 0 ] || fail_with ERR resp TXN LIST BEFORE "$id"
done
fail_with ERR resp TXN SHOW 9223372036854775806
said "is not in the history"
expect_match PONG resp PING
stop
