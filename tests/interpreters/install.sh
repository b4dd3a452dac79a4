#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# install.sh VERSION...: find these versions of Python, and install those that are
# missing where this is possible. Prints one line for each. Quick and without effect
# when all are there. What cannot be installed here is only said; what can be, but then
# fails, makes this script fail if CI=true is in the environment.
#
# A version comes from the packages of a newer Debian release, with the C library and
# all else that they need. They are unpacked into a folder of their own in the user's
# cache and run by their own dynamic loader. So this takes a few seconds, no root, no
# chroot and no mounts; and pip finds the same settings and certificates as elsewhere.
#
# Debian has no package of the free-threaded 3.13t. It is compiled from Debian's source
# package, which takes about 3 minutes, and a compiler and headers, which are installed.
set -u
export LC_ALL=C
here=$(dirname "$0")
. "$here/../debian.sh"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/flipper-interpreters
log=$cache/install.log

apt=
close_release() {
    [ -z "$apt" ] || rm -rf "$apt"
    apt=
}
trap close_release EXIT
trap 'exit 1' HUP INT TERM

# What the environments run, whose `python` is a link to it. Python takes the name that
# it was called by, so that it knows the environment that it is in.
wrapper() { # wrapper VERSION LOADER
    folder=$cache/$1
    cat <<END
#!/bin/sh
exec '$folder/$2' --argv0 "\$0" --library-path '$folder/$(dirname "$2")' '$folder/usr/bin/python$1.real' "\$@"
END
}

opened=
unreachable=
reach() { # reach RELEASE KIND: open the release; not every machine reaches a Debian mirror
    [ "$opened" = "$1" ] && return
    case " $unreachable " in *" $1 "*) return 1 ;; esac
    close_release
    opened=
    mkdir -p "$cache"
    if { open_release "$1" "$cache" "$2" && release_apt update; } >>"$log" 2>&1; then
        opened=$1
    else
        unreachable="$unreachable $1"
        return 1
    fi
}

unpack() { # unpack VERSION: from the release that was opened into its folder
    tree=$apt/$1
    mkdir -p "$tree" && rm -f "$apt"/archives/*.deb &&
        release_apt install --download-only --no-install-recommends "python$1-venv" ||
        return
    for package in "$apt"/archives/*.deb; do
        dpkg -x "$package" "$tree" || return
    done
    loader=$(cd "$tree" && ls usr/lib/*-linux-gnu*/ld-linux*.so.*) || return
    # Debian's Python takes the pip of new environments from this folder.
    sed -i "s#/usr/share/python-wheels#$cache/$1&#" \
        "$tree/usr/lib/python$1"/_sysconfig*linux* || return
    python=$tree/usr/bin/python$1
    mv "$python" "$python.real" && wrapper "$1" "$loader" >"$python" &&
        chmod 755 "$python" || return
    "$tree/$loader" --library-path "$tree/$(dirname "$loader")" "$python.real" \
        -c 'import bz2, ctypes, lzma, sqlite3, ssl, venv, zlib' || return
    # Race: another run may have put it there meanwhile; either will do.
    mv -T "$tree" "$cache/$1" || [ -x "$cache/$1/usr/bin/python$1" ]
}

# The last one is for the tests: psycopg without its binary package needs it.
build_packages='gcc make libc6-dev libbz2-dev libffi-dev liblzma-dev libsqlite3-dev libssl-dev
zlib1g-dev libpq5'

lacking_packages() { # what has to be installed before a build
    for package in $build_packages; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' ||
            echo "$package"
    done
}

install_packages() { # install_packages PACKAGE...
    [ $# = 0 ] && return
    update_lists
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
}

build() { # build VERSION: from the sources of the release that was opened into its folder
    # shellcheck disable=SC2046 # a word for each package
    install_packages $(lacking_packages) || return
    (
        cd "$apt" && mkdir source &&
            release_apt source --download-only "python${1%t}" &&
            tar -xf "python${1%t}"_*.orig.tar.xz -C source --strip-components 1 &&
            cd source &&
            ./configure --prefix="$cache/$1" --disable-gil --with-ensurepip=install &&
            make -j "$(nproc)" && make install DESTDIR="$apt/installed"
    ) || return
    tree=$apt/installed$cache/$1
    "$tree/bin/python$1" -c 'import bz2, ctypes, lzma, sqlite3, ssl, venv, zlib' || return
    # Race: as above.
    mv -T "$tree" "$cache/$1" || [ -x "$cache/$1/bin/python$1" ]
}

status=0
for version; do
    if path=$(sh "$here/find.sh" "$version"); then
        echo "python$version: found $path"
        continue
    fi
    advice="install Python $version on the PATH or with pyenv"
    release=
    case $version in
    3.14 | 3.15) release=forky kind=deb make=unpack ;;
    3.13t) release=trixie kind=deb-src make=build ;;
    esac
    if [ -z "$release" ]; then
        : # it cannot be had from Debian
    elif ! reach $release $kind; then
        advice="$advice (Debian $release cannot be reached from here: $log)"
    elif [ $make = build ] && [ -n "$(lacking_packages)" ] && ! may_install; then
        advice="$advice (to compile it, these are missing: $(lacking_packages | tr '\n' ' '))"
    else
        [ $make = unpack ] || echo "python$version: building, takes about 3 minutes"
        if $make "$version" >>"$log" 2>&1 && path=$(sh "$here/find.sh" "$version"); then
            echo "python$version: installed $path"
            continue
        fi
        advice="$advice (installing it from Debian $release failed: $log)"
        [ "${CI:-}" != true ] || status=1
    fi
    echo "python$version: missing, so nothing is tested on it; $advice"
done
exit $status
