#!/bin/bash
# Shared by the scripts: messages, and packages from apt. Sourced with the repository's root as working folder.

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

die() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    [ $# -lt 2 ] || printf '  hint: %s\n' "$2" >&2
    exit 1
}

# packages GROUP...: the package names listed for these groups in script/packages.
packages() {
    local group
    for group in "$@"; do
        sed -n "s/^$group: *//p" script/packages
    done | tr ' ' '\n' | sed '/^$/d' | sort -u
}

# ensure_packages GROUP...: installs what is missing, and asks apt nothing when nothing is.
ensure_packages() {
    local missing=() name
    for name in $(packages "$@"); do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || die "these packages are missing: ${missing[*]}" "run: sudo apt-get install ${missing[*]}"
    say "installing ${#missing[@]} packages with apt: ${missing[*]}"
    local log
    log=$(mktemp)
    { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${missing[@]}"; } \
        >"$log" 2>&1 &
    local job=$!
    while kill -0 "$job" 2>/dev/null; do
        if [ -t 2 ]; then
            printf '\r\033[K    %s' "$(tail -n 1 "$log" | cut -c1-100)" >&2
        fi
        sleep 0.5
    done
    [ ! -t 2 ] || printf '\r\033[K' >&2
    wait "$job" || { tail -n 30 "$log" >&2; die "apt could not install the packages" "see above; then run this again"; }
    rm -f "$log"
}

# build_release TARGET...: configures once and builds; options for the configuration are in $configure_options.
build_release() {
    say "building (preset release)"
    # shellcheck disable=SC2086
    cmake --preset release ${configure_options:-} >build.log 2>&1 || { cat build.log >&2; rm -f build.log; die "cmake failed"; }
    rm -f build.log
    cmake --build --preset release "${@/#/--target=}"
}
