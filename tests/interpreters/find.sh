#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# find.sh VERSION: print the path of a Python of this version that can make environments:
# from the PATH, from pyenv, or where install.sh puts it. A version with a "t" at its end,
# such as 3.13t, is the free-threaded build. Fails if there is none.
set -u

case $1 in
*t) kind=t ;;
*) kind= ;;
esac
# pyenv calls a free-threaded one 3.13.5t, which `3.13.*` finds too.
check='import sys, venv; sys.exit(("t" in getattr(sys, "abiflags", "")) != bool(sys.argv[1]))'
cache=${XDG_CACHE_HOME:-$HOME/.cache}/flipper-interpreters/$1
for python in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"${1%t}".*"$kind"/bin/python \
    "$cache/usr/bin/python$1" "$cache/bin/python$1"; do
    "$python" -c "$check" "$kind" 2>/dev/null && command -v "$python" && exit
done
exit 1
