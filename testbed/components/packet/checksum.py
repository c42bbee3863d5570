"""The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

One's complement addition of 16-bit words is addition modulo 65535, in which 0 and 0xFFFF are the
same number; a real sum is 0 only when every word is 0.  Python's big integers do that sum over a
whole packet in two C calls, which beats any loop over words.
"""

from __future__ import annotations

Buffer = bytes | bytearray | memoryview
"""What the codecs read from."""


def ones_complement_sum(data: Buffer, initial: int = 0) -> int:
    """The one's complement sum of ``data`` as big-endian 16-bit words, plus ``initial``.

    An odd last byte is padded with a zero byte (RFC 1071 sec. 1).
    """
    total = int.from_bytes(data, "big")
    if len(data) & 1:
        total <<= 8
    total += initial
    return total % 0xFFFF or (0xFFFF if total else 0)


def checksum(data: Buffer, initial: int = 0) -> int:
    """The Internet checksum of ``data``, whose own checksum field must be zero (RFC 1071)."""
    return ones_complement_sum(data, initial) ^ 0xFFFF


def is_valid(data: Buffer, initial: int = 0) -> bool:
    """Whether ``data``, checksum field included, sums to 0xFFFF."""
    return ones_complement_sum(data, initial) == 0xFFFF


def pseudo_header_sum(source: int, destination: int, protocol: int, length: int) -> int:
    """The sum of a TCP or UDP pseudo header; addresses as integers, IPv4 or IPv6.

    Any width of address will do because 2**16 is 1 modulo 65535 (RFC 9293 sec. 3.1, RFC 8200
    sec. 8.1).
    """
    return (source + destination + protocol + length) % 0xFFFF


def difference(old: int, new: int) -> int:
    """What ``adjust`` needs when a field changes from ``old`` to ``new``.

    The field may be any number of whole 16-bit words that start on a word boundary (an address,
    a port).  Differences of several fields add up.
    """
    return (new - old) % 0xFFFF


def adjust(old_checksum: int, delta: int) -> int:
    """The checksum after its data changed by ``delta`` (RFC 1624 eqn. 3)."""
    total = ((old_checksum ^ 0xFFFF) + delta) % 0xFFFF
    return total ^ 0xFFFF if total else 0


def adjust_udp(old_checksum: int, delta: int) -> int:
    """As ``adjust`` for UDP over IPv4: 0 means "no checksum" and is never computed (RFC 768)."""
    if old_checksum == 0:
        return 0
    # The sum is below 0xFFFF, so its complement cannot be 0.
    return (((old_checksum ^ 0xFFFF) + delta) % 0xFFFF) ^ 0xFFFF
