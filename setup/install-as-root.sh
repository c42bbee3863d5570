#!/bin/bash
# Installs the named Debian packages.  The only part of the set-up that runs with root rights:
#
#     install-as-root.sh PACKAGE...
#
# What it promises:
#   - no daemon that comes with a package is started (policy-rc.d says no while we install;
#     the guard is taken away again whatever happens, and one that was there is left alone);
#   - no daemon that comes with a package will start at the next boot;
#   - nothing that is installed already is removed, nor upgraded for its own sake.
# Exit status: 0 all installed, 1 some could not be (each is named).
set -euo pipefail

guard=${TESTBED_POLICY_RC_D:-/usr/sbin/policy-rc.d} # the variable is for the tests; sudo drops it
unit_links=${TESTBED_UNIT_LINKS:-/etc/systemd/system} # likewise
readonly guard unit_links
readonly mark='# testbed set-up guard; removed when the installation ends'

remove_guard() {
    if [ -f "$guard" ] && grep -qxF "$mark" "$guard"; then rm -f "$guard"; fi
}

place_guard() {
    # One at a time on this machine, whatever the checkout: the guard of another installation
    # that still runs must not be taken for one left behind.  Locks the folder: no file is made.
    exec 8<"${guard%/*}"
    flock -w 900 8 || { printf 'another installation has not ended in 15 minutes\n' >&2 && exit 1; }
    remove_guard # one left behind by an installation that was killed outright
    if [ -e "$guard" ] || [ -L "$guard" ]; then return 0; fi
    # noclobber: should another program put its own there just now, that one stays.
    if (set -o noclobber && printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$guard") 2>/dev/null; then
        chmod 755 "$guard"
    fi
}

apt() {
    # 8 and 9 are locks: nothing that apt leaves running must hold them.
    DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none NEEDRESTART_SUSPEND=1 \
        LC_ALL=C apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
        -o Dpkg::Options::=--force-confold "$@" </dev/null 8<&- 9>&-
}

install() { apt install --no-install-recommends --no-upgrade --no-remove "$@"; }

# Is there a package without a version to install?  Then the machine's package index is too old
# or was never fetched.
index_is_too_old() {
    local package candidate
    for package in "$@"; do
        candidate=$(LC_ALL=C apt-cache policy "$package" | sed -n 's/^  Candidate: //p')
        if [ -z "$candidate" ] || [ "$candidate" = '(none)' ]; then return 0; fi
    done
    return 1
}

installed_packages() {
    dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p'
}

# Units and init scripts of the packages that came in just now do not start by themselves.
disable_daemons_of() {
    local package file
    for package in "$@"; do
        while IFS= read -r file; do
            case $file in
            */systemd/system/*@.*) ;;
            */systemd/system/*.service | */systemd/system/*.socket | */systemd/system/*.timer)
                if disable_unit "${file##*/}"; then
                    printf 'disabled %s (came with %s)\n' "${file##*/}" "$package"
                fi
                ;;
            /etc/init.d/*)
                if compgen -G "/etc/rc[2345].d/S??${file##*/}" >/dev/null; then
                    update-rc.d "${file##*/}" disable
                    printf 'disabled %s (came with %s)\n' "${file##*/}" "$package"
                fi
                ;;
            esac
        done <<<"$(dpkg-query -L "$package")"
    done
}

# disable_unit UNIT: true if it was enabled and is not any more.  Works on files alone, so also in
# an image or a container that systemd does not run (and may be booted one day).
disable_unit() {
    if command -v systemctl >/dev/null; then
        [ "$(systemctl is-enabled "$1" 2>/dev/null)" = enabled ] || return 1
        systemctl --quiet disable "$1"
    else
        local links
        links=$(find "$unit_links" -lname "*/$1" -print -delete 2>/dev/null) || true
        [ -n "$links" ]
    fi
}

declare -A there_before=()

# However the installation ends: what it brought starts nothing, now or later.
finish() {
    local package arrived=()
    remove_guard
    while IFS= read -r package; do
        [ -n "${there_before[$package]:-}" ] || arrived+=("$package")
    done <<<"$(installed_packages)"
    [ ${#arrived[@]} -eq 0 ] || disable_daemons_of "${arrived[@]}"
}

main() {
    [ $# -gt 0 ] || { printf 'usage: install-as-root.sh PACKAGE...\n' >&2 && exit 2; }
    command -v apt-get >/dev/null || { printf 'no apt-get on this machine\n' >&2 && exit 1; }

    local package updated=no failed=()
    while IFS= read -r package; do there_before[$package]=1; done <<<"$(installed_packages)"
    trap finish EXIT # first: from the moment the guard exists, something takes it away
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    place_guard

    if index_is_too_old "$@"; then
        apt update || printf 'apt-get update failed; going on with the index that is here\n' >&2
        updated=yes
    fi
    if ! install "$@"; then
        if [ "$updated" = no ]; then apt update || true; fi
        if ! install "$@"; then
            # One that cannot be had must not keep the others away.
            for package in "$@"; do
                install "$package" || failed+=("$package")
            done
        fi
    fi
    if [ ${#failed[@]} -gt 0 ]; then
        printf 'could not be installed: %s\n' "${failed[*]}" >&2
        return 1
    fi
}

main "$@"
