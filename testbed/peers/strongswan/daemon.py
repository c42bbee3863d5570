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
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from testbed.components.notify import notify
from testbed.events import Emitter
from testbed.peers.ike import IkePeer, PeerConfigError, peer_from_json
from testbed.peers.strongswan import config
from testbed.peers.strongswan.control import Control, ControlClosedError
from testbed.peers.strongswan.log_lines import Line, is_noise, read_line
from testbed.peers.strongswan.messages import Section, ViciError
from testbed.peers.strongswan.process import CharonError, charon, connect
from testbed.peers.strongswan.watch import SaWatch

HOME = Path("/run/testbed-ike")
_QUIET_MS = 20
_CHUNK = 1 << 16
_FAREWELL_MS = "1000"
_PATIENCE_S = 10.0
_EVENTS = ("ike-updown", "ike-rekey", "child-updown", "child-rekey")


def run(path: Path, emitter: Emitter) -> None:
    """Play the peer described in ``path`` until SIGTERM; its SAs' end is told of, too.

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
        ears = Ears(SaWatch(peer.peer_node), control, lines, emitter)
        with _asked_to_end() as asked:
            try:
                ears.listen(asked)
                _take_down(peer, control)
            except ControlClosedError:
                raise CharonError(f"charon ended by itself (status {_status(process)})") from None
            finally:
                ears.drain()


class Ears:
    """What charon says, in its log and over its control connection, turned into events."""

    def __init__(self, watch: SaWatch, control: Control, lines: int, emitter: Emitter) -> None:
        self._watch, self._control, self._lines, self._emitter = watch, control, lines, emitter
        self._rest = b""
        self._found: list[Line] = []
        self._messages: list[tuple[int, str, Section]] = []

    def listen(self, until: int) -> None:
        """Tell of everything until the descriptor ``until`` can be read.

        Raises:
            ControlClosedError: charon has gone; :meth:`drain` tells of the rest.
        """
        poll = self._poll()
        poll.register(until, select.POLLIN)
        while True:
            # Lines and control events of one happening come side by side: wait until both are
            # quiet.
            self._take_kept()
            waiting = self._found or self._messages
            ready = {fd for fd, _ in poll.poll(_QUIET_MS if waiting else None)}
            if not ready:
                self._tell()
            if until in ready:
                return
            self._take(ready)

    def drain(self) -> None:
        """Tell of all that charon has said and still says, until it is quiet."""
        poll = self._poll()
        self._take_kept()
        while ready := {fd for fd, _ in poll.poll(_QUIET_MS)}:
            try:
                self._take(ready)
            except ControlClosedError:
                poll.unregister(self._control.fileno())
        self._tell()

    def _poll(self) -> select.poll:
        poll = select.poll()
        poll.register(self._control.fileno(), select.POLLIN)
        poll.register(self._lines, select.POLLIN)
        return poll

    def _take_kept(self) -> None:
        while self._control.has_event:  # came beside the answers to our commands
            self._take_event()

    def _take(self, ready: set[int]) -> None:
        if self._lines in ready:
            *whole, self._rest = (self._rest + os.read(self._lines, _CHUNK)).split(b"\n")
            for data in whole:
                text = data.decode(errors="replace")
                if not is_noise(text):
                    sys.stdout.write(text + "\n")  # unbuffered: the service's log
                    self._found += [line] if (line := read_line(text)) is not None else []
        if self._control.fileno() in ready:
            self._take_event()

    def _take_event(self) -> None:
        packet = self._control.next_event()
        self._messages.append((time.time_ns(), packet.name, packet.message))

    def _tell(self) -> None:
        for time_ns, event in self._watch.take(self._found, self._messages):
            self._emitter.emit(event, time_ns)
        self._found, self._messages = [], []


@contextmanager
def _asked_to_end() -> Iterator[int]:
    """SIGTERM no longer interrupts anything but makes this descriptor readable."""
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writing)
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(-1)
        os.close(reading)
        os.close(writing)


def _take_down(peer: IkePeer, control: Control) -> None:
    """End the IKE_SA, so that its end can be told of; charon has no more to say once it has gone.

    The peer is given a moment to answer.
    """
    with suppress(ViciError):  # there is none
        control.ask("terminate", {"ike": peer.name, "timeout": _FAREWELL_MS, "force": "yes"})


def _status(process: subprocess.Popen[bytes]) -> int:
    """The status of a charon that has closed its control connection."""
    try:
        return process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


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
