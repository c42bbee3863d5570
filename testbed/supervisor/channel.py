"""How a lab is found: the socket that its users talk with it over.

The lab listens on a socket in the *abstract* namespace of the host's network namespace: no file is
left behind whatever happens, and the name itself tells whether a lab of that name is up.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import struct

from testbed.errors import LabError, LabExistsError, LabNotFoundError
from testbed.kernel.channel import Channel, NoAnswerError

_PREFIX = "testbed-lab"


_LONGEST_CONNECT = 10
"""Seconds, for the case that a lab takes no connections any more and its queue is full."""


def check_name(lab: str) -> None:
    """A lab's name is part of a socket's name and of a folder's.

    Raises:
        LabError: it cannot be.
    """
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}", lab) is None:
        raise LabError(
            f"{lab!r} cannot be the name of a lab",
            hint="letters, digits, '_', '.' and '-', a letter or digit first, at most 80",
        )


def socket_name(lab: str, uid: int) -> str:
    """The abstract name of a lab's socket."""
    return f"\0{_PREFIX}/{uid}/{lab}"


def exists_already(lab: str) -> LabExistsError:
    """The error for a name that is taken."""
    return LabExistsError(
        f"a lab named {lab!r} is up already",
        hint=f"use it (testbed exec {lab} NODE COMMAND), take it down (testbed down {lab}), "
        "or give this one another name (--name)",
    )


def listen(lab: str) -> socket.socket:
    """Claim a lab's name for this user.

    Raises:
        LabExistsError: a lab of that name is up already.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listener.bind(socket_name(lab, os.geteuid()))
    except OSError as error:
        listener.close()
        if error.errno != errno.EADDRINUSE:
            raise LabError(f"cannot listen for lab {lab!r}: {error.strerror}") from error
        raise exists_already(lab) from error
    listener.listen(64)
    return listener


def connect(lab: str) -> Channel:
    """A connection to a lab of this user that is up.

    Raises:
        LabNotFoundError: there is none of that name.
        NoAnswerError: it is there, and its queue of connections is full.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _LONGEST_CONNECT, 0))
    try:
        sock.connect(socket_name(lab, os.geteuid()))
    except BlockingIOError as error:
        sock.close()
        raise NoAnswerError(
            f"lab {lab!r} takes no connection: very many wait, and its supervisor does nothing",
            hint="find the process with ps -C testbed-lab; kill -CONT lets one that is stopped go "
            "on, kill -KILL ends the lab",
        ) from error
    except OSError as error:
        sock.close()
        running = ", ".join(running_labs()) or "none"
        raise LabNotFoundError(
            f"no lab named {lab!r} is up for this user",
            hint=f"labs up now: {running}; bring one up with: testbed up TOPOLOGY",
        ) from error
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 0))
    return Channel(sock)


def running_labs() -> list[str]:
    """The names of this user's labs, from the kernel's own list of sockets."""
    prefix = f"@{_PREFIX}/{os.geteuid()}/"
    names: set[str] = set()
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as table:  # noqa: PTH123
        for line in table:
            path = line.split(maxsplit=7)[-1].strip()
            if path.startswith(prefix):
                names.add(path.removeprefix(prefix))
    return sorted(names)
