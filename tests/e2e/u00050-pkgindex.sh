#!/bin/sh
# A faulty version of a real graft: the work of its failed calls is gone, and that of the others is as the faultless version does it.
. "$(dirname "$0")/lib.sh"
echo 'graft default { limit cpu 50ms wall 20s; allow read write kv "*" }' >"$dir/policy"
start
load_naughty pkgindex_faulty
i=0
while [ "$i" -lt 200 ]; do
    name=package-$i
    sin=$(graftctl call pkgindex.sin "$name")
    stanza="Package: $name\\nSection: section-$((i % 7))\\nInstalled-Size: $((i * i % 1000))\\n"
    printf '%s\n' "[\"pkgindex.add\", \"$stanza\", \"faulty:\"]" >>"$dir/all"
    [ "$sin" != none ] || printf '%s\n' "[\"pkgindex.add\", \"$stanza\", \"good:\"]" >>"$dir/without-sin"
    echo "$sin" >>"$dir/sins"
    i=$((i + 1))
done
for sin in crash spin scribble abort none; do
    grep -q "$sin" "$dir/sins" || fail "no package sins by $sin"
done

claim "each sinner is told what it did, and all others are done"
exits 1 call --batch "$dir/all"
for word in ABORTED CRASHED TIMEOUT; do
    cat "$dir/stdout" "$dir/stderr" | grep -q "$word" || fail "nobody was told $word"
done

claim "the index is what the faultless version makes of those that did not sin, byte for byte"
load_graft "$TOP/grafts/pkgindex/pkgindex.c" --replace
call --batch "$dir/without-sin" >/dev/null || fail "the faultless version failed"
call pkgindex.table faulty: >"$dir/faulty"
call pkgindex.table good: >"$dir/good"
[ -s "$dir/good" ] || fail "the index is empty"
diff "$dir/good" "$dir/faulty" || fail "the indexes differ"
hex() { printf %s "$1" | od -An -tx1 | tr -d ' \n'; }
state >"$dir/state"
for prefix in faulty good; do
    sed -n "s/^$(hex "$prefix:")//p" "$dir/state" >"$dir/state.$prefix"
done
cmp "$dir/state.faulty" "$dir/state.good" || fail "the keys or values differ"
[ "$(wc -l <"$dir/state.good")" -eq 21 ] || fail "there are $(wc -l <"$dir/state.good") keys instead of 3 for each of 7 sections"
stop
