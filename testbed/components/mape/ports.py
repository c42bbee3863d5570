"""The port set of one CE: the port-mapping algorithm of RFC 7597 section 5.1.

A port number is read as three fields::

      a bits      k bits     m = 16 - a - k bits
    +---------+----------+---------+
    |    A    |   PSID   |    j    |
    +---------+----------+---------+

A CE owns every port whose middle field is its PSID.  With ``a > 0`` the ports with ``A = 0`` belong
to nobody (a = 6 keeps 0-1023 out of use, a = 4 keeps 0-4095 out); with ``a = 0`` nothing is kept
out and the set is one block.  With ``k = 0`` the address is not shared: the algorithm does not
apply and the CE owns all 65536 ports, whatever the offset says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.components.mape.errors import RuleError

PORT_BITS = 16


def check_port_layout(offset: int, length: int) -> None:
    """Raise :class:`RuleError` unless ``a`` and ``k`` fit together into 16 bits."""
    for field, value in (("psid_offset", offset), ("psid_len", length)):
        if not 0 <= value <= PORT_BITS:
            raise RuleError(field, f"{value} is out of range", hint="0 to 16 bits are possible")
    if length and offset + length > PORT_BITS:
        raise RuleError(
            "psid_offset",
            f"offset {offset} and PSID length {length} need {offset + length} bits",
            hint="a port has 16 bits: make the offset or the PSID shorter",
        )


def psid_of(port: int, offset: int, length: int) -> int | None:
    """The PSID a port belongs to, or None when no CE owns it (``A = 0`` with ``a > 0``)."""
    if length == 0:
        return 0
    if offset and not port >> (PORT_BITS - offset):
        return None
    return (port >> (PORT_BITS - offset - length)) & ((1 << length) - 1)


@dataclass(frozen=True, slots=True)
class PortSet:
    """The ports of one PSID: ``offset`` is ``a``, ``length`` is ``k``, both in bits.

    Iteration goes upwards through the ports.

    Raises:
        RuleError: the fields do not fit into a port, or the PSID does not fit into ``length`` bits.
    """

    psid: int
    offset: int
    length: int

    def __post_init__(self) -> None:
        check_port_layout(self.offset, self.length)
        if not 0 <= self.psid < 1 << self.length:
            raise RuleError(
                "psid",
                f"{self.psid} does not fit into {self.length} bits",
                hint=f"a PSID of {self.length} bits lies in 0 to {(1 << self.length) - 1}",
            )

    def psid_of(self, port: int) -> int | None:
        """The PSID that owns ``port`` under this layout; None when nobody does."""
        return psid_of(port, self.offset, self.length)

    def ranges(self) -> tuple[tuple[int, int], ...]:
        """The blocks of contiguous ports as (first, last), in rising order."""
        if self.length == 0:
            return ((0, 0xFFFF),)
        low_bits = PORT_BITS - self.offset - self.length
        first_a = 1 if self.offset else 0
        step = self.length + low_bits
        starts = ((a << step) | (self.psid << low_bits) for a in range(first_a, 1 << self.offset))
        return tuple((start, start + (1 << low_bits) - 1) for start in starts)

    def __contains__(self, port: object) -> bool:
        if not isinstance(port, int) or not 0 <= port <= 0xFFFF:
            return False
        return psid_of(port, self.offset, self.length) == self.psid

    def __len__(self) -> int:
        if self.length == 0:
            return 1 << PORT_BITS
        blocks = (1 << self.offset) - (1 if self.offset else 0)
        return blocks << (PORT_BITS - self.offset - self.length)

    def __iter__(self) -> Iterator[int]:
        for first, last in self.ranges():
            yield from range(first, last + 1)

    def __str__(self) -> str:
        blocks = self.ranges()
        shown = [f"{first}-{last}" for first, last in blocks[:2]]
        if len(blocks) > 2:
            shown.append(f"... {blocks[-1][0]}-{blocks[-1][1]}")
        return f"PSID {self.psid} of {self.length} bits: {', '.join(shown)}"
