"""Netlink messages as bytes: pure functions, nothing touched.

Sources: ``linux/netlink.h``, RFC 3549.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

NLA_F_NESTED = 0x8000
NLA_TYPE_MASK = 0x3FFF

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_U32 = struct.Struct("=I")
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")

HEADER_BYTES = _HEADER.size


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute: length, type, payload, padding to four bytes."""
    size = len(payload)
    return _ATTRIBUTE.pack(size + 4, kind) + payload + _PADDING[size & 3]


def u8(kind: int, value: int) -> bytes:
    """An attribute holding one byte."""
    return attribute(kind, bytes((value,)))


def u16(kind: int, value: int) -> bytes:
    """An attribute holding 16 bits in the machine's byte order."""
    return attribute(kind, struct.pack("=H", value))


def u32(kind: int, value: int) -> bytes:
    """An attribute holding 32 bits in the machine's byte order."""
    return attribute(kind, _U32.pack(value))


def text(kind: int, value: str) -> bytes:
    """An attribute holding a string and its final zero."""
    return attribute(kind, value.encode() + b"\0")


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute that holds attributes, marked as such (``NLA_F_NESTED``)."""
    return attribute(kind | NLA_F_NESTED, b"".join(attributes))


def message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """One whole message, padded to four bytes."""
    size = _HEADER.size + len(body)
    return _HEADER.pack(size, kind, flags, sequence, 0) + body + _PADDING[size & 3]


class Message(NamedTuple):
    """A received message."""

    kind: int
    flags: int
    sequence: int
    body: bytes


def split_messages(data: bytes) -> Iterator[Message]:
    """Cut a received datagram into messages.

    Raises:
        ValueError: a length field does not fit the data.
    """
    offset = 0
    while offset < len(data):
        if len(data) - offset < _HEADER.size:
            raise ValueError(f"netlink message header cut short at byte {offset}")
        size, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if size < _HEADER.size or size > len(data) - offset:
            raise ValueError(f"netlink message of impossible length {size} at byte {offset}")
        yield Message(kind, flags, sequence, data[offset + _HEADER.size : offset + size])
        offset += (size + 3) & ~3


def split_attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """The attributes from ``offset`` on, by type without flag bits; of a repeated one, the last.

    Raises:
        ValueError: a length field does not fit the data.
    """
    return dict(_attributes(data, offset))


def find_attribute(data: bytes, wanted: int, offset: int = 0) -> bytes | None:
    """The first attribute of one type, from ``offset`` on; what follows it is not looked at.

    Raises:
        ValueError: a length field before it does not fit the data.
    """
    for kind, payload in _attributes(data, offset):
        if kind == wanted:
            return payload
    return None


def _attributes(data: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    while len(data) - offset >= _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(data, offset)
        if size < _ATTRIBUTE.size or size > len(data) - offset:
            raise ValueError(f"netlink attribute of impossible length {size} at byte {offset}")
        yield kind & NLA_TYPE_MASK, data[offset + _ATTRIBUTE.size : offset + size]
        offset += (size + 3) & ~3
