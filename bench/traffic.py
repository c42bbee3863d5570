"""Small UDP packets of many flows, sent and taken in with few system calls.

Sender and receiver are real sockets of two nodes in one process, so that a window of packets can be
sent and awaited: nothing is ever lost to a full queue, and every contender forwards the same
number of packets.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

from testbed.components.packet.checksum import checksum, ones_complement_sum
from testbed.errors import TestbedError

PAYLOAD = 18
"""Bytes of UDP payload that make the smallest Ethernet frame: 64 bytes with its checksum."""

_PATIENCE_MS = 3000
_SO_RCVBUFFORCE = 33
_RECEIVE_BUFFER = 8 << 20
_MSG_DONTWAIT = 0x40


class LostPacketsError(TestbedError):
    """Packets that were sent did not arrive."""


class Flow(NamedTuple):
    """Addresses (IPv4 text) and ports of a UDP flow."""

    source: str
    source_port: int
    destination: str
    destination_port: int


def udp_packet(flow: Flow, payload: bytes) -> bytes:
    """The flow's IPv4 packet with both checksums (RFC 791, RFC 768)."""
    addresses = socket.inet_aton(flow.source) + socket.inet_aton(flow.destination)
    length = 8 + len(payload)
    udp = struct.pack("!HHHH", flow.source_port, flow.destination_port, length, 0) + payload
    pseudo = addresses + struct.pack("!HH", socket.IPPROTO_UDP, length)
    udp_sum = checksum(udp, ones_complement_sum(pseudo)) or 0xFFFF
    udp = udp[:6] + struct.pack("!H", udp_sum) + udp[8:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, socket.IPPROTO_UDP, 0)
    head += addresses
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + udp


def numbered(number: int) -> bytes:
    """A payload that tells which flow it belongs to."""
    return number.to_bytes(4, "big").ljust(PAYLOAD, b".")


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """``struct msghdr``."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """``struct mmsghdr``."""

    _fields_ = (("header", _Header), ("length", ctypes.c_uint32))


_libc = ctypes.CDLL(None, use_errno=True)


def _failed(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


class _Batch:
    """Buffers for many datagrams, as sendmmsg(2) and recvmmsg(2) want them."""

    def __init__(self, buffers: Sequence[ctypes.Array[ctypes.c_char]]) -> None:
        self._buffers = list(buffers)  # they must stay where they are
        self.size = len(self._buffers)
        self._vectors = (_Vector * self.size)()
        self.messages = (_Message * self.size)()
        for vector, message, buffer in zip(
            self._vectors, self.messages, self._buffers, strict=True
        ):
            vector.base = ctypes.addressof(buffer)
            vector.length = len(buffer)
            message.header.vectors = ctypes.pointer(vector)
            message.header.vector_count = 1


class Sender:
    """Sends the same window of packets, all to one address, over and over.

    ``raw`` is a raw IPv4 socket that takes whole packets (``IPPROTO_RAW``).
    """

    def __init__(self, raw: socket.socket, packets: Sequence[bytes]) -> None:
        raw.connect((socket.inet_ntoa(packets[0][16:20]), 0))
        self._socket = raw
        self._batch = _Batch(
            [ctypes.create_string_buffer(packet, len(packet)) for packet in packets]
        )

    def send(self) -> int:
        """Send the window; returns its size."""
        batch, sent = self._batch, 0
        while sent < batch.size:
            begin = ctypes.byref(batch.messages, sent * ctypes.sizeof(_Message))
            count = _libc.sendmmsg(self._socket.fileno(), begin, batch.size - sent, 0)
            if count < 0:
                raise _failed("sendmmsg")
            sent += count
        return sent


class Receiver:
    """Takes in datagrams at one or many sockets without looking at them."""

    _AT_ONCE = 256

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._sockets = list(sockets)
        self._batch = _Batch([ctypes.create_string_buffer(64) for _ in range(self._AT_ONCE)])
        for one in self._sockets:
            one.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER // len(sockets))

    def take(self, wanted: int) -> None:
        """Wait until this many datagrams have come, the same number at each socket.

        Raises:
            LostPacketsError: nothing more came for seconds.
        """
        share = wanted // len(self._sockets)
        for one in self._sockets:
            self._take(one, share)

    def _take(self, one: socket.socket, wanted: int) -> None:
        poll = select.poll()
        poll.register(one, select.POLLIN)
        while wanted:
            most = min(wanted, self._AT_ONCE)
            count = _libc.recvmmsg(one.fileno(), self._batch.messages, most, _MSG_DONTWAIT, None)
            if count > 0:
                wanted -= count
            elif ctypes.get_errno() != errno.EAGAIN:
                raise _failed("recvmmsg")
            elif not poll.poll(_PATIENCE_MS):
                raise LostPacketsError(f"{wanted} packets did not arrive")
