"""Capture filters: classic BPF, compiled from a pcap-filter(7) expression by tcpdump."""

from __future__ import annotations

import ctypes
import socket
import struct
import subprocess
from functools import cache

from testbed.errors import MissingFeatureError, TestbedError
from testbed.kernel.namespaces import find_program

FilterProgram = tuple[tuple[int, int, int, int], ...]
"""Instructions: code, jump if true, jump if false, constant (``struct sock_filter``)."""

_SO_ATTACH_FILTER = 26
_LIMIT_S = 10
_REJECT_ALL: FilterProgram = ((0x06, 0, 0, 0),)  # BPF_RET | BPF_K, 0 bytes


class FilterError(TestbedError):
    """A capture filter expression is not valid."""


@cache
def compile_filter(expression: str, link_type: int) -> FilterProgram:
    """Compile an expression such as ``udp port 53`` for frames of a LINKTYPE.

    Raises:
        MissingFeatureError: tcpdump is not installed.
        FilterError: tcpdump does not understand the expression.
    """
    program = find_program("tcpdump")
    if program is None:
        raise MissingFeatureError(
            "the program tcpdump is needed to compile a capture filter and is not installed",
            hint="install the Debian package tcpdump, or capture without a filter",
        )
    # An empty capture file on standard input tells tcpdump the link type; no interface is opened.
    empty = struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, link_type)
    done = subprocess.run(
        [program, "-ddd", "-r", "-", "--", expression],
        input=empty,
        capture_output=True,
        timeout=_LIMIT_S,
        check=False,
    )
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        reason = words[-1].removeprefix("tcpdump: ") if words else "no reason given"
        raise FilterError(
            f"the capture filter {expression!r} is not valid: {reason}",
            hint="the language is that of tcpdump: man 7 pcap-filter",
        )
    return _parse(done.stdout.decode())


def _parse(listing: str) -> FilterProgram:
    """What ``tcpdump -ddd`` prints: a count, then one instruction a line in decimal."""
    lines = listing.split("\n")
    count = int(lines[0])
    instructions = []
    for line in lines[1 : count + 1]:
        code, true, false, constant = (int(word) for word in line.split())
        instructions.append((code, true, false, constant))
    return tuple(instructions)


def attach(to: socket.socket, program: FilterProgram) -> None:
    """Let only matching packets into a socket (SO_ATTACH_FILTER), replacing a present filter."""
    packed = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    to.setsockopt(
        socket.SOL_SOCKET,
        _SO_ATTACH_FILTER,
        struct.pack("@HP", len(program), ctypes.addressof(buffer)),
    )


def attach_nothing(to: socket.socket) -> None:
    """Let nothing more into a socket; what it holds already can still be read."""
    attach(to, _REJECT_ALL)
