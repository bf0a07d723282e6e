#!/bin/sh
# The arrows of layers.txt hold: no file includes what its folder may not, and headers of other projects stay in their
# homes. Then a violation of each kind is planted in a copy, and must be found.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
TOP=$(cd "${TOP:-$here/../..}" && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

sources() { # of a tree: every C file outside hidden folders, build trees and old releases
    (cd "$1" && find . -type f \( -name '*.c' -o -name '*.h' -o -name '*.def' \) ! -path './.*/*' ! -path './graftd-*' | sed 's,^\./,,' | sort)
}

# Prints "file:line: what" for each violation.
check() { # TREE
    (cd "$1" && sources . | xargs grep -Hn '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<]') |
        awk -v layers="$here/layers.txt" '
    function normal(path,   part, n, i, out, depth) { # a/b/../c is a/c
        n = split(path, part, "/"); depth = 0
        for (i = 1; i <= n; i++)
            if (part[i] == "..") depth--
            else if (part[i] != ".") out[++depth] = part[i]
        path = ""
        for (i = 1; i <= depth; i++) path = path (i > 1 ? "/" : "") out[i]
        return path
    }
    BEGIN {
        while ((getline line < layers) > 0) {
            if (line ~ /^#/ || line ~ /^$/) continue
            split(line, side, ": *")
            n = split(side[2], word, " ")
            if (sub(/^home /, "", side[1])) {
                home[side[1]] = 1
                for (i = 1; i <= n; i++) lives[side[1], word[i]] = 1
            } else {
                known[side[1]] = 1
                for (i = 1; i <= n; i++) may[side[1], word[i]] = 1
            }
        }
    }
    {
        match($0, /:[0-9]+:/)
        file = substr($0, 1, RSTART - 1); where = substr($0, 1, RSTART + RLENGTH - 1)
        what = substr($0, RSTART + RLENGTH)
        quoted = what ~ /include[[:space:]]*"/
        sub(/^[^"<]*["<]/, "", what); sub(/[">].*/, "", what)
        folder = file; sub(/\/.*/, "", folder)
        if (!(folder in known)) { print where " the folder " folder "/ is not in layers.txt"; next }
        if (!quoted) {
            if ((what in home) && !((what, file) in lives)) print where " <" what "> has another home"
            next
        }
        if (what !~ /\// || what ~ /^\.\.?\//) { # beside the file
            beside = file; sub(/[^\/]*$/, "", beside)
            what = normal(beside what)
        } else {
            what = normal(what)
        }
        target = what; sub(/\/.*/, "", target)
        if (target != folder && !((folder, target) in may) && !((folder, what) in may))
            print where " " folder "/ may not include " what
    }'
}

found=$(check "$TOP")
[ -z "$found" ] || { echo "$found" >&2; exit 1; }

(cd "$TOP" && sources . | tar -c -T -) | tar -x -C "$copy"
[ -z "$(check "$copy")" ] || { echo "the copy is not as good as the original" >&2; exit 1; }

planted() { # FILE LINE: must be found, there
    mkdir -p "$copy/$(dirname "$1")"
    [ -e "$copy/$1" ] && cp "$copy/$1" "$copy/kept" || rm -f "$copy/kept"
    echo "$2" >>"$copy/$1"
    check "$copy" | grep -q "^$1:" || { echo "a violation went unseen: $2 in $1" >&2; exit 1; }
    [ -e "$copy/kept" ] && mv "$copy/kept" "$copy/$1" || rm "$copy/$1"
}

planted lib/buf.c '#include "txn/txn.h"'           # upwards
planted lib/buf.h '#include "policy/policy.h"'
planted txn/undo.c '#include "policy/policy.h"'    # sideways
planted policy/policy.c '#include "txn/txn.h"'
planted worker/main.c '#include "graftd/core.h"'
planted graftd/main.c '#include "worker/host.h"'
planted graftctl/main.c '#include "graftd/core.h"'
planted worker/main.c '#include "policy/policy.h"' # more than the jail
planted grafts/nop/nop.c '#include "lib/buf.h"'
planted include/graft.h '#include "lib/buf.h"'
planted txn/undo.c '  # include  "../policy/policy.h"' # in disguise
planted misc/new.c '#include <stdio.h>'            # a folder that nobody knows
for header in $(sed -n 's/^home \(.*\):.*/\1/p' "$here/layers.txt"); do
    planted lib/map.c "#include <$header>"
    planted graftd/main.c "#include <$header>"
done
echo "the arrows hold, and each planted violation was found"
