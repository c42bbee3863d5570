#!/bin/bash
# Brings the Debian packages of the given lists onto this machine, as far as that is possible:
#
#     debian.sh LIST...        (run in the project's folder, where .setup/ is)
#
# As root, or by sudo (without a password first; a password is asked for only on a terminal).
# Where neither is possible, says what is missing and what that costs, and goes on: whether the
# machine's Python will do without its package is for venv.sh to find out.  With
# TESTBED_SETUP_STRICT=1 anything missing is an error.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=setup/lib.sh
. "$here/lib.sh"

readonly log=.setup/apt.log

# Prints the words that give a command root rights, or says why there are none (status 1).
become_root() {
    if [ "$(id -u)" -eq 0 ]; then
        echo env # root already: any command that runs its arguments will do
    elif ! command -v sudo >/dev/null 2>&1; then
        echo 'you are not root, and there is no sudo on this machine'
        return 1
    elif sudo -n true 2>/dev/null; then
        echo 'sudo -n'
    elif [ -t 0 ] && [ -t 2 ] && [ -z "${CI:-}" ]; then
        say "Debian packages are missing; sudo asks for your password to install them"
        if sudo -v; then
            echo 'sudo -n'
        else
            echo 'you are not root, and sudo did not let you'
            return 1
        fi
    else
        echo 'you are not root, and sudo wants a password that cannot be asked for here'
        return 1
    fi
}

names_of() { cut -f1 | paste -sd' '; }

# The list a person can act on; rows on standard input.
explain_missing() {
    local package program rank purpose
    while IFS=$'\t' read -r package program rank purpose; do
        if [ "$rank" = must ]; then
            printf '    %-16s NEEDED: %s\n' "$package" "$purpose" >&2
        else
            printf '    %-16s %s\n' "$package" "$purpose" >&2
        fi
    done
}

main() {
    local missing how status=0
    missing=$(missing_rows "$@") || exit 1
    [ -n "$missing" ] || return 0
    local packages
    packages=$(names_of <<<"$missing")

    if ! has_dpkg; then
        warn 'this is not a Debian system; these are missing (Debian package names) and nothing was installed:'
        explain_missing <<<"$missing"
    elif how=$(become_root); then
        say "installing Debian packages: $packages"
        # shellcheck disable=SC2086  # both are lists of words
        $how bash "$here/install-as-root.sh" $packages >"$log" 2>&1 || status=$?
        [ "$status" -lt 128 ] || exit "$status" # interrupted
        grep '^disabled ' "$log" | sed 's/^/setup: /' >&2 || true
        missing=$(missing_rows "$@") || exit 1
        if [ -z "$missing" ]; then
            [ "$status" -eq 0 ] || fail "all packages are there, but the installation had trouble (see $log)"
            return 0
        fi
        warn "these Debian packages could not be installed (the whole log: $log):"
        explain_missing <<<"$missing"
        grep -E '^(E:|W:|could not|sudo:)' "$log" | tail -5 | sed 's/^/    /' >&2 || true
    else
        warn "$how; these Debian packages are missing:"
        explain_missing <<<"$missing"
    fi

    printf '  as root:  apt-get install --no-install-recommends %s\n' \
        "$(names_of <<<"$missing")" >&2
    if [ "${TESTBED_SETUP_STRICT:-0}" = 1 ]; then
        fail 'packages are missing, and TESTBED_SETUP_STRICT=1 asks for all of them'
    fi
    say 'going on; what needs a missing program is skipped and says so (see: testbed doctor)'
}

main "$@"
