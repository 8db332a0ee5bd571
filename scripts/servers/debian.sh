# Debian's packages. Sourced by scripts/with-servers.
# shellcheck shell=bash

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)

install() {
    echo "with-servers: installing $*" >&2
    "${as_root[@]}" apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@" >&2
}

# Installs packages whose command is missing: need COMMAND=PACKAGE..
need() {
    local missing=() pair
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    if [ ${#missing[@]} -gt 0 ]; then install "${missing[@]}"; fi
}

# Prints the command of a package in at least that version. Where this Debian's own is older or
# missing, the next release's is unpacked into $folder, together with the libraries that it needs;
# nothing of it is installed. Usage: newer_command COMMAND PACKAGE VERSION
newer_command() {
    local version
    if command -v "$1" >/dev/null; then
        version=$("$1" --version | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1)
        if dpkg --compare-versions "$version" ge "$3"; then
            command -v "$1"
            return
        fi
    fi
    version=$(apt-cache policy "$2" | sed -n 's/^ *Candidate: *//p')
    if [ -n "$version" ] && dpkg --compare-versions "$version" ge "$3"; then
        install "$2"
        command -v "$1"
        return
    fi
    unpack_from_next_release
    [ -x "$folder/next/bin/$1" ] || fail "$2 $3 is neither in this Debian nor in the next release"
    echo "$folder/next/bin/$1"
}

# The sources of the release after bookworm: this machine's own, with the other code name.
next_release_sources() {
    local file
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list; do
        [ -f "$file" ] || continue
        case $file in
            *.sources)
                awk -v RS= -v ORS='\n\n' '/(^|\n)Suites: *bookworm( |\n|$)/' "$file" |
                    sed 's/^Suites:.*/Suites: trixie/' >"$1/${file##*/}" ;;
            *)
                grep -E '^deb .* bookworm ' "$file" | sed 's/ bookworm / trixie /' \
                    >"$1/${file##*/}" || true ;;
        esac
    done
}

# Downloads once into $cache, and unpacks at each run, since the servers' user may not reach the
# cache.
unpack_from_next_release() {
    [ ! -d "$folder/next" ] || return 0
    mkdir -p "$cache"
    local debs apt
    debs=$(cd "$cache" && pwd)/debs
    if [ ! -f "$debs/complete" ]; then
        echo "with-servers: downloading PgBouncer and Valkey from the next Debian release" >&2
        rm -rf "$debs"
        mkdir -p "$debs/sources" "$debs/lists/partial" "$debs/archives/partial"
        next_release_sources "$debs/sources"
        : >"$debs/status"
        apt=(apt-get -qq -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$debs/sources"
            -o Dir::State="$debs" -o Dir::State::status="$debs/status" -o Dir::Cache="$debs"
            -o APT::Sandbox::User= -o Debug::NoLocking=1)
        "${apt[@]}" update >&2
        # No package counts as installed, so that the C library and all others come along.
        "${apt[@]}" install -y --no-install-recommends --download-only \
            pgbouncer valkey-server >&2
        rm -rf "$debs/lists"
        touch "$debs/complete"
    fi
    local deb program name
    mkdir -p "$folder/next/root" "$folder/next/bin"
    for deb in "$debs"/archives/*.deb; do
        case ${deb##*/} in
            lib*|zlib1g*|gcc-*|pgbouncer_*|valkey-*) dpkg-deb -x "$deb" "$folder/next/root" ;;
        esac
    done
    local loader libraries
    loader=$(find "$folder/next/root/usr" -name 'ld-linux-*.so.*' | head -n 1)
    libraries=$(dirname "$(find "$folder/next/root/usr" -name libc.so.6 | head -n 1)")
    for program in "$folder/next/root/usr/sbin/pgbouncer" "$folder"/next/root/usr/bin/valkey-*; do
        name=${program##*/}
        printf '#!/bin/sh\nexec %s --library-path %s %s "$@"\n' "$loader" "$libraries" "$program" \
            >"$folder/next/bin/$name"
    done
    chmod 755 "$folder"/next/bin/*
}
