#!/bin/sh
# Files that a call may not touch: by the policy, by a limit, by what stands in the way. Nothing is left of what it did
# before (P1, P4, T3).
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tree.sh"
mkdir "$dir/elsewhere"
echo secret >"$dir/elsewhere/secret"
cat >"$dir/policy" <<END
root outbox "$dir/elsewhere"
graft default { limit cpu 1s wall 5s; allow read write kv "*"; allow read write file "*" }
graft bank { limit wall 20s cpu 5s; allow read write kv "*" }
graft filer {
    limit disk 100K
    allow read write kv "*"
    allow read write file "s" "s/*" "naughty/*" "link/*" "fifo" "top"
    deny write file "s/frozen*"
    deny read file "s/secret*"
    allow write file "outbox/drop/*"
}
graft disk { limit disk 1M cpu 5s wall 10s; allow read write kv "*"; allow write file "naughty/*" }
END
start
load_graft "$TOP/grafts/bank/bank.c"
load_graft "$TOP/tests/e2e/filer.c"
load_naughty paths disk
files=$dir/data/files
call filer.run write s/a here write s/b there >/dev/null
mkdir "$files/link" && ln -s ../s/a "$files/link/file" && ln -s "$dir/elsewhere" "$files/link/out" && mkfifo "$files/fifo"
echo hidden >"$files/s/secret"
tree "$files" >"$dir/before.tree"
bystander_start

refused() { # WORD PATTERN OP…: after a write, which goes too
    word=$1 pattern=$2
    shift 2
    fail_with "$word" call filer.run put k v append s/a more write s/new/x y "$@"
    said "$pattern"
    tree_is "$files" "$dir/before.tree"
    no_stage "$files"
    expect "(nil)" resp GET k
}

claim "no rule allows it, or one denies it: DENIED says which"
refused DENIED 'no rule allows it to write file "other/a"' write other/a x
refused DENIED 'no rule allows it to read file "outbox/secret"' read outbox/secret
refused DENIED "$dir/policy:8:[0-9]+ denies it to write file \"s/frozen/a\"" append s/frozen/a x
refused DENIED "$dir/policy:9:[0-9]+ denies it to read file \"s/secret\"" read s/secret
refused DENIED 'no rule allows it to write file "out"' rename s/a out
refused DENIED "$dir/policy:9:[0-9]+ denies it to read file \"s/secret\"" rename s/secret s/told
refused DENIED 'no rule allows it to read file ""' list ""

claim "who may only write may write, and learns nothing"
expect 0 call filer.run write outbox/drop/a x
[ "$(cat "$dir/elsewhere/drop/a")" = x ] || fail "it is not in the named root"
fail_with DENIED call filer.run read outbox/drop/a
expect 0 call filer.run remove outbox/drop/a

claim "symbolic links, whether to a file, to a directory or out of the root, are refused by name"
refused BADARG 'could not read file "link/file"' read link/file
refused BADARG 'could not write file "link/file"' write link/file x
refused BADARG 'could not append to file "link/out/secret"' append link/out/secret x
refused BADARG '"link/out/secret"' read link/out/secret
refused BADARG '"link/out/secret"' stat link/out/secret
refused BADARG '"link/out/' list link/out
refused BADARG 'link/file is a symbolic link' rename s/a link/file
[ "$(cat "$dir/elsewhere/secret")" = secret ] || fail "the world outside was changed"

claim "and so are directories and other things that are no files"
refused BADARG '"s"' read s
refused BADARG '"s"' write s x
refused BADARG '"s"' remove s
refused BADARG '"s/a/b"' write s/a/b x
refused BADARG '"fifo"' read fifo
refused BADARG '"outbox/drop/a"' rename s/b outbox/drop/a

claim "a path that is none is told to the graft, which may go on"
expect "2
2
2
2
2
0" call filer.run read ../x write /s/a x append s//a x remove s/./a stat s/.graftd write s/a here
tree "$files" >"$dir/before.tree"

claim "limit disk: of one call, all that it writes together"
refused LIMIT "wrote more than its 102400 bytes to files \($dir/policy:5:[0-9]+\).* limit=disk allowed=102400 used=1200[0-9][0-9]" fill s/big 60000 fill s/more 60000
fail_with LIMIT call disk.run write
said "limit=disk allowed=1048576"
tree_is "$files" "$dir/before.tree"

for how in dots hidden absolute exclusive none offset page info topic function args far; do
    claim "paths $how: CRASHED, undone"
    sin CRASHED "undone=1$" call paths.run write "$how"
    tree_is "$files" "$dir/before.tree"
done
bystander_stop
stop
