#!/bin/sh
# What is no good graft is refused with BADGRAFT and a reason, by VERIFY and by LOAD; the daemon is unharmed.
. "$(dirname "$0")/lib.sh"
start
load_graft "$TOP/grafts/bank/bank.c"
bank=$dir/bank.graft
good() { # TOP of a graft's source, from the function on
    printf '#include <graft.h>\nGRAFT_MODULE("bad", "1.0.0", "is bad");\n%s\n' "$1" >"$dir/bad.c"
}
compile() { # past graftctl build, which would refuse
    cc -O2 -fPIC -shared -nostdlib -fvisibility=hidden -Wl,-z,relro,-z,now -I"$GRAFT_INCLUDE" -o "$dir/bad.graft" "$dir/bad.c"
}
refused() { # FILE NAME PATTERN
    fail_with BADGRAFT raw_load "$2" "$1"
    said "$3"
    fail_with BADGRAFT raw_verify "$1"
    expect 1 call bank.deposit acct:ada 1
    expect 1 ctl del acct:ada
    expect_match "^bank	" ctl list
    [ "$(graftctl list | wc -l)" -eq 1 ] || fail "something was loaded"
}

claim "bytes that are no object"
: >"$dir/empty"
head -c 100000 /dev/urandom >"$dir/noise"
refused "$dir/empty" noise .
refused "$dir/noise" noise .
printf '#!/bin/sh\n' >"$dir/script"
refused "$dir/script" noise .
refused /bin/true true .

claim "an object that was cut, anywhere"
size=$(wc -c <"$bank")
for part in 1 16 63 64 65 500 $((size / 4)) $((size / 2)) $((size - 1)); do
    head -c "$part" "$bank" >"$dir/cut"
    refused "$dir/cut" bank2 .
done

claim "an object under another name"
fail_with BADGRAFT raw_load another "$bank"
said "its name is bank"

claim "an import that is no host call: open()"
good 'int open(const char *, int, ...); GRAFT_FUNCTION(run, "") { return open("/etc/passwd", 0); }'
compile
refused "$dir/bad.graft" bad "open"

claim "an object without a function, and one without a module"
good ''
compile
refused "$dir/bad.graft" bad .
echo 'int nothing(void) { return 0; }' >"$dir/bad.c"
compile
refused "$dir/bad.graft" bad .

claim "a graft_init that fails, with its number; one that never ends"
fail_with BADGRAFT ctl load "$(build_graft "$TOP/tests/naughty/badinit.c")"
said "7"
fail_with BADGRAFT ctl load "$(build_graft "$TOP/tests/naughty/spininit.c")"
said "in time|CPU"

claim "names that are none: BADARG"
for name in "" Bank 1bank "ba nk" ../bank "$(printf '%0100d' 0 | tr 0 a)"; do
    status=0
    said=$(raw_load "$name" "$bank" 2>&1) || status=$?
    [ "$status" -ne 0 ] || fail "loaded under the name \"$name\""
done
[ "$(graftctl list | wc -l)" -eq 1 ] || fail "something was loaded"
stop
start
[ "$(graftctl list | wc -l)" -eq 1 ] || fail "something was kept"
stop
