#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# find.sh VERSION: print the path of a Python of this version that can make environments:
# from the PATH, from pyenv, or where install.sh puts it. Fails if there is none.
set -u

for python in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python \
    "${XDG_CACHE_HOME:-$HOME/.cache}/flipper-interpreters/$1/usr/bin/python$1"; do
    "$python" -c 'import venv' 2>/dev/null && command -v "$python" && exit
done
exit 1
