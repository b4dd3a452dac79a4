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
set -u
export LC_ALL=C
here=$(dirname "$0")
. "$here/../debian.sh"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/flipper-interpreters
release=forky # has both
installable='3.14 3.15'
log=$cache/install.log

apt=
close_release() { [ -z "$apt" ] || rm -rf "$apt"; }
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

missing=
wanted=
for version; do
    if path=$(sh "$here/find.sh" "$version"); then
        echo "python$version: found $path"
        continue
    fi
    missing="$missing $version"
    case " $installable " in *" $version "*) wanted="$wanted $version" ;; esac
done

# Not every machine is a Debian, or reaches its mirror.
opened=no
if [ -n "$wanted" ] && mkdir -p "$cache"; then
    { open_release $release "$cache" && release_apt update; } >>"$log" 2>&1 && opened=yes
fi

status=0
for version in $missing; do
    advice="install Python $version on the PATH or with pyenv"
    case " $wanted " in
    *" $version "*)
        if [ $opened = no ]; then
            advice="$advice (Debian $release cannot be reached from here: $log)"
        elif unpack "$version" >>"$log" 2>&1 && path=$(sh "$here/find.sh" "$version"); then
            echo "python$version: installed $path"
            continue
        else
            advice="$advice (installing it from Debian $release failed: $log)"
            [ "${CI:-}" != true ] || status=1
        fi
        ;;
    esac
    echo "python$version: missing, so nothing is tested on it; $advice"
done
exit $status
