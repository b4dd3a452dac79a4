# SPDX-License-Identifier: Apache-2.0
# Functions for scripts that fetch packages of another Debian release than this machine's.
# To be sourced, not run.
# shellcheck shell=sh

has_apt() { command -v apt-get >/dev/null && command -v dpkg >/dev/null; }
may_install() { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

updated=no
update_lists() {
    [ $updated = yes ] && return
    updated=yes
    as_root apt-get -q update
}

# The Debian mirror that this machine's own apt uses; apt knows it only after an update.
debian_mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
        'Origin: Debian' 'Label: Debian' 'Component: main' | head -n 1
}

# open_release RELEASE FOLDER [deb-src]: make the folder $apt in FOLDER, with everything
# that an apt for this release keeps: the machine's own apt stays as it is. It knows the
# packages of the release, or their sources. The caller removes the folder. Fails where
# there is no apt, or none that knows a Debian mirror.
open_release() {
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    has_apt && [ -r "$keyring" ] || return
    mirror=$(debian_mirror)
    if [ -z "$mirror" ] && may_install; then
        update_lists
        mirror=$(debian_mirror)
    fi
    [ -n "$mirror" ] || return
    apt=$(mktemp -d "$2/apt.XXXXXX") || return
    mkdir -p "$apt/lists/partial" "$apt/archives/partial"
    echo "${3:-deb} [signed-by=$keyring] $mirror $1 main" >"$apt/sources.list"
    : >"$apt/status" # nothing is installed: what a package needs is fetched with it
}

# The apt of the release that was opened. It locks nothing, so that its user need not be
# root: its folder is nobody else's. A mirror out of reach is an error, not a warning.
release_apt() {
    apt-get -q -y -o APT::Sandbox::User="$(id -un)" -o Dir::Cache="$apt" \
        -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::Etc::PreferencesParts=/dev/null -o Dir::State::Lists="$apt/lists" \
        -o Dir::State::status="$apt/status" -o Debug::NoLocking=true \
        -o APT::Update::Error-Mode=any "$@"
}
