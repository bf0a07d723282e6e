# Directories compared, sourced by the scripts about files.

# DIRECTORY: what is in it but graftd's own: kind, mode, size, time of change to the nanosecond, content.
tree() {
    (
        cd "$1"
        find . -path ./.graftd -prune -o -type d -printf '%p d %m %T@\n' -o -printf '%p %y %m %s %T@\n' | sort
        find . -path ./.graftd -prune -o -type f -print0 | sort -z | xargs -0 -r sha256sum
    )
}

tree_is() { # DIRECTORY FILE: as tree() told it before
    tree "$1" >"$dir/tree.now"
    cmp -s "$2" "$dir/tree.now" || {
        diff "$2" "$dir/tree.now" >&2 || :
        fail "the files are not what they were"
    }
}

no_stage() { # DIRECTORY: nothing on its way is left behind; what was staged goes soon after the answer
    until_true "stage files to go" has_no_stage "$1"
}

has_no_stage() { [ -z "$(find "$1/.graftd" -name 'new.*')" ]; }
