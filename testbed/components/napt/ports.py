"""Which outside ports a NAPT has, which are free, and which one a new mapping gets.

A *pool* answers for outside addresses and ports; a *strategy* picks a port in it.  The engine knows
only the :class:`PortPool` protocol: a pool that breaks the rules (one that keeps source port 500
although it lies outside the port set, as some CEs do) or that hands out blocks to subscribers is
another class, not another engine.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from random import Random
from typing import NamedTuple, Protocol

from testbed.components.packet.ipv4 import address_text
from testbed.components.packet.transport import ICMP, PROTOCOL_NAMES, TCP, UDP
from testbed.errors import TestbedError

PROTOCOLS = (TCP, UDP, ICMP)
"""Those that have ports, or identifiers in their place."""

_FREE, _USED, _OUTSIDE, _HELD = b"\0", b"\1", b"\2", b"\3"
_SYSTEM_PORTS = 1024


class PortNotInPoolError(TestbedError):
    """A port was asked for by number, but it is not in the pool, or somebody has it."""


class Endpoint(NamedTuple):
    """An IPv4 address as an integer, and a port or ICMP identifier."""

    address: int
    port: int

    def __str__(self) -> str:
        return f"{address_text(self.address)}:{self.port}"


class Usage(NamedTuple):
    """How full a pool is, for one protocol and one inside address."""

    in_use: int
    size: int


class PortSpace:
    """The ports of one outside address and protocol: one byte each, searched by ``bytes.find``.

    ``ranges`` are (first, last), rising.  Port 0 is never used; ports below 1024 are only given out
    by number (static forwards) unless ``system_ports`` (RFC 4787 REQ-3a keeps the two apart).
    """

    def __init__(self, ranges: Iterable[tuple[int, int]], *, system_ports: bool = False) -> None:
        self._states = bytearray(_OUTSIDE * 65536)
        lowest = 1 if system_ports else _SYSTEM_PORTS
        dynamic: list[tuple[int, int]] = []
        for first, last in ranges:
            for port in range(first, min(last + 1, lowest)):
                self._states[port] = _HELD[0]
            start = max(first, lowest)
            if start <= last:
                self._states[start : last + 1] = _FREE * (last + 1 - start)
                dynamic.append((start, last))
        self._starts = [first for first, _ in dynamic]
        self._before = [0, *accumulate(last + 1 - first for first, last in dynamic)]
        self.size = self._before[-1]
        self.in_use = 0
        self.cursor = 0
        """Where a sequential search goes on; kept here so that strategies have no state."""

    def __contains__(self, port: int) -> bool:
        return self._states[port] != _OUTSIDE[0]

    def is_free(self, port: int) -> bool:
        """Whether the port may be given to a new mapping."""
        return self._states[port] == _FREE[0]

    def next_free(self, start: int) -> int | None:
        """The first free port at or after ``start``, going round at the end."""
        found = self._states.find(_FREE, start)
        if found < 0:
            found = self._states.find(_FREE, 0, start)
        return None if found < 0 else found

    def free_ports(self) -> list[int]:
        """All free ports, rising."""
        found, ports = self._states.find(_FREE), []
        while found >= 0:
            ports.append(found)
            found = self._states.find(_FREE, found + 1)
        return ports

    def nth(self, rank: int) -> int:
        """The port of this rank (from 0) among all that may be given out, free or not."""
        block = bisect_right(self._before, rank) - 1
        return self._starts[block] + rank - self._before[block]

    def take(self, port: int) -> None:
        """Mark a free (or held) port as used."""
        self.in_use += self._states[port] == _FREE[0]
        self._states[port] = _USED[0]

    def give_back(self, port: int) -> None:
        """Mark a port that was in use as free again."""
        below = port < _SYSTEM_PORTS and bisect_right(self._starts, port) == 0
        self._states[port] = _HELD[0] if below else _FREE[0]
        self.in_use -= not below

    def may_reserve(self, port: int) -> bool:
        """Whether the port may be given out by number."""
        return 0 < port <= 0xFFFF and self._states[port] in {_FREE[0], _HELD[0]}


class PortStrategy(Protocol):
    """Picks a free port for a new mapping whose inside port is ``wanted``; ``None`` if none is."""

    def choose(self, space: PortSpace, wanted: int) -> int | None: ...


class Sequential:
    """The next free port after the one given out last: easy to read, slow to reuse a port."""

    def choose(self, space: PortSpace, wanted: int) -> int | None:  # noqa: ARG002 (protocol)
        """See :class:`PortStrategy`."""
        port = space.next_free(space.cursor)
        if port is not None:
            space.cursor = port + 1 & 0xFFFF
        return port


class Randomized:
    """Any free port with equal chance (RFC 6056 sec. 3.3.1), repeatable by its seed."""

    _TRIES = 16

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def choose(self, space: PortSpace, wanted: int) -> int | None:  # noqa: ARG002 (protocol)
        """See :class:`PortStrategy`."""
        if space.in_use >= space.size:
            return None
        for _ in range(self._TRIES):
            port = space.nth(self._random.randrange(space.size))
            if space.is_free(port):
                return port
        return self._random.choice(space.free_ports())


class KeepSourcePort:
    """The inside's own port if it is in the pool and free; else what ``otherwise`` picks."""

    def __init__(self, otherwise: PortStrategy) -> None:
        self._otherwise = otherwise

    def choose(self, space: PortSpace, wanted: int) -> int | None:
        """See :class:`PortStrategy`."""
        return wanted if space.is_free(wanted) else self._otherwise.choose(space, wanted)


class PortPool(Protocol):
    """Outside addresses and ports, as the engine needs them."""

    @property
    def addresses(self) -> frozenset[int]:
        """The outside addresses, shared with others or not."""
        ...

    def allocate(self, protocol: int, inside: Endpoint) -> Endpoint | None:
        """A free outside endpoint for a new mapping of ``inside``; ``None``: exhausted."""
        ...

    def release(self, protocol: int, outside: Endpoint) -> None:
        """A mapping has ended."""
        ...

    def reserve(self, protocol: int, outside: Endpoint) -> None:
        """Take this very endpoint (a static forward).

        Raises:
            PortNotInPoolError: it is not in the pool, or in use.
        """
        ...

    def owns(self, protocol: int, address: int, port: int) -> bool:
        """Whether a packet to this outside endpoint is ours, whether mapped or not."""
        ...

    def usage(self, protocol: int, inside_address: int) -> Usage:
        """How full the part of the pool is from which this inside address is served."""
        ...


class RangePortPool:
    """One outside address with a restricted port set, the same for every protocol."""

    def __init__(
        self,
        address: int,
        ranges: Iterable[tuple[int, int]],
        strategy: PortStrategy,
        *,
        system_ports: bool = False,
    ) -> None:
        self._address = address
        self._strategy = strategy
        blocks = tuple(ranges)
        self._spaces = {p: PortSpace(blocks, system_ports=system_ports) for p in PROTOCOLS}
        self._blocks = blocks

    @property
    def addresses(self) -> frozenset[int]:
        """See :class:`PortPool`."""
        return frozenset((self._address,))

    def allocate(self, protocol: int, inside: Endpoint) -> Endpoint | None:
        """See :class:`PortPool`."""
        space = self._spaces[protocol]
        port = self._strategy.choose(space, inside.port)
        if port is None:
            return None
        space.take(port)
        return Endpoint(self._address, port)

    def release(self, protocol: int, outside: Endpoint) -> None:
        """See :class:`PortPool`."""
        self._spaces[protocol].give_back(outside.port)

    def reserve(self, protocol: int, outside: Endpoint) -> None:
        """See :class:`PortPool`."""
        name = PROTOCOL_NAMES.get(protocol, str(protocol))
        space = self._spaces.get(protocol)
        if space is None or outside.address != self._address or outside.port not in space:
            raise PortNotInPoolError(
                f"{name} port {outside} is not in this NAPT's port set",
                hint=f"use one of {self._describe()} at {address_text(self._address)}",
            )
        if not space.may_reserve(outside.port):
            raise PortNotInPoolError(
                f"{name} port {outside} is in use already",
                hint="set up static forwards first, and each port only once",
            )
        space.take(outside.port)

    def owns(self, protocol: int, address: int, port: int) -> bool:
        """See :class:`PortPool`."""
        return address == self._address and protocol in self._spaces and port in self._spaces[TCP]

    def usage(self, protocol: int, inside_address: int) -> Usage:  # noqa: ARG002 (protocol)
        """See :class:`PortPool`."""
        space = self._spaces[protocol]
        return Usage(space.in_use, space.size)

    def _describe(self) -> str:
        shown = [f"{first}-{last}" for first, last in self._blocks[:3]]
        if len(self._blocks) > 3:
            shown.append(f"... {self._blocks[-1][0]}-{self._blocks[-1][1]}")
        return ", ".join(shown)
