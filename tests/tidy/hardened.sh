#!/bin/sh
# What was built is hardened as configure.ac says, and the unit as its file says: read from the results, not from the wishes.
set -eu
TOP=$(cd "${TOP:-$(dirname "$0")/../..}" && pwd)
BIN=${BIN:-$PWD/bin}
command -v readelf >/dev/null || { echo "skipped: there is no readelf"; exit 77; }

fail() {
    echo "hardened: $1" >&2
    exit 1
}
has() { # FILE WHAT PATTERN OPTION…: readelf prints a line that matches
    file=$1 what=$2 pattern=$3
    shift 3
    readelf -W "$@" "$file" 2>/dev/null | grep -E -q -e "$pattern" || fail "$file: $what"
}
has_not() {
    file=$1 what=$2 pattern=$3
    shift 3
    ! readelf -W "$@" "$file" 2>/dev/null | grep -E -q -e "$pattern" || fail "$file: $what"
}
check() { # PROGRAM
    has "$1" "is no position-independent program" 'Flags:.* PIE' -d
    has "$1" "has no read-only relocations" 'GNU_RELRO' -l
    has "$1" "binds its symbols late" 'Flags:.*NOW' -d
    has "$1" "says nothing about its stack" 'GNU_STACK' -l
    has_not "$1" "has an executable stack" 'GNU_STACK.* RWE ' -l
    has_not "$1" "has memory to write and to execute" 'LOAD .* RWE ' -l
    has_not "$1" "looks for libraries in a place of its own" 'R(UN)?PATH' -d
    symbols=--dyn-syms
    readelf -W -d "$1" | grep -q '(NEEDED)' || symbols=--syms # it is whole in itself
    has "$1" "has no stack protector" '__stack_chk_fail' $symbols
    # each of its own files was compiled so; a sanitizer's are C++
    flags=$(readelf --debug-dump=info "$1" 2>/dev/null | grep 'DW_AT_producer.* GNU C[0-9]' || :)
    [ -n "$flags" ] || fail "$1: there is no debug information to read the compiler's options from"
    for flag in -fPIE -fstack-protector-strong -fstack-clash-protection -fcf-protection=full; do
        bad=$(echo "$flags" | grep -c -v -e "$flag" || :)
        [ "$bad" -eq 0 ] || fail "$1: $bad of its files were compiled without $flag"
    done
    case $(cat "$BIN/../config.log" 2>/dev/null) in
    *enable-sanitizers*) ;; # which replace these
    *) has "$1" "was not compiled with _FORTIFY_SOURCE" '__[a-z]+_chk(@|$)' $symbols ;;
    esac
}
for program in graftd graftctl graft-worker; do
    check "$BIN/$program"
done
echo "- programs: position-independent, bound at start, stack protected, fortified, control flow marked"

# The check itself can fail.
if command -v cc >/dev/null; then
    soft=$(mktemp)
    echo 'int main(void) { return 0; }' | cc -x c -no-pie -o "$soft" - && (check "$soft") 2>/dev/null && fail "a soft program passed"
    rm -f "$soft"
    echo "- and a program that is not is found out"
fi

command -v systemd-analyze >/dev/null || exit 0
units=$(mktemp -d)
trap 'rm -rf "$units"' EXIT
sed -e 's,@bindir@,/usr/bin,;s,@sysconfdir@,/etc,' "$TOP/dist/graftd.service.in" >"$units/graftd.service"
said=$(systemd-analyze security --offline=yes "$units/graftd.service" 2>/dev/null | tail -n 1) || exit 0
exposure=$(echo "$said" | sed -n 's/.*: \([0-9]*\)\.\([0-9]\).*/\1\2/p')
[ -n "$exposure" ] || { echo "systemd-analyze does not know: $said"; exit 0; }
[ "$exposure" -le 15 ] || fail "$said"
echo "- the unit: exposure ${exposure%?}.${exposure#?} of 10"
