"""One end of a tunnel: charon started, told its connection, watched and ended.

It runs in a node.  charon's control socket, its log and its settings lie under the node's own
``/run``, which is memory that ends with the lab.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from testbed.components.notify import notify
from testbed.events import Emitter
from testbed.peers.ike import IkePeer, PeerConfigError, peer_from_json
from testbed.peers.strongswan import config
from testbed.peers.strongswan.control import Control, ControlClosedError
from testbed.peers.strongswan.log_lines import Line, is_noise, read_line
from testbed.peers.strongswan.messages import Section
from testbed.peers.strongswan.process import CharonError, charon, connect
from testbed.peers.strongswan.watch import SaWatch

HOME = Path("/run/testbed-ike")
_QUIET_MS = 20
_CHUNK = 1 << 16
_EVENTS = ("ike-updown", "ike-rekey", "child-updown", "child-rekey")


def run(path: Path, emitter: Emitter) -> None:
    """Play the peer described in ``path`` until a signal ends us.

    Raises:
        TestbedError: the description is wrong, charon cannot be started or ended by itself.
    """
    try:
        peer = peer_from_json(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise PeerConfigError(f"cannot read it: {error.strerror}", where=str(path)) from error
    key = _read_key(Path(peer.psk_file))
    signal.signal(signal.SIGTERM, _end)
    HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.with_name("swanctl.conf").write_text(config.swanctl_text(peer), encoding="utf-8")
    _make_tunnel(peer)
    log = HOME / "charon.log"
    log.unlink(missing_ok=True)
    os.mkfifo(log, 0o600)
    with (
        _opened(log) as lines,
        charon(peer, HOME, log) as process,
        connect(process, HOME) as control,
    ):
        control.listen(*_EVENTS)
        control.ask("load-shared", config.shared_key(peer, key))
        control.ask("load-conn", config.connection(peer))
        notify("READY=1")
        for child in peer.children:
            if child.initiate:
                control.ask("initiate", {"child": child.name, "timeout": "-1"})
        try:
            _watch(SaWatch(peer.peer_node), control, lines, emitter)
        except ControlClosedError:
            raise CharonError(f"charon ended by itself (status {process.wait()})") from None


def _watch(watch: SaWatch, control: Control, lines: int, emitter: Emitter) -> None:
    """Turn what charon says into events, for ever."""
    poll = select.poll()
    poll.register(control.fileno(), select.POLLIN)
    poll.register(lines, select.POLLIN)
    rest = ""
    found: list[Line] = []
    messages: list[tuple[int, str, Section]] = []
    while True:
        # Lines and control events of one happening come side by side: wait until both are quiet.
        while control.has_event:  # beside the answers to our commands
            packet = control.next_event()
            messages.append((time.time_ns(), packet.name, packet.message))
        ready = {fd for fd, _ in poll.poll(_QUIET_MS if found or messages else None)}
        if not ready:
            for time_ns, event in watch.take(found, messages):
                emitter.emit(event, time_ns)
            found, messages = [], []
        if lines in ready:
            *whole, rest = (rest + os.read(lines, _CHUNK).decode(errors="replace")).split("\n")
            for text in whole:
                if not is_noise(text):
                    sys.stdout.write(text + "\n")  # unbuffered: the service's log
                    found += [line] if (line := read_line(text)) is not None else []
        if control.fileno() in ready:
            packet = control.next_event()
            messages.append((time.time_ns(), packet.name, packet.message))


@contextmanager
def _opened(log: Path) -> Iterator[int]:
    # For reading and writing: it does not end when charon closes it, and opening never waits.
    descriptor = os.open(log, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _end(*_: object) -> NoReturn:
    raise SystemExit(0)


def _read_key(path: Path) -> str:
    try:
        key = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise PeerConfigError(
            f"cannot read the pre-shared key: {error.strerror}", where=str(path)
        ) from error
    if not key:
        raise PeerConfigError("the pre-shared key is empty", where=str(path))
    return key


def _make_tunnel(peer: IkePeer) -> None:
    if Path("/sys/class/net", peer.tunnel.interface).exists():
        # We were here before, and perhaps charon was killed: nothing of that may stay.
        for command in (
            ["link", "delete", peer.tunnel.interface],
            ["xfrm", "state", "flush"],
            ["xfrm", "policy", "flush"],
        ):
            subprocess.run(["ip", *command], check=True)
    done = subprocess.run(
        ["ip", "-batch", "-"],
        input=config.tunnel_commands(peer),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CharonError(
            f"cannot make the tunnel's interface: {done.stderr.strip()}",
            where=peer.tunnel.interface,
            hint="the kernel needs XFRM interfaces; the guest kernel has them",
        )
