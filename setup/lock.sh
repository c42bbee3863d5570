#!/bin/bash
# Writes requirements.lock anew from pyproject.toml: newest versions that fit, with the hashes of
# all their files, for the runtime, the extras and the build of the project itself; then, of the
# same versions, what the image `testbed` needs (images/testbed/requirements.lock).
# Names no index and no host: where packages come from is the business of the machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# compile NAME ARGUMENTS...: writes the lock of that name, unless an address got into it.
compile() {
    local lock=$1
    shift
    CUSTOM_COMPILE_COMMAND='make lock' "$work/venv/bin/pip-compile" --quiet --strip-extras \
        --allow-unsafe --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
        --output-file "$work/lock" "$@"
    if grep -n '://' "$work/lock"; then
        echo "lock: an address got into the lock file (above); $lock was not replaced" >&2
        exit 1
    fi
    mv "$work/lock" "$lock"
}

/usr/bin/python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet 'pip-tools==7.6.2'
compile requirements.lock --upgrade --extra dev --extra docker --build-deps-for editable pyproject.toml
compile images/testbed/requirements.lock --constraint requirements.lock \
    pyproject.toml images/testbed/requirements.in
