"""The capture process: reads the capture sockets of a lab and writes one pcapng file or stream.

It is told what to do by JSON datagrams on a ``SOCK_SEQPACKET`` socket:

``{"do": "notice", "node", "key", "comment", "time_ns", "head"}``
    a component dropped a packet (``head`` in hexadecimal); no answer;
``{"do": "sync"}``
    write out everything received so far; answered when it is written;
``{"do": "stop"}``
    the same, then end; answered last of all.

An answer is ``{"done": "sync" | "stop" | "failed", "packets", "lost", "error"}``: packets written,
frames the kernel could not hold for us, and what went wrong or null.  ``failed`` comes unasked when
the file cannot be written any further; the process then ends, and what was written can be read.
The other end of the control socket being closed means stop.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from testbed.evidence.block_file import BlockFile, CaptureFileError, ReaderGoneError
from testbed.evidence.capture_writer import CaptureWriter, Notice
from testbed.kernel.packet_socket import PacketSocket

_BUNCH = 256
_MESSAGE_BYTES = 64 * 1024
_LAST_FLUSH_S = 2.0
_LINGER = 8  # frames that fall due are written in bunches, this often in a window's time


def run_capture(
    sources: Sequence[tuple[str, PacketSocket]],
    output: int,
    control: socket.socket,
    *,
    window_s: float = 1.0,
    names: Mapping[str, str] | None = None,
) -> None:
    """Capture until told to stop.  Meant to be the whole life of a forked child.

    Args:
        sources: label (``node/interface``) and open capture socket of each interface.
        output: descriptor of the file, or of a pipe for a live reader.
        control: our end of the control socket, see above.
        window_s: how long frames are held to be put in order and commented.
        names: names for addresses, stored for Wireshark.
    """
    _Capture(sources, output, control, window_s, names).run()


class _Capture:
    def __init__(
        self,
        sources: Sequence[tuple[str, PacketSocket]],
        output: int,
        control: socket.socket,
        window_s: float,
        names: Mapping[str, str] | None,
    ) -> None:
        self._sources = [source for _, source in sources]
        self._control = control
        self._linger_ns = round(window_s * 1_000_000_000) // _LINGER
        self._next_take_ns = 0
        self._file = BlockFile(output)
        self._writer = CaptureWriter(
            [(label, source.link_type) for label, source in sources],
            window_ns=round(window_s * 1_000_000_000),
            start_ns=time.time_ns(),
            names=names,
        )
        self._nodes = [label.partition("/")[0] for label, _ in sources]
        self._by_descriptor = {
            source.fileno(): number for number, source in enumerate(self._sources)
        }
        self._listening = False
        self._awaiting_output = False
        self._running = True
        self._epoll = select.epoll()

    def run(self) -> None:
        """Work until the end, whatever brings it."""
        try:
            self._epoll.register(self._control.fileno(), select.EPOLLIN)
            self._watch_reader()
            self._listen(True)
            self._file.add(*self._writer.begin())
            self._write_out()
            while self._running:
                self._turn()
        except ReaderGoneError:
            self._answer("stop", None)
        except CaptureFileError as error:
            self._answer("failed", str(error))
        finally:
            self._epoll.close()

    def _turn(self) -> None:
        """Wait for something and deal with it."""
        for descriptor, events in self._epoll.poll(self._patience()):
            number = self._by_descriptor.get(descriptor)
            if number is not None:
                self._read(number)
            elif descriptor == self._control.fileno():
                self._obey()
            elif events & (select.EPOLLERR | select.EPOLLHUP):
                raise ReaderGoneError("nobody reads the capture stream any more")
        now = time.time_ns()
        if self._running and now >= self._next_take_ns:
            self._next_take_ns = now + self._linger_ns
            self._file.add(*self._writer.take(now))
            self._write_out()

    def _patience(self) -> float | None:
        """How long to wait, in seconds; None for as long as it takes.

        Frames that fall due one after the other are written in bunches.
        """
        due = self._writer.next_due_ns()
        if due is None:
            return None
        return max(0.0, (max(due, self._next_take_ns) - time.time_ns()) / 1_000_000_000)

    def _watch_reader(self) -> None:
        """Learn of the other end of a pipe being closed even while there is nothing to write."""
        if not self._file.is_regular:
            try:
                self._epoll.register(self._file.fileno(), 0)
            except PermissionError:  # a device that is always ready, such as /dev/null
                return

    def _write_out(self) -> None:
        """Write; wait for a pipe that would block, and read no more while too much waits for it."""
        done = self._file.flush()
        if self._file.is_regular:
            return
        if done == self._awaiting_output:
            self._awaiting_output = not done
            self._epoll.modify(self._file.fileno(), 0 if done else select.EPOLLOUT)
        self._listen(not self._file.is_full)

    def _listen(self, wanted: bool) -> None:
        """Wait for frames or, while the reader is too slow, leave them with the kernel."""
        if wanted == self._listening:
            return
        self._listening = wanted
        for descriptor in self._by_descriptor:
            if wanted:
                self._epoll.register(descriptor, select.EPOLLIN)
            else:
                self._epoll.unregister(descriptor)

    def _read(self, number: int) -> bool:
        """Take in a bunch of frames of one socket; False when it has no more."""
        frames = self._sources[number].receive_many(_BUNCH)
        self._writer.add_frames(number, frames)
        return bool(frames)

    def _read_all(self, number: int) -> None:
        """Take in what a socket holds now; what comes meanwhile may stay there."""
        deadline = time.time_ns()
        while frames := self._sources[number].receive_many(_BUNCH):
            self._writer.add_frames(number, frames)
            if frames[-1].time_ns > deadline:
                break

    def _obey(self) -> None:
        """Read one message from the lab and do what it says."""
        try:
            data = self._control.recv(_MESSAGE_BYTES)
        except ConnectionError:
            data = b""
        if not data:
            self._stop()
            return
        try:
            message = json.loads(data)
            action = message["do"]
            notice = _notice(message) if action == "notice" else None
        except (ValueError, KeyError, TypeError) as error:
            self._complain(f"not a message to a capture: {error!r}")
            return
        if notice is not None:
            for number, node in enumerate(self._nodes):
                if node == notice.node:
                    self._read_all(number)  # the packet was captured before it was dropped
            self._writer.add_notice(notice, time.time_ns())
        elif action == "sync":
            self._sync()
        elif action == "stop":
            self._stop()
        else:
            self._complain(f"a capture cannot {action!r}")

    def _sync(self) -> None:
        for number in range(len(self._sources)):
            self._read_all(number)
        self._file.add(*self._writer.take_all(time.time_ns()))
        complete = self._file.flush(_LAST_FLUSH_S)
        self._answer("sync", None if complete else "the reader of the stream is too slow")

    def _stop(self) -> None:
        """Take in what the sockets hold, write all of it, and end."""
        self._running = False
        for number, source in enumerate(self._sources):
            source.cease()
            while self._read(number):
                pass
        counts = [source.counts() for source in self._sources]
        self._file.add(*self._writer.finish(time.time_ns(), counts))
        complete = self._file.flush(_LAST_FLUSH_S)
        self._answer("stop", None if complete else "the reader of the stream is too slow")

    def _answer(self, done: str, error: str | None) -> None:
        """Tell the lab; one that is gone needs no telling."""
        lost = sum(source.counts()[1] for source in self._sources)
        answer = {"done": done, "packets": self._file.packets, "lost": lost, "error": error}
        try:
            self._control.send(json.dumps(answer).encode())
        except ConnectionError:
            self._running = False

    def _complain(self, what: str) -> None:
        """A message nobody should have sent: say so where the lab keeps its log, and go on."""
        sys.stderr.write(f"capture: {what}\n")


def _notice(message: dict[str, Any]) -> Notice:
    """Raises: KeyError, TypeError, ValueError: the message is not a notice."""
    node, key, comment = message["node"], message["key"], message["comment"]
    if not (isinstance(node, str) and isinstance(key, str) and isinstance(comment, str)):
        raise TypeError("node, key and comment are text")
    return Notice(
        node=node,
        key=key,
        comment=comment,
        time_ns=int(message.get("time_ns") or time.time_ns()),
        head=bytes.fromhex(message.get("head") or ""),
    )
