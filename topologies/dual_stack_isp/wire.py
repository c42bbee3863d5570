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
from testbed.events.routing_kinds import Protocol
from testbed.model import Topology

ECHOES = (
    "(icmp and (icmp[0] == 0 or icmp[0] == 8)) or (icmp6 and (ip6[40] == 128 or ip6[40] == 129))"
)
"""A capture filter: echo requests and replies of both families."""

ROUTING = "ip proto 89 or ip6 proto 89 or tcp port 179 or udp port 3784"
"""A capture filter: OSPF, BGP, BFD (but not its echoes)."""

Family: TypeAlias = Literal["IPv4", "IPv6"]
Nodes: TypeAlias = tuple[str, ...]

_NAMES = (
    *("frame.interface_name", "frame.time_epoch", "eth.src", "ip.ttl", "ipv6.hlim"),
    *("icmp.type", "icmp.ident", "icmp.seq"),
    *("icmpv6.type", "icmpv6.echo.identifier", "icmpv6.echo.sequence_number"),
    *("ospf.msg", "tcp.len", "udp.dstport"),
)
_HELLO, _BFD_PORT = "1", "3784"
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
    """Both nodes of every cable, by the interface of it that is captured (``node/interface``).

    ``names`` are those interfaces by the link's name.
    """

    ends: Mapping[str, tuple[str, str]]
    names: Mapping[str, str]

    @classmethod
    def of(cls, topology: Topology) -> Cables:
        """Those of a lab in which every link is a cable, captured at its last end."""
        captured = {
            link.name: f"{link.ends[-1].node}/{link.ends[-1].name}" for link in topology.links
        }
        pairs = {
            captured[link.name]: (link.ends[-1].node, link.ends[0].node) for link in topology.links
        }
        return cls(pairs, captured)

    def on(self, link: str) -> str:
        """The interface at which a link is captured."""
        return self.names[link]

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


Row: TypeAlias = Mapping[str, str]
"""A packet's fields by tshark's names; empty where it has none."""


def read_rows(capture: Path) -> list[Row]:
    """All packets of a capture, in one reading: tshark takes its time to start.

    Raises:
        TestbedError: tshark fails; its own words are in the error.
    """
    command = ["tshark", "-n", "-r", str(capture), "-T", "fields"]
    for name in _NAMES:
        command += ["-e", name]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.startswith("tshark: ")]
        what = "; ".join(lines) or f"tshark fails with status {result.returncode}"
        raise TestbedError(what, where=str(capture))
    return [dict(zip(_NAMES, line.split("\t"), strict=True)) for line in result.stdout.splitlines()]


def read_trips(rows: Iterable[Row], cables: Cables, sender: str) -> list[Trip]:
    """Every echo request that ``sender`` sent, in the order of sending.

    Raises:
        TestbedError: packets are missing from the capture.
    """
    echoes = (row for row in rows if row["icmp.type"] or row["icmpv6.type"])
    return list(_trips(echoes, cables, sender))


def _trips(rows: Iterable[Row], cables: Cables, sender: str) -> Iterator[Trip]:
    requests: dict[tuple[Family, str, int], list[Seen]] = defaultdict(list)
    replies: dict[tuple[Family, str, int], list[Seen]] = defaultdict(list)
    for row in rows:
        family = _family(row)
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


def last_heard_ns(
    rows: Iterable[Row],
    protocol: Protocol,
    family: Family,
    cable: str,
    mac: str,
    before_ns: int,
) -> int:
    """When a router last heard its neighbour on a cable: a Hello, BGP's or BFD's message.

    Args:
        rows: a capture with that cable.
        protocol: what was said.
        family: and over what.
        cable: the interface at which the cable is captured, ``node/interface``.
        mac: the neighbour's address on that cable.
        before_ns: when the cable went silent; later packets do not count.

    Raises:
        TestbedError: nothing was heard.
    """
    times = [
        time_ns(row["frame.time_epoch"])
        for row in rows
        if row["frame.interface_name"] == cable
        and row["eth.src"] == mac
        and _family(row) == family
        and _says(row, protocol)
    ]
    earlier = [moment for moment in times if moment <= before_ns]
    if not earlier:
        raise TestbedError(f"nothing of {protocol} over {family} comes from {mac}", where=cable)
    return max(earlier)


def _says(row: Row, protocol: Protocol) -> bool:
    match protocol:
        case "OSPFv2" | "OSPFv3":
            return row["ospf.msg"] == _HELLO
        case "BGP":  # what is captured of TCP is BGP; a mere acknowledgement says nothing
            return row["tcp.len"] not in ("", "0")
        case "BFD":
            return row["udp.dstport"] == _BFD_PORT


def _family(row: Row) -> Family:
    return "IPv4" if row["ip.ttl"] else "IPv6"


def time_ns(epoch: str) -> int:
    """tshark's ``frame.time_epoch`` as ns since 1970."""
    seconds, _, part = epoch.partition(".")
    return int(seconds) * 10**9 + int(f"{part:0<9}"[:9])
