#!/bin/bash
# Writes requirements.lock anew from pyproject.toml: newest versions that fit, with the hashes of
# all their files, for the runtime, the extras and the build of the project itself.
# Names no index and no host: where packages come from is the business of the machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

/usr/bin/python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet 'pip-tools==7.6.2'
CUSTOM_COMPILE_COMMAND='make lock' "$work/venv/bin/pip-compile" --quiet --upgrade \
    --extra dev --extra docker --build-deps-for editable --strip-extras --allow-unsafe --generate-hashes \
    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
    --output-file "$work/requirements.lock" pyproject.toml
if grep -n '://' "$work/requirements.lock"; then
    echo 'lock: an address got into the lock file (above); it was not replaced' >&2
    exit 1
fi
mv "$work/requirements.lock" requirements.lock
