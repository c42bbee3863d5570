"""Writing pcapng: pure functions that turn values into blocks of a capture file.

Blocks are in the machine's byte order, and a file is any concatenation of one section header and
then other blocks; an interface must be described before its first packet.

Source: draft-ietf-opsawg-pcapng (PCAP Now Generic); link types are the registry of
draft-ietf-opsawg-pcaplinktype.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from ipaddress import ip_address

SECTION_HEADER = 0x0A0D0D0A
INTERFACE_DESCRIPTION = 1
SIMPLE_PACKET = 3
NAME_RESOLUTION = 4
INTERFACE_STATISTICS = 5
ENHANCED_PACKET = 6
BYTE_ORDER_MAGIC = 0x1A2B3C4D

LINKTYPE_ETHERNET = 1
LINKTYPE_RAW = 101

OPT_END = 0
OPT_COMMENT = 1
SHB_HARDWARE = 2
SHB_OS = 3
SHB_APPLICATION = 4
IF_NAME = 2
IF_DESCRIPTION = 3
IF_TSRESOL = 9
IF_FILTER = 11
IF_TSOFFSET = 14
EPB_FLAGS = 2
ISB_START_TIME = 2
ISB_END_TIME = 3
ISB_RECEIVED = 4
ISB_DROPPED = 5

FLAG_INBOUND = 0x1
FLAG_OUTBOUND = 0x2
FLAG_CHECKSUM_NOT_READY = 1 << 9

_NANOSECONDS = 9
_OPTION_LIMIT = 0xFFFF
_NRB_IPV4 = 1
_NRB_IPV6 = 2

_HEAD = struct.Struct("=II")
_LENGTH = struct.Struct("=I")
_OPTION = struct.Struct("=HH")
_PACKET = struct.Struct("=IIIIIII")
_FLAGS_ONLY = struct.Struct("=HHIHH")
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


def block(kind: int, body: bytes) -> bytes:
    """A block: type, length, body padded to four bytes, length again."""
    padding = _PADDING[len(body) & 3]
    size = len(body) + len(padding) + 12
    return _HEAD.pack(kind, size) + body + padding + _LENGTH.pack(size)


def option(code: int, value: bytes) -> bytes:
    """An option, padded to four bytes.

    Raises:
        ValueError: the value is longer than the 65535 bytes an option can hold.
    """
    if len(value) > _OPTION_LIMIT:
        raise ValueError(f"an option cannot hold {len(value)} bytes")
    return _OPTION.pack(code, len(value)) + value + _PADDING[len(value) & 3]


def text_option(code: int, text: str) -> bytes:
    """A text option; text too long for one is cut at a whole character."""
    value = text.encode()
    if len(value) > _OPTION_LIMIT:
        value = value[:_OPTION_LIMIT].decode(errors="ignore").encode()
    return option(code, value)


def _options(options: Iterable[bytes]) -> bytes:
    joined = b"".join(options)
    return joined + _OPTION.pack(OPT_END, 0) if joined else b""


def section_header(
    *, hardware: str = "", os: str = "", application: str = "", comment: str = ""
) -> bytes:
    """The block a file begins with; the section's length is left open, so it can be streamed."""
    pairs = (
        (OPT_COMMENT, comment),
        (SHB_HARDWARE, hardware),
        (SHB_OS, os),
        (SHB_APPLICATION, application),
    )
    options = _options(text_option(code, text) for code, text in pairs if text)
    return block(SECTION_HEADER, struct.pack("=IHHq", BYTE_ORDER_MAGIC, 1, 0, -1) + options)


def interface_description(
    name: str, link_type: int, *, description: str = "", snap_length: int = 0, filter_text: str = ""
) -> bytes:
    """Describe the next interface (they count from 0); its times are nanoseconds.

    ``snap_length`` 0 means frames are whole.
    """
    options = [text_option(IF_NAME, name)]
    if description:
        options.append(text_option(IF_DESCRIPTION, description))
    options.append(option(IF_TSRESOL, bytes((_NANOSECONDS,))))
    if filter_text:
        options.append(option(IF_FILTER, b"\0" + filter_text.encode()))
    body = struct.pack("=HHI", link_type, 0, snap_length)
    return block(INTERFACE_DESCRIPTION, body + _options(options))


def enhanced_packet(
    interface: int,
    time_ns: int,
    data: bytes,
    length: int,
    *,
    flags: int = 0,
    comments: Iterable[str] = (),
) -> bytes:
    """A frame: ``data`` what was kept of ``length`` bytes on the wire; flags as ``FLAG_*``."""
    kept = len(data)
    padding = _PADDING[kept & 3]
    options = b""
    for comment in comments:
        options += text_option(OPT_COMMENT, comment)
    if flags:
        options += _FLAGS_ONLY.pack(EPB_FLAGS, 4, flags, OPT_END, 0)
    elif options:
        options += _OPTION.pack(OPT_END, 0)
    size = 32 + kept + len(padding) + len(options)
    high, low = time_ns >> 32, time_ns & 0xFFFFFFFF
    head = _PACKET.pack(ENHANCED_PACKET, size, interface, high, low, kept, length)
    return b"%b%b%b%b%b" % (head, data, padding, options, _LENGTH.pack(size))


def name_resolution(names: Mapping[str, str]) -> bytes:
    """Names for addresses (``{"192.0.2.1": "home-a"}``), which Wireshark then shows.

    Raises:
        ValueError: a key is not an IP address.
    """
    body = b""
    for text, name in names.items():
        address = ip_address(text)
        value = address.packed + name.encode() + b"\0"
        kind = _NRB_IPV4 if address.version == 4 else _NRB_IPV6
        body += _OPTION.pack(kind, len(value)) + value + _PADDING[len(value) & 3]
    return block(NAME_RESOLUTION, body + _OPTION.pack(OPT_END, 0))


def interface_statistics(
    interface: int, time_ns: int, *, start_ns: int, received: int, dropped: int
) -> bytes:
    """How many frames an interface saw between two times, and how many of them were lost."""
    options = (
        option(ISB_START_TIME, _split_time(start_ns)),
        option(ISB_END_TIME, _split_time(time_ns)),
        option(ISB_RECEIVED, struct.pack("=Q", received)),
        option(ISB_DROPPED, struct.pack("=Q", dropped)),
    )
    body = struct.pack("=I", interface) + _split_time(time_ns)
    return block(INTERFACE_STATISTICS, body + _options(options))


def _split_time(time_ns: int) -> bytes:
    """A timestamp: its high 32 bits, then its low ones."""
    return struct.pack("=II", time_ns >> 32, time_ns & 0xFFFFFFFF)
