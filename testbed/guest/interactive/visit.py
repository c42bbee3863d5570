"""Inside the guest: one user's connection to the lab, handed on from the host."""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Callable
from typing import Any

from testbed.errors import LabError
from testbed.guest.interactive.streams import IN, TERMINAL, Stream
from testbed.guest.interactive.talk import Message
from testbed.guest.interactive.waiting import Wait, Watch
from testbed.kernel.channel import Channel, ChannelClosedError
from testbed.kernel.faces import error_to_json
from testbed.supervisor import channel as channels

_PATIENCE_NS = 2 * 10**9
"""How long a program that waits for its user *or* for others gets time for the others."""

Send = Callable[[Message, bytes], None]

_COMMAND, _CAPTURE, _WATCH = "command", "capture", "watch"


class Visit:
    """Carries messages and streams, and knows whether somebody waits for an answer."""

    def __init__(self, number: int, lab: str, selector: selectors.BaseSelector, send: Send) -> None:
        self._selector = selector
        self._send_out = send
        self.number = number
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.connect(channels.socket_name(lab, os.geteuid()))
        self._channel = Channel(self._socket)
        self._streams: dict[int, Stream] = {}
        self._watches: dict[int, Watch] = {}
        self._unanswered = 0
        self._command_runs = False
        self._captures = False
        self._wait = Wait.OTHER
        self._asked_for_input = False
        self._active_ns = time.monotonic_ns()
        self.is_open = True
        selector.register(self._channel, selectors.EVENT_READ, self._on_reply)

    @property
    def needs_time(self) -> bool:
        """Does somebody wait for something that is still to happen?"""
        if not self.is_open or any(stream.is_paused for stream in self._streams.values()):
            return False  # whoever does not take what is written cannot wait for more
        if not self._unanswered and not self._command_runs:
            return False
        if self._wait is Wait.PERHAPS:
            return time.monotonic_ns() < self._active_ns + _PATIENCE_NS
        return self._wait is Wait.OTHER

    @property
    def watches(self) -> bool:
        """Does somebody look at packets as they come?"""
        return self.is_open and self._captures

    @property
    def looks_worthwhile(self) -> bool:
        """Is there a program that may be waiting for its user?"""
        return self.is_open and self._command_runs and bool(self._watches)

    def look(self) -> None:
        """Find out whether the command waits for its user, and ask for input if so."""
        self._wait = Wait.OTHER
        for number, watch in self._watches.items():
            stream = self._streams[number]
            if stream.has_unread:
                continue
            wait = watch.look()
            self._wait = max(self._wait, wait)
            wanted = stream.kind == IN and stream.is_open and wait is not Wait.OTHER
            if wanted and not self._asked_for_input:
                self._asked_for_input = True
                self._send({"want": number})

    def hear(self, message: Message, data: bytes) -> None:
        """Take what the keeper says."""
        stream = self._streams.get(int(message.get("stream", -1)))
        if "message" in message:
            self._hand_on(message["message"], message.get("streams", []))
        elif "data" in message and stream is not None:
            self._got_input()
            stream.write(data)
        elif "end" in message and stream is not None:
            self._got_input()
            if stream.kind == IN:
                stream.end_input()
            else:
                stream.close()  # nobody is left to read it
        elif "pause" in message and stream is not None:
            stream.pause(bool(message["pause"]))
        elif "size" in message and stream is not None:
            stream.resize(*message["size"])
        elif "close" in message:
            self._leave()

    def close(self) -> None:
        """Forget all of it."""
        if self.is_open:
            self.is_open = False
            self._selector.unregister(self._channel)
            self._channel.close()
            for stream in self._streams.values():
                stream.close()

    def _send(self, message: Message, data: bytes = b"") -> None:
        self._send_out({"visit": self.number, **message}, data)

    def _hand_on(self, message: dict[str, Any], streams: list[dict[str, Any]]) -> None:
        """Send the lab a request, with descriptors for the streams that came along."""
        opened = [self._open(one) for one in streams]
        do = message.get("do")
        try:
            self._channel.send(message, tuple(stream.theirs for stream in opened))
        except ChannelClosedError:
            self._lab_closed()
            return
        except LabError as error:
            self._send({"message": {"error": error_to_json(error)}})
            return
        finally:
            for stream in {id(one): one for one in opened}.values():
                stream.hand_over()
        if do == "down":
            self._send({"going": True})
        if do is not None:
            self._unanswered += 1
            self._command_runs = do == _COMMAND
            self._captures = self._captures or (do == _CAPTURE and bool(opened))
        self._active_ns = time.monotonic_ns()

    def _open(self, told: dict[str, Any]) -> Stream:
        number = int(told["stream"])
        if number in self._streams:
            return self._streams[number]

        def send(message: dict[str, object], data: bytes) -> None:
            self._active_ns = time.monotonic_ns()
            if self._wait is not Wait.OTHER:
                self._wait = Wait.OTHER
            self._send({"stream": number, **message}, data)

        stream = Stream(str(told["kind"]), self._selector, send, tuple(told.get("size", (24, 80))))
        self._streams[number] = stream
        if stream.kind in (IN, TERMINAL):
            self._watches[number] = Watch(stream.device)
        return stream

    def _got_input(self) -> None:
        self._asked_for_input = False
        self._wait = Wait.OTHER
        self._active_ns = time.monotonic_ns()
        for watch in self._watches.values():
            watch.forget()

    def _on_reply(self, mask: int) -> None:
        del mask
        try:
            message, descriptors = self._channel.receive()
        except ChannelClosedError:
            self._lab_closed()
            return
        if descriptors:
            for descriptor in descriptors:
                os.close(descriptor)
            refusal = LabError(
                "a socket of this lab cannot leave its guest",
                hint="run the program in the node instead (testbed exec), or bring the lab up "
                "with the host's kernel",
            )
            message = {"error": error_to_json(refusal)}
        ended = self._command_runs and ("status" in message or "error" in message)
        if ended:
            self._command_runs = False
        if "news" not in message and not (ended and "status" in message):
            self._unanswered = max(0, self._unanswered - 1)
        # What was printed before this was said is to be seen before it is heard.
        for stream in self._streams.values():
            stream.pass_on_all()
        self._send({"message": message})

    def _lab_closed(self) -> None:
        for stream in self._streams.values():
            stream.pass_on_all()
        self._send({"closed": True})
        self.close()

    def _leave(self) -> None:
        """The user has gone.  A command that runs is ended by the lab, which may take it time."""
        for stream in self._streams.values():
            stream.close()
        self._watches.clear()
        self._captures = False
        self._wait = Wait.OTHER
        if self._command_runs:
            self._socket.shutdown(socket.SHUT_WR)
        else:
            self.close()
