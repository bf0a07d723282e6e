#!/bin/sh
# Every test is run: a program or script that nobody listed in tests/tests.am would pass for ever, unseen.
set -eu
TOP=${TOP:-$(cd "$(dirname "$0")/../.." && pwd)}

unlisted() { # TOP: tests that its tests.am does not name
    (cd "$1" && ls tests/unit/test_*.c tests/fault/fault_*.c tests/fuzz/fuzz_*.c tests/e2e/[a-z][0-9]*.sh tests/tidy/*.sh) |
        while read -r file; do
            grep -qE "(^|[[:space:]])${file%.c}([[:space:]]|\$)" "$1/tests/tests.am" || echo "$file"
        done
}

found=$(unlisted "$TOP")
[ -z "$found" ] || { echo "not in tests/tests.am: $found" >&2; exit 1; }

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir "$copy/tests"
(cd "$TOP/tests" && cp -r unit fault fuzz e2e tidy tests.am "$copy/tests/")
touch "$copy/tests/unit/test_forgotten.c" "$copy/tests/e2e/z99999-forgotten.sh"
[ "$(unlisted "$copy" | wc -l)" = 2 ] || { echo "a test that is not listed went unseen" >&2; exit 1; }
echo "every test is listed, and two that were planted were found"
