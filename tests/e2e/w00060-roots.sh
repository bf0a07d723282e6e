#!/bin/sh
# The walls round graftd with file roots: grafts work in each root, backups go below their directory, and nothing goes elsewhere.
. "$(dirname "$0")/lib.sh"
mkdir -p "$dir/backups/deep" "$dir/srv/shelf" "$dir/elsewhere" "$dir/etc"
write_policy() { # WHAT: filer may do with files
    cat >"$dir/etc/policy" <<END
backup "$dir/backups"
root x "$dir/srv/shelf"
graft default { limit cpu 200ms wall 5s; allow read write kv "*"; allow $* }
END
}
begin() { start --policy "$dir/etc/policy"; }
write_policy 'read write file "x/*"'
begin
if grep -q 'daemon=none' "$dir/log"; then skip "this graftd is instrumented"; fi
if ! grep -q 'daemon=[a-z,]*landlock' "$dir/log"; then skip "the kernel has no landlock"; fi
load_graft "$TOP/tests/e2e/filer.c"
run() { call filer.run "$@"; }
holds() { # FILE TEXT
    printf %s "$2" | cmp -s - "$1" || fail "$1 does not hold \"$2\": $(cat "$1" 2>&1)"
}

claim "grafts write, append, rename, remove and read in a root"
expect "0
0
0
0" run write x/a one write x/new/dir/b two append x/a more rename x/a x/c
holds "$dir/srv/shelf/c" onemore
holds "$dir/srv/shelf/new/dir/b" two
expect "onemore
0" run read x/c remove x/new/dir/b
[ ! -e "$dir/srv/shelf/new/dir/b" ] || fail "what was removed is there"
fail_with ABORTED call filer.fails x/c
holds "$dir/srv/shelf/c" onemore

claim "a backup goes below its directory, also deep, and nowhere else"
ctl backup "$dir/backups/one.db" >/dev/null
ctl backup "$dir/backups/deep/two.db" >/dev/null
[ -s "$dir/backups/deep/two.db" ] || fail "there is no backup"
for place in "$dir/elsewhere/b.db" "$dir/srv/shelf/b.db" "$dir/backups/../elsewhere/b.db" "$dir/data/b.db"; do
    fail_with DENIED ctl backup "$place"
    [ ! -e "$place" ] || fail "$place was written"
done

claim "the policy is read again from behind the walls, also when a new file took the place of the old one"
write_policy 'read file "x/*"'
cp "$dir/etc/policy" "$dir/etc/next" && mv "$dir/etc/next" "$dir/etc/policy"
ctl policy reload >/dev/null
graftctl load "$dir/filer.graft" --replace >/dev/null
expect DENIED sh -c "graftctl call filer.run write x/c no 2>&1 | grep -o DENIED | head -n 1"
expect onemore run read x/c
write_policy 'read write file "x/*"'
kill -HUP "$daemon"
ruled() { graftctl policy show | grep -q 'allow read write file'; }
until_true "the policy to be read again" ruled
graftctl load "$dir/filer.graft" --replace >/dev/null
expect 0 run append x/c .

claim "after a crash all is there, and goes on"
kill9
begin
expect "onemore.
0" run read x/c write x/c again
holds "$dir/srv/shelf/c" again
stop
