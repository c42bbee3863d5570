#!/bin/bash
# The project's private Docker engine, for machines where none runs.  Nobody gets it unasked:
#
#     docker-engine.sh ensure    what `make` runs.  An engine that answers (DOCKER_HOST, the
#                                machine's own, or ours) is used as it is.  Where none does, ours is
#                                installed and started if TESTBED_DOCKER=start, and otherwise
#                                nothing is done and the exit status is 3.
#     docker-engine.sh start     install what is missing and start ours, whatever else there is
#     docker-engine.sh stop      end it and everything that runs in it; its images are kept
#     docker-engine.sh status    say what runs; exit status 3 when ours does not
#     docker-engine.sh socket    print the address of ours, for DOCKER_HOST
#     docker-engine.sh purge     stop it and remove its images, too
#
# It makes no bridge, no firewall rule and no setting: its containers have the host's network
# (builds) or none at all (labs bring their own).  It lives in a mount namespace of its own and its
# containers in a cgroup of its own, so that whatever it made is known, and goes, when it ends.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=setup/lib.sh
. setup/lib.sh

readonly run=${TESTBED_DOCKER_RUN:-/run/testbed-docker}
readonly data=${XDG_CACHE_HOME:-$HOME/.cache}/testbed/docker
readonly socket=$run/docker.sock pid_file=$run/dockerd.pid place_file=$run/mount-namespace
readonly machine_socket=${TESTBED_DOCKER_SOCKET:-/var/run/docker.sock} # the variable is for the tests
readonly log=$data/dockerd.log
readonly cgroups=${TESTBED_DOCKER_CGROUP:-testbed-docker}
# Folders that Docker and containerd make, wherever their state is told to be.
readonly folders=(/run/docker /run/docker/plugins /run/containerd /run/containerd/s /run/runc /etc/docker)
readonly patience=60 # seconds for the engine to answer, and to end

# answers SOCKET: does a Docker engine answer there?
answers() {
    [ -S "$1" ] && /usr/bin/env python3 - "$1" <<'PYTHON' 2>/dev/null
import socket, sys
with socket.socket(socket.AF_UNIX) as engine:
    engine.settimeout(10)
    engine.connect(sys.argv[1])
    engine.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
    sys.exit(b" 200 " not in engine.recv(64))
PYTHON
}

# Prints the address of the engine that is to be used, or nothing (status 1).  In the order in which
# testbed.images.engine looks.
find_engine() {
    local candidate
    if [ -n "${DOCKER_HOST:-}" ]; then
        echo "$DOCKER_HOST"
        return
    fi
    for candidate in "$machine_socket" "${XDG_RUNTIME_DIR:+$XDG_RUNTIME_DIR/docker.sock}" "$socket"; do
        if [ -n "$candidate" ] && answers "$candidate"; then
            echo "unix://$candidate"
            return
        fi
    done
    return 1
}

# runs PID: is this process our dockerd?  Told by its pid file, which is named in its command line.
runs() {
    local words
    [ -n "$1" ] && words=$(tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline") || return 1
    [[ $words == *"dockerd "*"--pidfile=$pid_file "* ]]
}

engine_pid() { cat "$pid_file" 2>/dev/null || true; }

# The processes of ours that are left: those in the engine's mount namespace (itself, containerd and
# the shims) and those in our cgroups (containers).
remaining() {
    local place link group
    place=$(cat "$place_file" 2>/dev/null) || place=none
    for link in /proc/[0-9]*/ns/mnt; do
        if [ "$(readlink "$link" 2>/dev/null)" = "$place" ]; then
            link=${link#/proc/}
            echo "${link%%/*}"
        fi
    done
    for group in /sys/fs/cgroup/"$cgroups" /sys/fs/cgroup/*/"$cgroups"; do
        if [ -d "$group" ]; then find "$group" -name cgroup.procs -exec cat {} + 2>/dev/null || true; fi
    done | { grep -vx 0 || true; } | sort -u # 0 is what another pid namespace has: not ours, and to kill 0 is to kill us
}

# await SECONDS COMMAND...: until the command succeeds.
await() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.1
    done
}

nothing_remains() { [ -z "$(remaining)" ]; }
ended() { ! runs "$1"; }
answers_or_ended() { answers "$socket" || ended "$1"; }

remove_cgroups() {
    local group
    for group in /sys/fs/cgroup/"$cgroups" /sys/fs/cgroup/*/"$cgroups"; do
        if [ -d "$group" ]; then find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true; fi
    done
}

# What an engine left that is gone or must go.  Its mounts went with its namespace.
clear_up() {
    local pid
    for pid in $(remaining); do kill -KILL "$pid" 2>/dev/null || true; done
    await "$patience" nothing_remains || fail "these processes of the engine do not end: $(remaining | paste -sd' ')"
    remove_cgroups
    if [ -r "$run/new-folders" ]; then tac "$run/new-folders" | xargs -r rmdir 2>/dev/null || true; fi
    rm -rf --one-file-system "$run"
}

check_machine() {
    local kind
    [ "$(id -u)" -eq 0 ] || fail 'only root can start a Docker engine; start one yourself and set DOCKER_HOST, or run this as root'
    setup/setup.sh docker
    command -v dockerd >/dev/null || fail "there is no dockerd on this machine (Debian: apt-get install docker.io)"
    kind=$(stat -f -c %T /sys/fs/cgroup 2>/dev/null) || kind=none
    if [ "$kind" != cgroup2fs ] && ! compgen -G '/sys/fs/cgroup/*/cgroup.procs' >/dev/null; then
        fail 'no cgroups are mounted under /sys/fs/cgroup, and containers need them (mount -t cgroup2 cgroup2 /sys/fs/cgroup)'
    fi
    [ ${#socket} -le 100 ] || fail "the path of the engine's socket is too long: $socket"
}

# Run by `start` in a mount namespace of its own; becomes the engine.
become_engine() {
    readlink /proc/self/ns/mnt >"$place_file"
    local configuration='{}'
    case $(dockerd --version) in
    # Without a word they write a key into /etc/docker; later ones have none.
    *' version 20.'* | *' version 23.'*) configuration="{\"deprecated-key-path\": \"$run/key.json\"}" ;;
    esac
    printf '%s\n' "$configuration" >"$run/daemon.json"
    # The settings of the machine's own engine are not ours: no file, proxy or address of it.
    exec dockerd --config-file="$run/daemon.json" --pidfile="$pid_file" --host="unix://$socket" \
        --group=root --data-root="$data/data" --exec-root="$run/exec" \
        --bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \
        --userland-proxy=false --cgroup-parent="/$cgroups" --exec-opt native.cgroupdriver=cgroupfs
}

lock() {
    mkdir -p "$data"
    exec 8>>"$data/lock"
    flock -w 300 8 || fail 'another start or stop of the engine has not ended in 5 minutes'
}

start() {
    local pid folder
    check_machine
    lock
    pid=$(engine_pid)
    if runs "$pid" && await "$patience" answers_or_ended "$pid" && runs "$pid"; then
        say "the private Docker engine runs already: DOCKER_HOST=unix://$socket"
        return
    fi
    clear_up # after one that was killed outright
    (umask 022 && mkdir -p "$run")
    for folder in "${folders[@]}"; do [ -e "$folder" ] || echo "$folder"; done >"$run/new-folders"
    : >"$log"
    setsid unshare --mount --propagation slave -- bash setup/docker-engine.sh become-engine \
        >>"$log" 2>&1 </dev/null 8>&- 9>&- &
    pid=$!
    if ! await "$patience" started "$pid"; then
        kill -KILL "$pid" 2>/dev/null || true
        tell_log
        clear_up
        fail "the Docker engine did not answer in $patience s; the whole log: $log"
    elif ! answers "$socket"; then
        tell_log
        clear_up
        fail "the Docker engine ended before it answered; the whole log: $log"
    fi
    say "started a private Docker engine ($(driver) storage): DOCKER_HOST=unix://$socket"
}

started() { answers "$socket" || ! kill -0 "$1" 2>/dev/null; }
tell_log() { tail -n 15 "$log" | sed 's/^/    /' >&2; }
driver() { sed -nE 's/.*(graphdriver\(s\)|storage-driver)=([a-z0-9-]+).*/\2/p' "$log" | tail -n 1; }

stop() {
    local pid
    [ -e "$run" ] || { say 'the private Docker engine does not run' && return; }
    [ "$(id -u)" -eq 0 ] || fail 'only root can stop the private Docker engine'
    lock
    pid=$(engine_pid)
    if runs "$pid"; then
        kill -TERM "$pid"
        await "$patience" ended "$pid" || say "the Docker engine (process $pid) did not end when asked; it is killed"
    fi
    clear_up
    say 'the private Docker engine has ended'
}

status() {
    local pid engine
    pid=$(engine_pid)
    if engine=$(find_engine); then echo "in use: $engine"; else echo 'in use: none answers'; fi
    if runs "$pid" && answers "$socket"; then
        echo "private engine: process $pid, unix://$socket, images in $data/data, log $log"
    elif runs "$pid"; then
        echo "private engine: process $pid, which does not answer; its log: $log"
        return 3
    elif [ -e "$run" ]; then
        echo 'private engine: it died; the end of its log:'
        tail -n 15 "$log" | sed 's/^/    /'
        return 3
    else
        echo 'private engine: does not run'
        return 3
    fi
}

ensure() {
    local engine
    if engine=$(find_engine); then
        say "Docker engine: $engine"
    elif [ "${TESTBED_DOCKER:-}" = start ]; then
        start
    else
        say 'no Docker engine answers; start yours, or let this project install and start one of its own: TESTBED_DOCKER=start'
        return 3
    fi
}

case "${1:-}" in
ensure) ensure ;;
start) start ;;
stop) stop ;;
status) status ;;
socket) echo "unix://$socket" ;;
purge)
    stop
    lock
    rm -rf --one-file-system "$data/data"
    ;;
become-engine) become_engine ;;
*)
    echo 'usage: docker-engine.sh ensure|start|stop|status|socket|purge' >&2
    exit 2
    ;;
esac
