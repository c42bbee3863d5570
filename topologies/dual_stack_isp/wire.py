"""What was on the wire, as an independent judge reads it: echo requests hop by hop, and timers.

A packet is the same everywhere in this network but for its TTL or hop limit, so the cables it was
on, in the order of that, are its path: also of one that never arrived.
"""

from __future__ import annotations

import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from testbed.errors import TestbedError
from testbed.model import Topology

ECHOES = (
    "(icmp and (icmp[0] == 0 or icmp[0] == 8)) or (icmp6 and (ip6[40] == 128 or ip6[40] == 129))"
)
"""A capture filter: echo requests and replies of both families."""

ROUTING = "ip proto 89 or ip6 proto 89 or tcp port 179 or udp port 3784"
"""A capture filter: OSPF, BGP, BFD."""

Family: TypeAlias = Literal["IPv4", "IPv6"]
Nodes: TypeAlias = tuple[str, ...]

_NAMES = (
    *("frame.interface_name", "frame.time_epoch", "ip.ttl", "ipv6.hlim"),
    *("icmp.type", "icmp.ident", "icmp.seq"),
    *("icmpv6.type", "icmpv6.echo.identifier", "icmpv6.echo.sequence_number"),
)
_REQUESTS = ("8", "128")


@dataclass(frozen=True, slots=True)
class Seen:
    """A packet on a link: when (ns since 1970), at which interface, its TTL or hop limit."""

    time_ns: int
    interface: str
    ttl: int


@dataclass(frozen=True, slots=True)
class Trip:
    """An echo request and what became of it.

    ``there`` are the nodes that it reached, the first its sender; ``back`` those of its reply.
    ``answered_ns`` is when the reply reached the sender, None if it did not.
    """

    family: Family
    number: int
    sent_ns: int
    answered_ns: int | None
    there: Nodes
    back: Nodes


@dataclass(frozen=True, slots=True)
class Cables:
    """Both nodes of every cable, by the interface of it that is captured (``node/interface``)."""

    ends: Mapping[str, tuple[str, str]]

    @classmethod
    def of(cls, topology: Topology) -> Cables:
        """Those of a lab in which every link is a cable, captured at its last end."""
        cables = [(link.ends[-1], link.ends[0].node) for link in topology.links]
        return cls({f"{last.node}/{last.name}": (last.node, one) for last, one in cables})

    def captured(self) -> tuple[str, ...]:
        """The interfaces, as :meth:`testbed.lab.Lab.capture` wants them."""
        return tuple(interface.replace("/", ":", 1) for interface in self.ends)

    def path(self, start: str, seen: Iterable[Seen]) -> Nodes:
        """The nodes that a packet came to: cable by cable, the TTL says in which order.

        Raises:
            TestbedError: the cables do not join.
        """
        path = [start]
        for one in sorted(seen, key=lambda one: (-one.ttl, one.time_ns)):
            pair = self.ends[one.interface]
            if path[-1] not in pair:
                raise TestbedError(
                    f"a packet that came by {' '.join(path)} is seen between {' and '.join(pair)}",
                    hint="the capture has lost a packet",
                )
            path.append(pair[1] if path[-1] == pair[0] else pair[0])
        return tuple(path)


def read_trips(capture: Path, cables: Cables, sender: str) -> list[Trip]:
    """Every echo request that ``sender`` sent, in the order of sending.

    Raises:
        TestbedError: tshark fails, or packets are missing from the capture.
    """
    rows = [
        dict(zip(_NAMES, row, strict=True)) for row in fields(capture, "icmp or icmpv6", *_NAMES)
    ]
    return list(_trips(rows, cables, sender))


def _trips(rows: Iterable[Mapping[str, str]], cables: Cables, sender: str) -> Iterator[Trip]:
    requests: dict[tuple[Family, str, int], list[Seen]] = defaultdict(list)
    replies: dict[tuple[Family, str, int], list[Seen]] = defaultdict(list)
    for row in rows:
        family: Family = "IPv4" if row["icmp.type"] else "IPv6"
        kind = row["icmp.type"] or row["icmpv6.type"]
        ident = row["icmp.ident"] or row["icmpv6.echo.identifier"]
        number = row["icmp.seq"] or row["icmpv6.echo.sequence_number"]
        ttl = int(row["ip.ttl"] or row["ipv6.hlim"])
        where = requests if kind in _REQUESTS else replies
        # tshark writes some numbers twice, for both orders of bytes.
        key = (family, ident.partition(",")[0], int(number.partition(",")[0], 0))
        moment = time_ns(row["frame.time_epoch"])
        where[key].append(Seen(moment, row["frame.interface_name"], ttl))
    for key, seen in sorted(requests.items(), key=lambda item: min(s.time_ns for s in item[1])):
        there = cables.path(sender, seen)
        answers = replies.get(key, [])
        back = cables.path(there[-1], answers) if answers else ()
        home = [one.time_ns for one in answers if sender in cables.ends[one.interface]]
        answered_ns = min(home) if home else None
        yield Trip(key[0], key[2], min(one.time_ns for one in seen), answered_ns, there, back)


def last_heard_ns(capture: Path, at: str, display_filter: str, mac: str, before_ns: int) -> int:
    """When the last packet of a protocol came to an interface from its neighbour there.

    Args:
        capture: of that interface.
        at: the interface, ``node/interface``.
        display_filter: the protocol, as tshark names it.
        mac: the neighbour's address on that link.
        before_ns: when the link went silent; later packets do not count.

    Raises:
        TestbedError: there was none.
    """
    chosen = f'({display_filter}) && frame.interface_name == "{at}" && eth.src == {mac}'
    times = [time_ns(row[0]) for row in fields(capture, chosen, "frame.time_epoch")]
    earlier = [moment for moment in times if moment <= before_ns]
    if not earlier:
        raise TestbedError(f"no packet passes {chosen!r}", where=str(capture))
    return max(earlier)


def fields(capture: Path, display_filter: str, *names: str) -> list[list[str]]:
    """Fields of the packets that pass a display filter, as tshark prints them.

    Raises:
        TestbedError: tshark fails; its own words are in the error.
    """
    command = ["tshark", "-n", "-r", str(capture), "-Y", display_filter, "-T", "fields"]
    for name in names:
        command += ["-e", name]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.startswith("tshark: ")]
        raise TestbedError(
            "; ".join(lines) or f"tshark fails with status {result.returncode}",
            where=str(capture),
            hint=f"the display filter was {display_filter!r}",
        )
    return [line.split("\t") for line in result.stdout.splitlines()]


def time_ns(epoch: str) -> int:
    """tshark's ``frame.time_epoch`` as ns since 1970."""
    seconds, _, part = epoch.partition(".")
    return int(seconds) * 10**9 + int(f"{part:0<9}"[:9])
