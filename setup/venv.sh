#!/bin/bash
# Builds .venv in the current folder: the locked dependencies, checked by hash, and the project
# itself in place.  Costs next to nothing when all is as it was left.
#
#     venv.sh            build what is not up to date
#     venv.sh --check    build nothing; exit status 1 when something is not up to date
#
# The environment counts only once its two stamps are written, which happens last.  A build that
# fails or is interrupted puts the previous environment back.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=setup/lib.sh
. "$here/lib.sh"

readonly venv=.venv
readonly lock_stamp=$venv/stamp.lock project_stamp=$venv/stamp.project
readonly old=.setup/venv.old log=.setup/pip.log

# Python settings of the caller's shell must not reach into the environment that is built.
unset PYTHONHOME PYTHONPATH PIP_TARGET PIP_PREFIX PIP_ROOT
export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

# Prints the interpreter to build on, if the one named is fit: never that of another virtual
# environment (which may be the very one that is being replaced), but the one beneath it.
fit_python() {
    "$1" -c '
import sys, venv
if sys.version_info < (3, 11):
    sys.exit(1)
print(getattr(sys, "_base_executable", sys.executable))' 2>/dev/null
}

# The one that TESTBED_PYTHON names, if set.  Else Debian's own first: anyone may read it, while another one
# may lie in somebody's home.
find_python() {
    local candidate
    if [ -n "${TESTBED_PYTHON:-}" ]; then
        fit_python "$TESTBED_PYTHON" && return
        return 1
    fi
    for candidate in /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11; do
        if fit_python "$candidate"; then return; fi
    done
    return 1
}

# What an environment is built from: its stamps hold these keys.  Both have the folder in them,
# because the programs in an environment name their interpreter by its full path.
lock_key() { { pwd -P && "$1" -VV && echo "$1" && cat requirements.lock; } | sha256sum; }
project_key() { { pwd -P && cat pyproject.toml; } | sha256sum; }

stamped() { [ "$(cat "$1" 2>/dev/null)" = "$2" ] && [ -x "$venv/bin/python" ]; }

# pip install ARGUMENTS..., quietly into the log.
pip_install() {
    "${pip[@]}" install --no-color --progress-bar off "$@" >>"$log" 2>&1 </dev/null 9>&- || {
        grep -vE '^(WARNING: Location|Looking in)' "$log" | tail -15 | sed 's/^/    /' >&2
        fail "pip could not install (the whole log: $log)"
    }
}

put_back() {
    # Moved first: a child of pip may still be writing there, and would keep it from being removed.
    local scrap=.setup/venv.scrap
    rm -rf "$scrap" || true
    if [ -e "$venv" ]; then mv "$venv" "$scrap"; fi
    rm -rf "$scrap" || true
    if [ -e "$old" ]; then mv "$old" "$venv"; fi
}

# Debian keeps ensurepip in python3-venv; without it the environment has no pip of its own.
make_environment() {
    "$1" -m venv "$venv" >>"$log" 2>&1 && return
    rm -rf "$venv"
    "$1" -m venv --without-pip "$venv" >>"$log" 2>&1 || fail "$1 cannot make virtual environments (see $log)"
}

# Sets the array `pip`: the words that run pip on the environment.  Where it has none, the pip of
# another Python stands in, if that pip knows --python (22.3 and later do).
choose_pip() {
    local other
    pip=("$venv/bin/python" -m pip)
    if "${pip[@]}" --version >/dev/null 2>&1; then return; fi
    for other in "$1" python3; do
        pip=("$other" -m pip --python "$venv/bin/python")
        if "${pip[@]}" --version >/dev/null 2>&1; then return; fi
    done
    fail "no pip for $1: install its package (apt-get install python3-venv)"
}

build() {
    if [ -e "$old" ]; then put_back; fi # a build before this one was killed outright
    trap put_back EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    if [ -e "$venv" ] || [ -L "$venv" ]; then mv "$venv" "$old"; fi
    say "making .venv from $1 ($("$1" -c 'import platform; print(platform.python_version())'))"
    make_environment "$1"
    choose_pip "$1"
    say "installing $(grep -c '^[a-zA-Z0-9]' requirements.lock) locked Python packages"
    pip_install --prefer-binary --require-hashes -r requirements.lock
    pip_install --no-deps --no-build-isolation -e .
    project_key >"$project_stamp"
    lock_key "$1" >"$lock_stamp"
    trap - EXIT HUP INT TERM
    rm -rf "$old"
}

main() {
    local python pip=()
    if ! python=$(find_python); then
        [ "${1:-}" != --check ] || return 1
        [ -z "${TESTBED_PYTHON:-}" ] || fail "TESTBED_PYTHON=$TESTBED_PYTHON is not a Python 3.11 or newer"
        fail 'no Python 3.11 or newer found (Debian 12 and later have it: apt-get install python3)'
    fi
    if ! stamped "$lock_stamp" "$(lock_key "$python")"; then
        [ "${1:-}" != --check ] || return 1
        : >"$log"
        build "$python"
    elif ! stamped "$project_stamp" "$(project_key)"; then
        [ "${1:-}" != --check ] || return 1
        # Only the project's own description changed: its dependencies are as locked.
        : >"$log"
        say 'pyproject.toml changed: installing the project itself again'
        choose_pip "$python"
        rm -f "$project_stamp"
        pip_install --no-deps --no-build-isolation -e .
        project_key >"$project_stamp"
    fi
}

main "$@"
