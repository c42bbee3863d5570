"""A capture of a lab as it comes through a pipe, block by block, until something ends it.

The lab writes pcapng into a pipe and this process reads it.  So the capture ends with this process,
however that ends, and packets can be counted on their way.  Ending is always asked of the lab,
which then sends everything it has seen so far and closes the pipe.
"""

from __future__ import annotations

import io
import os
import select
import signal
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

from testbed.cli import talk
from testbed.errors import LabError, TestbedError
from testbed.evidence.pcapng import ENHANCED_PACKET
from testbed.kernel.channel import Channel, ChannelClosedError
from testbed.supervisor import channel as channels

_CHUNK = 1 << 16
_HEAD = struct.Struct("=II")
"""Type and length of a block, in this machine's byte order: so our own writer has it."""

_LAST_MOMENTS = 2.0
"""Seconds in which a lab is gone after it has ended its captures."""

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


@dataclass(frozen=True, slots=True)
class End:
    """How a capture ended: frames lost (None if nobody is left to ask), and what went wrong."""

    lost: int | None
    trouble: str | None = None


class CaptureStream:
    """A running capture; SIGINT, SIGTERM and SIGHUP end it in order, a second one at once."""

    def __init__(self, lab: str, interfaces: tuple[str, ...], expression: str = "") -> None:
        self._lab = lab
        self._message: dict[str, Any] = {"do": "capture", "action": "start"}
        self._message["interfaces"] = list(interfaces)
        if expression:
            self._message["filter"] = expression
        self.packets = 0
        self._most: int | None = None
        self._asked_to_end = False
        self._watched: int | None = None
        self._clock: Channel | None = None

    def __enter__(self) -> Self:
        self._channel = channels.connect(self._lab)
        self._pipe, theirs = os.pipe2(os.O_CLOEXEC)
        try:
            self._channel.send(self._message, (theirs,))
            self._number = int(talk.answer(self._channel)["number"])
        except BaseException:
            self._channel.close()
            os.close(self._pipe)
            raise
        finally:
            os.close(theirs)
        self._before = {number: signal.signal(number, self._on_signal) for number in _ENDING}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._channel.close()
        self._end_clock()
        os.close(self._pipe)

    def end_after(
        self, packets: int | None, seconds: float | None, virtual_now_ns: int | None = None
    ) -> None:
        """End by itself after so many packets, or so much time.

        In a lab with a virtual clock, which shows ``virtual_now_ns`` now, it is that clock's time,
        and this makes it pass.
        """
        self._most = packets
        if seconds is not None and virtual_now_ns is not None:
            self._clock = channels.connect(self._lab)
            until_ns = virtual_now_ns + round(seconds * 1e9)
            self._clock.send({"do": "clock", "action": "advance", "until_ns": until_ns})
        elif seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, seconds)

    def ask_to_end(self) -> None:
        """Have the lab send what it has seen, and then the end."""
        if not self._asked_to_end:
            self._asked_to_end = True
            with suppress(ChannelClosedError):
                stop = {"do": "capture", "action": "stop", "number": self._number}
                self._channel.send(stop)

    def blocks(self) -> Iterator[bytes]:
        """Every block of the capture, whole; those of packets beyond the wanted number left out."""
        buffer = bytearray()
        while data := self._read():
            buffer += data
            while len(buffer) >= _HEAD.size:
                kind, size = _HEAD.unpack_from(buffer)
                if len(buffer) < size:
                    break
                block = bytes(buffer[:size])
                del buffer[:size]
                if kind == ENHANCED_PACKET:
                    if self.packets == self._most:
                        continue
                    self.packets += 1
                yield block
                if self.packets == self._most:
                    self.ask_to_end()

    def copy_to(self, file: BinaryIO) -> None:
        """Write the capture to a file or pipe as it comes; the end of a pipe's reader ends it."""
        self._watched = file.fileno()
        try:
            for block in self.blocks():
                view = memoryview(block)
                while view:
                    view = view[file.write(view) :]
                file.flush()
        except BrokenPipeError:
            self.ask_to_end()
            # What is still buffered has nobody to go to; without this, Python fails on flushing it
            # when it ends (exit status 120).
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, file.fileno())
            os.close(nowhere)

    def as_file(self) -> BinaryIO:
        """The capture as a file to read."""
        return cast(BinaryIO, io.BufferedReader(_BlockFile(self.blocks())))

    def finish(self) -> End:
        """Wait until the lab has ended the capture, and hear how it went."""
        self.ask_to_end()
        while self._read():
            pass  # what nobody wants any more; the lab can only end when it has got rid of it
        try:
            told = talk.answer(self._channel)["capture"]
        except ChannelClosedError:
            return End(None)
        except LabError:
            return self._ended_unasked()
        return End(int(told["lost"]), told["trouble"])

    def _ended_unasked(self) -> End:
        """The capture had ended before it was asked to: with its lab, or by itself?"""
        self._channel.set_timeout(_LAST_MOMENTS)
        try:
            self._channel.receive()
        except ChannelClosedError:
            return End(None)
        except TimeoutError:
            pass
        return End(None, "its writer has ended by itself; logs/lab.log of the record may say why")

    def _read(self) -> bytes:
        """The next bytes of the pipe; nothing at its end."""
        if self._watched is not None or self._clock is not None:
            self._await_bytes()
        return os.read(self._pipe, _CHUNK)

    def _await_bytes(self) -> None:
        """Wait for bytes, and look meanwhile whether the reader of the output or time is over."""
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        if self._watched is not None:
            poll.register(self._watched, 0)
        if self._clock is not None:
            poll.register(self._clock, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self._watched in ready:
                assert self._watched is not None
                poll.unregister(self._watched)
                self._watched = None
                self.ask_to_end()
            if self._clock is not None and self._clock.fileno() in ready and self._time_is_over():
                poll.unregister(self._clock)
                self._end_clock()
                self.ask_to_end()
            if self._pipe in ready:
                return

    def _time_is_over(self) -> bool:
        """Has the lab's clock come where it was to, or somebody stopped it?"""
        assert self._clock is not None
        try:
            return "progress" not in talk.answer(self._clock)
        except TestbedError:
            return True  # it has gone with its lab

    def _end_clock(self) -> None:
        if self._clock is not None:
            self._clock.close()
            self._clock = None

    def _on_signal(self, number: int, frame: object) -> None:
        del frame
        if self._asked_to_end and number != signal.SIGALRM:
            raise KeyboardInterrupt
        self.ask_to_end()


class _BlockFile(io.RawIOBase):
    """Blocks as a file."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        super().__init__()
        self._blocks = blocks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = next(self._blocks, b"")
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
