"""On the host: one user's connection to a lab in a guest."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from testbed.errors import LabError, TestbedError
from testbed.guest.interactive import descriptors as fds
from testbed.guest.interactive.descriptors import Sink, Source
from testbed.guest.interactive.streams import IN, OUT, TERMINAL
from testbed.guest.interactive.talk import Message
from testbed.kernel.channel import Channel, ChannelClosedError
from testbed.kernel.faces import error_to_json

Send = Callable[[Message, bytes], None]


class Visitor:
    """Hands on what the user asks, what their descriptors give and take, and the answers."""

    def __init__(self, number: int, channel: Channel, send: Send, left: Callable[[], None]) -> None:
        self.number = number
        self._channel, self._send_in, self._left = channel, send, left
        self._loop = asyncio.get_running_loop()
        self._sources: dict[int, Source] = {}
        self._sinks: dict[int, Sink] = {}
        self._terminal: int | None = None
        self._terminal_stream = -1
        self._streams = 0
        self._unsaid: list[dict[str, Any]] = []
        self.is_open = True
        self._loop.add_reader(channel, self._hear)

    def answer(self, message: dict[str, Any]) -> None:
        """Tell the user something, after everything that was written before."""
        self._unsaid.append(message)
        self._say()

    def hear(self, message: Message, data: bytes) -> None:
        """Take what the agent says."""
        if "message" in message:
            self.answer(message["message"])
        elif "want" in message:
            source = self._sources.get(int(message["want"]))
            if source is not None:
                source.want()
        elif "stream" in message:
            sink = self._sinks.get(int(message["stream"]))
            if sink is not None and "data" in message:
                sink.write(data)
            elif sink is not None:
                sink.end()
                self._sinks.pop(int(message["stream"]))
                self._say()

    def close(self) -> None:
        """End the connection."""
        if not self.is_open:
            return
        self.is_open = False
        self._loop.remove_reader(self._channel)
        self._channel.close()
        for source in self._sources.values():
            source.close()
        for sink in self._sinks.values():
            sink.close()
        if self._terminal is not None:
            os.close(self._terminal)
        self._left()

    def _send(self, message: Message, data: bytes = b"") -> None:
        if self.is_open:
            self._send_in({"visit": self.number, **message}, data)

    def _say(self) -> None:
        try:
            while self._unsaid and all(sink.is_empty for sink in self._sinks.values()):
                self._channel.send(self._unsaid.pop(0))
        except ChannelClosedError:
            self._goes()

    def _goes(self) -> None:
        """The user has gone away."""
        if self.is_open:
            self._send({"close": True})
            self.close()

    def _hear(self) -> None:
        received: tuple[int, ...] = ()
        try:
            message, received = self._channel.receive()
            self._hand_on(message, list(received))
        except ChannelClosedError:
            self._goes()
        except TestbedError as error:
            self.answer({"error": error_to_json(error)})

    def _hand_on(self, message: dict[str, Any], received: list[int]) -> None:
        if message.get("signal") == signal.SIGWINCH and self._terminal is not None:
            size = fds.window(self._terminal)
            self._send({"stream": self._terminal_stream, "size": size})
            return
        try:
            streams = self._take(message, received)
        finally:
            for descriptor in received:
                os.close(descriptor)
        self._send({"message": message, "streams": streams})

    def _take(self, message: dict[str, Any], received: list[int]) -> list[dict[str, Any]]:
        """Streams for the descriptors of a request; takes them from the list."""
        if not received:
            return []
        do = message.get("do")
        if do == "command" and len(received) == 3:
            if message.get("terminal"):
                return [self._take_terminal(received)] * 3
            return [self._source(received.pop(0)), *(self._sink(received.pop(0)) for _ in "oe")]
        if do == "capture" and len(received) == 1:
            return [self._sink(received.pop(0))]
        raise LabError(f"a lab in a guest cannot take descriptors for {do!r}")

    def _take_terminal(self, received: list[int]) -> dict[str, Any]:
        terminal = received.pop(0)
        while received:
            os.close(received.pop())
        try:
            fds.make_raw(terminal)
        except LabError:
            os.close(terminal)
            raise
        number = self._next()
        self._terminal, self._terminal_stream = os.dup(terminal), number
        self._sinks[number] = self._make_sink(os.dup(terminal), number)
        self._sources[number] = Source(terminal, partial(self._typed, number), always=True)
        return {"stream": number, "kind": TERMINAL, "size": fds.window(self._terminal)}

    def _typed(self, number: int, data: bytes) -> None:
        if data:
            self._send({"stream": number, "data": True}, data)

    def _source(self, descriptor: int) -> dict[str, Any]:
        number = self._next()
        self._sources[number] = Source(descriptor, partial(self._read, number))
        return {"stream": number, "kind": IN}

    def _read(self, number: int, data: bytes) -> None:
        message: Message = {"stream": number, ("data" if data else "end"): True}
        self._send(message, data)

    def _sink(self, descriptor: int) -> dict[str, Any]:
        number = self._next()
        self._sinks[number] = self._make_sink(descriptor, number)
        return {"stream": number, "kind": OUT}

    def _make_sink(self, descriptor: int, number: int) -> Sink:
        def pause(wanted: bool) -> None:
            self._send({"stream": number, "pause": wanted})

        def gone() -> None:
            self._send({"stream": number, "end": True})

        sink = Sink(descriptor, pause, gone)
        sink.on_empty = self._say
        return sink

    def _next(self) -> int:
        self._streams += 1
        return self._streams


def refuse(channel: Channel, error: TestbedError) -> None:
    """Tell somebody who asks why there is no answer, and hang up."""
    with suppress(TestbedError):
        channel.send({"error": error_to_json(error)})
    channel.close()
