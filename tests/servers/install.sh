#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Find or install the servers that the tests talk to: Redis, PostgreSQL, Consul, and
# the Thrift compiler that `make thrift` runs. Prints one line for each. Quick and
# without effect when all are there; never fails, since the tests say what is missing
# (a skip, or a failure with CI=true).
set -u
export LC_ALL=C
. "$(dirname "$0")/../debian.sh"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/flipper-servers
consul_release=bullseye # the last Debian release with Consul (1.8.7)

program() { # program NAME [PATTERN...]: the path of NAME, on PATH or in a folder
    name=$1
    shift
    command -v "$name" && return
    for folder in "$@"; do
        [ -x "$folder/$name" ] && echo "$folder/$name" && return
    done
    return 1
}

find_redis() { program redis-server; }
# Debian keeps initdb and postgres off the PATH, in a folder for each version.
find_postgres() { program initdb /usr/lib/postgresql/*/bin; }
find_compiler() { program thrift; }
find_consul() { program consul "$cache/consul/usr/bin"; }

policy=/usr/sbin/policy-rc.d
policy_mark='# written by flipper tests/servers/install.sh'

# A policy that is already there is the administrator's: it decides, not we.
forbid_services() {
    [ -e "$policy" ] && ! grep -qsx "$policy_mark" "$policy" && return
    trap allow_services EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
}
allow_services() {
    grep -qsx "$policy_mark" "$policy" && as_root rm -f "$policy"
    trap - EXIT HUP INT TERM
}

install_packages() { # install_packages PACKAGE...
    update_lists
    forbid_services
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
    allow_services
    # Nor at the next boot: the tests start servers of their own.
    command -v systemctl >/dev/null && as_root systemctl --quiet disable "$@"
}

install_consul() {
    open_release "$consul_release" "$cache" || return
    (
        cd "$apt" || exit
        release_apt update && release_apt download consul &&
            dpkg -x consul_*.deb unpacked
        # Race: another run may have put it there meanwhile; either will do.
        [ -x unpacked/usr/bin/consul ] && [ ! -e "$cache/consul" ] &&
            mv unpacked "$cache/consul"
    )
    rm -rf "$apt"
}

log=
install() { # install COMMAND...: run it with its output kept for when it fails
    mkdir -p "$cache"
    log=$cache/install.log
    "$@" >>"$log" 2>&1
}

report() { # report LABEL FINDER FOUND_BEFORE ADVICE
    if [ -n "$3" ]; then
        echo "$1: found $3"
    elif path=$($2); then
        echo "$1: installed $path"
    else
        echo "$1: missing, install $4${log:+ (what was tried: $log)}"
    fi
}

# A server that the environment names is somebody else's affair.
had_redis=${FLIPPER_TEST_REDIS_URL:+by FLIPPER_TEST_REDIS_URL}
had_postgres=${FLIPPER_TEST_POSTGRES_CONNINFO:+by FLIPPER_TEST_POSTGRES_CONNINFO}
had_consul=${FLIPPER_TEST_CONSUL_URL:+by FLIPPER_TEST_CONSUL_URL}
had_redis=${had_redis:-$(find_redis)}
had_postgres=${had_postgres:-$(find_postgres)}
had_consul=${had_consul:-$(find_consul)}
had_compiler=$(find_compiler)

if has_apt; then
    packages=
    [ -n "$had_redis" ] || packages="$packages redis-server"
    [ -n "$had_postgres" ] || packages="$packages postgresql"
    [ -n "$had_compiler" ] || packages="$packages thrift-compiler"
    # shellcheck disable=SC2086 # a list of words
    [ -n "$packages" ] && may_install && install install_packages $packages
    [ -n "$had_consul" ] || install install_consul
fi

report redis find_redis "$had_redis" "redis-server (Debian package redis-server)"
report postgresql find_postgres "$had_postgres" \
    "PostgreSQL 13 or newer (Debian package postgresql)"
report consul find_consul "$had_consul" "the program consul, 1.8 or newer, on the PATH"
report thrift-compiler find_compiler "$had_compiler" \
    "the program thrift, 0.17 or newer (Debian package thrift-compiler)"
exit 0
