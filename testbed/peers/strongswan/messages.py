"""The messages of strongSwan's control protocol, vici, as bytes and as plain data.

A message is a tree: a section maps names to texts, to lists of texts or to sections.  A packet is a
message with a type, and some types have a name (src/libcharon/plugins/vici/README.md of strongSwan
describes both).  Nothing here reads or writes a socket.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias

from testbed.errors import TestbedError

Section: TypeAlias = "Mapping[str, str | list[str] | Section]"

_WHERE = "vici message"
_LONGEST_NAME = 0xFF
_LONGEST_VALUE = 0xFFFF
_DEEPEST = 32


class ViciError(TestbedError):
    """charon refused something, or what it said cannot be read."""


class Element(IntEnum):
    """What a message is made of."""

    SECTION_START = 1
    SECTION_END = 2
    KEY_VALUE = 3
    LIST_START = 4
    LIST_ITEM = 5
    LIST_END = 6


class PacketType(IntEnum):
    """What a packet is for."""

    REQUEST = 0
    RESPONSE = 1
    UNKNOWN_COMMAND = 2
    REGISTER = 3
    UNREGISTER = 4
    CONFIRM = 5
    UNKNOWN_EVENT = 6
    EVENT = 7


_NAMED = frozenset(
    {PacketType.REQUEST, PacketType.REGISTER, PacketType.UNREGISTER, PacketType.EVENT}
)


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet; ``name`` is the command's or the event's where the type has one."""

    type: PacketType
    name: str = ""
    message: Section = field(default_factory=dict)


def encode_packet(packet: Packet) -> bytes:
    """The packet as it goes over the socket, without its length in front.

    Raises:
        ViciError: a name or a value is too long for the format.
    """
    head = bytes([packet.type])
    if packet.type in _NAMED:
        head += _short(packet.name)
    return head + encode_message(packet.message)


def decode_packet(data: bytes) -> Packet:
    """Read a packet.

    Raises:
        ViciError: the bytes are no packet.
    """
    if not data:
        raise ViciError("a packet without a type", where=_WHERE)
    try:
        kind = PacketType(data[0])
    except ValueError:
        raise ViciError(f"no packet has the type {data[0]}", where=_WHERE) from None
    reader = _Reader(data, 1)
    name = reader.short() if kind in _NAMED else ""
    return Packet(kind, name, reader.message())


def encode_message(section: Section) -> bytes:
    """The message as bytes.

    Raises:
        ViciError: a name or a value is too long for the format.
    """
    return b"".join(_elements(section))


def decode_message(data: bytes) -> Section:
    """Read a message.

    Raises:
        ViciError: the bytes are no message.
    """
    return _Reader(data, 0).message()


def _elements(section: Section) -> Iterator[bytes]:
    for name, value in section.items():
        if isinstance(value, str):
            yield bytes([Element.KEY_VALUE]) + _short(name) + _long(value)
        elif isinstance(value, list):
            yield bytes([Element.LIST_START]) + _short(name)
            for item in value:
                yield bytes([Element.LIST_ITEM]) + _long(item)
            yield bytes([Element.LIST_END])
        else:
            yield bytes([Element.SECTION_START]) + _short(name)
            yield from _elements(value)
            yield bytes([Element.SECTION_END])


def _short(name: str) -> bytes:
    data = name.encode()
    if len(data) > _LONGEST_NAME:
        raise ViciError(f"a name of {len(data)} bytes: 255 is the most", where=_WHERE)
    return bytes([len(data)]) + data


def _long(value: str) -> bytes:
    data = value.encode(errors="surrogateescape")
    if len(data) > _LONGEST_VALUE:
        raise ViciError(f"a value of {len(data)} bytes: 65535 is the most", where=_WHERE)
    return struct.pack("!H", len(data)) + data


class _Reader:
    """Walks through bytes that come from outside."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data, self._position = data, position

    def message(self) -> Section:
        """All elements up to the end of the bytes."""
        section = self._section(depth=0)
        assert self._position == len(self._data)
        return section

    def short(self) -> str:
        """A text with one byte of length."""
        return self._take(self._take(1)[0]).decode(errors="surrogateescape")

    def _long(self) -> str:
        (size,) = struct.unpack("!H", self._take(2))
        return self._take(size).decode(errors="surrogateescape")

    def _take(self, size: int) -> bytes:
        piece = self._data[self._position : self._position + size]
        if len(piece) < size:
            raise ViciError("it ends in the middle of an element", where=_WHERE)
        self._position += size
        return piece

    def _section(self, *, depth: int) -> Section:
        if depth > _DEEPEST:
            raise ViciError(f"sections nested more than {_DEEPEST} deep", where=_WHERE)
        section: dict[str, str | list[str] | Section] = {}
        while self._position < len(self._data):
            element = self._take(1)[0]
            if element == Element.SECTION_END and depth:
                return section
            if element == Element.KEY_VALUE:
                name = self.short()
                section[name] = self._long()
            elif element == Element.LIST_START:
                name = self.short()
                section[name] = self._list()
            elif element == Element.SECTION_START:
                name = self.short()
                section[name] = self._section(depth=depth + 1)
            else:
                raise ViciError(f"element {element} cannot stand here", where=_WHERE)
        if depth:
            raise ViciError("a section does not end", where=_WHERE)
        return section

    def _list(self) -> list[str]:
        items: list[str] = []
        while (element := self._take(1)[0]) != Element.LIST_END:
            if element != Element.LIST_ITEM:
                raise ViciError(f"element {element} cannot stand in a list", where=_WHERE)
            items.append(self._long())
        return items
