#!/bin/sh
# Misuses of graft.h that must not be built, or be warned of. Each source says in a comment what is to be said:
#
#     expect: PATTERN    the build fails, and says that (extended regular expression)
#     warn: PATTERN      the build passes, and says that
#
# GRAFTCTL names the program (graftctl), CC the compiler (cc; the patterns are gcc's).
set -u

graftctl=${GRAFTCTL:-graftctl} cc=${CC:-cc}
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failed=0

complain() { # SOURCE WHAT
    echo "$1: $2; it said:" >&2
    cat "$dir/said" >&2
    failed=1
}

for source in "$here"/*.c; do
    name=$(basename "$source")
    kind=$(sed -n 's,^/\* \(expect\|warn\): .*,\1,p' "$source")
    pattern=$(sed -n 's,^/\* \(expect\|warn\): \(.*\) \*/$,\2,p' "$source")
    "$graftctl" build "$source" -o "$dir/out.graft" --cc "$cc" >"$dir/said" 2>&1
    status=$?
    case $kind in
    expect) [ "$status" -eq 1 ] || complain "$name" "ended with $status instead of 1" ;;
    warn) [ "$status" -eq 0 ] || complain "$name" "ended with $status instead of 0" ;;
    *) complain "$name" "has no line expect: or warn:" ;;
    esac
    [ "$kind" = warn ] || [ ! -e "$dir/out.graft" ] || complain "$name" "left a graft"
    LC_ALL=C.UTF-8 grep -E -q -e "$pattern" "$dir/said" || complain "$name" "did not say \"$pattern\""
    rm -f "$dir/out.graft"
done
exit "$failed"
