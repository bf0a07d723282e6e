# Sourced by the scripts beside it, with $root set to the source tree: packages, configure, build. One line a step, and the
# log of a step only when it fails.
# shellcheck shell=sh disable=SC2034,SC2154

if [ -t 1 ]; then
    bold=$(printf '\033[1m') green=$(printf '\033[32m') red=$(printf '\033[31m') plain=$(printf '\033[0m')
else
    bold='' green='' red='' plain=''
fi

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }
seconds() { awk -v ms="$1" 'BEGIN { printf "%.1f s", ms / 1000 }'; }

# step TEXT COMMAND…: runs it, with its output in a log that is shown only if it fails.
step()
{
    step_text=$1
    shift
    step_log=$(mktemp)
    step_begun=$(now_ms)
    if "$@" >"$step_log" 2>&1; then
        printf '%-44s %s\n' "$step_text" "$(seconds $(($(now_ms) - step_begun)))"
        rm -f "$step_log"
        return 0
    fi
    printf '%-44s %sfailed%s\n' "$step_text" "$red" "$plain"
    tail -n 60 "$step_log" >&2
    rm -f "$step_log"
    exit 1
}

# Whether a package is there; a node of another origin will do.
has_package()
{
    case $1 in
    nodejs) command -v node >/dev/null && return 0 ;;
    npm) command -v npm >/dev/null && return 0 ;;
    esac
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

install_packages()
{
    $sudo apt-get -q update && $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "$@"
}

# need_packages PURPOSE…: installs what is missing of scripts/packages. Where there is no dpkg, ./configure tells what it misses.
need_packages()
{
    missing=
    command -v dpkg-query >/dev/null || return 0
    for purpose in "$@"; do
        for package in $(awk -v purpose="$purpose" '$1 == purpose { $1 = ""; print }' "$root/scripts/packages"); do
            has_package "$package" || missing="$missing $package"
        done
    done
    [ -n "$missing" ] || return 0
    sudo=
    if [ "$(id -u)" != 0 ]; then
        sudo=sudo
        command -v sudo >/dev/null || die "packages are missing; as root: apt-get update && apt-get install$missing"
    fi
    # shellcheck disable=SC2086 # a list of words
    step "installing$missing" install_packages $missing
}

is_newer() { [ -n "$(find "$1" -newer "$2" 2>/dev/null)" ]; }

need_configure()
{
    for source in configure.ac Makefile.am tests/tests.am; do
        if [ ! -e "$root/configure" ] || is_newer "$root/$source" "$root/configure"; then
            step "making ./configure" autoreconf -fi "$root"
            return
        fi
    done
}

configure_in() { (cd "$1" && shift && "$root/configure" -q "$@"); }

# build_in FOLDER [OPTION OF CONFIGURE…]: configures and builds the programs there.
build_in()
{
    folder=$1
    shift
    need_configure
    mkdir -p "$folder"
    if [ ! -e "$folder/config.status" ] || is_newer "$root/configure" "$folder/config.status"; then
        step "configuring in ${folder#"$root"/}" configure_in "$folder" "$@"
    fi
    step "building in ${folder#"$root"/}" make -s -C "$folder" -j"$(nproc)"
}
