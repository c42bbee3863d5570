"""The messages between a lab and the agent of a container, over SOCK_SEQPACKET.

All numbers are of 32 bits in the machine's own order; both sides run on one machine.

A request is MAGIC, kind, number, flags, and for RUN how many arguments, how many variables and how
many bytes of strings follow.  The strings lie in a file in memory, the first descriptor that comes
with the request, each ended by NUL: the folder, the arguments, the variables (``NAME=value``).
The other descriptors are the program's own, from 0 on.

An answer is a kind, a number (a pid, an exit code, an errno) and perhaps a text.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

SOCKET_NAME = "\0testbed-agent"
MAGIC = 0x31414254
LIFE, RUN, SIGNAL, SIGNAL_GROUP = 1, 2, 3, 4
ALIVE, STARTED, FAILED, ENDED = 1, 2, 3, 4
TERMINAL = 1
MAX_DESCRIPTORS = 16

_REQUEST = struct.Struct("=7I")
_ANSWER = struct.Struct("=Ii")
_MAX_ANSWER = 512


@dataclass(frozen=True, slots=True)
class Answer:
    """What the agent says: ``value`` is a pid, an exit code (negative: a signal) or an errno."""

    kind: int
    value: int
    text: str = ""


def request(
    kind: int,
    *,
    number: int = 0,
    flags: int = 0,
    arguments: int = 0,
    variables: int = 0,
    size: int = 0,
) -> bytes:
    """The bytes of a request."""
    return _REQUEST.pack(MAGIC, kind, number, flags, arguments, variables, size)


def strings(folder: str, arguments: Sequence[str], variables: Sequence[str]) -> bytes:
    """The strings of a RUN request.

    Raises:
        ValueError: one of them holds a NUL, which no program's arguments can.
    """
    words = [os.fsencode(word) for word in (folder, *arguments, *variables)]
    if any(b"\0" in word for word in words):
        raise ValueError("embedded null byte")
    return b"".join(word + b"\0" for word in words)


def send_run(
    connection: socket.socket,
    *,
    folder: str,
    arguments: Sequence[str],
    variables: Sequence[str],
    descriptors: Sequence[int],
    terminal: bool = False,
) -> None:
    """Ask for a program to be started.

    Raises:
        ValueError: a string holds a NUL.
        OSError: the agent is gone.
    """
    data = strings(folder, arguments, variables)
    memory = os.memfd_create("strings", os.MFD_CLOEXEC)
    try:
        with open(memory, "wb", closefd=False) as file:  # a descriptor
            file.write(data)
        message = request(
            RUN,
            flags=TERMINAL if terminal else 0,
            arguments=len(arguments),
            variables=len(variables),
            size=len(data),
        )
        socket.send_fds(connection, [message], [memory, *descriptors])
    finally:
        os.close(memory)


def receive(connection: socket.socket) -> Answer | None:
    """The next answer; None when the agent has closed the connection, or is gone.

    Raises:
        BlockingIOError, TimeoutError: there is none yet.
    """
    try:
        data = connection.recv(_MAX_ANSWER)
    except ConnectionError:
        return None
    if len(data) < _ANSWER.size:
        return None
    kind, value = _ANSWER.unpack_from(data)
    return Answer(kind, value, data[_ANSWER.size :].decode(errors="replace"))
