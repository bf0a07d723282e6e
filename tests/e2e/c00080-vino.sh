#!/bin/sh
# The four grafts after VINO's: what they answer, and that who asks falls back on its own choice when they have none.
. "$(dirname "$0")/lib.sh"
start
for graft in readahead evict schedule encrypt; do
    load_graft "$TOP/grafts/vino/$graft.c"
done

claim "read-ahead follows the plan, also where a block stands in it twice, and begins anew"
expect 6 call readahead.plan --key ra 7 300 12 300 9 41
expect "12
300
9
41" call readahead.next --key ra --key ra:place 300
expect "9
41" call readahead.next --key ra --key ra:place 300
expect "300
12
300
9" call readahead.next --key ra --key ra:place 7
fail_with ABORTED call readahead.next --key ra --key ra:place 8
said "block 8 is not in the plan"
expect 1 ctl get ra:place

claim "eviction spares what is to be kept"
expect 3 call evict.keep --key hot 7 8 9
expect 31 call evict.choose --key hot 8 7 31 4
expect 4 call evict.choose --key nothing:is:hot 4 8
fail_with ABORTED call evict.choose --key hot 9 8 7
said "all 3 pages are to be kept"

claim "a turn is passed on to who can run, and circles end"
expect 8 call schedule.delegate --key turns 5 9 9 2 6 7 7 6
expect 2 call schedule.next --key turns 5 1 2 3
expect 9 call schedule.next --key turns 5 1 2 9
expect 3 call schedule.next --key turns 3 3
fail_with ABORTED call schedule.next --key turns 6 1 2
fail_with ABORTED call schedule.next --key turns 1 2

claim "encryption is ChaCha20 as in RFC 8439, section 2.4.2, and no stream is used twice"
printf '\000\001\002\003\004\005\006\007\010\011\012\013\014\015\016\017\020\021\022\023\024\025\026\027\030\031\032\033\034\035\036\037' \
    >"$dir/secret"
{
    head -c 64 /dev/zero # the example begins at the second step of the stream
    printf '%s' "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."
} >"$dir/text"
resp SET secret "@$dir/secret" >/dev/null
resp SET count $((0x4a000000 - 1)) >/dev/null
resp FCALL encrypt.block 2 secret count "@$dir/text" >"$dir/cipher"
[ "$(tail -c +73 "$dir/cipher" | head -c 16 | od -An -tx1 | tr -d ' \n')" = 6e2e359a2568f98041ba0728dd0d6981 ] ||
    fail "another cipher: $(od -An -tx1 "$dir/cipher" | tr -d '\n')"
expect $((0x4a000000)) ctl get count
fail_with ABORTED call encrypt.block --key no:secret --key count text
expect $((0x4a000000)) ctl get count
stop
