#!/bin/bash
# Sets this checkout up: Debian packages, then .venv.  Every target of the Makefile that needs
# them runs this first; when nothing is to be done it takes a fraction of a second.
#
#     setup.sh [EXTRA...]     also the packages of debian-packages-EXTRA.txt (bench, ...)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=setup/lib.sh
. setup/lib.sh

lists=(setup/debian-packages.txt)
for extra in "$@"; do
    list=setup/debian-packages-$extra.txt
    [ -f "$list" ] || fail "there is no $list"
    lists+=("$list")
done

# Looked at before anything is written, so that a user who may only read this checkout can use it.
missing=$(missing_rows "${lists[@]}")
ready=no
if bash setup/venv.sh --check; then ready=yes; fi
if [ -z "$missing" ] && [ "$ready" = yes ]; then exit 0; fi

[ -w . ] || fail "$PWD is not set up yet, and you (user id $(id -u)) may not write to it"
mkdir -p .setup
[ -w .setup ] || fail "$PWD/.setup belongs to another user; run make as that user, or remove it"
exec 9>>.setup/lock
if ! flock -n 9; then
    say 'another set-up runs in this folder; waiting for it to end'
    flock -w 1800 9 || fail 'the other set-up has not ended in 30 minutes'
fi

bash setup/debian.sh "${lists[@]}"
bash setup/venv.sh
if [ "$ready" = no ]; then say "done in $SECONDS s"; fi
